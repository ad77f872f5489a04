//! What one object has that another has not (sigs.k8s.io/structured-merge-diff/typed/compare.go).

use serde_json::{Map, Value};

use super::lists::{ListType, is_atomic, list_type};
use super::set::Set;
use crate::schema::{self, ObjectType, Shape};

/// Fields of `metadata` that nobody owns: the server's own.
const NOBODYS: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

#[derive(Debug, Default)]
pub(super) struct Difference {
    /// What is new or has another value.
    pub(super) changed: Set,
    pub(super) removed: Set,
}

/// Types are a dozen deep; what goes on is compared as a whole.
const DEPTH: usize = 32;

pub(super) fn difference(schema: &str, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    if let Some(object) = schema::object(schema) {
        fields(object, Some(old), Some(new), &mut difference.changed, &mut difference.removed, 0);
    }
    for set in [&mut difference.changed, &mut difference.removed] {
        set.member = false;
        for name in ["f:apiVersion", "f:kind"] {
            set.remove(name);
        }
        let metadata = set.child("f:metadata".to_owned());
        metadata.member = false;
        NOBODYS.iter().for_each(|name| metadata.remove(&format!("f:{name}")));
        set.prune();
    }
    difference
}

/// The object that Go makes of a kind before it is read: what is always there, with nothing in it.
#[must_use]
pub fn zero(schema: &str) -> Value {
    fn of(shape: &Shape, depth: usize) -> Value {
        match shape {
            Shape::Object(name) if depth < DEPTH => object(name, depth + 1),
            shape => shape.zero(),
        }
    }
    fn object(schema: &str, depth: usize) -> Value {
        let fields = schema::object(schema).map(|object| &object.fields);
        let always = fields.into_iter().flatten().filter(|(_, field)| field.always);
        Value::Object(always.map(|(name, field)| (name.clone(), of(&field.shape, depth))).collect())
    }
    object(schema, 0)
}

/// Notes that a value came or went, and whether anything is left to look at.
fn presence(old: Option<&Value>, new: Option<&Value>, changed: &mut Set, removed: &mut Set) {
    changed.member |= old.is_none();
    removed.member |= new.is_none();
}

fn leaf(old: Option<&Value>, new: Option<&Value>, changed: &mut Set, removed: &mut Set) {
    presence(old, new, changed, removed);
    changed.member |= old.is_some() && new.is_some() && old != new;
}

fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    }
}

fn value(
    (holder, field): (&str, &str),
    shape: &Shape,
    old: Option<&Value>,
    new: Option<&Value>,
    (changed, removed): (&mut Set, &mut Set),
    depth: usize,
) {
    let whole = depth >= DEPTH || is_atomic(holder, field) || (is_nothing(old) && is_nothing(new));
    match shape {
        Shape::Object(name) if !whole => match schema::object(name) {
            Some(object) if !is_atomic(object.go_name(), "") => {
                presence(old, new, changed, removed);
                fields(object, old, new, changed, removed, depth + 1);
            }
            _ => leaf(old, new, changed, removed),
        },
        Shape::Map(item) if !whole => {
            presence(old, new, changed, removed);
            for key in keys(old, new) {
                let element = format!("f:{key}");
                let below = (changed.child(element.clone()), removed.child(element));
                value(("", ""), item, entry(old, key), entry(new, key), below, depth + 1);
            }
        }
        Shape::List(item) if !whole => match list_type(holder, field) {
            ListType::Atomic => leaf(old, new, changed, removed),
            kind => {
                presence(old, new, changed, removed);
                items(kind, item, old, new, (changed, removed), depth);
            }
        },
        _ => leaf(old, new, changed, removed),
    }
}

fn fields(
    object: &ObjectType,
    old: Option<&Value>,
    new: Option<&Value>,
    changed: &mut Set,
    removed: &mut Set,
    depth: usize,
) {
    for key in keys(old, new) {
        let Some(field) = object.fields.get(key) else { continue };
        let element = format!("f:{key}");
        let below = (changed.child(element.clone()), removed.child(element));
        value((object.go_name(), key), &field.shape, entry(old, key), entry(new, key), below, depth);
    }
}

/// Items are the same when they have the same keys, or are the same value.
fn items(
    kind: ListType,
    shape: &Shape,
    old: Option<&Value>,
    new: Option<&Value>,
    (changed, removed): (&mut Set, &mut Set),
    depth: usize,
) {
    let list = |value: Option<&'_ Value>| -> Vec<(String, Value)> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.map(|item| (kind.element(item), item.clone())).collect()
    };
    let (old, new) = (list(old), list(new));
    let find = |list: &[(String, Value)], element: &str| {
        list.iter().find(|(known, _)| known == element).map(|(_, item)| item.clone())
    };
    for (element, _) in old.iter().chain(new.iter().filter(|(element, _)| find(&old, element).is_none())) {
        let (before, after) = (find(&old, element), find(&new, element));
        let below = (changed.child(element.clone()), removed.child(element.clone()));
        value(("", ""), shape, before.as_ref(), after.as_ref(), below, depth + 1);
    }
}

fn entry<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    value.and_then(|value| value.get(key))
}

fn keys<'a>(old: Option<&'a Value>, new: Option<&'a Value>) -> impl Iterator<Item = &'a str> {
    fn map(value: Option<&Value>) -> Option<&Map<String, Value>> {
        value.and_then(Value::as_object)
    }
    let known = map(old);
    let added =
        map(new).into_iter().flat_map(Map::keys).filter(move |key| known.is_none_or(|old| !old.contains_key(*key)));
    known.into_iter().flat_map(Map::keys).chain(added).map(String::as_str)
}
