//! Objects as the store keeps them: compact JSON whose one variable part is the resourceVersion.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

/// The metadata fields that stand in front of the resourceVersion, in the order of the real server's answers.
const BEFORE_VERSION: [&str; 5] = ["name", "generateName", "namespace", "selfLink", "uid"];
/// Those that follow it in a fixed order; others come after them.
const AFTER_VERSION: [&str; 6] =
    ["generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations"];

/// An object that is about to be written: its JSON, but for the resourceVersion that only the writer knows.
#[derive(Clone, Debug)]
pub struct Draft {
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// An object in the store.
#[derive(Debug)]
pub struct Object {
    pub revision: u64,
    bytes: Arc<[u8]>,
    /// Where the digits of the resourceVersion begin in `bytes`.
    version_at: u32,
    /// The part that selectors look at, once somebody has asked for it.
    projection: OnceLock<Box<Value>>,
}

impl Draft {
    /// The JSON of `object`: kind, apiVersion and metadata first, then the rest. Its own resourceVersion is dropped.
    pub fn new(object: &Value) -> Self {
        let nothing = Map::new();
        let fields = object.as_object().unwrap_or(&nothing);
        let metadata = fields.get("metadata").and_then(Value::as_object).unwrap_or(&nothing);

        let mut head = Vec::with_capacity(256);
        head.push(b'{');
        for name in ["kind", "apiVersion"] {
            if let Some(value) = fields.get(name) {
                field(&mut head, name, value);
            }
        }
        head.extend_from_slice(b"\"metadata\":{");
        for name in BEFORE_VERSION {
            if let Some(value) = metadata.get(name) {
                field(&mut head, name, value);
            }
        }
        head.extend_from_slice(b"\"resourceVersion\":\"");

        let mut tail = Vec::with_capacity(1024);
        tail.extend_from_slice(b"\",");
        for name in AFTER_VERSION {
            if let Some(value) = metadata.get(name) {
                field(&mut tail, name, value);
            }
        }
        let placed =
            |name: &str| name == "resourceVersion" || BEFORE_VERSION.contains(&name) || AFTER_VERSION.contains(&name);
        for (name, value) in metadata.iter().filter(|(name, _)| !placed(name)) {
            field(&mut tail, name, value);
        }
        close(&mut tail);
        tail.push(b',');
        for (name, value) in fields.iter().filter(|(name, _)| !["kind", "apiVersion", "metadata"].contains(&&***name)) {
            field(&mut tail, name, value);
        }
        close(&mut tail);
        Self { head, tail }
    }

    /// How large the object will be, but for the digits of its revision.
    pub(super) fn bytes(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// The object at a revision.
    pub fn at(&self, revision: u64) -> Object {
        let digits = revision.to_string();
        let bytes = [self.head.as_slice(), digits.as_bytes(), self.tail.as_slice()].concat();
        // The store takes none so large that this could overflow.
        Object::from_parts(revision, u32::try_from(self.head.len()).unwrap_or(0), bytes)
    }
}

impl Object {
    pub(super) fn from_parts(revision: u64, version_at: u32, bytes: Vec<u8>) -> Self {
        Self { revision, bytes: bytes.into(), version_at, projection: OnceLock::new() }
    }

    /// The object as JSON, complete with kind and apiVersion.
    pub fn json(&self) -> &[u8] {
        &self.bytes
    }

    /// The JSON behind kind and apiVersion, without the opening brace: what an item of a list is.
    pub fn json_without_kind(&self) -> &[u8] {
        // Drafts begin with kind and apiVersion, then metadata; the first key of that name is the object's own.
        const METADATA: &[u8] = b"\"metadata\":{";
        let at = self.bytes.windows(METADATA.len()).position(|window| window == METADATA);
        &self.bytes[at.unwrap_or(1)..]
    }

    /// The JSON, shared: what an answer sends without a copy.
    pub fn shared_json(&self) -> bytes::Bytes {
        struct Shared(Arc<[u8]>);
        impl AsRef<[u8]> for Shared {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        bytes::Bytes::from_owner(Shared(self.bytes.clone()))
    }

    /// The object, decoded. What the store holds was JSON when it came in, so Null cannot happen.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The part of the object that selectors look at; `project` makes it the first time.
    pub fn projection(&self, project: impl FnOnce(&Value) -> Value) -> &Value {
        self.projection.get_or_init(|| Box::new(project(&self.value())))
    }

    pub(super) fn version_at(&self) -> u32 {
        self.version_at
    }

    /// The same object with another resourceVersion.
    pub(super) fn moved_to(&self, revision: u64) -> Self {
        let at = self.version_at as usize;
        let digits = self.revision.to_string().len();
        let bytes = [&self.bytes[..at], revision.to_string().as_bytes(), &self.bytes[at + digits..]].concat();
        Self::from_parts(revision, self.version_at, bytes)
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &Value) {
    // Writing JSON values into memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, name);
    out.push(b':');
    let _ = serde_json::to_writer(&mut *out, value);
    out.push(b',');
}

/// Ends a list of fields: the comma behind the last one becomes the brace.
fn close(out: &mut Vec<u8>) {
    match out.last_mut() {
        Some(last) if *last == b',' => *last = b'}',
        _ => out.push(b'}'),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_draft_becomes_the_object_at_its_revision() {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "data": {"metadata": {"a": 1}},
            "metadata": {"name": "a", "resourceVersion": "7", "uid": "u", "finalizers": ["x"], "labels": {"k": "v"}}});
        let stored = Draft::new(&object).at(12);
        assert_eq!(
            std::str::from_utf8(stored.json()).unwrap(),
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"12","labels":{"k":"v"},"finalizers":["x"]},"data":{"metadata":{"a":1}}}"#
        );
        let moved = stored.moved_to(100);
        assert_eq!(moved.value()["metadata"]["resourceVersion"], "100");
        assert_eq!(moved.moved_to(12).json(), stored.json());
    }

    #[test]
    fn an_object_of_nothing_is_still_json() {
        assert_eq!(Draft::new(&json!({})).at(3).value(), json!({"metadata": {"resourceVersion": "3"}}));
        assert_eq!(Draft::new(&json!({"spec": {}})).at(3).value()["spec"], json!({}));
    }
}
