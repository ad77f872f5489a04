//! Persistent volumes, their claims, and storage classes.

use serde_json::Value;

use super::volume::{SOURCES, source};
use super::{immutable, invalid_name, metadata, names, one_of, require, resources};
use crate::error::{FieldError, FieldPath};
use crate::json::{at, entries, list, text};
use crate::quantity::Quantity;

const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn access_modes(errors: &mut Vec<FieldError>, spec: &Value, path: &FieldPath, message: &str) {
    let path = path.child("accessModes");
    let modes = list(spec, &["accessModes"]);
    if modes.is_empty() {
        errors.push(FieldError::required(&path, message));
    }
    for mode in modes.iter().filter_map(Value::as_str) {
        one_of(errors, &path, mode, ACCESS_MODES);
    }
}

pub(crate) fn claim(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    if subresource.is_some() {
        return errors;
    }
    let (path, spec) = (FieldPath::new("spec"), &object["spec"]);
    if let Some(old) = old {
        claim_update(&mut errors, object, old);
        return errors;
    }
    access_modes(&mut errors, spec, &path, "at least 1 access mode is required");
    let storage = Quantity::from_json(at(spec, &["resources", "requests", "storage"]));
    match storage {
        None => errors.push(FieldError::required(&path.child("resources").key("storage"), "")),
        Some(amount) if amount.is_negative() || amount.is_zero() => {
            let path = path.child("resources").child("requests").key("storage");
            errors.push(FieldError::invalid(&path, amount.to_string(), "must be greater than zero"));
        }
        Some(_) => {}
    }
    if let Some(class) = spec["storageClassName"].as_str().filter(|class| !class.is_empty()) {
        invalid_name(&mut errors, &path.child("storageClassName"), class, names::subdomain(class));
    }
    if let Some(mode) = spec["volumeMode"].as_str() {
        one_of(&mut errors, &path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
    errors
}

/// A claim changes by being bound, and by asking for more.
fn claim_update(errors: &mut Vec<FieldError>, object: &Value, old: &Value) {
    let munged = |claim: &Value| {
        let mut spec = at(claim, &["spec"]).clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("resources");
            if text(old, &["spec", "volumeName"]).is_empty() {
                fields.remove("volumeName");
            }
            // One that came before there was a default class is given it afterwards.
            if at(old, &["spec", "storageClassName"]).is_null() {
                fields.remove("storageClassName");
            }
        }
        spec
    };
    if munged(object) != munged(old) {
        let message = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                       bound claims";
        errors.push(FieldError::forbidden(&FieldPath::new("spec"), message));
    }
    let storage = |claim: &Value| Quantity::from_json(at(claim, &["spec", "resources", "requests", "storage"]));
    if let (Some(new), Some(before)) = (storage(object), storage(old))
        && new < before
    {
        let path = FieldPath::new("spec").child("resources").child("requests").child("storage");
        errors.push(FieldError::forbidden(&path, "field can not be less than status.capacity"));
    }
}

pub(crate) fn volume(object: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    if subresource.is_some() {
        return errors;
    }
    let (path, spec) = (FieldPath::new("spec"), &object["spec"]);
    access_modes(&mut errors, spec, &path, "");
    if entries(spec, &["capacity"]).next().is_none() {
        errors.push(FieldError::required(&path.child("capacity"), ""));
    }
    for (resource, value) in entries(spec, &["capacity"]) {
        if resource != "storage" {
            errors.push(FieldError::not_supported(&path.child("capacity"), resource.as_str(), &["storage"]));
        }
        errors.extend(resources::quantity(resource, value, &path.child("capacity").key(resource)));
    }
    let policy = text(spec, &["persistentVolumeReclaimPolicy"]);
    one_of(&mut errors, &path.child("persistentVolumeReclaimPolicy"), policy, &["Delete", "Recycle", "Retain"]);
    source(&mut errors, spec, &path);
    if let Some(old) = old {
        let part = |volume: &Value| {
            let picked = SOURCES.iter().filter_map(|kind| at(volume, &["spec"]).get(kind)).cloned();
            Value::Array(picked.collect())
        };
        if part(object) != part(old) {
            let message = "spec.persistentvolumesource is immutable after creation";
            errors.push(FieldError::forbidden(&path.child("persistentvolumesource"), message));
        }
    }
    errors
}

pub(crate) fn class(object: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
    let mut errors = metadata::check(object, old, names::subdomain);
    let provisioner = text(object, &["provisioner"]);
    if require(&mut errors, object, "provisioner", &FieldPath::default()) {
        let path = FieldPath::new("provisioner");
        invalid_name(&mut errors, &path, provisioner, names::qualified_name(&provisioner.to_lowercase()));
    }
    let path = FieldPath::new("reclaimPolicy");
    one_of(&mut errors, &path, text(object, &["reclaimPolicy"]), &["Delete", "Retain"]);
    let path = FieldPath::new("volumeBindingMode");
    one_of(&mut errors, &path, text(object, &["volumeBindingMode"]), &["Immediate", "WaitForFirstConsumer"]);
    if let Some(old) = old {
        for key in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            if at(object, &[key]) != at(old, &[key]) {
                immutable(&mut errors, &FieldPath::new(key), at(object, &[key]), at(old, &[key]));
            }
        }
    }
    errors
}
