//! Core events and events.k8s.io events: one store, two views (k8s.io/kubernetes/pkg/apis/events/v1/conversion.go).

use serde_json::Value;

/// Names of the same field: in core/v1, in events.k8s.io/v1.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The stored form of an events.k8s.io/v1 event.
#[must_use]
pub fn to_core(mut event: Value) -> Value {
    rename(&mut event, RENAMED.map(|(core, new)| (new, core)), "v1");
    event
}

/// A core event as events.k8s.io/v1 shows it.
#[must_use]
pub fn from_core(mut event: Value) -> Value {
    rename(&mut event, RENAMED, "events.k8s.io/v1");
    event
}

fn rename(event: &mut Value, names: [(&str, &str); 7], api_version: &str) {
    let Some(fields) = event.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
    fields.insert("apiVersion".to_owned(), api_version.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_views_hold_the_same() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "message": "hi", "count": 2,
            "involvedObject": {"name": "kuard"}, "reportingComponent": "kubelet"});
        let new = from_core(core.clone());
        assert_eq!(new["note"], "hi");
        assert_eq!(new["regarding"]["name"], "kuard");
        assert_eq!(to_core(new), core);
    }
}
