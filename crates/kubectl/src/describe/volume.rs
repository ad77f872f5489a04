//! Volumes: of Pods, and what is behind a PersistentVolume.

use podlab_api::json::{at, integer, list, text, truth};
use serde_json::Value;

use super::Page;

pub(super) fn volumes(page: &mut Page, volumes: &[Value], space: &str) {
    if volumes.is_empty() {
        page.line(0, format!("{space}Volumes:\t<none>"));
        return;
    }
    page.line(0, format!("{space}Volumes:"));
    let indent = if space.is_empty() { "" } else { " " };
    for volume in volumes {
        page.line(1, format!("{indent}{}:", text(volume, &["name"])));
        source(page, volume);
    }
}

/// What a volume is made of.
pub(super) fn source(page: &mut Page, volume: &Value) {
    let entry = volume.as_object().into_iter().flatten().find(|(key, value)| *key != "name" && value.is_object());
    let Some((kind, of)) = entry else {
        page.line(1, "<unknown>");
        return;
    };
    let told = |field: &str| text(of, &[field]).to_owned();
    let yes = |field: &str| truth(of, &[field]).to_string();
    let or = |field: &str, otherwise: &str| match text(of, &[field]) {
        "" => otherwise.to_owned(),
        value => value.to_owned(),
    };
    let (what, fields): (&str, Vec<(&str, String)>) = match kind.as_str() {
        "hostPath" => (
            "HostPath (bare host directory volume)",
            vec![
                ("Path", told("path")),
                ("HostPathType", at(of, &["type"]).as_str().map_or("<none>".to_owned(), str::to_owned)),
            ],
        ),
        "emptyDir" => (
            "EmptyDir (a temporary directory that shares a pod's lifetime)",
            vec![("Medium", told("medium")), ("SizeLimit", or("sizeLimit", "<unset>"))],
        ),
        "nfs" => (
            "NFS (an NFS mount that lasts the lifetime of a pod)",
            vec![("Server", told("server")), ("Path", told("path")), ("ReadOnly", yes("readOnly"))],
        ),
        "secret" => (
            "Secret (a volume populated by a Secret)",
            vec![("SecretName", told("secretName")), ("Optional", yes("optional"))],
        ),
        "configMap" => (
            "ConfigMap (a volume populated by a ConfigMap)",
            vec![("Name", told("name")), ("Optional", yes("optional"))],
        ),
        "persistentVolumeClaim" => (
            "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            vec![("ClaimName", told("claimName")), ("ReadOnly", yes("readOnly"))],
        ),
        "local" => {
            ("LocalVolume (a persistent volume backed by local storage on a node)", vec![("Path", told("path"))])
        }
        "csi" => (
            "CSI (a Container Storage Interface (CSI) volume source)",
            vec![("Driver", told("driver")), ("FSType", told("fsType")), ("ReadOnly", yes("readOnly"))],
        ),
        "image" => (
            "Image (a container image or OCI artifact)",
            vec![("Reference", told("reference")), ("PullPolicy", told("pullPolicy"))],
        ),
        "projected" => ("Projected (a volume that contains injected data from multiple sources)", projected(of)),
        "downwardAPI" => ("DownwardAPI (a volume populated by information about the pod)", Vec::new()),
        "ephemeral" => (
            "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
            Vec::new(),
        ),
        _ => {
            page.line(1, "<unknown>");
            return;
        }
    };
    page.line(2, format!("Type:\t{what}"));
    for (title, value) in fields {
        page.line(2, format!("{title}:\t{value}"));
    }
    if kind == "downwardAPI" {
        page.line(2, "Items:");
        for item in list(of, &["items"]) {
            let from = match text(item, &["fieldRef", "fieldPath"]) {
                "" => text(item, &["resourceFieldRef", "resource"]),
                field => field,
            };
            page.line(3, format!("{from} -> {}", text(item, &["path"])));
        }
    }
}

fn projected(of: &Value) -> Vec<(&'static str, String)> {
    let optional = |source: &Value| match at(source, &["optional"]) {
        Value::Null => "<nil>".to_owned(),
        value => value.to_string(),
    };
    let mut fields = Vec::new();
    for source in list(of, &["sources"]) {
        let (secret, config) = (at(source, &["secret"]), at(source, &["configMap"]));
        if !secret.is_null() {
            fields.push(("SecretName", text(secret, &["name"]).to_owned()));
            fields.push(("SecretOptionalName", optional(secret)));
        } else if !at(source, &["downwardAPI"]).is_null() {
            fields.push(("DownwardAPI", "true".to_owned()));
        } else if !config.is_null() {
            fields.push(("ConfigMapName", text(config, &["name"]).to_owned()));
            fields.push(("ConfigMapOptional", optional(config)));
        } else if !at(source, &["serviceAccountToken"]).is_null() {
            let seconds = integer(source, &["serviceAccountToken", "expirationSeconds"]);
            fields.push(("TokenExpirationSeconds", seconds.to_string()));
        }
    }
    fields
}
