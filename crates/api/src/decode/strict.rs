//! One walk over a value and its type: wrong types, unknown fields, and the shape the real server prints.

use serde_json::{Map, Value};

use crate::quantity;
use crate::schema::{self, Field, ObjectType, Shape};

/// Findings beyond this many are not told.
const MAX_FINDINGS: usize = 100;

/// An object that went through its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub object: Value,
    /// What strict decoding objects to, as the real server words it: `unknown field "spec.nope"`. They are an error,
    /// warnings, or nothing, depending on the request's `fieldValidation`.
    pub findings: Vec<String>,
}

/// Checks a value against the type of this name and brings it into shape: unknown fields go, zero values that are no
/// pointers go, and fields that are always printed come.
///
/// # Errors
/// The first wrong type, as Go's decoder words it.
pub fn typed(schema: &str, mut value: Value) -> Result<Decoded, String> {
    let Some(object) = schema::object(schema) else { return Err(format!("no type {schema}")) };
    let mut walk = Walk { findings: Vec::new(), error: None };
    walk.object(object, &mut value, &Path::Root);
    match walk.error {
        Some(error) => Err(error),
        None => Ok(Decoded { object: value, findings: walk.findings }),
    }
}

/// How Go's decoder names the type of a JSON value.
pub(super) fn json_type(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    }
}

struct Walk {
    findings: Vec<String>,
    /// The first wrong type; the real decoder goes on too, and reports the first.
    error: Option<String>,
}

/// The way to a value. Only a finding makes a text of it.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// As strict findings print it.
    fn whole(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(before, name) | Self::Key(before, name) => join(before.whole(), name),
            Self::Index(before, index) => format!("{}[{index}]", before.whole()),
        }
    }

    /// As Go's decoder prints it: names of fields only.
    fn fields(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(before, name) => join(before.fields(), name),
            Self::Key(before, _) | Self::Index(before, _) => before.fields(),
        }
    }
}

/// Where the walk is: the struct that holds the field, and the way to the value.
#[derive(Clone, Copy)]
struct Place<'a> {
    holder: &'a str,
    path: &'a Path<'a>,
}

impl Walk {
    fn fail(&mut self, message: String) {
        self.error.get_or_insert(message);
    }

    /// The decoder's complaint about a value of the wrong type.
    fn mismatch(&mut self, found: &str, shape: &Shape, place: Place<'_>) {
        let expected = shape.go_type();
        self.fail(format!(
            "json: cannot unmarshal {found} into Go struct field {}.{} of type {expected}",
            place.holder,
            place.path.fields()
        ));
    }

    fn object(&mut self, object: &ObjectType, value: &mut Value, path: &Path<'_>) {
        let Value::Object(map) = value else { return };
        let holder = object.go_name();
        for (name, mut value) in std::mem::take(map) {
            let path = Path::Field(path, &name);
            let Some(field) = object.fields.get(&name) else {
                if self.findings.len() < MAX_FINDINGS {
                    self.findings.push(format!("unknown field {:?}", path.whole()));
                }
                continue;
            };
            // A null says nothing, for any type.
            if value.is_null() {
                continue;
            }
            self.value(&field.shape, &mut value, Place { holder, path: &path });
            if field.pointer || field.always || !field.shape.is_empty(&value) {
                map.insert(name, value);
            }
        }
        self.fill(object, map);
    }

    /// Adds the fields that are always printed.
    fn fill(&mut self, object: &ObjectType, map: &mut Map<String, Value>) {
        for (name, Field { shape, pointer, .. }) in object.fields.iter().filter(|(_, field)| field.always) {
            if map.contains_key(name) {
                continue;
            }
            let mut value = if *pointer { Value::Null } else { shape.zero() };
            if let Shape::Object(name) = shape
                && let Some(object) = schema::object(name)
            {
                self.object(object, &mut value, &Path::Root);
            }
            map.insert(name.clone(), value);
        }
    }

    fn value(&mut self, shape: &Shape, value: &mut Value, place: Place<'_>) {
        match shape {
            Shape::Any => {}
            Shape::Boolean if value.is_boolean() => {}
            Shape::Text if value.is_string() => {}
            Shape::Number if value.is_number() => {}
            Shape::Int64 if value.is_i64() => {}
            Shape::Int32 if value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => {}
            Shape::Int32 | Shape::Int64 if value.is_number() => {
                self.mismatch(&format!("number {value}"), shape, place);
            }
            Shape::IntOrString => self.int_or_string(value),
            Shape::Quantity => self.quantity(value),
            Shape::Time | Shape::MicroTime => self.time(shape, value),
            Shape::Bytes if value.is_string() => self.bytes(value),
            Shape::List(item) if value.is_array() => {
                for (index, entry) in value.as_array_mut().into_iter().flatten().enumerate() {
                    let path = Path::Index(place.path, index);
                    self.entry(item, entry, Place { path: &path, ..place });
                }
            }
            Shape::Map(item) if value.is_object() => {
                for (key, entry) in value.as_object_mut().into_iter().flatten() {
                    let path = Path::Key(place.path, key);
                    self.entry(item, entry, Place { path: &path, ..place });
                }
            }
            Shape::Object(name) if value.is_object() => {
                if let Some(object) = schema::object(name) {
                    self.object(object, value, place.path);
                }
            }
            _ => self.mismatch(&json_type(value), shape, place),
        }
    }

    /// An item of a list or map: null stands for the zero value there.
    fn entry(&mut self, shape: &Shape, value: &mut Value, place: Place<'_>) {
        if value.is_null() {
            *value = shape.zero();
        }
        if !value.is_null() {
            self.value(shape, value, place);
        }
    }

    fn int_or_string(&mut self, value: &Value) {
        if value.is_string() || value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) {
            return;
        }
        let found = if value.is_number() { format!("number {value}") } else { json_type(value) };
        self.fail(format!("json: cannot unmarshal {found} into Go value of type int32"));
    }

    /// Quantities are printed in their canonical form, whatever was written.
    fn quantity(&mut self, value: &mut Value) {
        let text = match &*value {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        match quantity::Quantity::parse(&text) {
            Ok(quantity) => *value = quantity.to_string().into(),
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn time(&mut self, shape: &Shape, value: &mut Value) {
        let Some(text) = value.as_str() else {
            return self.fail(format!("json: cannot unmarshal {} into Go value of type string", json_type(value)));
        };
        match text.parse::<jiff::Timestamp>() {
            // Whole seconds for a Time; a MicroTime always prints six digits.
            Ok(time) => {
                let digits = if *shape == Shape::MicroTime { 6 } else { 0 };
                *value = format!("{time:.digits$}").into();
            }
            Err(_) => {
                let layout = if *shape == Shape::MicroTime {
                    "2006-01-02T15:04:05.000000Z07:00"
                } else {
                    "2006-01-02T15:04:05Z07:00"
                };
                self.fail(format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""));
            }
        }
    }

    fn bytes(&mut self, value: &Value) {
        if let Err(offset) = base64_check(value.as_str().unwrap_or_default()) {
            self.fail(format!("illegal base64 data at input byte {offset}"));
        }
    }
}

fn join(path: String, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { path + "." + name }
}

/// Whether the text is standard, padded base64 (line breaks allowed); the error is the offset of what is not.
fn base64_check(text: &str) -> Result<(), usize> {
    let mut digits = 0_usize;
    let mut padding = 0_usize;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' if digits % 4 >= 2 && padding < 4 - digits % 4 => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => digits += 1,
            _ => return Err(offset),
        }
    }
    if (digits + padding).is_multiple_of(4) { Ok(()) } else { Err(text.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POD: &str = "io.k8s.api.core.v1.Pod";

    fn pod(container: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}})
    }

    /// Goldens 300 and 303.
    #[test]
    fn unknown_fields_are_listed_with_their_paths() {
        let decoded = typed(POD, pod(json!({"name": "a", "resouces": {}, "limit": 1}))).unwrap();
        assert_eq!(
            decoded.findings,
            ["unknown field \"spec.containers[0].limit\"", "unknown field \"spec.containers[0].resouces\""]
        );
        assert_eq!(decoded.object["spec"]["containers"][0], json!({"name": "a", "resources": {}}));
    }

    #[test]
    fn wrong_types_are_told_as_go_tells_them() {
        let cases = [
            (
                json!({"name": "a", "ports": [{"containerPort": "eighty"}]}),
                "json: cannot unmarshal string into Go struct field \
                 ContainerPort.spec.containers.ports.containerPort of type int32",
            ),
            (
                json!({"name": "a", "env": [{"name": "A", "value": 8080}]}),
                "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
            ),
            (
                json!({"name": "a", "command": "sh"}),
                "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string",
            ),
            (
                json!({"name": "a", "env": {"A": "b"}}),
                "json: cannot unmarshal object into Go struct field Container.spec.containers.env of type []v1.EnvVar",
            ),
            (
                json!({"name": "a", "ports": [{"containerPort": 1.5}]}),
                "json: cannot unmarshal number 1.5 into Go struct field \
                 ContainerPort.spec.containers.ports.containerPort of type int32",
            ),
            (
                json!({"name": "a", "resources": {"limits": {"cpu": "lots"}}}),
                "quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
        ];
        for (container, expected) in cases {
            assert_eq!(typed(POD, pod(container)).unwrap_err(), expected);
        }
    }

    #[test]
    fn zero_values_go_unless_they_are_pointers() {
        let container = json!({
            "name": "a", "tty": false, "args": [], "workingDir": "", "env": [{"name": "E", "value": ""}],
            "securityContext": {"runAsUser": 0, "privileged": false},
            "resources": {"limits": {"cpu": "1000m", "memory": 1024}, "requests": {}},
        });
        let object = typed(POD, pod(container)).unwrap().object;
        assert_eq!(
            object["spec"]["containers"][0],
            json!({
                "name": "a", "env": [{"name": "E"}],
                "securityContext": {"runAsUser": 0, "privileged": false},
                "resources": {"limits": {"cpu": "1", "memory": "1024"}},
            })
        );
        assert_eq!(object["status"], json!({}));
        assert_eq!(object["metadata"], json!({"name": "p", "creationTimestamp": null}));
    }

    #[test]
    fn times_and_bytes_are_checked() {
        let status = json!({"kind": "Pod", "status": {"startTime": "2026-11-20T18:50:49+00:00"}});
        assert_eq!(typed(POD, status).unwrap().object["status"]["startTime"], "2026-11-20T18:50:49Z");
        let secret = "io.k8s.api.core.v1.Secret";
        assert!(typed(secret, json!({"data": {"a": "aGVsbG8="}})).is_ok());
        assert_eq!(
            typed(secret, json!({"data": {"a": "aGV!bG8="}})).unwrap_err(),
            "illegal base64 data at input byte 3"
        );
    }
}
