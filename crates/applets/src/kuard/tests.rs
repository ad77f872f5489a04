//! kuard through its router: what the probes, the pages and the API answer.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Kuard, port, router};

fn application() -> Router {
    let client: SocketAddr = "10.244.0.1:4000".parse().unwrap();
    router(Kuard::new("blue".to_owned(), "kuard".to_owned())).layer(MockConnectInfo(client))
}

async fn call(application: &Router, method: Method, path: &str, kind: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = application.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body: Body = response.into_body();
    (status, String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned())
}

async fn get(application: &Router, path: &str) -> (StatusCode, String) {
    call(application, Method::GET, path, "text/plain", "").await
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_probe_fails_as_often_as_it_is_told_and_remembers_who_asked() {
    let application = application();
    assert_eq!(get(&application, "/healthy").await, (StatusCode::OK, "ok".to_owned()));
    call(&application, Method::PUT, "/healthy/api", "text/plain", r#"{"failNext":2}"#).await;
    assert_eq!(get(&application, "/healthy").await, (StatusCode::INTERNAL_SERVER_ERROR, "fail, 1 left".to_owned()));
    assert_eq!(get(&application, "/ready").await.0, StatusCode::OK, "readiness is a probe of its own");
    assert_eq!(get(&application, "/healthy").await.1, "fail, 0 left");
    assert_eq!(get(&application, "/healthy").await.0, StatusCode::OK);
    let status = parse(&get(&application, "/healthy/api").await.1);
    let codes: Vec<_> = status["history"].as_array().unwrap().iter().map(|call| call["code"].clone()).collect();
    assert_eq!(codes, [200, 500, 500, 200]);
    assert_eq!(status["failNext"], 0);
}

#[tokio::test]
async fn the_page_remembers_twenty_calls_and_its_buttons_work_without_a_script() {
    let application = application();
    let (status, _) =
        call(&application, Method::POST, "/-/readiness", "application/x-www-form-urlencoded", "failNext=-1").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    for _ in 0..25 {
        assert_eq!(get(&application, "/ready").await.1, "fail, permanent");
    }
    let (_, page) = get(&application, "/-/readiness").await;
    assert_eq!(page.matches("class=\"fail\">500").count(), 20);
    assert!(page.contains("Failing until told otherwise"), "{page}");
}

#[tokio::test]
async fn memory_is_held_until_it_is_cleared() {
    let application = application();
    let allocate = |path: &'static str| call(&application, Method::POST, path, "text/plain", "");
    assert_eq!(allocate("/mem/api/alloc?size=1048576").await.0, StatusCode::OK);
    assert_eq!(parse(&get(&application, "/mem/api").await.1)["memStats"]["Alloc"], 1_048_576);
    assert_eq!(allocate("/mem/api/alloc").await, (StatusCode::BAD_REQUEST, "size not specified\n".to_owned()));
    assert_eq!(allocate("/mem/api/alloc?size=-1").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(allocate("/mem/api/alloc?size=18446744073709551615").await.0, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(allocate("/mem/api/clear").await.0, StatusCode::OK);
    assert_eq!(parse(&get(&application, "/mem/api").await.1)["memStats"]["Alloc"], 0);
}

#[tokio::test]
async fn the_memory_page_works_without_a_script() {
    let application = application();
    let press =
        |button: &'static str| call(&application, Method::POST, "/-/mem", "application/x-www-form-urlencoded", button);
    assert_eq!(press("allocate=10").await.0, StatusCode::SEE_OTHER);
    assert!(get(&application, "/-/mem").await.1.contains("<dd>10.0 MiB</dd>"));
    assert_eq!(press("allocate=123456789").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(press("").await.0, StatusCode::SEE_OTHER);
    assert!(get(&application, "/-/mem").await.1.contains("<dd>0 bytes</dd>"));
}

#[tokio::test]
async fn every_page_is_there_under_every_prefix_and_escapes_what_it_shows() {
    let application = application();
    for prefix in super::PREFIXES {
        for path in [
            "/",
            "/-/env",
            "/-/mem",
            "/-/liveness",
            "/-/readiness",
            "/-/dns",
            "/-/keygen",
            "/-/memq",
            "/fs/",
            "/fs/etc/",
        ] {
            let (status, page) = get(&application, &format!("{prefix}{path}")).await;
            assert_eq!(status, StatusCode::OK, "{prefix}{path}");
            assert!(page.contains("aria-current=\"page\""), "{prefix}{path} marks where it is");
            assert!(page.contains(&format!("href=\"{prefix}/-/env\"")), "{prefix}{path} links under its prefix");
        }
    }
    let (_, page) = call(&application, Method::GET, "/", "<script>alert(1)</script>", "").await;
    assert!(!page.contains("<script>alert"), "{page}");
}

#[tokio::test]
async fn environment_names_and_files_are_answered() {
    let application = application();
    let environment = parse(&get(&application, "/env/api").await.1);
    assert_eq!(environment["env"]["PATH"], json!(std::env::var("PATH").unwrap()));
    let question = r#"{"type":"A","name":"127.0.0.1"}"#;
    let (status, answer) = call(&application, Method::POST, "/dns/api", "application/json", question).await;
    assert_eq!((status, parse(&answer)["result"].clone()), (StatusCode::OK, json!("127.0.0.1\tIN\tA\t127.0.0.1")));
    let (status, _) =
        call(&application, Method::POST, "/dns/api", "application/json", r#"{"type":"MX","name":"a"}"#).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&application, "/fs/dev/zero").await.0, StatusCode::FORBIDDEN, "a device has no end");
    assert_eq!(get(&application, "/fs/no/such/file").await.0, StatusCode::NOT_FOUND);
    assert!(get(&application, "/fs/etc/passwd").await.1.contains("root:"));
}

#[tokio::test]
async fn metrics_have_no_labels_that_a_client_can_make_up() {
    let application = application();
    for number in 0..50 {
        get(&application, &format!("/nothing/{number}")).await;
    }
    let (_, text) = get(&application, "/metrics").await;
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1, "{text}");
    assert!(text.contains("status_code=\"404\"} 50"), "{text}");
}

#[test]
fn the_version_is_the_images_tag() {
    assert_eq!(super::version("1\n"), "v0.8.1-1");
    assert_eq!(super::version("blue"), "v0.10.0-blue");
}

#[test]
fn the_address_is_an_argument_with_a_port() {
    let port = |arguments: &[&str]| port(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>());
    assert_eq!(port(&[]), Ok(8080));
    assert_eq!(port(&["--address", ":9090"]), Ok(9090));
    assert_eq!(port(&["--debug", "--address=0.0.0.0:1"]), Ok(1));
    for bad in [vec!["--address"], vec!["--address=host"], vec!["--port=1"]] {
        assert!(port(&bad).is_err(), "{bad:?}");
    }
}
