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

/// Sets without empty branches.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// What is new or has another value.
    pub(super) changed: Set,
    pub(super) removed: Set,
}

impl Difference {
    /// Whether the value itself came or went.
    fn presence(old: Option<&Value>, new: Option<&Value>) -> Self {
        let mut difference = Self::default();
        difference.changed.member = old.is_none();
        difference.removed.member = new.is_none();
        difference
    }

    /// A value that is one thing.
    fn leaf(old: Option<&Value>, new: Option<&Value>) -> Self {
        let mut difference = Self::presence(old, new);
        difference.changed.member |= old != new && new.is_some();
        difference
    }

    /// Adds what differs below `element`. Most of the fields of an object do not differ: those cost nothing.
    fn add(&mut self, element: impl FnOnce() -> String, below: Self) {
        match (below.changed.is_empty(), below.removed.is_empty()) {
            (true, true) => {}
            (false, true) => self.changed.add(element(), below.changed),
            (true, false) => self.removed.add(element(), below.removed),
            (false, false) => {
                let element = element();
                self.changed.add(element.clone(), below.changed);
                self.removed.add(element, below.removed);
            }
        }
    }
}

/// Types are a dozen deep; what goes on is compared as a whole.
const DEPTH: usize = 32;

pub(super) fn difference(schema: &str, old: &Value, new: &Value) -> Difference {
    let mut difference = Difference::default();
    if let Some(object) = schema::object(schema) {
        fields(object, Some(old), Some(new), &mut difference, 0);
    }
    for set in [&mut difference.changed, &mut difference.removed] {
        for name in ["f:apiVersion", "f:kind"] {
            set.remove(name);
        }
        set.change("f:metadata", |metadata| {
            metadata.member = false;
            NOBODYS.iter().for_each(|name| metadata.remove(&format!("f:{name}")));
        });
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
    depth: usize,
) -> Difference {
    // What both sides have alike is nobody's doing.
    if old == new {
        return Difference::default();
    }
    let whole = depth >= DEPTH || is_atomic(holder, field) || (is_nothing(old) && is_nothing(new));
    match shape {
        Shape::Object(name) if !whole => match schema::object(name) {
            Some(object) if !is_atomic(object.go_name(), "") => {
                let mut difference = Difference::presence(old, new);
                fields(object, old, new, &mut difference, depth + 1);
                difference
            }
            _ => Difference::leaf(old, new),
        },
        Shape::Map(item) if !whole => {
            let mut difference = Difference::presence(old, new);
            for key in keys(old, new) {
                let below = value(("", ""), item, entry(old, key), entry(new, key), depth + 1);
                difference.add(|| format!("f:{key}"), below);
            }
            difference
        }
        Shape::List(item) if !whole => match list_type(holder, field) {
            ListType::Atomic => Difference::leaf(old, new),
            kind => items(kind, item, old, new, depth),
        },
        _ => Difference::leaf(old, new),
    }
}

fn fields(object: &ObjectType, old: Option<&Value>, new: Option<&Value>, difference: &mut Difference, depth: usize) {
    let holder = object.go_name();
    for key in keys(old, new) {
        let Some(field) = object.fields.get(key) else { continue };
        let below = value((holder, key), &field.shape, entry(old, key), entry(new, key), depth);
        difference.add(|| format!("f:{key}"), below);
    }
}

/// Items are the same when they have the same keys, or are the same value.
fn items(kind: ListType, shape: &Shape, old: Option<&Value>, new: Option<&Value>, depth: usize) -> Difference {
    fn list(kind: ListType, value: Option<&Value>) -> Vec<(String, &Value)> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.map(|item| (kind.element(item), item)).collect()
    }
    fn find<'a>(list: &[(String, &'a Value)], element: &str) -> Option<&'a Value> {
        list.iter().find(|(known, _)| known == element).map(|(_, item)| *item)
    }
    let mut difference = Difference::presence(old, new);
    let (old, new) = (list(kind, old), list(kind, new));
    for (element, _) in old.iter().chain(new.iter().filter(|(element, _)| find(&old, element).is_none())) {
        let below = value(("", ""), shape, find(&old, element), find(&new, element), depth + 1);
        difference.add(|| element.clone(), below);
    }
    difference
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
