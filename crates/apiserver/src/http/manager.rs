//! Who writes, for `metadata.managedFields` (k8s.io/apiserver/pkg/endpoints/handlers/create.go, managerOrUserAgent).

use http::header::USER_AGENT;
use podlab_api::managed::{self, Write};
use podlab_api::registry::Storage;
use serde_json::Value;

use super::object::stamp;
use super::{Call, Target};

/// Bytes of a manager's name at most.
const NAME_BYTES: usize = 128;

/// Notes in `new` who set what.
pub(super) fn record(call: &Call, target: &Target, subresource: Option<&str>, old: Option<&Value>, new: &mut Value) {
    let resource = target.resource;
    let api_version = resource.api_version();
    // Both kinds of events are stored, and so compared, as core events.
    let (schema, api_version) = match resource.storage {
        Storage::CoreEvents => ("io.k8s.api.core.v1.Event", "v1"),
        Storage::Own | Storage::None => (resource.schema, api_version.as_str()),
    };
    let time = stamp(call.server.now());
    let manager = name(call);
    let status_apart = resource.has_status();
    managed::record(
        &Write { schema, api_version, manager: &manager, subresource, status_apart, time: &time },
        old,
        new,
    );
}

/// `fieldManager`, else the first word of the user agent.
fn name(call: &Call) -> String {
    let agent = || call.parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let name = call.query.given("fieldManager").unwrap_or_else(|| agent().split('/').next().unwrap_or_default());
    let mut name: String = name.chars().filter(|letter| !letter.is_control()).collect();
    while name.len() > NAME_BYTES {
        name.pop();
    }
    if name.is_empty() { "unknown".to_owned() } else { name }
}
