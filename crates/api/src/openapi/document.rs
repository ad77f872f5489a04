//! One group and version as an OpenAPI document: its paths, and the schemas they refer to.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::managed::{ListType, list_type};
use crate::patch;
use crate::registry::{self, Resource, Subresource};
use crate::schema::{self, Shape};

pub(super) const REFERENCE: &str = "#/components/schemas/";

/// The version of Kubernetes whose types these are.
pub(super) const VERSION: &str = "v1.32.13";

/// The schema of a patch, which may be anything.
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// The document of a group and version.
pub(super) fn build(group: &str, version: &str) -> Value {
    let resources: Vec<&Resource> =
        registry::all().iter().filter(|resource| resource.group == group && resource.version == version).collect();
    let mut paths = Map::new();
    let mut needed = BTreeSet::new();
    for resource in resources {
        let root = format!("/{}", super::path(group, version));
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{scope}/{}", resource.plural);
        let item = format!("{collection}/{{name}}");
        let list_schema = format!("{}List", resource.schema);
        paths.insert(collection, operations(resource, &["list", "create", "deletecollection"], &list_schema));
        if resource.verbs.contains(&"get") {
            paths.insert(item.clone(), operations(resource, &["get", "update", "patch", "delete"], resource.schema));
        }
        collect(resource.schema, &mut needed);
        collect(&list_schema, &mut needed);
        for part in resource.subresources {
            paths.insert(format!("{item}/{}", part.name), operations_of_part(resource, part));
            collect(part.schema(resource), &mut needed);
        }
    }
    collect("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", &mut needed);
    collect("io.k8s.apimachinery.pkg.apis.meta.v1.Status", &mut needed);
    let mut schemas: Map<String, Value> =
        needed.iter().map(|name| (name.clone(), component(name))).filter(|(_, schema)| !schema.is_null()).collect();
    schemas.insert(PATCH.to_owned(), json!({"type": "object", "description": "A change of an object."}));
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// The operations of a path, for the verbs that the resource has.
fn operations(resource: &Resource, verbs: &[&str], get_schema: &str) -> Value {
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let content = |schema: &str| json!({"application/json": {"schema": {"$ref": format!("{REFERENCE}{schema}")}}});
    let mut operations = Map::new();
    for verb in verbs.iter().filter(|verb| resource.verbs.contains(verb)) {
        let (method, action, schema) = match *verb {
            "list" => ("get", "list", get_schema),
            "get" => ("get", "get", resource.schema),
            "create" => ("post", "post", resource.schema),
            "update" => ("put", "put", resource.schema),
            "patch" => ("patch", "patch", resource.schema),
            "deletecollection" => ("delete", "deletecollection", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"),
            _ => ("delete", "delete", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"),
        };
        let mut operation = json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
            "responses": {"200": {"description": "OK", "content": content(schema)}},
        });
        if matches!(method, "post" | "put" | "patch") {
            operation["parameters"] = ["dryRun", "fieldManager", "fieldValidation"].map(parameter).to_vec().into();
            let body = if method == "patch" { patches() } else { content(schema) };
            operation["requestBody"] = json!({"required": true, "content": body});
        }
        operations.insert(method.to_owned(), operation);
    }
    Value::Object(operations)
}

/// The operations of a part of an object.
fn operations_of_part(resource: &Resource, part: &Subresource) -> Value {
    let own = part.version.is_empty();
    let (group, version) = if own { (resource.group, resource.version) } else { (part.group, part.version) };
    let kind = json!({"group": group, "version": version, "kind": part.kind});
    let content = json!({"application/json": {"schema": {"$ref": format!("{REFERENCE}{}", part.schema(resource))}}});
    // Streams and proxies have no objects.
    let connects = part.kind.ends_with("Options");
    let mut operations = Map::new();
    for verb in part.verbs {
        let method = match *verb {
            "get" => "get",
            "create" => "post",
            "update" => "put",
            "patch" => "patch",
            _ => "delete",
        };
        let (action, answer) = if connects {
            ("connect", json!({"*/*": {"schema": {"type": "string"}}}))
        } else {
            (method, content.clone())
        };
        let mut operation = json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
            "responses": {"200": {"description": "OK", "content": answer}},
        });
        if !connects && method != "get" {
            operation["parameters"] = ["dryRun", "fieldManager", "fieldValidation"].map(parameter).to_vec().into();
            let body = if method == "patch" { patches() } else { content.clone() };
            operation["requestBody"] = json!({"required": true, "content": body});
        }
        operations.insert(method.to_owned(), operation);
    }
    Value::Object(operations)
}

/// What a patch can be; kubectl computes a strategic merge patch only where it is offered here.
fn patches() -> Value {
    let schema = json!({"schema": {"$ref": format!("{REFERENCE}{PATCH}")}});
    patch::MEDIA_TYPES.iter().map(|media_type| ((*media_type).to_owned(), schema.clone())).collect::<Map<_, _>>().into()
}

fn parameter(name: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
}

/// The schema and all it refers to.
fn collect(name: &str, needed: &mut BTreeSet<String>) {
    let Some(schema) = schema::components().get(name) else { return };
    if needed.insert(name.to_owned()) {
        references(schema, needed);
    }
}

fn references(value: &Value, needed: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                collect(name.trim_start_matches(REFERENCE), needed);
            }
            fields.values().for_each(|value| references(value, needed));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, needed)),
        _ => {}
    }
}

/// A schema with what only this server knows: the kinds it is, and how its lists are merged.
fn component(name: &str) -> Value {
    let Some(mut schema) = schema::components().get(name).cloned() else { return Value::Null };
    let kinds = group_version_kinds(name);
    if !kinds.is_empty() {
        schema["x-kubernetes-group-version-kind"] = kinds.into();
    }
    let go_name = schema::go_name(name);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (field, property) in properties {
            merging(go_name, field, property);
            enumerated(go_name, field, property);
            default(name, field, property);
        }
    }
    schema
}

/// The extensions that patches are computed from.
fn merging(go_name: &str, field: &str, property: &mut Value) {
    let is_list = property["type"] == "array";
    let strategy = patch::strategy(go_name, field);
    let words = match (strategy.retain_keys, strategy.merge) {
        (true, true) => "merge,retainKeys",
        (true, false) => "retainKeys",
        (false, true) => "merge",
        (false, false) => "",
    };
    if !words.is_empty() {
        property["x-kubernetes-patch-strategy"] = words.into();
    }
    if !strategy.merge_key.is_empty() {
        property["x-kubernetes-patch-merge-key"] = strategy.merge_key.into();
    }
    if is_list && property.get("x-kubernetes-list-type").is_none() {
        property["x-kubernetes-list-type"] = match list_type(go_name, field) {
            ListType::Set => "set".into(),
            ListType::Map(keys) => {
                property["x-kubernetes-list-map-keys"] = keys.into();
                "map".into()
            }
            ListType::Atomic => "atomic".into(),
        };
    }
    // Indexing a missing extension makes it null.
    if let Some(fields) = property.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// What a field has that is not given: what Go's types are made with, and a few that say it themselves.
fn default(name: &str, field: &str, property: &mut Value) {
    let Some(known) = schema::object(name).and_then(|object| object.fields.get(field)) else { return };
    let zero = |shape: &Shape| match shape {
        Shape::Quantity | Shape::Time | Shape::MicroTime => None,
        shape => Some(shape.zero()).filter(|zero| !zero.is_null()),
    };
    let value = match (schema::go_name(name), field) {
        ("ContainerPort" | "ServicePort", "protocol") => Some("TCP".into()),
        _ if known.always && !known.pointer => zero(&known.shape),
        _ => None,
    };
    // Beside a reference nothing else counts, unless the reference is one of several schemas that hold.
    if let Some(value) = value.filter(|_| property.get("$ref").is_none()) {
        property["default"] = value;
    }
    if let Shape::List(item) | Shape::Map(item) = &known.shape
        && let Some(items) = ["items", "additionalProperties"].into_iter().find(|items| property.get(*items).is_some())
        && property[items].get("$ref").is_none()
        && let Some(value) = zero(item)
    {
        property[items]["default"] = value;
    }
}

/// The values that are allowed, of the field or of its items.
fn enumerated(go_name: &str, field: &str, property: &mut Value) {
    let Some(values) = super::enums::values(go_name, field) else { return };
    if property["type"] == "array" {
        property["items"]["enum"] = values.into();
        return;
    }
    property["enum"] = values.into();
    let described = property["description"].as_str().unwrap_or_default().to_owned();
    property["description"] = (described + &super::enums::description(values)).into();
}

fn group_version_kinds(name: &str) -> Vec<Value> {
    let mut kinds = Vec::new();
    for resource in registry::all() {
        for (schema, kind) in [
            (resource.schema.to_owned(), resource.kind.to_owned()),
            (format!("{}List", resource.schema), resource.list_kind()),
        ] {
            if schema == name {
                kinds.push(json!({"group": resource.group, "version": resource.version, "kind": kind}));
            }
        }
        for part in resource.subresources.iter().filter(|part| !part.version.is_empty()) {
            let kind = json!({"group": part.group, "version": part.version, "kind": part.kind});
            if part.schema(resource) == name && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_document_has_what_kubectl_looks_for() {
        let document = build("", "v1");
        let pod = &document["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
        assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "version": "v1", "kind": "Pod"}]));
        let spec = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"];
        assert_eq!(spec["containers"]["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(spec["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
        assert_eq!(spec["tolerations"]["x-kubernetes-list-type"], "atomic");
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Pod");
        let names: Vec<&str> =
            patch["parameters"].as_array().unwrap().iter().filter_map(|parameter| parameter["name"].as_str()).collect();
        assert!(names.contains(&"fieldValidation"));
        let exec = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/exec"]["post"];
        assert_eq!(exec["x-kubernetes-action"], "connect");
        let port = &document["components"]["schemas"]["io.k8s.api.core.v1.ContainerPort"]["properties"];
        assert_eq!((&port["protocol"]["default"], &port["containerPort"]["default"]), (&json!("TCP"), &json!(0)));
        let patches = patch["requestBody"]["content"].as_object().unwrap();
        assert!(patches.contains_key("application/strategic-merge-patch+json"));
    }

    #[test]
    fn every_reference_resolves_within_its_document() {
        for resource in registry::all() {
            let document = build(resource.group, resource.version);
            let mut referred = BTreeSet::new();
            references(&document, &mut referred);
            for name in referred {
                assert!(document["components"]["schemas"].get(&name).is_some(), "{name}");
            }
        }
    }
}
