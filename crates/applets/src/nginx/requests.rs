//! What the web server answers: files, and nginx's pages where there is none.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, REFERER, SERVER, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::{VERSION, log};
use crate::log::common_log_stamp;
use crate::server::plain;

/// Serves the files under `root`; `write` gets the lines of the access log.
pub(super) fn router(root: PathBuf, write: fn(&str)) -> Router {
    Router::new().fallback(file).with_state(root).layer(middleware::from_fn_with_state(write, observe))
}

/// The file that the path means, with nginx' own pages for what goes wrong.
async fn file(State(root): State<PathBuf>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return error_page(StatusCode::METHOD_NOT_ALLOWED, "Not Allowed");
    }
    match ServeDir::new(root).oneshot(request).await {
        Ok(found) if found.status().is_client_error() => {
            let status = found.status();
            error_page(status, status.canonical_reason().unwrap_or_default())
        }
        Ok(found) => found.map(Body::new).into_response(),
        Err(never) => match never {},
    }
}

fn error_page(status: StatusCode, reason: &str) -> Response {
    let code = status.as_u16();
    let page = format!(
        "<html>\r\n<head><title>{code} {reason}</title></head>\r\n<body>\r\n<center><h1>{code} {reason}</h1></center>\r\n\
         <hr><center>{VERSION}</center>\r\n</body>\r\n</html>\r\n"
    );
    (status, [(CONTENT_TYPE, "text/html")], page).into_response()
}

/// Writes the line of the `combined` format (ngx_http_log_module), as the image's configuration has it, and into the
/// error log what was asked for and is not there.
async fn observe(
    State(write): State<fn(&str)>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let client = plain(client).ip();
    let head = request.method() == Method::HEAD;
    let path = escape(request.uri().path().as_bytes());
    let asked = escape(format!("{} {} {:?}", request.method(), request.uri(), request.version()).as_bytes());
    let [referer, agent, host] = [REFERER, USER_AGENT, HOST].map(|name| header(request.headers(), &name));
    let mut response = next.run(request).await;
    response.headers_mut().insert(SERVER, HeaderValue::from_static(VERSION));
    if response.status() == StatusCode::NOT_FOUND {
        log(
            "error",
            &format!(
                "*1 open() \"{path}\" failed (2: No such file or directory), client: {client}, server: localhost, \
                 request: \"{asked}\", host: \"{host}\""
            ),
        );
    }
    let size = if head { "-".to_owned() } else { header(response.headers(), &CONTENT_LENGTH) };
    write(&format!(
        "{client} - - [{}] \"{asked}\" {} {} \"{referer}\" \"{agent}\"\n",
        common_log_stamp(Timestamp::now()),
        response.status().as_u16(),
        if size == "-" { "0" } else { &size },
    ));
    response
}

/// A header for the logs; `-` when there is none.
fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).map_or_else(|| "-".to_owned(), |value| escape(value.as_bytes()))
}

/// Quotes and control characters are escaped as nginx does, so that a client cannot forge a line.
fn escape(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut text, byte| {
        match byte {
            b'"' | b'\\' | 0..=31 | 127..=255 => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\x{byte:02X}");
            }
            plain => text.push(char::from(*plain)),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::connect_info::MockConnectInfo;
    use http_body_util::BodyExt;
    use std::sync::Mutex;

    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

    async fn ask(root: &std::path::Path, method: Method, path: &str) -> (StatusCode, String) {
        let client: SocketAddr = "[::ffff:10.244.0.1]:4000".parse().unwrap();
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let router = router(root.to_owned(), |line| LINES.lock().unwrap().push(line.to_owned()));
        let response = router.layer(MockConnectInfo(client)).oneshot(request).await.unwrap();
        assert_eq!(response.headers()[SERVER], VERSION);
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn serves_files_and_its_own_error_pages_and_logs_both() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("index.html"), "hello").unwrap();
        assert_eq!(ask(root.path(), Method::GET, "/").await, (StatusCode::OK, "hello".to_owned()));
        let (status, page) = ask(root.path(), Method::GET, "/nope").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(page.contains("<center>nginx/"), "{page}");
        assert_eq!(ask(root.path(), Method::GET, "/../etc/passwd").await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(root.path(), Method::GET, "/%2e%2e/etc/passwd").await.0, StatusCode::NOT_FOUND);
        assert_eq!(ask(root.path(), Method::POST, "/").await.0, StatusCode::METHOD_NOT_ALLOWED);

        let lines = LINES.lock().unwrap();
        assert!(lines[0].starts_with("10.244.0.1 - - ["), "{}", lines[0]);
        assert!(lines[0].ends_with("] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n"), "{}", lines[0]);
        assert!(lines[1].contains("\"GET /nope HTTP/1.1\" 404 "), "{}", lines[1]);
    }

    #[test]
    fn a_client_cannot_forge_a_log_line() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_bytes(b"a\" 200\t\\").unwrap());
        assert_eq!(header(&headers, &USER_AGENT), "a\\x22 200\\x09\\x5C");
        assert_eq!(header(&headers, &REFERER), "-");
    }
}
