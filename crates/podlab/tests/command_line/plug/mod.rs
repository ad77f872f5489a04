//! What is killed comes back, or takes everything with it: as the table in ARCHITECTURE.md says.

mod at_points;
mod at_random;
mod deaths;
mod many;
pub(crate) mod rig;

use serde_json::{Value, json};

use rig::Rig;

/// A Pod that says `begin` when it is started and then does nothing. Its one process has `marker` in its arguments.
pub(crate) fn steady(name: &str, marker: &str) -> Value {
    pod(name, "Always", &format!("echo begin > /tmp/{marker}; exec tail -f /tmp/{marker}"))
}

/// A Pod of one container, `main`, with an emptyDir at `/data`.
fn pod(name: &str, restart_policy: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": restart_policy,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": "busybox", "command": ["sh", "-c", script],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// A name for the processes of a Pod that no other test's have.
pub(crate) fn marker(rig: &Rig, pod: &str) -> String {
    format!("{}-{pod}", rig.cluster.scratch().file_name().unwrap().display())
}
