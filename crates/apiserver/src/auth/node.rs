//! What the kubelet of a node may do: write what is its own, read what its Pods refer to
//! (k8s.io/kubernetes/plugin/pkg/auth/authorizer/node/node_authorizer.go, whose words these are, and those of
//! plugin/pkg/admission/noderestriction where the real server refuses later).

use serde_json::Value;

use super::authorize::{Asked, Refusal};
use crate::server::Server;
use crate::store::{GroupResource, Key, Object, Range};

const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
const VOLUMES: GroupResource = GroupResource { group: "", resource: "persistentvolumes" };
const LEASES_NAMESPACE: &str = "kube-node-lease";

/// Lets the kubelet of `node` pass, or says why not.
pub(super) fn may(asked: &Asked<'_>, server: &Server, node: &str) -> Result<(), Refusal> {
    let mine = Mine { server, node };
    match (asked.group, asked.resource) {
        ("", "pods") => mine.pods(asked),
        ("", "nodes") => mine.nodes(asked),
        ("", "secrets") => mine.reads(asked, Referred::Secret),
        ("", "configmaps") => mine.reads(asked, Referred::ConfigMap),
        // A real kubelet asks for a claim again and again; this one waits for its change.
        ("", "persistentvolumeclaims") => mine.reads(asked, Referred::Claim),
        ("", "persistentvolumes") => mine.volumes(asked),
        ("", "serviceaccounts") => mine.tokens(asked),
        ("coordination.k8s.io", "leases") => mine.leases(asked),
        ("" | "events.k8s.io", "events") => {
            allowed(asked.part.is_empty() && matches!(asked.verb, "create" | "patch" | "update"))
        }
        // What a real node's kube-proxy reads.
        ("", "services" | "endpoints") | ("discovery.k8s.io", "endpointslices") => {
            allowed(asked.part.is_empty() && asked.reads)
        }
        _ => Err(Refusal::default()),
    }
}

/// What a Pod can refer to by name, in its own namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Referred {
    Secret,
    ConfigMap,
    Claim,
    Account,
}

/// One node's part of the cluster.
struct Mine<'a> {
    server: &'a Server,
    node: &'a str,
}

impl Mine<'_> {
    fn pods(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        match (asked.part, asked.verb) {
            ("", "get") => self.related(asked, self.is_pod_of(asked)),
            ("", "list" | "watch") if asked.fields.required("spec.nodeName") == Some(self.node) => Ok(()),
            ("", "list" | "watch") => {
                Err(Refusal::because("can only list/watch pods with spec.nodeName field selector"))
            }
            ("", "delete") => self.own_pod(asked, "delete pods"),
            ("status", "update" | "patch") => self.own_pod(asked, "update pod status for pods"),
            _ => Err(Refusal::default()),
        }
    }

    /// One that is gone is answered with 404: nothing is told about it, and nothing can happen to it.
    fn own_pod(&self, asked: &Asked<'_>, what: &str) -> Result<(), Refusal> {
        if self.is_pod_of(asked) != Some(false) {
            return Ok(());
        }
        let node = self.node;
        Err(Refusal::Admission(format!("node {node:?} can only {what} with spec.nodeName set to itself")))
    }

    /// Whether the Pod asked about is on the node; None when there is no such Pod.
    fn is_pod_of(&self, asked: &Asked<'_>) -> Option<bool> {
        let pod = self.server.store().get(&Key::new(PODS, asked.namespace, asked.name))?;
        Some(pod.value()["spec"]["nodeName"] == *self.node)
    }

    fn nodes(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let (node, name) = (self.node, asked.name);
        match (asked.part, asked.verb) {
            // The name of a new one stands in its body: admission sees it.
            ("", "create") => Ok(()),
            ("", "get" | "list" | "watch") if name == node => Ok(()),
            ("", "get" | "list" | "watch") => {
                let whose = if name.is_empty() { "all nodes".to_owned() } else { format!("'{name}'") };
                Err(Refusal::because(format!("node '{node}' cannot read {whose}, only its own Node object")))
            }
            ("" | "status", "update" | "patch") if name == node => Ok(()),
            ("" | "status", "update" | "patch") => {
                Err(Refusal::Admission(format!("node {node:?} is not allowed to modify node {name:?}")))
            }
            _ => Err(Refusal::default()),
        }
    }

    fn reads(&self, asked: &Asked<'_>, what: Referred) -> Result<(), Refusal> {
        if !asked.reads {
            return Err(Refusal::because("can only read resources of this type"));
        }
        if !asked.part.is_empty() {
            return Err(Refusal::because("cannot read subresource"));
        }
        if asked.namespace.is_empty() {
            return Err(Refusal::because("can only read namespaced object of this type"));
        }
        self.related(asked, Some(self.refers(what, asked.namespace, asked.name)))
    }

    fn volumes(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.verb != "get" {
            return Err(Refusal::because("can only get individual resources of this type"));
        }
        if !asked.part.is_empty() {
            return Err(Refusal::because("cannot get subresource"));
        }
        let volume = self.server.store().get(&Key::new(VOLUMES, "", asked.name));
        let claimed = volume.is_some_and(|volume| {
            let claim = &volume.value()["spec"]["claimRef"];
            let text = |name: &str| claim[name].as_str().unwrap_or_default().to_owned();
            self.refers(Referred::Claim, &text("namespace"), &text("name"))
        });
        self.related(asked, Some(claimed))
    }

    fn tokens(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.verb != "create" || asked.name.is_empty() {
            return Err(Refusal::because("can only create tokens for individual service accounts"));
        }
        if asked.part != "token" {
            return Err(Refusal::because("can only create token subresource of serviceaccount"));
        }
        self.related(asked, Some(self.refers(Referred::Account, asked.namespace, asked.name)))
    }

    fn leases(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if !matches!(asked.verb, "get" | "create" | "update" | "patch" | "delete") {
            return Err(Refusal::because("can only get, create, update, patch, or delete a node lease"));
        }
        if asked.namespace != LEASES_NAMESPACE {
            let message = format!("can only access leases in the {LEASES_NAMESPACE:?} system namespace");
            return Err(Refusal::Reason(message));
        }
        // The name of a new one stands in its body: admission sees it.
        if asked.verb != "create" && asked.name != self.node {
            return Err(Refusal::because("can only access node lease with the same name as the requesting node"));
        }
        Ok(())
    }

    fn related(&self, asked: &Asked<'_>, related: Option<bool>) -> Result<(), Refusal> {
        if asked.name.is_empty() {
            return Err(Refusal::because("No Object name found"));
        }
        if related == Some(true) {
            return Ok(());
        }
        Err(Refusal::because(format!("no relationship found between node '{}' and this object", self.node)))
    }

    /// Whether a Pod of this node, in that namespace, refers to the object.
    fn refers(&self, what: Referred, namespace: &str, name: &str) -> bool {
        if namespace.is_empty() || name.is_empty() {
            return false;
        }
        let range = Range { namespace: Some(namespace), ..Range::default() };
        let pods = self.server.store().list(PODS, &range).objects;
        // Decoding costs a hundred times what looking for the two words does.
        pods.iter().filter(|pod| says(pod, self.node) && (what == Referred::Claim || says(pod, name))).any(|pod| {
            let pod = pod.value();
            pod["spec"]["nodeName"] == *self.node && refers(&pod, what, name)
        })
    }
}

fn allowed(may: bool) -> Result<(), Refusal> {
    if may { Ok(()) } else { Err(Refusal::default()) }
}

/// Whether a text stands in an object's JSON, between quotation marks.
fn says(object: &Object, text: &str) -> bool {
    let Ok(quoted) = serde_json::to_string(text) else { return false };
    std::str::from_utf8(object.json()).is_ok_and(|json| json.contains(&quoted))
}

/// Whether a Pod refers to an object, by any of the fields that a node has to follow
/// (k8s.io/kubernetes/pkg/api/pod/util.go, `VisitPodSecretNames` and its kind).
fn refers(pod: &Value, what: Referred, name: &str) -> bool {
    let spec = &pod["spec"];
    let items = |list: &'static str| spec[list].as_array().into_iter().flatten();
    let named = |value: &Value| *value == *name;
    let containers = || ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(items);
    let in_containers = |list: &str, found: &dyn Fn(&Value) -> bool| {
        containers().any(|container| container[list].as_array().into_iter().flatten().any(found))
    };
    let in_projections = |source: &str| {
        let sources =
            items("volumes").flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
        sources.into_iter().any(|projection| named(&projection[source]["name"]))
    };
    match what {
        Referred::Secret => {
            items("volumes").any(|volume| named(&volume["secret"]["secretName"]))
                || in_projections("secret")
                || in_containers("env", &|variable| named(&variable["valueFrom"]["secretKeyRef"]["name"]))
                || in_containers("envFrom", &|from| named(&from["secretRef"]["name"]))
                || items("imagePullSecrets").any(|secret| named(&secret["name"]))
        }
        Referred::ConfigMap => {
            items("volumes").any(|volume| named(&volume["configMap"]["name"]))
                || in_projections("configMap")
                || in_containers("env", &|variable| named(&variable["valueFrom"]["configMapKeyRef"]["name"]))
                || in_containers("envFrom", &|from| named(&from["configMapRef"]["name"]))
        }
        Referred::Claim => items("volumes").any(|volume| {
            // The claim of an ephemeral volume is called after the Pod and the volume.
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let made = || format!("{}-{}", text(&pod["metadata"]["name"]), text(&volume["name"]));
            named(&volume["persistentVolumeClaim"]["claimName"]) || (volume["ephemeral"].is_object() && made() == name)
        }),
        Referred::Account => named(&spec["serviceAccountName"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_refer_to_an_object_counts() {
        use Referred::{Account, Claim, ConfigMap, Secret};
        for (what, spec) in [
            (Secret, json!({"imagePullSecrets": [{"name": "x"}]})),
            (Secret, json!({"volumes": [{"secret": {"secretName": "x"}}]})),
            (
                Secret,
                json!({"volumes": [{"projected": {"sources": [{"configMap": {"name": "y"}}, {"secret": {"name": "x"}}]}}]}),
            ),
            (Secret, json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}]}]})),
            (Secret, json!({"initContainers": [{"envFrom": [{"secretRef": {"name": "x"}}]}]})),
            (ConfigMap, json!({"volumes": [{"configMap": {"name": "x"}}]})),
            (ConfigMap, json!({"volumes": [{"projected": {"sources": [{"configMap": {"name": "x"}}]}}]})),
            (ConfigMap, json!({"ephemeralContainers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "x"}}}]}]})),
            (ConfigMap, json!({"containers": [{}, {"envFrom": [{"configMapRef": {"name": "x"}}]}]})),
            (Claim, json!({"volumes": [{"persistentVolumeClaim": {"claimName": "x"}}]})),
            (Account, json!({"serviceAccountName": "x"})),
        ] {
            let pod = json!({"metadata": {"name": "p"}, "spec": spec});
            for asked in [Secret, ConfigMap, Claim, Account] {
                assert_eq!(refers(&pod, asked, "x"), asked == what, "{asked:?} {pod}");
                assert!(!refers(&pod, asked, "other"), "{asked:?} {pod}");
            }
        }
        let pod =
            json!({"metadata": {"name": "p"}, "spec": {"volumes": [{"name": "v", "ephemeral": {}}, {"name": "w"}]}});
        assert!(refers(&pod, Claim, "p-v") && !refers(&pod, Claim, "p-w"));
    }
}
