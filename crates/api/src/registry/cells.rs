//! What the columns of several kinds share (k8s.io/kubernetes/pkg/printers/internalversion/printers.go).

use jiff::Timestamp;
use serde_json::Value;

use super::{Column, Doc};
use crate::duration;
use crate::json::{entries, list, text};

/// The first column of every table.
pub(super) const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    doc: Doc::Field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "name"),
    priority: 0,
};

/// How long the object has been there.
pub(super) const AGE: Column = Column {
    name: "Age",
    kind: "string",
    format: "",
    doc: Doc::Field("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "creationTimestamp"),
    priority: 0,
};

pub(super) const NAME_AND_AGE: &[Column] = &[NAME, AGE];

/// A column of text.
pub(super) const fn column(name: &'static str, doc: Doc) -> Column {
    Column { name, kind: "string", format: "", doc, priority: 0 }
}

/// A column of text that only `-o wide` shows.
pub(super) const fn wide(name: &'static str, doc: Doc) -> Column {
    Column { name, kind: "string", format: "", doc, priority: 1 }
}

/// A column of numbers.
pub(super) const fn number(name: &'static str, doc: Doc) -> Column {
    Column { name, kind: "integer", format: "", doc, priority: 0 }
}

pub(super) fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), age(object, now)]
}

pub(super) fn name(object: &Value) -> Value {
    text(object, &["metadata", "name"]).into()
}

pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    duration::since(&object["metadata"]["creationTimestamp"], now).into()
}

/// The text, or `<none>`.
pub(super) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// `a=1,b=2`, or `<none>`.
pub(super) fn labels(object: &Value, path: &[&str]) -> String {
    let pairs: Vec<String> =
        entries(object, path).map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A label selector as kubectl prints it: `app=web,tier in (a,b)`, or `<none>`.
pub(super) fn label_selector(selector: &Value) -> String {
    match crate::selector::LabelSelector::from_object(selector) {
        Ok(parsed) => {
            let text = parsed.to_string();
            if text.is_empty() { "<none>".to_owned() } else { text }
        }
        Err(_) => "<error>".to_owned(),
    }
}

/// Names and images of the containers of a Pod's spec, each list joined by commas.
pub(super) fn containers(spec: &Value) -> [Value; 2] {
    ["name", "image"].map(|key| {
        let texts: Vec<&str> = list(spec, &["containers"]).iter().map(|container| text(container, &[key])).collect();
        texts.join(",").into()
    })
}

/// `RWO,ROX`, in upstream's order.
pub(super) fn access_modes(modes: &[Value]) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let found: Vec<&str> =
        SHORT.iter().filter(|(mode, _)| modes.iter().any(|given| given == mode)).map(|(_, short)| *short).collect();
    found.join(",")
}
