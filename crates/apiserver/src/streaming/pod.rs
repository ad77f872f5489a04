//! The Pod and the container that a stream is for (k8s.io/kubernetes/pkg/registry/core/pod/strategy.go).

use podlab_api::error::ApiError;
use serde_json::Value;

use crate::http::{Call, Target, find};

/// A container of a Pod on a node.
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    /// Empty while the Pod has not been scheduled.
    pub(super) node: String,
}

impl Place {
    /// The container that the request names, or the only one there is.
    ///
    /// # Errors
    /// When there is no such Pod or container, or several and none was named.
    pub(super) fn of(call: &Call, target: &Target) -> Result<Self, ApiError> {
        let pod = find(call, target)?.value();
        let container = container(&pod, target.name(), call.query.given("container"))?;
        Ok(Self {
            namespace: target.namespace().to_owned(),
            pod: target.name().to_owned(),
            container,
            node: pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// # Errors
    /// When no node runs the Pod yet.
    pub(super) fn require_node(&self) -> Result<(), ApiError> {
        if self.node.is_empty() {
            return Err(ApiError::BadRequest(format!("pod {} does not have a host assigned", self.pod)));
        }
        Ok(())
    }
}

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    let containers = pod["spec"][list].as_array().into_iter().flatten();
    containers.filter_map(|container| container["name"].as_str()).collect()
}

fn container(pod: &Value, name: &str, wanted: Option<&str>) -> Result<String, ApiError> {
    let containers = names(pod, "containers");
    let init = names(pod, "initContainers");
    if let Some(wanted) = wanted {
        let ephemeral = names(pod, "ephemeralContainers");
        if [&containers, &init, &ephemeral].into_iter().flatten().any(|known| *known == wanted) {
            return Ok(wanted.to_owned());
        }
        return Err(ApiError::BadRequest(format!("container {wanted} is not valid for pod {name}")));
    }
    match containers.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(ApiError::BadRequest(format!("a container name must be specified for pod {name}"))),
        several => {
            let mut message =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", several.join(" "));
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(ApiError::BadRequest(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_is_named_or_the_only_one() {
        let pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}});
        assert_eq!(container(&pod, "p", Some("i")).unwrap(), "i");
        let text = |wanted| container(&pod, "p", wanted).unwrap_err().to_string();
        assert_eq!(text(Some("nope")), "container nope is not valid for pod p");
        assert_eq!(
            text(None),
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        );
        assert_eq!(container(&json!({"spec": {"containers": [{"name": "a"}]}}), "p", None).unwrap(), "a");
    }
}
