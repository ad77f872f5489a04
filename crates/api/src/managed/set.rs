//! Sets of fields, as `fieldsV1` writes them (sigs.k8s.io/structured-merge-diff/fieldpath).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

/// A tree of fields, of which some are in the set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// Whether the field itself is.
    pub(super) member: bool,
    /// `f:name` for a field, `k:{…}` for an item told by its keys, `v:…` for one told by its value.
    children: BTreeMap<String, Set>,
}

impl Set {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    pub(super) fn remove(&mut self, element: &str) {
        self.children.remove(element);
    }

    /// Adds a branch.
    pub(super) fn add(&mut self, element: String, child: Set) {
        match self.children.entry(element) {
            Entry::Vacant(place) => {
                place.insert(child);
            }
            Entry::Occupied(mut known) => known.get_mut().unite(child),
        }
    }

    /// Changes a branch, if it is there; one with nothing left goes.
    pub(super) fn change(&mut self, element: &str, change: impl FnOnce(&mut Set)) {
        let Some(child) = self.children.get_mut(element) else { return };
        change(child);
        if child.is_empty() {
            self.children.remove(element);
        }
    }

    pub(super) fn unite(&mut self, other: Set) {
        self.member |= other.member;
        if self.children.is_empty() {
            self.children = other.children;
            return;
        }
        for (element, child) in other.children {
            self.add(element, child);
        }
    }

    pub(super) fn subtract(&mut self, other: &Set) {
        self.member &= !other.member;
        for (element, child) in &other.children {
            if let Some(own) = self.children.get_mut(element) {
                own.subtract(child);
            }
        }
        self.children.retain(|_, child| !child.is_empty());
    }

    /// From `fieldsV1`. A field with nothing below it is in the set; one with something is when it says so by a dot.
    pub(super) fn read(fields: &Value) -> Self {
        let mut set = Set::default();
        for (element, below) in fields.as_object().into_iter().flatten() {
            if element == "." {
                set.member = true;
                continue;
            }
            let child = Set::read(below);
            let leaf = child.is_empty();
            set.children.insert(element.clone(), Set { member: child.member || leaf, ..child });
        }
        set
    }

    pub(super) fn write(&self) -> Value {
        let mut fields = Map::new();
        if self.member && !self.children.is_empty() {
            fields.insert(".".into(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            fields.insert(element.clone(), child.write());
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let fields = json!({"f:a": {".": {}, "f:b": {}}, "f:c": {"k:{\"x\":1}": {}}, "f:d": {}});
        assert_eq!(Set::read(&fields).write(), fields);
    }

    #[test]
    fn sets_are_united_and_subtracted_field_by_field() {
        let mut set = Set::read(&json!({"f:a": {".": {}, "f:b": {}}}));
        set.unite(Set::read(&json!({"f:a": {"f:c": {}}, "f:d": {}})));
        assert_eq!(set.write(), json!({"f:a": {".": {}, "f:b": {}, "f:c": {}}, "f:d": {}}));
        set.subtract(&Set::read(&json!({"f:a": {}, "f:d": {}})));
        assert_eq!(set.write(), json!({"f:a": {"f:b": {}, "f:c": {}}}));
        set.subtract(&Set::read(&json!({"f:a": {"f:b": {}, "f:c": {}}})));
        assert!(set.is_empty());
    }
}
