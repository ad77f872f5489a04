//! The row of an Event, old style (core/v1) and new style (events.k8s.io/v1) alike.

use jiff::Timestamp;
use serde_json::Value;

use crate::duration::since;
use crate::json::{at, integer, text};
use crate::registry::cells::{column, wide};
use crate::registry::{Column, Doc};

const TYPE: &str = "io.k8s.api.core.v1.Event";

pub(in crate::registry) const COLUMNS: &[Column] = &[
    column("Last Seen", Doc::Field(TYPE, "lastTimestamp")),
    column("Type", Doc::Field(TYPE, "type")),
    column("Reason", Doc::Field(TYPE, "reason")),
    column("Object", Doc::Field(TYPE, "involvedObject")),
    wide("Subobject", Doc::Field("io.k8s.api.core.v1.ObjectReference", "fieldPath")),
    wide("Source", Doc::Field(TYPE, "source")),
    column("Message", Doc::Field(TYPE, "message")),
    wide("First Seen", Doc::Field(TYPE, "firstTimestamp")),
    Column { name: "Count", kind: "string", format: "", doc: Doc::Field(TYPE, "count"), priority: 1 },
    wide("Name", Doc::Field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "name")),
];

pub(in crate::registry) fn row(event: &Value, now: Timestamp) -> Vec<Value> {
    let set = |key: &str| event[key].is_string();
    let first = if set("firstTimestamp") { &event["firstTimestamp"] } else { &event["eventTime"] };
    let mut last = if set("lastTimestamp") { &event["lastTimestamp"] } else { first };
    let mut count = integer(event, &["count"]).max(1);
    let series = at(event, &["series"]);
    if series.is_object() {
        last = &series["lastObservedTime"];
        count = integer(series, &["count"]);
    }
    let object = at(event, &["involvedObject"]);
    let mut target = text(object, &["kind"]).to_lowercase();
    if !text(object, &["name"]).is_empty() {
        target = format!("{target}/{}", text(object, &["name"]));
    }
    vec![
        since(last, now).into(),
        text(event, &["type"]).into(),
        text(event, &["reason"]).into(),
        target.into(),
        text(object, &["fieldPath"]).into(),
        source(event).into(),
        text(event, &["message"]).trim().into(),
        since(first, now).into(),
        count.into(),
        text(event, &["metadata", "name"]).into(),
    ]
}

/// `kubelet, node1`.
fn source(event: &Value) -> String {
    let either = |new: &str, old: &str| match text(event, &["source", old]) {
        "" => text(event, &[new]).to_owned(),
        known => known.to_owned(),
    };
    let (component, host) = (either("reportingComponent", "component"), either("reportingInstance", "host"));
    if host.is_empty() { component } else { format!("{component}, {host}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Golden 085.
    #[test]
    fn a_kubelets_event_fills_every_column() {
        let event = json!({
            "metadata": {"name": "kuard.18e9d5431a4ccf75"},
            "involvedObject": {"kind": "Pod", "name": "kuard", "fieldPath": "spec.containers{kuard}"},
            "type": "Normal", "reason": "Pulling", "message": "Pulling image \"kuard\"\n",
            "source": {"component": "kubelet", "host": "node1"}, "eventTime": null, "count": 1,
            "firstTimestamp": "2026-11-20T10:00:00Z", "lastTimestamp": "2026-11-20T10:00:05Z",
        });
        let cells = row(&event, "2026-11-20T10:00:20Z".parse().unwrap());
        assert_eq!(
            cells,
            json!([
                "15s",
                "Normal",
                "Pulling",
                "pod/kuard",
                "spec.containers{kuard}",
                "kubelet, node1",
                "Pulling image \"kuard\"",
                "20s",
                1,
                "kuard.18e9d5431a4ccf75",
            ])
            .as_array()
            .unwrap()
            .clone()
        );
    }
}
