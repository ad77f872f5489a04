//! `/version`, and `/healthz`, `/livez`, `/readyz` with their checks.

use http::StatusCode;
use podlab_api::error::ApiError;
use serde_json::json;

use super::respond::{self, Shape};
use super::{Answer, Call};
use crate::server::Body;

/// The version of Kubernetes whose API this server speaks.
const MAJOR: &str = "1";
const MINOR: &str = "32";
pub(crate) const GIT_VERSION: &str = "v1.32.13";

/// What is checked. Whatever would stop the server stops its start, so that a server that answers is well, unless it
/// is about to stop.
const CHECKS: [&str; 4] = ["ping", "log", "store", "shutdown"];

/// `/version`. Field order and indentation are the real server's: `kubectl get --raw /version` prints them.
pub(super) fn version(call: &Call) -> http::Response<Body> {
    let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let fields = [
        ("major", MAJOR),
        ("minor", MINOR),
        ("gitVersion", GIT_VERSION),
        ("gitCommit", "unknown"),
        ("gitTreeState", "clean"),
        ("buildDate", "1970-01-01T00:00:00Z"),
        ("goVersion", "none"),
        ("compiler", "rustc"),
        ("platform", &platform),
    ];
    let lines: Vec<String> =
        fields.iter().map(|(name, value)| format!("  {}: {}", json!(name), json!(value))).collect();
    let text = format!("{{\n{}\n}}", lines.join(",\n"));
    respond::json(&Shape::of(&call.parts), StatusCode::OK, text.into_bytes())
}

/// `/readyz`, `/readyz?verbose`, `/readyz/ping`.
pub(super) fn check(call: &Call, path: &[String]) -> Answer {
    let (Some(endpoint), single) = (path.first(), path.get(1)) else { return Err(ApiError::UnknownPath) };
    if path.len() > 2 {
        return Err(ApiError::UnknownPath);
    }
    let excluded: Vec<&str> = call.query.all("exclude").collect();
    let passes = |check: &str| check != "shutdown" || !call.server.inner.stopping.is_cancelled();
    if let Some(single) = single {
        if !CHECKS.contains(&single.as_str()) {
            return Err(ApiError::UnknownPath);
        }
        let code = if passes(single) { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        return Ok(respond::text(code, if passes(single) { "ok" } else { "not ok" }));
    }
    // Only readiness ends when the server is about to stop.
    let checks = CHECKS.iter().filter(|check| **check != "shutdown" || endpoint == "readyz");
    let mut report = String::new();
    let mut well = true;
    for check in checks {
        if excluded.contains(check) {
            report.push_str(&format!("[+]{check} excluded: ok\n"));
        } else if passes(check) {
            report.push_str(&format!("[+]{check} ok\n"));
        } else {
            well = false;
            report.push_str(&format!("[-]{check} failed: reason withheld\n"));
        }
    }
    if !well {
        report.push_str(&format!("{endpoint} check failed\n"));
        return Ok(respond::text(StatusCode::INTERNAL_SERVER_ERROR, report));
    }
    if call.query.flag("verbose") {
        report.push_str(&format!("{endpoint} check passed\n"));
        return Ok(respond::text(StatusCode::OK, report));
    }
    Ok(respond::text(StatusCode::OK, "ok"))
}
