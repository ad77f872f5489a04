//! `pods/NAME/log`.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use podlab_api::error::{ApiError, FieldError, FieldPath};
use serde_json::json;

use super::node::{self, NodeError, segment};
use super::pod::Place;
use crate::http::{Answer, Call, Target, plain_status};
use crate::server::Body;

/// What a node is asked to do with the log; passed on as it came.
const OPTIONS: [&str; 7] = ["follow", "previous", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "limitBytes"];

pub(crate) async fn log(call: &mut Call, target: &Target) -> Answer {
    check(call)?;
    let place = Place::of(call, target)?;
    if place.node.is_empty() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let path = path(call, &place);
    match node::send(&call.server, &place.node, Method::GET, &path, false).await {
        Ok(answer) => {
            let mut response = Response::new(Body::new(answer.into_body()));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
            Ok(response)
        }
        // Golden 121: a failure with neither a reason nor a prefix.
        Err(NodeError::Unreachable(text)) => Ok(plain_status(call, StatusCode::INTERNAL_SERVER_ERROR, &text)),
        Err(error) => Err(error.into_api("pods", target.name())),
    }
}

/// Where the node has it.
fn path(call: &Call, place: &Place) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in OPTIONS {
        if let Some(value) = call.query.given(name) {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    let (namespace, pod, container) = (segment(&place.namespace), segment(&place.pod), segment(&place.container));
    let path = format!("/containerLogs/{namespace}/{pod}/{container}");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// What cannot be asked (k8s.io/kubernetes/pkg/apis/core/validation, `ValidatePodLogOptions`).
fn check(call: &Call) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    for (name, least, detail) in [
        ("tailLines", 0, "must be greater than or equal to 0"),
        ("limitBytes", 1, "must be greater than 0"),
        ("sinceSeconds", 1, "must be greater than 0"),
    ] {
        if let Some(value) = call.query.number(name)?.filter(|value| *value < least) {
            errors.push(FieldError::invalid(&FieldPath::new(name), json!(value), detail));
        }
    }
    if call.query.given("sinceTime").is_some() && call.query.given("sinceSeconds").is_some() {
        let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(FieldError::forbidden(&FieldPath::new(""), detail));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::Invalid { group: String::new(), kind: "PodLogOptions".into(), name: String::new(), errors })
}
