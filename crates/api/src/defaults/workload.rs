//! Defaults of Deployments, ReplicaSets and Pod templates.

use serde_json::{Value, json};

use super::pod::pod_spec;
use crate::json::{object_mut, set_default};

pub(crate) fn deployment(deployment: &mut Value) {
    let spec = &mut deployment["spec"];
    set_default(spec, "replicas", 1);
    object_mut(spec, &["strategy"]);
    set_default(&mut spec["strategy"], "type", "RollingUpdate");
    if spec["strategy"]["type"] == "RollingUpdate" {
        object_mut(spec, &["strategy", "rollingUpdate"]);
        let rolling = &mut spec["strategy"]["rollingUpdate"];
        set_default(rolling, "maxUnavailable", json!("25%"));
        set_default(rolling, "maxSurge", json!("25%"));
    }
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    template(&mut spec["template"]);
}

pub(crate) fn replica_set(replica_set: &mut Value) {
    let spec = &mut replica_set["spec"];
    set_default(spec, "replicas", 1);
    template(&mut spec["template"]);
}

pub(crate) fn pod_template(object: &mut Value) {
    template(&mut object["template"]);
}

fn template(template: &mut Value) {
    if template["spec"].is_object() {
        pod_spec(&mut template["spec"]);
    }
}
