//! Defaults of limit ranges and priority classes.

use serde_json::{Map, Value};

use crate::json::{list_mut, set_default};

/// For containers: the default limit is the maximum, the default request is the default limit, else the minimum.
pub(crate) fn limit_range(object: &mut Value) {
    for item in list_mut(object, &["spec", "limits"]) {
        if item["type"] != "Container" {
            continue;
        }
        let part = |item: &Value, key: &str| item[key].as_object().cloned().unwrap_or_default();
        let mut default = part(item, "default");
        let mut request = part(item, "defaultRequest");
        fill(&mut default, &part(item, "max"));
        fill(&mut request, &default);
        fill(&mut request, &part(item, "min"));
        for (key, value) in [("default", default), ("defaultRequest", request)] {
            if !value.is_empty() {
                item[key] = value.into();
            }
        }
    }
}

fn fill(to: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        if !to.contains_key(key) {
            to.insert(key.clone(), value.clone());
        }
    }
}

pub(crate) fn priority_class(object: &mut Value) {
    set_default(object, "preemptionPolicy", "PreemptLowerPriority");
}
