//! nginx: a small real web server with nginx' files, log lines and signals.
//!
//! It serves `/usr/share/nginx/html` on port 80, writes the access log to standard output and notices to standard
//! error, and ends at once on SIGTERM and SIGQUIT. It reads no configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, REFERER, SERVER, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::log::{common_log_stamp, stamp};
use crate::server::{plain, serve};

const VERSION: &str = "nginx/1.27.2";
const DOCUMENT_ROOT: &str = "/usr/share/nginx/html";
const PORT: u16 = 80;

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    if arguments.iter().any(|argument| argument == "-v" || argument == "-V") {
        eprintln!("nginx version: {VERSION}");
        return ExitCode::SUCCESS;
    }
    serve(router(DOCUMENT_ROOT.into()), PORT, announce)
}

/// What nginx says when it starts; the process number in front is its own, 1 in a container.
fn announce() {
    let process = std::process::id();
    let notice = |text: &str| eprintln!("{} [notice] {process}#{process}: {text}", stamp(Timestamp::now()));
    notice("using the \"epoll\" event method");
    notice(VERSION);
    let system = rustix::system::uname();
    notice(&format!("OS: {} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy()));
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    notice(&format!("getrlimit(RLIMIT_NOFILE): {}:{}", limit(files.current), limit(files.maximum)));
    notice("start worker processes");
}

fn router(root: PathBuf) -> Router {
    Router::new().fallback(file).with_state(root).layer(middleware::from_fn(access_log))
}

/// The file that the path means, with nginx' own pages for what goes wrong.
async fn file(State(root): State<PathBuf>, request: Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return error_page(StatusCode::METHOD_NOT_ALLOWED, "Not Allowed");
    }
    match ServeDir::new(root).oneshot(request).await {
        Ok(found) if found.status() == StatusCode::NOT_FOUND => error_page(StatusCode::NOT_FOUND, "Not Found"),
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

/// Writes the line of the `combined` format (ngx_http_log_module), as the image's configuration has it.
async fn access_log(ConnectInfo(client): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    let asked = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    let referer = header(request.headers(), &REFERER);
    let agent = header(request.headers(), &USER_AGENT);
    let mut response = next.run(request).await;
    response.headers_mut().insert(SERVER, HeaderValue::from_static(VERSION));
    let size = header(response.headers(), &CONTENT_LENGTH);
    println!(
        "{} - - [{}] \"{asked}\" {} {} \"{referer}\" \"{agent}\"",
        plain(client).ip(),
        common_log_stamp(Timestamp::now()),
        response.status().as_u16(),
        if size == "-" { "0" } else { &size },
    );
    response
}

/// A header for the log: quotes and control characters are escaped as nginx does, so that a client cannot forge a line.
fn header(headers: &HeaderMap, name: &axum::http::HeaderName) -> String {
    let Some(value) = headers.get(name) else { return "-".to_owned() };
    value
        .as_bytes()
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' | 0..=31 | 127..=255 => format!("\\x{byte:02X}"),
            plain => char::from(*plain).to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn get(root: &std::path::Path, method: Method, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = Router::new().fallback(file).with_state(root.to_owned()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn serves_files_and_its_own_error_pages() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("index.html"), "hello").unwrap();
        assert_eq!(get(root.path(), Method::GET, "/").await, (StatusCode::OK, "hello".to_owned()));
        let (status, page) = get(root.path(), Method::GET, "/nope").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(page.contains("<center>nginx/"), "{page}");
        let (status, _) = get(root.path(), Method::GET, "/../etc/passwd").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let (status, _) = get(root.path(), Method::POST, "/").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn a_client_cannot_forge_a_log_line() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_bytes(b"a\" 200\t\\").unwrap());
        assert_eq!(header(&headers, &USER_AGENT), "a\\x22 200\\x09\\x5C");
        assert_eq!(header(&headers, &REFERER), "-");
    }
}
