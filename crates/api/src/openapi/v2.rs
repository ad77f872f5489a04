//! The OpenAPI v2 document. kubectl of every supported version asks it one thing: whether the server validates fields of a
//! kind that no v3 document has, which is `List` (what `kubectl get -o yaml` of several objects prints). Its answer is in the
//! paths. The types are in the JSON form only; whoever needs them reads v3, as kubectl does.

use serde_json::{Map, Value, json};

use super::document::{self, REFERENCE};
use crate::registry;

const DEFINITION: &str = "#/definitions/";

/// The whole document, as JSON. Built at every call: hardly anybody asks.
#[must_use]
pub fn json() -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for (group, version) in groups() {
        let mut document = document::build(group, version);
        for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
            paths.insert(path.clone(), operations_of(operations));
        }
        if let Value::Object(schemas) = document["components"]["schemas"].take() {
            definitions.extend(schemas);
        }
    }
    let mut definitions = Value::Object(definitions);
    refer(&mut definitions);
    json!({"swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions})
}

/// Swagger and paths in the protobuf of github.com/google/gnostic (openapiv2/OpenAPIv2.proto), which is how kubectl asks.
#[must_use]
pub fn protobuf() -> Vec<u8> {
    let mut paths = Vec::new();
    for (group, version) in groups() {
        let document = document::build(group, version);
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            let mut item = Vec::new();
            for (method, number) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
                if let Some(operation) = operations.get(method) {
                    bytes(&mut item, number, &operation_message(operation));
                }
            }
            bytes(&mut paths, 2, &named(path, &item));
        }
    }
    let mut information = Vec::new();
    for (number, field) in [(1, "title"), (2, "version")] {
        text(&mut information, number, info()[field].as_str().unwrap_or_default());
    }
    let mut message = Vec::new();
    text(&mut message, 1, "2.0");
    bytes(&mut message, 2, &information);
    bytes(&mut message, 8, &paths);
    message
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": document::VERSION})
}

/// Groups and versions, each once.
fn groups() -> Vec<(&'static str, &'static str)> {
    let mut groups: Vec<_> = registry::all().iter().map(|resource| (resource.group, resource.version)).collect();
    groups.dedup();
    groups
}

/// Operations as v2 has them: a parameter says its type itself, a body is one of the parameters.
fn operations_of(operations: &Value) -> Value {
    let operation = |operation: &Value| {
        let mut parameters: Vec<Value> = Vec::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let mut parameter = parameter.clone();
            let schema = parameter["schema"].take();
            parameter["type"] = schema["type"].clone();
            parameter["uniqueItems"] = schema["uniqueItems"].clone();
            if let Some(fields) = parameter.as_object_mut() {
                fields.retain(|_, value| !value.is_null());
            }
            parameters.push(parameter);
        }
        let content = &operation["requestBody"]["content"];
        if let Some((_, content)) = content.as_object().and_then(|content| content.iter().next()) {
            let mut schema = content["schema"].clone();
            refer(&mut schema);
            parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
        }
        let mut told = json!({"parameters": parameters, "responses": {"200": {"description": "OK"}}});
        for extension in [ACTION, KIND] {
            told[extension] = operation[extension].clone();
        }
        told
    };
    operations.as_object().into_iter().flatten().map(|(method, value)| (method.clone(), operation(value))).collect()
}

const ACTION: &str = "x-kubernetes-action";
const KIND: &str = "x-kubernetes-group-version-kind";

/// Has every reference lead to a definition.
fn refer(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "$ref" => *text = text.replace(REFERENCE, DEFINITION),
                    value => refer(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(refer),
        _ => {}
    }
}

/// An Operation: its parameters of the query, and what kind it is about.
fn operation_message(operation: &Value) -> Vec<u8> {
    let mut message = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (mut sub_schema, mut non_body, mut one, mut item) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        text(&mut sub_schema, 2, "query");
        text(&mut sub_schema, 4, parameter["name"].as_str().unwrap_or_default());
        text(&mut sub_schema, 6, parameter["schema"]["type"].as_str().unwrap_or_default());
        bytes(&mut non_body, 3, &sub_schema);
        bytes(&mut one, 2, &non_body);
        bytes(&mut item, 1, &one);
        bytes(&mut message, 8, &item);
    }
    // `responses` has to be there.
    bytes(&mut message, 9, &[]);
    for extension in [ACTION, KIND] {
        // JSON is YAML.
        let mut any = Vec::new();
        text(&mut any, 2, &operation[extension].to_string());
        bytes(&mut message, 13, &named(extension, &any));
    }
    message
}

/// An entry of a map: its name and its value.
fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    text(&mut message, 1, name);
    bytes(&mut message, 2, value);
    message
}

fn text(message: &mut Vec<u8>, number: u8, text: &str) {
    bytes(message, number, text.as_bytes());
}

/// A field of bytes: its number (below 16) and wire type, its length, itself.
fn bytes(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        // The lowest seven bits, and that more follow.
        message.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    message.push(u8::try_from(length).unwrap_or_default());
    message.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition() {
        fn check(value: &Value, definitions: &Map<String, Value>) {
            match value {
                Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                        let name = reference.strip_prefix(DEFINITION);
                        assert!(name.is_some_and(|name| definitions.contains_key(name)), "{reference}");
                    }
                    fields.values().for_each(|value| check(value, definitions));
                }
                Value::Array(items) => items.iter().for_each(|value| check(value, definitions)),
                _ => {}
            }
        }
        let document = json();
        check(&document, document["definitions"].as_object().unwrap());
        let patch = &document["paths"]["/api/v1/namespaces/{name}"]["patch"];
        assert_eq!(patch[KIND]["kind"], "Namespace");
        let names: Vec<&str> =
            patch["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "body"]);
        assert_eq!(patch["parameters"][2]["type"], "string");
    }

    #[test]
    fn lengths_are_written_seven_bits_a_byte() {
        let mut message = Vec::new();
        bytes(&mut message, 8, &[7; 300]);
        assert_eq!(message[..3], [8 << 3 | 2, 0xac, 0x02]);
        assert_eq!(message.len(), 303);
    }
}
