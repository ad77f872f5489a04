//! Volumes of Pods, and mounts.

use std::collections::HashMap;

use serde_json::Value;

use super::{environment, invalid_name, names, one_of, require};
use crate::error::{FieldError, FieldPath};
use crate::json::{integer, list, text, truth};
use crate::quantity::Quantity;

/// Kinds of volumes, as a Pod or a persistent volume has them.
pub(super) const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flexVolume",
    "configMap",
    "rbd",
    "cephfs",
    "flocker",
    "downwardAPI",
    "fc",
    "azureFile",
    "azureDisk",
    "vsphereVolume",
    "quobyte",
    "portworxVolume",
    "scaleIO",
    "storageos",
    "projected",
    "csi",
    "persistentVolumeClaim",
    "ephemeral",
    "cinder",
    "photonPersistentDisk",
    "image",
    "local",
];

/// Fields of the Pod that a file of a downward volume can hold.
const FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// `volumes` of a Pod.
pub(super) fn pod_volumes(errors: &mut Vec<FieldError>, volumes: &[Value], path: &FieldPath) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        source(errors, volume, &path);
        let name = text(volume, &["name"]);
        if require(errors, volume, "name", &path) {
            invalid_name(errors, &path.child("name"), name, names::label(name));
        }
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        seen.push(name);
    }
}

/// Exactly one source, itself correct.
pub(super) fn source(errors: &mut Vec<FieldError>, volume: &Value, path: &FieldPath) {
    let mut count = 0;
    for kind in SOURCES.iter().filter(|kind| volume[**kind].is_object()) {
        let (source, path) = (&volume[*kind], path.child(kind));
        count += 1;
        if count > 1 {
            errors.push(FieldError::forbidden(&path, "may not specify more than 1 volume type"));
            continue;
        }
        match *kind {
            "emptyDir" if Quantity::from_json(&source["sizeLimit"]).is_some_and(|limit| limit.is_negative()) => {
                let message = "SizeLimit field must be a valid resource quantity";
                errors.push(FieldError::forbidden(&path.child("sizeLimit"), message));
            }
            "hostPath" => host_path(errors, source, &path),
            "nfs" => nfs(errors, source, &path),
            "secret" => {
                require(errors, source, "secretName", &path);
                files(errors, source, &path);
            }
            "configMap" => {
                require(errors, source, "name", &path);
                files(errors, source, &path);
            }
            "downwardAPI" => {
                mode(errors, &source["defaultMode"], &path.child("defaultMode"));
                downward(errors, list(source, &["items"]), &path.child("items"));
            }
            "projected" => projected(errors, source, &path),
            "persistentVolumeClaim" => {
                require(errors, source, "claimName", &path);
            }
            _ => {}
        }
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn host_path(errors: &mut Vec<FieldError>, source: &Value, path: &FieldPath) {
    if require(errors, source, "path", path) {
        no_steps_back(errors, text(source, &["path"]), &path.child("path"));
    }
    const KINDS: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    one_of(errors, &path.child("type"), text(source, &["type"]), KINDS);
}

fn nfs(errors: &mut Vec<FieldError>, source: &Value, path: &FieldPath) {
    require(errors, source, "server", path);
    if require(errors, source, "path", path) && !text(source, &["path"]).starts_with('/') {
        errors.push(FieldError::invalid(&path.child("path"), text(source, &["path"]), "must be an absolute path"));
    }
}

fn files(errors: &mut Vec<FieldError>, source: &Value, path: &FieldPath) {
    mode(errors, &source["defaultMode"], &path.child("defaultMode"));
    for (index, item) in list(source, &["items"]).iter().enumerate() {
        let path = path.child("items").index(index);
        require(errors, item, "key", &path);
        if require(errors, item, "path", &path) {
            file_path(errors, text(item, &["path"]), &path.child("path"));
        }
        mode(errors, &item["mode"], &path.child("mode"));
    }
}

fn mode(errors: &mut Vec<FieldError>, mode: &Value, path: &FieldPath) {
    if let Some(bits) = mode.as_i64()
        && !(0..=0o777).contains(&bits)
    {
        let message = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path, bits, message));
    }
}

fn downward(errors: &mut Vec<FieldError>, items: &[Value], path: &FieldPath) {
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        if require(errors, item, "path", &path) {
            file_path(errors, text(item, &["path"]), &path.child("path"));
        }
        let (field, resource) = (&item["fieldRef"], &item["resourceFieldRef"]);
        if field.is_object() {
            environment::field_reference(errors, field, FIELDS, &path.child("fieldRef"));
            if resource.is_object() {
                let message = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(&path, "resource", message));
            }
        } else if resource.is_object() {
            let path = path.child("resourceFieldRef");
            require(errors, resource, "containerName", &path);
            require(errors, resource, "resource", &path);
        } else {
            errors.push(FieldError::required(
                &path.child("fieldRef"),
                "one of fieldRef and resourceFieldRef is required",
            ));
        }
        mode(errors, &item["mode"], &path.child("mode"));
    }
}

fn projected(errors: &mut Vec<FieldError>, projection: &Value, path: &FieldPath) {
    mode(errors, &projection["defaultMode"], &path.child("defaultMode"));
    for (index, source) in list(projection, &["sources"]).iter().enumerate() {
        let path = path.child("sources").index(index);
        for kind in ["secret", "configMap"] {
            if source[kind].is_object() {
                require(errors, &source[kind], "name", &path.child(kind));
                files(errors, &source[kind], &path.child(kind));
            }
        }
        downward(errors, list(source, &["downwardAPI", "items"]), &path.child("downwardAPI"));
        let token = &source["serviceAccountToken"];
        if token.is_object() {
            let path = path.child("serviceAccountToken");
            if integer(token, &["expirationSeconds"]) < 600 {
                let seconds = integer(token, &["expirationSeconds"]);
                let message = "may not specify a duration less than 10 minutes";
                errors.push(FieldError::invalid(&path.child("expirationSeconds"), seconds, message));
            }
            require(errors, token, "path", &path);
        }
    }
}

fn no_steps_back(errors: &mut Vec<FieldError>, value: &str, path: &FieldPath) {
    if value.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, value, "must not contain '..'"));
    }
}

/// A relative path that stays below where it starts.
fn descending(errors: &mut Vec<FieldError>, value: &str, path: &FieldPath) {
    if value.starts_with('/') {
        errors.push(FieldError::invalid(path, value, "must be a relative path"));
    }
    no_steps_back(errors, value, path);
}

fn file_path(errors: &mut Vec<FieldError>, value: &str, path: &FieldPath) {
    descending(errors, value, path);
    // A name that begins so is taken by the links that make updates atomic.
    if value.starts_with("..") && !value.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, value, "must not start with '..'"));
    }
}

/// `volumeMounts` and `volumeDevices` of a container.
pub(super) fn mounts(
    errors: &mut Vec<FieldError>,
    container: &Value,
    volumes: &HashMap<&str, &Value>,
    path: &FieldPath,
) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, mount) in list(container, &["volumeMounts"]).iter().enumerate() {
        let path = path.child("volumeMounts").index(index);
        let name = text(mount, &["name"]);
        require(errors, mount, "name", &path);
        if !volumes.contains_key(name) {
            errors.push(FieldError::not_found(&path.child("name"), name));
        }
        let target = text(mount, &["mountPath"]);
        require(errors, mount, "mountPath", &path);
        if seen.contains(&target) {
            errors.push(FieldError::invalid(&path.child("mountPath"), target, "must be unique"));
        }
        seen.push(target);
        for key in ["subPath", "subPathExpr"] {
            let value = text(mount, &[key]);
            if !value.is_empty() {
                descending(errors, value, &path.child(key));
            }
        }
        if !text(mount, &["subPath"]).is_empty() && !text(mount, &["subPathExpr"]).is_empty() {
            let value = text(mount, &["subPathExpr"]);
            let message = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(&path.child("subPathExpr"), value, message));
        }
        if let Some(propagation) = mount["mountPropagation"].as_str() {
            let path = path.child("mountPropagation");
            one_of(errors, &path, propagation, &["Bidirectional", "HostToContainer", "None"]);
            if propagation == "Bidirectional" && !truth(container, &["securityContext", "privileged"]) {
                let message = "Bidirectional mount propagation is available only to privileged containers";
                errors.push(FieldError::forbidden(&path, message));
            }
        }
        recursive_read_only(errors, mount, &path);
    }
}

fn recursive_read_only(errors: &mut Vec<FieldError>, mount: &Value, path: &FieldPath) {
    let Some(wanted) = mount["recursiveReadOnly"].as_str() else { return };
    let path = path.child("recursiveReadOnly");
    match wanted {
        "Disabled" => {}
        "Enabled" | "IfPossible" if !truth(mount, &["readOnly"]) => {
            errors.push(FieldError::forbidden(&path, "may only be specified when readOnly is true"));
        }
        _ => one_of(errors, &path, wanted, &["Disabled", "Enabled", "IfPossible"]),
    }
}
