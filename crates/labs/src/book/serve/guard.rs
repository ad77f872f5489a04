//! Who may ask, and who may run.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Book;

/// The names this server goes by, and its token.
pub(super) struct Guard {
    hosts: [String; 3],
    token: String,
}

/// A refusal, in words for whoever reads the browser's console.
type Refusal = (StatusCode, &'static str);

impl Guard {
    pub(super) fn new(port: u16, token: &str) -> Guard {
        let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
        Guard { hosts, token: token.to_owned() }
    }

    /// A name that somebody made to point at loopback is not ours (DNS rebinding).
    fn host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        match host {
            Some(host) if self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)) => Ok(()),
            _ => Err((StatusCode::MISDIRECTED_REQUEST, "this server answers to 127.0.0.1 and localhost only\n")),
        }
    }

    /// Whether a request may run a step: from a page of ours, and with the token.
    pub(super) fn may_run(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let ours = origin
            .and_then(|origin| origin.strip_prefix("http://"))
            .is_some_and(|origin| self.hosts.iter().any(|host| host.eq_ignore_ascii_case(origin)));
        if !ours {
            return Err((StatusCode::FORBIDDEN, "steps are run from the pages of this book only\n"));
        }
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if self.token.is_empty() || !same(token.as_bytes(), self.token.as_bytes()) {
            return Err((
                StatusCode::UNAUTHORIZED,
                "this browser has not been let in: open the link that `podlab start` printed, or `podlab status` prints\n",
            ));
        }
        Ok(())
    }
}

/// Compares without telling by its duration how much was right.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Turns away what is not for us, and tells the browser what our pages never do.
pub(super) async fn at_the_door(State(book): State<Arc<Book>>, request: Request, next: Next) -> Response {
    let mut response = match book.guard.host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    const PROMISES: [(HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            // mdBook's pages have small scripts and styles of their own.
            "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
             img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in PROMISES {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
