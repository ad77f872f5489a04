//! kuard: the demo application of the texts, as their readers know it.
//!
//! It shows what a Pod hands to its program (request, environment, files, addresses), and lets a reader break it on
//! purpose: fail the next probes, leak memory. Pages are rendered here and work without scripts; a script of a few
//! lines keeps the live ones up to date.

mod absent;
mod dns;
mod environment;
mod files;
mod memory;
mod metrics;
mod page;
mod probe;
mod request;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::server::{plain, serve};
use memory::Memory;
use metrics::Metrics;
use probe::Probe;

/// The parts of the program that remember something between requests.
pub(crate) struct Kuard {
    /// What the page shows as its version: the image's tag, as `1` or `blue`.
    version: String,
    hostname: String,
    live: Probe,
    ready: Probe,
    memory: Memory,
    metrics: Metrics,
}

type Shared = State<Arc<Kuard>>;

/// Every page is also reachable under these, so that a reader sees what a path-routing proxy forwards.
const PREFIXES: [&str; 4] = ["", "/a", "/b", "/c"];

/// Where the image says which of kuard's tags it is. A file and not a variable: the text's readers look at `env`.
const TAG_FILE: &str = "/etc/kuard-tag";

const DEFAULT_PORT: u16 = 8080;

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let port = match port(&arguments) {
        Ok(port) => port,
        Err(problem) => {
            eprintln!("kuard: {problem}\nusage: kuard [--address :{DEFAULT_PORT}]");
            return ExitCode::from(2);
        }
    };
    let version = version(&std::fs::read_to_string(TAG_FILE).unwrap_or_else(|_| "1".to_owned()));
    crate::log::line(&format!("Starting kuard version: {version}"));
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    serve(router(Kuard::new(version, hostname)), port, || {
        crate::log::line(&format!("Serving on HTTP on :{port}"));
    })
}

/// What the releases behind the tags called themselves: numbers are the older, colours the newer one.
fn version(tag: &str) -> String {
    let tag = tag.trim();
    let release = if tag.starts_with(|first: char| first.is_ascii_digit()) { "v0.8.1" } else { "v0.10.0" };
    format!("{release}-{tag}")
}

/// The port of `--address HOST:PORT` or of `KUARD_ADDRESS`; the host part is ignored, a Pod has one address.
fn port(arguments: &[String]) -> Result<u16, String> {
    let mut address = std::env::var("KUARD_ADDRESS").ok();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(value) = argument.strip_prefix("--address=") {
            address = Some(value.to_owned());
        } else if argument == "--address" {
            address = Some(rest.next().ok_or("--address wants a value")?.clone());
        } else if argument != "--debug" {
            return Err(format!("unknown argument {argument}"));
        }
    }
    let Some(address) = address else { return Ok(DEFAULT_PORT) };
    let digits = address.rsplit(':').next().unwrap_or(&address);
    digits.parse().map_err(|_| format!("the address {address} has no port"))
}

impl Kuard {
    fn new(version: String, hostname: String) -> Self {
        Self {
            version,
            hostname,
            live: Probe::new(
                "/healthy",
                "Liveness Probe",
                "A container that fails it too often is ended and started again.",
            ),
            ready: Probe::new(
                "/ready",
                "Readiness Probe",
                "A container that fails it gets no traffic from Services until it succeeds again.",
            ),
            memory: Memory::default(),
            metrics: Metrics::default(),
        }
    }
}

fn router(kuard: Kuard) -> Router {
    let kuard = Arc::new(kuard);
    let mut router = Router::new();
    for prefix in PREFIXES {
        router = router.merge(routes(prefix));
    }
    router.layer(middleware::from_fn_with_state(Arc::clone(&kuard), observe)).with_state(kuard)
}

fn routes(prefix: &'static str) -> Router<Arc<Kuard>> {
    let at = |path: &str| format!("{prefix}{path}");
    Router::new()
        .route(&at("/"), get(request::show))
        .route(&at("/env"), get(environment::show))
        .route(&at("/-/env"), get(environment::show))
        .route(&at("/env/api"), get(environment::api))
        .route(&at("/mem"), get(memory::show))
        .route(&at("/-/mem"), get(memory::show).post(memory::submit))
        .route(&at("/mem/api"), get(memory::api))
        .route(&at("/mem/api/alloc"), post(memory::allocate))
        .route(&at("/mem/api/clear"), post(memory::clear))
        .route(&at("/healthy"), get(probe::answer_live))
        .route(&at("/healthy/api"), get(probe::api_live).put(probe::configure_live))
        .route(&at("/-/liveness"), get(probe::show_live).post(probe::submit_live))
        .route(&at("/ready"), get(probe::answer_ready))
        .route(&at("/ready/api"), get(probe::api_ready).put(probe::configure_ready))
        .route(&at("/-/readiness"), get(probe::show_ready).post(probe::submit_ready))
        .route(&at("/dns"), get(dns::show))
        .route(&at("/-/dns"), get(dns::show))
        .route(&at("/-/keygen"), get(absent::keygen))
        .route(&at("/-/memq"), get(absent::memq))
        .route(&at("/dns/api"), post(dns::api))
        .route(&at("/fs"), get(files::show))
        .route(&at("/fs/"), get(files::show))
        .route(&at("/fs/{*path}"), get(files::show))
        .route(&at("/metrics"), get(metrics::show))
}

/// Logs each request as it comes in, and counts it when it is answered.
async fn observe(
    State(kuard): Shared,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    crate::log::line(&format!("{} {} {}", plain(client), request.method(), request.uri()));
    let method = request.method().clone();
    let response = next.run(request).await;
    kuard.metrics.count(&method, response.status());
    response
}

#[cfg(test)]
mod tests;
