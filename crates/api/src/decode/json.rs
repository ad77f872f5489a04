//! JSON into a value, noticing keys that come twice, and stopping where a small body would become a large value.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{MAX_BODY_BYTES, MAX_VALUES, Parsed, TOO_MANY_VALUES};

/// Findings beyond this many are not told (sigs.k8s.io/json keeps as many).
const MAX_FINDINGS: usize = 100;

/// Reads one JSON document; nesting is limited by serde_json (128), what it holds by [`MAX_VALUES`].
pub(super) fn parse(body: &[u8]) -> Result<Parsed, String> {
    let (value, duplicate_fields) =
        read(body).map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    Ok(Parsed { value, duplicate_fields })
}

/// The value, and the paths of keys that came twice.
pub(super) fn read(body: &[u8]) -> serde_json::Result<(Value, Vec<String>)> {
    let document = Document { duplicates: RefCell::default(), written: Cell::default(), left: Cell::new(MAX_VALUES) };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Node { place: Place::Root, document: &document }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, document.duplicates.into_inner()))
}

/// What all values of a document share.
struct Document {
    duplicates: RefCell<Vec<String>>,
    /// Bytes of paths that were written for them, told or not.
    written: Cell<usize>,
    /// How many more values it may have.
    left: Cell<usize>,
}

/// Where a value is. Only a finding makes a path of it: paths of all values together would be far larger than the body.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl Document {
    fn came_twice(&self, place: &Place<'_>) {
        let mut duplicates = self.duplicates.borrow_mut();
        if duplicates.len() < MAX_FINDINGS && self.written.get() < MAX_BODY_BYTES {
            let path = place.to_string();
            self.written.update(|written| written + path.len());
            if !duplicates.contains(&path) {
                duplicates.push(path);
            }
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(holder, name) => write!(f, "{holder}.{name}"),
            Self::Item(list, index) => write!(f, "{list}[{index}]"),
        }
    }
}

/// A value that is about to be read.
#[derive(Clone, Copy)]
struct Node<'a> {
    place: Place<'a>,
    document: &'a Document,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.document.left.get().checked_sub(1);
        self.document.left.set(left.ok_or_else(|| D::Error::custom(TOO_MANY_VALUES))?);
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
        while let Some(item) = items.next_element_seed(Node { place: Place::Item(&self.place, list.len()), ..self })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = Place::Field(&self.place, &key);
            let value = entries.next_value_seed(Node { place, document: self.document })?;
            if object.contains_key(&key) {
                self.document.came_twice(&Place::Field(&self.place, &key));
            }
            object.insert(key, value);
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

    #[test]
    fn a_document_has_so_many_values_and_no_more() {
        let list = |items: usize| format!("[{}]", vec!["0"; items].join(","));
        assert!(parse(list(MAX_VALUES - 1).as_bytes()).is_ok());
        let error = parse(list(MAX_VALUES).as_bytes()).unwrap_err();
        assert!(error.contains(TOO_MANY_VALUES), "{error}");
    }
}
