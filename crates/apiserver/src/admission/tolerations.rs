//! DefaultTolerationSeconds: Pods stay five minutes on a node that is lost.

use serde_json::{Value, json};

const SECONDS: u32 = 300;
const KEYS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(super) fn add(pod: &mut Value) {
    if !pod["spec"]["tolerations"].is_array() {
        pod["spec"]["tolerations"] = json!([]);
    }
    let Some(tolerations) = pod["spec"]["tolerations"].as_array_mut() else { return };
    for key in KEYS {
        let covers = |toleration: &Value| {
            let same = |field: &str, wanted: &str| {
                let value = toleration[field].as_str().unwrap_or_default();
                value.is_empty() || value == wanted
            };
            same("key", key) && same("effect", "NoExecute")
        };
        if !tolerations.iter().any(covers) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_pod_tolerates_already_is_left_alone() {
        let mut pod = json!({"spec": {}});
        add(&mut pod);
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 2);
        let own = json!([{"key": KEYS[0], "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]);
        let mut pod = json!({"spec": {"tolerations": own}});
        add(&mut pod);
        assert_eq!(pod["spec"]["tolerations"][0]["tolerationSeconds"], 5);
        assert_eq!(pod["spec"]["tolerations"][1]["key"], KEYS[1]);
        let mut pod = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
        add(&mut pod);
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 1);
    }
}
