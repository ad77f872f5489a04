//! The book's server: who may read, and who may run.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use podlab_labs::{Cluster, Workbook, book};
use tower::ServiceExt;

const PORT: u16 = 7080;
const TOKEN: &str = "a-token-of-this-test";

/// A server of one page, for a cluster that does not exist.
fn server(cluster: bool) -> (tempfile::TempDir, Router) {
    let built = tempfile::tempdir().unwrap();
    std::fs::write(built.path().join("index.html"), "the book").unwrap();
    let workbook = Workbook::at(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap());
    let cluster = cluster.then(|| Cluster::new(built.path().join("no-kubeconfig")));
    let router = book::router(&workbook, built.path(), cluster, PORT, TOKEN);
    (built, router)
}

async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

const RUN: &str = "/labs/kuard/steps/run/run";
const HOST: (&str, &str) = ("host", "127.0.0.1:7080");
const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:7080");
const BEARER: (&str, &str) = ("authorization", "Bearer a-token-of-this-test");

#[tokio::test]
async fn pages_are_for_those_who_call_us_by_our_name() {
    let (_built, router) = server(true);
    for host in ["127.0.0.1:7080", "localhost:7080", "LOCALHOST:7080", "[::1]:7080"] {
        assert_eq!(ask(&router, "GET", "/", &[("host", host)]).await, (StatusCode::OK, "the book".to_owned()));
    }
    for host in ["evil.example:7080", "127.0.0.1", "127.0.0.1:7081", "localhost:7080.evil.example"] {
        let (status, body) = ask(&router, "GET", "/podlab.json", &[("host", host)]).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(!body.contains(TOKEN));
    }
    assert_eq!(ask(&router, "GET", "/", &[]).await.0, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn steps_are_run_only_from_our_pages_and_with_the_token() {
    let (_built, router) = server(true);
    let refused = [
        (vec![HOST, BEARER], StatusCode::FORBIDDEN),
        (vec![HOST, BEARER, ("origin", "http://evil.example")], StatusCode::FORBIDDEN),
        (vec![HOST, BEARER, ("origin", "https://127.0.0.1:7080")], StatusCode::FORBIDDEN),
        (vec![HOST, BEARER, ("origin", "null")], StatusCode::FORBIDDEN),
        (vec![HOST, ORIGIN], StatusCode::UNAUTHORIZED),
        (vec![HOST, ORIGIN, ("authorization", "Bearer a-token-of-this-tesT")], StatusCode::UNAUTHORIZED),
        (vec![HOST, ORIGIN, ("authorization", "Bearer ")], StatusCode::UNAUTHORIZED),
        (vec![ORIGIN, BEARER], StatusCode::MISDIRECTED_REQUEST),
    ];
    for (headers, wanted) in refused {
        assert_eq!(ask(&router, "POST", RUN, &headers).await.0, wanted, "{headers:?}");
        assert_eq!(ask(&router, "POST", "/labs/kuard/reset", &headers).await.0, wanted, "{headers:?}");
    }
    // Let in: what is refused now is the cluster, which this test does not have.
    let (status, body) = ask(&router, "POST", RUN, &[HOST, ORIGIN, BEARER]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("no-kubeconfig"), "{body}");
    assert_eq!(ask(&router, "GET", RUN, &[HOST, ORIGIN, BEARER]).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn nobody_is_told_the_token_who_does_not_bring_it() {
    let (built, router) = server(true);
    let (status, body) = ask(&router, "GET", "/podlab.json", &[HOST, ORIGIN]).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"runs":true}"#));
    for entry in std::fs::read_dir(built.path()).unwrap() {
        assert!(!std::fs::read_to_string(entry.unwrap().path()).unwrap().contains(TOKEN), "nor is it in a page");
    }
    let (_, refused) = ask(&router, "POST", RUN, &[HOST, ORIGIN]).await;
    assert!(refused.contains("podlab status") && !refused.contains(TOKEN), "the way in is said: {refused}");
}

#[tokio::test]
async fn only_declared_steps_exist() {
    let (_built, router) = server(true);
    for path in [
        "/labs/kuard/steps/rm%20-rf/run",
        "/labs/kuard/steps/nosuch/run",
        "/labs/nosuch/steps/run/run",
        "/labs/..%2Fkuard/steps/run/run",
    ] {
        let (status, body) = ask(&router, "POST", path, &[HOST, ORIGIN, BEARER]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
    }
}

#[tokio::test]
async fn without_a_cluster_nothing_runs() {
    let (_built, router) = server(false);
    let (status, body) = ask(&router, "GET", "/podlab.json", &[HOST]).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"runs":false}"#));
    let (status, body) = ask(&router, "POST", RUN, &[HOST, ORIGIN, BEARER]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("podlab start"), "{body}");
}

#[tokio::test]
async fn nothing_outside_of_the_book_is_served() {
    let (built, router) = server(false);
    std::fs::write(built.path().parent().unwrap().join("podlab-serve-test-secret"), "secret").unwrap();
    for path in ["/../podlab-serve-test-secret", "/%2e%2e/podlab-serve-test-secret", "/..%2fpodlab-serve-test-secret"] {
        let (status, body) = ask(&router, "GET", path, &[HOST]).await;
        assert!(!body.contains("secret"), "{path}: {status}");
    }
    std::fs::remove_file(built.path().parent().unwrap().join("podlab-serve-test-secret")).unwrap();
}
