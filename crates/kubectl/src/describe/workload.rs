//! Deployments and ReplicaSets.

use podlab_api::json::{at, integer, list, text};
use podlab_api::selector::LabelSelector;
use podlab_client::Path;
use serde_json::Value;

use super::container::{Place, containers};
use super::parts::{annotations, controller, events, labels, selector, time, tolerations};
use super::volume::volumes;
use super::{About, Page};

/// Which revision of its Deployment a ReplicaSet is.
const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) async fn deployment(page: &mut Page, about: &About<'_>, deployment: &Value) {
    let (spec, status) = (at(deployment, &["spec"]), at(deployment, &["status"]));
    let namespace = text(deployment, &["metadata", "namespace"]);
    page.line(0, format!("Name:\t{}\nNamespace:\t{namespace}", text(deployment, &["metadata", "name"])));
    page.line(0, format!("CreationTimestamp:\t{}", time(at(deployment, &["metadata", "creationTimestamp"]))));
    labels(page, "Labels", at(deployment, &["metadata", "labels"]));
    annotations(page, "Annotations", at(deployment, &["metadata", "annotations"]));
    page.line(0, format!("Selector:\t{}", selector(at(spec, &["selector"]))));
    page.line(
        0,
        format!(
            "Replicas:\t{} desired | {} updated | {} total | {} available | {} unavailable",
            integer(spec, &["replicas"]),
            integer(status, &["updatedReplicas"]),
            integer(status, &["replicas"]),
            integer(status, &["availableReplicas"]),
            integer(status, &["unavailableReplicas"]),
        ),
    );
    page.line(0, format!("StrategyType:\t{}", text(spec, &["strategy", "type"])));
    page.line(0, format!("MinReadySeconds:\t{}", integer(spec, &["minReadySeconds"])));
    let rolling = at(spec, &["strategy", "rollingUpdate"]);
    if !rolling.is_null() {
        let told = |field: &str| crate::print::jsonpath::shown(at(rolling, &[field]));
        let (unavailable, surge) = (told("maxUnavailable"), told("maxSurge"));
        page.line(0, format!("RollingUpdateStrategy:\t{unavailable} max unavailable, {surge} max surge"));
    }
    template(page, at(spec, &["template"]));
    conditions(page, status);
    let sets = about.others(Path::new("/apis/apps/v1/namespaces").segment(namespace).segment("replicasets")).await;
    let uid = at(deployment, &["metadata", "uid"]);
    let own = |set: &&Value| list(set, &["metadata", "ownerReferences"]).iter().any(|owner| at(owner, &["uid"]) == uid);
    let revision = |set: &Value| text(set, &["metadata", "annotations", REVISION]).parse::<i64>().unwrap_or(0);
    let mut own: Vec<&Value> = sets.iter().filter(own).collect();
    own.sort_by_key(|set| revision(set));
    let newest = own.pop();
    let told = |sets: &[&Value]| {
        let all: Vec<String> = sets
            .iter()
            .map(|set| {
                let (there, wanted) = (integer(set, &["status", "replicas"]), integer(set, &["spec", "replicas"]));
                format!("{} ({there}/{wanted} replicas created)", text(set, &["metadata", "name"]))
            })
            .collect();
        if all.is_empty() { "<none>".to_owned() } else { all.join(", ") }
    };
    page.line(0, format!("OldReplicaSets:\t{}", told(&own)));
    page.line(0, format!("NewReplicaSet:\t{}", told(&newest.into_iter().collect::<Vec<_>>())));
    events(page, about.events_of(deployment, None).await, about.now);
}

pub(super) async fn replica_set(page: &mut Page, about: &About<'_>, set: &Value) {
    let namespace = text(set, &["metadata", "namespace"]);
    page.line(0, format!("Name:\t{}\nNamespace:\t{namespace}", text(set, &["metadata", "name"])));
    page.line(0, format!("Selector:\t{}", selector(at(set, &["spec", "selector"]))));
    labels(page, "Labels", at(set, &["metadata", "labels"]));
    annotations(page, "Annotations", at(set, &["metadata", "annotations"]));
    if let Some(owner) = controller(set) {
        page.line(0, format!("Controlled By:\t{owner}"));
    }
    let (current, desired) = (integer(set, &["status", "replicas"]), integer(set, &["spec", "replicas"]));
    page.line(0, format!("Replicas:\t{current} current / {desired} desired"));
    let pods = about.others(Path::new("/api/v1/namespaces").segment(namespace).segment("pods")).await;
    let selector = LabelSelector::from_object(at(set, &["spec", "selector"]));
    let uid = at(set, &["metadata", "uid"]);
    let count = |phase: &str| {
        pods.iter()
            .filter(|pod| selector.as_ref().is_ok_and(|selector| selector.matches(at(pod, &["metadata", "labels"]))))
            .filter(|pod| list(pod, &["metadata", "ownerReferences"]).iter().any(|owner| at(owner, &["uid"]) == uid))
            .filter(|pod| text(pod, &["status", "phase"]) == phase)
            .count()
    };
    page.line(
        0,
        format!(
            "Pods Status:\t{} Running / {} Waiting / {} Succeeded / {} Failed",
            count("Running"),
            count("Pending"),
            count("Succeeded"),
            count("Failed"),
        ),
    );
    template(page, at(set, &["spec", "template"]));
    conditions(page, at(set, &["status"]));
    events(page, about.events_of(set, None).await, about.now);
}

fn conditions(page: &mut Page, status: &Value) {
    let conditions = list(status, &["conditions"]);
    if conditions.is_empty() {
        return;
    }
    page.line(0, "Conditions:\n  Type\tStatus\tReason\n  ----\t------\t------");
    for condition in conditions {
        let [kind, status, reason] = ["type", "status", "reason"].map(|field| text(condition, &[field]));
        page.line(1, format!("{kind} \t{status}\t{reason}"));
    }
}

pub(super) fn template(page: &mut Page, template: &Value) {
    let spec = at(template, &["spec"]);
    page.line(0, "Pod Template:");
    labels(page, "  Labels", at(template, &["metadata", "labels"]));
    if at(template, &["metadata", "annotations"]).as_object().is_some_and(|map| !map.is_empty()) {
        annotations(page, "  Annotations", at(template, &["metadata", "annotations"]));
    }
    super::pod::optional(page, "  Service Account", text(spec, &["serviceAccountName"]));
    let place = Place { pod: None, statuses: &[], space: "  " };
    let first = list(spec, &["initContainers"]);
    if !first.is_empty() {
        containers(page, "Init Containers", first, &place);
    }
    containers(page, "Containers", list(spec, &["containers"]), &place);
    volumes(page, list(spec, &["volumes"]), "  ");
    super::pod::spread(page, "  ", list(spec, &["topologySpreadConstraints"]));
    super::pod::optional(page, "  Priority Class Name", text(spec, &["priorityClassName"]));
    labels(page, "  Node-Selectors", at(spec, &["nodeSelector"]));
    tolerations(page, "  Tolerations", list(spec, &["tolerations"]));
}
