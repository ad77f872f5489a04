//! Short ways into JSON objects: what is missing reads as empty, never as an error.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// The value at a path of keys; null where there is none.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().try_fold(value, |value, key| value.get(key)).unwrap_or(&NULL)
}

/// The text at a path; empty where there is none.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The integer at a path; zero where there is none.
#[must_use]
pub fn integer(value: &Value, path: &[&str]) -> i64 {
    at(value, path).as_i64().unwrap_or_default()
}

/// The boolean at a path; false where there is none.
#[must_use]
pub fn truth(value: &Value, path: &[&str]) -> bool {
    at(value, path).as_bool().unwrap_or_default()
}

/// The items of the list at a path.
#[must_use]
pub fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// The items of the list at a path, to be changed.
pub fn list_mut<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut [Value] {
    let found = path.iter().try_fold(value, |value, key| value.get_mut(key));
    found.and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

/// The entries of the map at a path, in alphabetical order.
pub fn entries<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = (&'a String, &'a Value)> {
    at(value, path).as_object().into_iter().flatten()
}

/// The object at a path, made where there is none.
pub fn object_mut<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut value = value;
    for key in path {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        value = &mut value[*key];
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

/// Sets a field that is not there yet, or is null.
pub fn set_default(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(key).is_none_or(Value::is_null)
    {
        map.insert(key.to_owned(), value.into());
    }
}
