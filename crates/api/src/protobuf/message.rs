//! Messages: the numbers from the table, the types from the schemas.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::wire::{Payload, Reader};
use super::{ProtobufError, utf8};
use crate::decode::MAX_VALUES;
use crate::prepare::base64;
use crate::schema::{self, ObjectType, Shape};

/// Messages inside messages at most.
const MAX_DEPTH: usize = 64;

/// What may still come: levels below this message, and values in all of the body.
struct Limits<'a> {
    depth: usize,
    values: &'a mut usize,
}

impl Limits<'_> {
    /// Those of a message inside this one.
    fn deeper(&mut self) -> Result<Limits<'_>, ProtobufError> {
        let depth = self.depth.checked_sub(1).ok_or(ProtobufError::Depth)?;
        Ok(Limits { depth, values: self.values })
    }

    fn take_value(&mut self) -> Result<(), ProtobufError> {
        *self.values = self.values.checked_sub(1).ok_or(ProtobufError::Values)?;
        Ok(())
    }
}

/// What a field's number means in a message.
#[derive(Clone, Copy)]
enum Entry {
    /// A field of this name.
    Field(&'static str),
    /// A message whose fields are the outer one's in JSON: Go embeds the struct.
    Inline(&'static str),
}

/// By message, then by number: `core.v1.Pod: metadata=1 spec=2 status=3`. A star marks an embedded struct.
static FIELDS: LazyLock<HashMap<&str, HashMap<u64, Entry>>> = LazyLock::new(|| {
    let rows = include_str!("fields.txt").lines().filter_map(|line| line.split_once(": "));
    rows.map(|(message, fields)| {
        let entries = fields.split(' ').filter_map(|field| {
            let (name, number) = field.split_once('=')?;
            let entry = match name.strip_prefix('*') {
                Some(message) => Entry::Inline(message),
                None => Entry::Field(name),
            };
            Some((number.parse().ok()?, entry))
        });
        (message, entries.collect())
    })
    .collect()
});

/// The name of a message in the table.
fn short(schema: &str) -> &str {
    let prefixes = ["io.k8s.api.", "io.k8s.apimachinery.pkg.apis."];
    prefixes.iter().find_map(|prefix| schema.strip_prefix(prefix)).unwrap_or(schema)
}

/// Reads a message of the type `schema`.
pub(super) fn decode(schema: &str, bytes: &[u8]) -> Result<Map<String, Value>, ProtobufError> {
    let mut fields = Map::new();
    let mut values = MAX_VALUES;
    object(schema, bytes, &mut fields, Limits { depth: MAX_DEPTH, values: &mut values })?;
    Ok(fields)
}

fn object(
    schema: &str,
    bytes: &[u8],
    fields: &mut Map<String, Value>,
    limits: Limits<'_>,
) -> Result<(), ProtobufError> {
    let Some(object) = schema::object(schema) else { return Ok(()) };
    message(object, short(schema), bytes, fields, limits)
}

/// Reads the fields of the message `name` into those of `object`.
fn message(
    object: &ObjectType,
    name: &str,
    bytes: &[u8],
    fields: &mut Map<String, Value>,
    mut limits: Limits<'_>,
) -> Result<(), ProtobufError> {
    let Some(entries) = FIELDS.get(name) else { return Ok(()) };
    for field in Reader::new(bytes) {
        let (number, payload) = field?;
        match (entries.get(&number), payload) {
            // A field from a later version.
            (None, _) => {}
            (Some(Entry::Inline(name)), Payload::Bytes(bytes)) => {
                message(object, name, bytes, fields, limits.deeper()?)?;
            }
            (Some(Entry::Inline(name)), payload) => return Err(mismatch(name, payload)),
            (Some(Entry::Field(field)), payload) => {
                if let Some(known) = object.fields.get(*field) {
                    let slot = fields.entry(*field).or_insert(Value::Null);
                    value(&known.shape, payload, slot, field, &mut limits)?;
                }
            }
        }
    }
    Ok(())
}

fn mismatch(field: &str, payload: Payload<'_>) -> ProtobufError {
    ProtobufError::Mismatch { field: field.to_owned(), found: payload.name() }
}

/// Reads one occurrence of a field into its place; lists and maps grow by it.
fn value(
    shape: &Shape,
    payload: Payload<'_>,
    slot: &mut Value,
    field: &str,
    limits: &mut Limits<'_>,
) -> Result<(), ProtobufError> {
    limits.take_value()?;
    *slot = match (shape, payload) {
        (Shape::Boolean, Payload::Varint(number)) => (number != 0).into(),
        (Shape::Int32 | Shape::Int64, Payload::Varint(number)) => number.cast_signed().into(),
        (Shape::Number, Payload::Fixed64(bits)) => f64::from_bits(bits).into(),
        (Shape::Number, Payload::Fixed32(bits)) => f64::from(f32::from_bits(bits)).into(),
        (Shape::Text, Payload::Bytes(bytes)) => utf8(bytes, field)?.into(),
        (Shape::Bytes, Payload::Bytes(bytes)) => base64(bytes).into(),
        (Shape::Quantity, Payload::Bytes(bytes)) => quantity(bytes)?,
        (Shape::IntOrString, Payload::Bytes(bytes)) => int_or_string(bytes)?,
        (Shape::Time | Shape::MicroTime, Payload::Bytes(bytes)) => time(bytes)?,
        (Shape::Any, Payload::Bytes(bytes)) => any(bytes, field)?,
        (Shape::Object(name), Payload::Bytes(bytes)) => {
            let mut fields = match slot.take() {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            object(name, bytes, &mut fields, limits.deeper()?)?;
            fields.into()
        }
        (Shape::List(item), payload) => {
            let mut items = match slot.take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            };
            list(item, payload, &mut items, field, limits)?;
            // Not `into()`: that would walk through all items for each new one.
            Value::Array(items)
        }
        (Shape::Map(item), Payload::Bytes(bytes)) => {
            let mut entries = match slot.take() {
                Value::Object(entries) => entries,
                _ => Map::new(),
            };
            let (key, value) = entry(item, bytes, field, &mut limits.deeper()?)?;
            entries.insert(key, value);
            entries.into()
        }
        (_, payload) => return Err(mismatch(field, payload)),
    };
    Ok(())
}

/// One item of a list, or several numbers packed together.
fn list(
    shape: &Shape,
    payload: Payload<'_>,
    items: &mut Vec<Value>,
    field: &str,
    limits: &mut Limits<'_>,
) -> Result<(), ProtobufError> {
    if let (Shape::Int32 | Shape::Int64, Payload::Bytes(bytes)) = (shape, payload) {
        let mut numbers = Reader::new(bytes);
        while !numbers.is_empty() {
            limits.take_value()?;
            items.push(numbers.varint()?.cast_signed().into());
        }
        return Ok(());
    }
    let mut item = Value::Null;
    value(shape, payload, &mut item, field, limits)?;
    items.push(item);
    Ok(())
}

/// An entry of a map: key = 1, value = 2.
fn entry(shape: &Shape, bytes: &[u8], field: &str, limits: &mut Limits<'_>) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut content) = (String::new(), shape.zero());
    for part in Reader::new(bytes) {
        match part? {
            (1, Payload::Bytes(bytes)) => key = utf8(bytes, field)?,
            // A list as a map's value is a message of its own, with the items in its first field.
            (2, Payload::Bytes(bytes)) if matches!(shape, Shape::List(_)) => {
                for item in Reader::new(bytes) {
                    if let (1, payload) = item? {
                        value(shape, payload, &mut content, field, limits)?;
                    }
                }
            }
            (2, payload) => value(shape, payload, &mut content, field, limits)?,
            _ => {}
        }
    }
    Ok((key, content))
}

/// resource.Quantity: string = 1.
fn quantity(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut text = Value::from("0");
    for field in Reader::new(bytes) {
        if let (1, Payload::Bytes(bytes)) = field? {
            text = utf8(bytes, "string")?.into();
        }
    }
    Ok(text)
}

/// intstr.IntOrString: type = 1 (0 is the number), intVal = 2, strVal = 3.
fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Reader::new(bytes) {
        match field? {
            (1, Payload::Varint(kind)) => is_text = kind == 1,
            (2, Payload::Varint(value)) => number = value.cast_signed(),
            (3, Payload::Bytes(bytes)) => text = utf8(bytes, "strVal")?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// v1.Time: seconds = 1, nanos = 2; an empty message is no time.
fn time(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i32);
    for field in Reader::new(bytes) {
        match field? {
            (1, Payload::Varint(value)) => seconds = value.cast_signed(),
            (2, Payload::Varint(value)) => nanos = i32::try_from(value).unwrap_or_default(),
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|_| ProtobufError::Overflow)?;
    Ok(time.to_string().into())
}

/// Managed fields and raw extensions: JSON = 1.
fn any(bytes: &[u8], name: &str) -> Result<Value, ProtobufError> {
    let mut value = Value::Null;
    for field in Reader::new(bytes) {
        if let (1, Payload::Bytes(bytes)) = field? {
            value = serde_json::from_slice(bytes).map_err(|_| ProtobufError::Json { field: name.to_owned() })?;
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_fields_that_exist() {
        for (name, entries) in FIELDS.iter() {
            let schema = schema::components().keys().find(|schema| short(schema) == *name);
            // Embedded structs are in no schema of their own.
            let Some(object) = schema.and_then(|schema| schema::object(schema)) else { continue };
            for entry in entries.values() {
                match entry {
                    Entry::Field(field) => assert!(object.fields.contains_key(*field), "{name}.{field}"),
                    Entry::Inline(message) => assert!(FIELDS.contains_key(message), "{message}"),
                }
            }
        }
    }
}
