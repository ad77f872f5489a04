//! JSON into a value, noticing keys that come twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Parsed;

/// Findings beyond this many are not told (sigs.k8s.io/json keeps as many).
const MAX_FINDINGS: usize = 100;

/// Reads one JSON document; nesting is limited by serde_json (128).
pub(super) fn parse(body: &[u8]) -> Result<Parsed, String> {
    let duplicates = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Node { path: String::new(), duplicates: &duplicates }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    Ok(Parsed { value, duplicate_fields: duplicates.into_inner() })
}

/// A value at a path.
struct Node<'a> {
    path: String,
    duplicates: &'a RefCell<Vec<String>>,
}

impl Node<'_> {
    fn field(&self, name: &str) -> Node<'_> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Node { path, duplicates: self.duplicates }
    }

    fn item(&self, index: usize) -> Node<'_> {
        Node { path: format!("{}[{index}]", self.path), duplicates: self.duplicates }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.item(list.len()))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let node = self.field(&key);
            let path = node.path.clone();
            let value = entries.next_value_seed(node)?;
            if object.insert(key, value).is_some() {
                let mut duplicates = self.duplicates.borrow_mut();
                if duplicates.len() < MAX_FINDINGS && !duplicates.contains(&path) {
                    duplicates.push(path);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_twice_is_told_and_the_last_counts() {
        let parsed = parse(br#"{"spec":{"containers":[{"name":"a","name":"b"}]},"kind":"Pod"}"#).unwrap();
        assert_eq!(parsed.duplicate_fields, ["spec.containers[0].name"]);
        assert_eq!(parsed.value["spec"]["containers"][0]["name"], "b");
    }

    #[test]
    fn nesting_and_trailing_text_are_errors() {
        assert!(parse("[".repeat(5000).as_bytes()).is_err());
        assert!(parse(b"{} {}").is_err());
    }
}
