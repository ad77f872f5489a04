//! Priority: the number behind a Pod's priorityClassName.

use podlab_api::error::ApiError;
use serde_json::Value;

use super::Admission;
use crate::store::{GroupResource, Key, Range};

const CLASSES: GroupResource = GroupResource { group: "scheduling.k8s.io", resource: "priorityclasses" };
/// Classes that are there without an object.
const BUILT_IN: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

pub(super) fn pod(admission: &Admission<'_>, pod: &mut Value) -> Result<(), ApiError> {
    let name = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let (value, policy) = if name.is_empty() {
        match global_default(admission) {
            Some(class) => {
                pod["spec"]["priorityClassName"] = class["metadata"]["name"].clone();
                of_class(&class)
            }
            None => (0, "PreemptLowerPriority".to_owned()),
        }
    } else if let Some(class) = admission.server.store().get(&Key::new(CLASSES, "", &name)) {
        of_class(&class.value())
    } else if let Some((_, value)) = BUILT_IN.into_iter().find(|(known, _)| *known == name) {
        (value, "PreemptLowerPriority".to_owned())
    } else {
        return Err(admission.forbidden(pod, format!("no PriorityClass with name {name} was found")));
    };
    if pod["spec"]["priority"].as_i64().is_some_and(|given| given != value) {
        return Err(admission.forbidden(
            pod,
            format!(
                "the integer value of priority ({}) must not be provided in pod spec; priority admission controller \
                     computed {value} from the given PriorityClass name",
                pod["spec"]["priority"]
            ),
        ));
    }
    let given = pod["spec"]["preemptionPolicy"].as_str().filter(|given| *given != policy);
    if let Some(given) = given {
        return Err(admission.forbidden(
            pod,
            format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
                     controller computed {policy} from the given PriorityClass name"
            ),
        ));
    }
    pod["spec"]["priority"] = value.into();
    pod["spec"]["preemptionPolicy"] = policy.into();
    Ok(())
}

fn of_class(class: &Value) -> (i64, String) {
    let policy = class["preemptionPolicy"].as_str().unwrap_or("PreemptLowerPriority");
    (class["value"].as_i64().unwrap_or(0), policy.to_owned())
}

/// The class for Pods that name none; of several, the one with the lowest value.
fn global_default(admission: &Admission<'_>) -> Option<Value> {
    let classes = admission.server.store().list(CLASSES, &Range::default()).objects;
    let classes = classes.iter().map(|class| class.value());
    classes.filter(|class| class["globalDefault"] == true).min_by_key(|class| class["value"].as_i64())
}

/// A Pod that is written again without its priority keeps the one it was given.
pub(super) fn keep(pod: &mut Value, old: &Value) {
    for field in ["priority", "preemptionPolicy"] {
        let given = &old["spec"][field];
        if pod["spec"][field].is_null() && !given.is_null() {
            pod["spec"][field] = given.clone();
        }
    }
}
