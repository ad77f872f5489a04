//! Requests that a browser was tricked into (DNS rebinding): they name a host that is not this server.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use podlab_api::error::ApiError;

use crate::pki::{SERVER_ADDRESSES, SERVER_NAMES};

/// Whether the request names this server, in its Host and, when it comes from a page, in its Origin.
///
/// # Errors
/// 403 when it does not.
pub(crate) fn check(parts: &Parts) -> Result<(), ApiError> {
    let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    // HTTP/2 carries the host in the target.
    let host = parts.uri.authority().map(Authority::as_str).or_else(|| header(HOST)).unwrap_or_default();
    if !ours(host) {
        return Err(refused(&format!("host {host:?}")));
    }
    if let Some(origin) = header(ORIGIN) {
        let place = origin.split_once("://").map_or("", |(_, place)| place);
        if !ours(place) {
            return Err(refused(&format!("origin {origin:?}")));
        }
    }
    Ok(())
}

fn refused(what: &str) -> ApiError {
    ApiError::Forbidden {
        group: String::new(),
        plural: String::new(),
        name: String::new(),
        message: format!("the {what} is not a name of this server"),
    }
}

/// Whether a host, perhaps with a port, is one of the names in the server's certificate.
fn ours(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    // User information has no place here.
    if host.contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    SERVER_NAMES.contains(&name) || name.parse().is_ok_and(|address| SERVER_ADDRESSES.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_the_server_are_its_own() {
        for host in ["127.0.0.1:6443", "localhost:1", "LOCALHOST", "[::1]:6443", "10.96.0.1", "kubernetes.default.svc"]
        {
            assert!(ours(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:6443",
            "127.0.0.1@example.com",
            "0.0.0.0",
        ] {
            assert!(!ours(host), "{host}");
        }
    }
}
