//! What many descriptions have: labels, annotations, tolerations, times, events.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use podlab_api::duration::{human, since};
use podlab_api::json::{at, integer, list, text};
use serde_json::Value;

use super::Page;

/// Longer annotations get lines of their own.
const LONG: usize = 140;

/// What `kubectl apply` keeps on an object; nobody wants to read it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `Title:` and a line an entry, or `<none>`.
pub(super) fn labels(page: &mut Page, title: &str, labels: &Value) {
    page.put(0, format!("{title}:\t"));
    let entries: Vec<_> = labels.as_object().into_iter().flatten().collect();
    if entries.is_empty() {
        page.line(0, "<none>");
    }
    for (index, (key, value)) in entries.into_iter().enumerate() {
        let indent = if index == 0 { "" } else { "\t" };
        page.line(0, format!("{indent}{key}={}", value.as_str().unwrap_or_default()));
    }
}

/// The same for annotations, whose values may be long.
pub(super) fn annotations(page: &mut Page, title: &str, annotations: &Value) {
    page.put(0, format!("{title}:\t"));
    let entries: Vec<_> =
        annotations.as_object().into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED).collect();
    if entries.is_empty() {
        page.line(0, "<none>");
    }
    for (index, (key, value)) in entries.into_iter().enumerate() {
        let indent = if index == 0 { "" } else { "\t" };
        let value = value.as_str().unwrap_or_default();
        let value = value.strip_suffix('\n').unwrap_or(value);
        if value.len() + key.len() + 2 > LONG || value.contains('\n') {
            page.line(0, format!("{indent}{key}:"));
            for line in value.split('\n') {
                page.line(0, format!("\t  {}", shortened(line)));
            }
        } else {
            page.line(0, format!("{indent}{key}: {value}"));
        }
    }
}

fn shortened(line: &str) -> String {
    let most = LONG - 2;
    if line.chars().count() <= most {
        return line.to_owned();
    }
    line.chars().take(most).collect::<String>() + "..."
}

/// Name, perhaps namespace, labels and annotations.
pub(super) fn head(page: &mut Page, object: &Value) {
    page.line(0, format!("Name:\t{}", text(object, &["metadata", "name"])));
    let namespace = text(object, &["metadata", "namespace"]);
    if !namespace.is_empty() {
        page.line(0, format!("Namespace:\t{namespace}"));
    }
    labels(page, "Labels", at(object, &["metadata", "labels"]));
    annotations(page, "Annotations", at(object, &["metadata", "annotations"]));
}

pub(super) fn tolerations(page: &mut Page, title: &str, tolerations: &[Value]) {
    page.put(0, format!("{title}:\t"));
    if tolerations.is_empty() {
        page.line(0, "<none>");
    }
    for (index, toleration) in tolerations.iter().enumerate() {
        let [key, value, effect, operator] =
            ["key", "value", "effect", "operator"].map(|field| text(toleration, &[field]));
        let mut line = if index == 0 { String::new() } else { "\t".to_owned() };
        line.push_str(key);
        if !value.is_empty() {
            line.push_str(&format!("={value}"));
        }
        if !effect.is_empty() {
            line.push_str(&format!(":{effect}"));
        }
        if operator == "Exists" && value.is_empty() {
            line.push_str(if key.is_empty() && effect.is_empty() { "op=Exists" } else { " op=Exists" });
        }
        if let Some(seconds) = at(toleration, &["tolerationSeconds"]).as_i64() {
            line.push_str(&format!(" for {seconds}s"));
        }
        page.line(0, line);
    }
}

/// `Fri, 20 Nov 2026 18:44:58 +0000` in the reader's time zone.
pub(super) fn time(value: &Value) -> String {
    match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => time.to_zoned(TimeZone::system()).strftime("%a, %d %b %Y %H:%M:%S %z").to_string(),
        None => "Mon, 01 Jan 0001 00:00:00 +0000".to_owned(),
    }
}

/// A time, or `<unset>`.
pub(super) fn time_or_unset(value: &Value) -> String {
    if value.is_null() { "<unset>".to_owned() } else { time(value) }
}

/// How long ago, `<unknown>` when not known.
pub(super) fn age(value: &Value, now: Timestamp) -> String {
    since(value, now)
}

/// `Kind/name` of the controller.
pub(super) fn controller(object: &Value) -> Option<String> {
    let owner = list(object, &["metadata", "ownerReferences"]).iter().find(|owner| owner["controller"] == true)?;
    Some(format!("{}/{}", text(owner, &["kind"]), text(owner, &["name"])))
}

/// `a=b,c in (d,e)`, `<none>` when everything fits.
pub(super) fn selector(selector: &Value) -> String {
    let mut parts: Vec<String> = Vec::new();
    for expression in list(selector, &["matchExpressions"]) {
        let key = text(expression, &["key"]);
        let values: Vec<&str> = list(expression, &["values"]).iter().filter_map(Value::as_str).collect();
        let values = values.join(",");
        parts.push(match text(expression, &["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    for (key, value) in podlab_api::json::entries(selector, &["matchLabels"]) {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    parts.sort();
    if parts.is_empty() { "<none>".to_owned() } else { parts.join(",") }
}

/// The table of what happened; nothing when it was not asked for.
pub(super) fn events(page: &mut Page, events: Option<Vec<Value>>, now: Timestamp) {
    let Some(mut events) = events else { return };
    if events.is_empty() {
        page.line(0, "Events:\t<none>");
        return;
    }
    events.sort_by(|a, b| text(a, &["lastTimestamp"]).cmp(text(b, &["lastTimestamp"])));
    page.line(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    for event in &events {
        let source = match text(event, &["source", "component"]) {
            "" => text(event, &["reportingComponent"]),
            component => component,
        };
        let [kind, reason, message] = ["type", "reason", "message"].map(|field| text(event, &[field]));
        page.line(1, format!("{kind}\t{reason}\t{}\t{source}\t{}", interval(event, now), message.trim()));
    }
}

/// `4s`, or `4s (x3 over 10s)`.
pub(crate) fn interval(event: &Value, now: Timestamp) -> String {
    let first = match at(event, &["eventTime"]) {
        Value::Null => at(event, &["firstTimestamp"]),
        time => time,
    };
    let first = since(first, now);
    if !at(event, &["series"]).is_null() {
        let last = since(at(event, &["series", "lastObservedTime"]), now);
        return format!("{last} (x{} over {first})", integer(event, &["series", "count"]));
    }
    match integer(event, &["count"]) {
        count if count > 1 => format!("{} (x{count} over {first})", since(at(event, &["lastTimestamp"]), now)),
        _ => first,
    }
}

/// `[a b]`
pub(super) fn bracketed(items: &[Value]) -> String {
    format!("[{}]", items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
}

/// `Terminating (lasts 5s)`, when the object is being deleted.
pub(super) fn terminating(object: &Value, now: Timestamp) -> Option<String> {
    let deleted = at(object, &["metadata", "deletionTimestamp"]).as_str()?;
    let time: Timestamp = deleted.parse().ok()?;
    Some(format!("Terminating (lasts {})", human(now.duration_since(time).as_secs())))
}
