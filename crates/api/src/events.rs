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

/// The name that a field of an events.k8s.io/v1 event has in a core event: `involvedObject.name` for `regarding.name`.
#[must_use]
pub fn core_field(field: &str) -> String {
    let (first, rest) = field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
    let first = RENAMED.iter().find(|(_, new)| *new == first).map_or(first, |(core, _)| core);
    rest.map_or_else(|| first.to_owned(), |rest| format!("{first}.{rest}"))
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
        assert_eq!(core_field("regarding.name"), "involvedObject.name");
        assert_eq!(
            (core_field("reportingController"), core_field("type")),
            ("reportingComponent".into(), "type".into())
        );
    }
}
