//! PersistentVolumeClaims, PersistentVolumes, StorageClasses.

use podlab_api::json::{at, entries, list, text};
use podlab_client::Path;
use serde_json::Value;

use super::parts::{annotations, bracketed, events, labels, terminating, time};
use super::volume::source;
use super::{About, Page};

pub(super) async fn claim(page: &mut Page, about: &About<'_>, claim: &Value) {
    let (name, namespace) = (text(claim, &["metadata", "name"]), text(claim, &["metadata", "namespace"]));
    page.line(0, format!("Name:\t{name}\nNamespace:\t{namespace}"));
    page.line(0, format!("StorageClass:\t{}", class_of(claim)));
    let phase = text(claim, &["status", "phase"]).to_owned();
    page.line(0, format!("Status:\t{}", terminating(claim, about.now).unwrap_or(phase)));
    let volume = text(claim, &["spec", "volumeName"]);
    page.line(0, format!("Volume:\t{volume}"));
    labels(page, "Labels", at(claim, &["metadata", "labels"]));
    annotations(page, "Annotations", at(claim, &["metadata", "annotations"]));
    page.line(0, format!("Finalizers:\t{}", bracketed(list(claim, &["metadata", "finalizers"]))));
    let bound = !volume.is_empty();
    let capacity = if bound { text(claim, &["status", "capacity", "storage"]) } else { "" };
    page.line(0, format!("Capacity:\t{capacity}"));
    page.line(0, format!("Access Modes:\t{}", if bound { modes(at(claim, &["status"])) } else { String::new() }));
    super::pod::optional(page, "VolumeMode", text(claim, &["spec", "volumeMode"]));
    let data = at(claim, &["spec", "dataSource"]);
    if !data.is_null() {
        page.line(0, "DataSource:");
        for (title, field) in [("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name")] {
            let value = text(data, &[field]);
            if !value.is_empty() || field != "apiGroup" {
                page.line(1, format!("{title}:\t{value}"));
            }
        }
    }
    let pods = about.others(Path::new("/api/v1/namespaces").segment(namespace).segment("pods")).await;
    let users: Vec<&str> = pods
        .iter()
        .filter(|pod| {
            let volumes = list(pod, &["spec", "volumes"]).iter();
            volumes.into_iter().any(|volume| text(volume, &["persistentVolumeClaim", "claimName"]) == name)
        })
        .map(|pod| text(pod, &["metadata", "name"]))
        .collect();
    page.line(0, format!("Used By:\t{}", if users.is_empty() { "<none>".to_owned() } else { users.join("\n\t") }));
    let conditions = list(claim, &["status", "conditions"]);
    if !conditions.is_empty() {
        page.line(0, "Conditions:\n  Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage");
        page.line(0, "  ----\t------\t-----------------\t------------------\t------\t-------");
        for condition in conditions {
            let [kind, status, reason, message] =
                ["type", "status", "reason", "message"].map(|field| text(condition, &[field]));
            let (probed, changed) =
                (time(at(condition, &["lastProbeTime"])), time(at(condition, &["lastTransitionTime"])));
            page.line(1, format!("{kind} \t{status} \t{probed} \t{changed} \t{reason} \t{message}"));
        }
    }
    events(page, about.events_of(claim, None).await, about.now);
}

pub(super) async fn volume(page: &mut Page, about: &About<'_>, volume: &Value) {
    let spec = at(volume, &["spec"]);
    page.line(0, format!("Name:\t{}", text(volume, &["metadata", "name"])));
    labels(page, "Labels", at(volume, &["metadata", "labels"]));
    annotations(page, "Annotations", at(volume, &["metadata", "annotations"]));
    page.line(0, format!("Finalizers:\t{}", bracketed(list(volume, &["metadata", "finalizers"]))));
    page.line(0, format!("StorageClass:\t{}", class_of(volume)));
    let phase = text(volume, &["status", "phase"]).to_owned();
    page.line(0, format!("Status:\t{}", terminating(volume, about.now).unwrap_or(phase)));
    let claim = match at(spec, &["claimRef"]) {
        Value::Null => String::new(),
        claim => format!("{}/{}", text(claim, &["namespace"]), text(claim, &["name"])),
    };
    page.line(0, format!("Claim:\t{claim}"));
    page.line(0, format!("Reclaim Policy:\t{}", text(spec, &["persistentVolumeReclaimPolicy"])));
    page.line(0, format!("Access Modes:\t{}", modes(spec)));
    super::pod::optional(page, "VolumeMode", text(spec, &["volumeMode"]));
    page.line(0, format!("Capacity:\t{}", text(spec, &["capacity", "storage"])));
    affinity(page, at(spec, &["nodeAffinity", "required"]));
    page.line(0, format!("Message:\t{}", text(volume, &["status", "message"])));
    page.line(0, "Source:");
    const SOURCES: [&str; 4] = ["hostPath", "nfs", "local", "csi"];
    if let Some(kind) = SOURCES.into_iter().find(|kind| spec.get(*kind).is_some()) {
        source(page, &serde_json::json!({ kind: spec[kind] }));
    } else {
        page.line(1, "<unknown>");
    }
    events(page, about.events_of(volume, None).await, about.now);
}

fn affinity(page: &mut Page, required: &Value) {
    if required.is_null() {
        page.line(0, "Node Affinity:\t<none>");
        return;
    }
    page.line(0, "Node Affinity:\t");
    page.line(1, "Required Terms:\t");
    for (index, term) in list(required, &["nodeSelectorTerms"]).iter().enumerate() {
        page.put(2, format!("Term {index}:\t"));
        for (place, expression) in list(term, &["matchExpressions"]).iter().enumerate() {
            let indent = if place == 0 { "" } else { "\t" };
            let values: Vec<&str> = list(expression, &["values"]).iter().filter_map(Value::as_str).collect();
            let operator = text(expression, &["operator"]).to_lowercase();
            let values = if values.is_empty() { String::new() } else { format!(" [{}]", values.join(", ")) };
            page.line(0, format!("{indent}{} {operator}{values}", text(expression, &["key"])));
        }
    }
}

pub(super) async fn class(page: &mut Page, about: &About<'_>, class: &Value) {
    page.line(0, format!("Name:\t{}", text(class, &["metadata", "name"])));
    let default = text(class, &["metadata", "annotations", "storageclass.kubernetes.io/is-default-class"]) == "true";
    page.line(0, format!("IsDefaultClass:\t{}", if default { "Yes" } else { "No" }));
    let pairs: Vec<String> = entries(class, &["metadata", "annotations"])
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    page.line(0, format!("Annotations:\t{}", if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }));
    page.line(0, format!("Provisioner:\t{}", text(class, &["provisioner"])));
    let pairs: Vec<String> = entries(class, &["parameters"])
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    page.line(0, format!("Parameters:\t{}", if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }));
    let expands = at(class, &["allowVolumeExpansion"])
        .as_bool()
        .map_or("<unset>".to_owned(), |yes| if yes { "True" } else { "False" }.to_owned());
    page.line(0, format!("AllowVolumeExpansion:\t{expands}"));
    let options = list(class, &["mountOptions"]);
    if options.is_empty() {
        page.line(0, "MountOptions:\t<none>");
    } else {
        page.line(0, "MountOptions:");
        for option in options {
            page.line(1, option.as_str().unwrap_or_default());
        }
    }
    super::pod::optional(page, "ReclaimPolicy", text(class, &["reclaimPolicy"]));
    super::pod::optional(page, "VolumeBindingMode", text(class, &["volumeBindingMode"]));
    events(page, about.events_of(class, None).await, about.now);
}

fn class_of(object: &Value) -> String {
    match at(object, &["metadata", "annotations", "volume.beta.kubernetes.io/storage-class"]).as_str() {
        Some(class) => class.to_owned(),
        None => text(object, &["spec", "storageClassName"]).to_owned(),
    }
}

/// `RWO,ROX`
fn modes(of: &Value) -> String {
    let short = |mode: &str| match mode {
        "ReadWriteOnce" => "RWO".to_owned(),
        "ReadOnlyMany" => "ROX".to_owned(),
        "ReadWriteMany" => "RWX".to_owned(),
        "ReadWriteOncePod" => "RWOP".to_owned(),
        other => other.to_owned(),
    };
    list(of, &["accessModes"]).iter().filter_map(Value::as_str).map(short).collect::<Vec<_>>().join(",")
}
