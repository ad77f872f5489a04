//! Which servers are asked for an image.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use crate::error::ImageError;

/// The registry behind `docker.io` has another name than the images have.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// What the reader configured about registries, in `registries.json` beside the store:
/// `{"mirrors": {"docker.io": ["http://127.0.0.1:5000"]}, "offline": false}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registries {
    /// By the domain of references: addresses that are asked before the domain itself, in order. One that starts with
    /// `http://` is spoken to in plain text.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// No other registry than a mirror is ever asked: an image that neither the store nor a mirror has is not found, at
    /// once. For classes, and for machines that wait long for networks they do not have.
    pub offline: bool,
}

impl Registries {
    /// Reads the file; without one there are no mirrors.
    pub fn load(path: &Path) -> Result<Registries, ImageError> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| ImageError::Corrupt { path: path.to_owned(), problem: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Registries::default()),
            Err(error) => Err(ImageError::io("cannot read", path)(error)),
        }
    }

    /// [`Registries::load`] of the file in a store's directory; `PODLAB_OFFLINE` in the environment, when it is not empty,
    /// is as good as `offline` in the file.
    pub fn of_store(images: &Path) -> Result<Registries, ImageError> {
        let mut registries = Registries::load(&images.join("registries.json"))?;
        registries.offline |= std::env::var_os("PODLAB_OFFLINE").is_some_and(|value| !value.is_empty());
        Ok(registries)
    }

    /// The addresses to ask for a domain's images, as `https://host:port`, in order.
    pub(super) fn endpoints(&self, domain: &str) -> Vec<String> {
        let host = if domain == DOCKER_HUB.0 { DOCKER_HUB.1 } else { domain };
        let mirrors = self.mirrors.get(domain).map(Vec::as_slice).unwrap_or_default();
        let own = (!self.offline).then(|| with_scheme(host));
        mirrors.iter().map(|mirror| with_scheme(mirror)).chain(own).collect()
    }
}

/// Plain HTTP only where nobody else can listen, or where the reader wrote so.
fn with_scheme(address: &str) -> String {
    let address = address.trim_end_matches('/');
    if address.starts_with("http://") || address.starts_with("https://") {
        return address.to_owned();
    }
    let scheme = if is_loopback(address) { "http" } else { "https" };
    format!("{scheme}://{address}")
}

/// Whether `host[:port]` is this machine.
pub(super) fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_and_how() {
        let registries: Registries =
            serde_json::from_str(r#"{"mirrors": {"docker.io": ["127.0.0.1:5000", "https://mirror.example/"]}}"#)
                .unwrap();
        assert_eq!(
            registries.endpoints("docker.io"),
            ["http://127.0.0.1:5000", "https://mirror.example", "https://registry-1.docker.io"]
        );
        assert_eq!(registries.endpoints("quay.io"), ["https://quay.io"]);
        assert_eq!(registries.endpoints("localhost:5000"), ["http://localhost:5000"]);
        assert_eq!(registries.endpoints("[::1]:5000"), ["http://[::1]:5000"]);
        assert_eq!(registries.endpoints("127.0.0.1.example"), ["https://127.0.0.1.example"]);
        let offline = Registries { offline: true, ..registries };
        assert_eq!(offline.endpoints("docker.io"), ["http://127.0.0.1:5000", "https://mirror.example"]);
        assert_eq!(offline.endpoints("quay.io"), [""; 0]);
        assert!(serde_json::from_str::<Registries>(r#"{"mirror": {}}"#).is_err());
    }
}
