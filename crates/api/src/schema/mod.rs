//! The types of all objects, as data.
//!
//! k8s-openapi knows every field of every type and gives them as schemas. They are compiled once into a small table
//! that strict decoding, patches, printing and the OpenAPI documents read, so that one walk over a JSON value does for
//! every kind what the real server has generated Go code for.

mod kinds;
mod shapes;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// What the value of a field has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Boolean,
    Int32,
    Int64,
    Number,
    Text,
    /// Base64 in JSON.
    Bytes,
    /// `100m`, `1.5Gi`.
    Quantity,
    IntOrString,
    /// RFC 3339, whole seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// Anything at all: raw extensions, managed fields.
    Any,
    List(Box<Shape>),
    Map(Box<Shape>),
    /// The name of an [`ObjectType`].
    Object(String),
}

/// A field of an object.
#[derive(Clone, Debug)]
pub struct Field {
    pub shape: Shape,
    /// The encoded object always has it, be it with its zero value.
    pub always: bool,
    /// A pointer upstream: a zero value that was given stays. Without it, zero values are left out.
    pub pointer: bool,
}

/// A type with named fields.
#[derive(Clone, Debug)]
pub struct ObjectType {
    /// `io.k8s.api.core.v1.Pod`.
    pub name: String,
    pub fields: BTreeMap<String, Field>,
}

impl ObjectType {
    /// The name as Go code has it: `Pod`.
    #[must_use]
    pub fn go_name(&self) -> &str {
        go_name(&self.name)
    }
}

/// `Pod` of `io.k8s.api.core.v1.Pod`.
#[must_use]
pub fn go_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

static COMPONENTS: LazyLock<Map<String, Value>> = LazyLock::new(kinds::components);

static OBJECTS: LazyLock<HashMap<String, ObjectType>> = LazyLock::new(|| {
    COMPONENTS
        .iter()
        .filter(|(_, schema)| schema.get("properties").is_some())
        .map(|(name, schema)| (name.clone(), compile(name, schema)))
        .collect()
});

/// The schemas of all types as JSON, by name; what the OpenAPI documents are made of.
#[must_use]
pub fn components() -> &'static Map<String, Value> {
    &COMPONENTS
}

/// The type of this name: `io.k8s.api.core.v1.Pod`.
#[must_use]
pub fn object(name: &str) -> Option<&'static ObjectType> {
    OBJECTS.get(name)
}

fn compile(name: &str, schema: &Value) -> ObjectType {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut fields = BTreeMap::new();
    for (field, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let key = format!("{}.{field}", go_name(name));
        let shape = shape(schema);
        let pointer = shapes::POINTERS.binary_search(&key.as_str()).is_ok();
        // Metadata is a struct upstream, so it is always there; the schemas do not require it (see kinds.rs).
        let always = required.contains(&field.as_str())
            || field == "metadata"
            || shapes::ALWAYS.binary_search(&key.as_str()).is_ok();
        fields.insert(field.clone(), Field { shape, always, pointer });
    }
    ObjectType { name: name.to_owned(), fields }
}

/// The shape that a schema of a field describes.
fn shape(schema: &Value) -> Shape {
    let reference = schema
        .get("$ref")
        .or_else(|| schema.get("allOf").and_then(|all| all.get(0)).and_then(|first| first.get("$ref")))
        .and_then(Value::as_str);
    if let Some(reference) = reference {
        let name = reference.trim_start_matches("#/components/schemas/");
        return named_shape(name);
    }
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    match (text("type"), text("format")) {
        (Some("boolean"), _) => Shape::Boolean,
        (Some("integer"), Some("int64")) => Shape::Int64,
        (Some("integer"), _) => Shape::Int32,
        (Some("number"), _) => Shape::Number,
        (Some("string"), Some("byte")) => Shape::Bytes,
        (Some("string"), Some("date-time")) => Shape::Time,
        (Some("string"), _) => Shape::Text,
        (Some("array"), _) => Shape::List(Box::new(schema.get("items").map_or(Shape::Any, shape))),
        (Some("object"), _) => {
            schema.get("additionalProperties").map_or(Shape::Any, |values| Shape::Map(Box::new(shape(values))))
        }
        _ => Shape::Any,
    }
}

/// The shape of a schema that is referred to by name; some of those are scalars.
fn named_shape(name: &str) -> Shape {
    match go_name(name) {
        "Quantity" => Shape::Quantity,
        "IntOrString" => Shape::IntOrString,
        "Time" => Shape::Time,
        "MicroTime" => Shape::MicroTime,
        "FieldsV1" | "RawExtension" => Shape::Any,
        _ => Shape::Object(name.to_owned()),
    }
}

impl Shape {
    /// The value Go prints for a field that was never set.
    #[must_use]
    pub fn zero(&self) -> Value {
        match self {
            Self::Boolean => Value::Bool(false),
            Self::Int32 | Self::Int64 | Self::Number | Self::IntOrString => Value::from(0),
            Self::Text => Value::from(""),
            Self::Quantity => Value::from("0"),
            Self::Object(_) => Value::Object(Map::new()),
            Self::Bytes | Self::Time | Self::MicroTime | Self::Any | Self::List(_) | Self::Map(_) => Value::Null,
        }
    }

    /// Whether `omitempty` would leave the value out.
    #[must_use]
    pub fn is_empty(&self, value: &Value) -> bool {
        match self {
            Self::Boolean => value == &Value::Bool(false),
            Self::Int32 | Self::Int64 => value.as_i64() == Some(0),
            Self::Number => value.as_f64() == Some(0.0),
            Self::Text | Self::Bytes => value.as_str() == Some(""),
            Self::List(_) => value.as_array().is_some_and(Vec::is_empty),
            Self::Map(_) => value.as_object().is_some_and(Map::is_empty),
            Self::Object(_) | Self::Any | Self::Quantity | Self::IntOrString | Self::Time | Self::MicroTime => false,
        }
    }

    /// The type's name as Go's reflection prints it.
    #[must_use]
    pub fn go_type(&self) -> String {
        match self {
            Self::Boolean => "bool".into(),
            Self::Int32 => "int32".into(),
            Self::Int64 => "int64".into(),
            Self::Number => "float64".into(),
            Self::Text => "string".into(),
            Self::Bytes => "[]uint8".into(),
            Self::Quantity => "resource.Quantity".into(),
            Self::IntOrString => "intstr.IntOrString".into(),
            Self::Time => "v1.Time".into(),
            Self::MicroTime => "v1.MicroTime".into(),
            Self::Any => "interface {}".into(),
            Self::List(item) => format!("[]{}", item.go_type()),
            // Lists of resources are maps with a named key type.
            Self::Map(item) if **item == Self::Quantity => "v1.ResourceList".into(),
            Self::Map(item) => format!("map[string]{}", item.go_type()),
            Self::Object(name) => format!("v1.{}", go_name(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_shapes_are_sorted_and_name_real_fields() {
        for table in [shapes::POINTERS, shapes::ALWAYS] {
            assert!(table.windows(2).all(|pair| pair[0] < pair[1]));
            for name in table {
                let (kind, field) = name.split_once('.').unwrap();
                let known =
                    OBJECTS.values().any(|object| object.go_name() == kind && object.fields.contains_key(field));
                assert!(known, "{name}");
            }
        }
    }
}
