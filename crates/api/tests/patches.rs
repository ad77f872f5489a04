//! Patches between random objects: what a client computes as the difference of two, applied to the first, is the second.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use podlab_api::patch::{self, PatchKind, strategy};
use podlab_api::schema::{self, ObjectType, Shape};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Map, Value, json};

/// Types that have every kind of merging: by keys, as sets, keys retained, replaced.
const TYPES: [&str; 4] = [
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.Node",
    "io.k8s.api.apps.v1.Deployment",
];
/// Objects inside objects at most.
const DEPTH: usize = 7;

/// A value of a shape. No nulls: in a patch they remove.
fn value(shape: &Shape, depth: usize, random: &mut TestRng) -> Value {
    match shape {
        Shape::Boolean => random.random_bool(0.5).into(),
        Shape::Int32 | Shape::Int64 | Shape::Number | Shape::IntOrString => random.random_range(0..4).into(),
        Shape::List(item) => (0..random.random_range(0..4)).map(|_| value(item, depth, random)).collect(),
        Shape::Map(item) => {
            let keys = ["a", "b", "c"].iter().filter(|_| random.random_bool(0.5)).copied().collect::<Vec<_>>();
            keys.into_iter().map(|key| (key.to_owned(), value(item, depth, random))).collect::<Map<_, _>>().into()
        }
        Shape::Object(name) => match (schema::object(name), depth.checked_sub(1)) {
            (Some(kind), Some(depth)) => object(kind, depth, random).into(),
            _ => json!({}),
        },
        _ => ["x", "y", "z"][random.random_range(0..3)].into(),
    }
}

/// Some fields of a type; items of a list that is merged are all different, as a valid object's are.
fn object(kind: &ObjectType, depth: usize, random: &mut TestRng) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, field) in &kind.fields {
        if !random.random_bool(0.3) {
            continue;
        }
        let mut made = value(&field.shape, depth, random);
        let rule = strategy(kind.go_name(), name);
        if let (true, Value::Array(items)) = (rule.merge, &mut made) {
            let mut seen = Vec::new();
            items.retain_mut(|item| {
                if let Value::Object(item) = item {
                    item.entry(rule.merge_key).or_insert_with(|| json!(random.random_range(0..4).to_string()));
                }
                let new = identity(item, rule.merge_key);
                let first = !seen.contains(&new);
                seen.push(new);
                first
            });
        }
        fields.insert(name.clone(), made);
    }
    fields
}

fn identity(item: &Value, key: &str) -> Value {
    if key.is_empty() { item.clone() } else { item[key].clone() }
}

/// A merge patch from one object to the other (RFC 7386).
fn merge_difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let gone = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = to.iter().filter(|(key, value)| from.get(*key) != Some(value));
    let changed = changed.map(|(key, value)| {
        (key.clone(), from.get(key).map_or_else(|| value.clone(), |from| merge_difference(from, value)))
    });
    gone.chain(changed).collect::<Map<_, _>>().into()
}

/// A strategic merge patch, as kubectl computes it (k8s.io/apimachinery/pkg/util/strategicpatch).
fn strategic_difference(
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    kind: Option<&ObjectType>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, to) in to.iter().filter(|(key, value)| from.get(*key) != Some(value)) {
        let rule = strategy(kind.map_or("", ObjectType::go_name), key);
        let shape = kind.and_then(|kind| kind.fields.get(key)).map(|field| &field.shape);
        match (from.get(key), to) {
            (Some(Value::Object(from)), Value::Object(to)) => {
                let mut inner = strategic_difference(from, to, held(shape));
                if rule.retain_keys {
                    inner.insert("$retainKeys".into(), to.keys().cloned().collect());
                }
                patch.insert(key.clone(), inner.into());
            }
            (Some(Value::Array(from)), Value::Array(to)) if rule.merge => {
                let order = to.iter().map(|item| match rule.merge_key {
                    "" => item.clone(),
                    key => json!({ key: item[key] }),
                });
                patch.insert(format!("$setElementOrder/{key}"), order.collect());
                list_difference(&mut patch, key, from, to, rule, held(shape));
            }
            _ => drop(patch.insert(key.clone(), to.clone())),
        }
    }
    patch
}

fn list_difference(
    patch: &mut Map<String, Value>,
    name: &str,
    from: &[Value],
    to: &[Value],
    rule: podlab_api::patch::Strategy,
    kind: Option<&ObjectType>,
) {
    let key = rule.merge_key;
    let same =
        |list: &[Value], item: &Value| list.iter().find(|other| identity(other, key) == identity(item, key)).cloned();
    let gone: Vec<&Value> = from.iter().filter(|item| same(to, item).is_none()).collect();
    if key.is_empty() {
        if !gone.is_empty() {
            patch.insert(format!("$deleteFromPrimitiveList/{name}"), gone.into_iter().cloned().collect());
        }
        let new: Vec<Value> = to.iter().filter(|item| !from.contains(item)).cloned().collect();
        if !new.is_empty() {
            patch.insert(name.to_owned(), new.into());
        }
        return;
    }
    let mut items: Vec<Value> = gone.iter().map(|item| json!({key: item[key], "$patch": "delete"})).collect();
    for item in to {
        match same(from, item) {
            None => items.push(item.clone()),
            Some(old) if old != *item => {
                let (Value::Object(old), Value::Object(new)) = (&old, item) else { continue };
                let mut inner = strategic_difference(old, new, kind);
                inner.insert(key.to_owned(), new[key].clone());
                if rule.retain_keys {
                    inner.insert("$retainKeys".into(), new.keys().cloned().collect());
                }
                items.push(inner.into());
            }
            Some(_) => {}
        }
    }
    if !items.is_empty() {
        patch.insert(name.to_owned(), items.into());
    }
}

/// The type of the objects that a shape holds.
fn held(shape: Option<&Shape>) -> Option<&'static ObjectType> {
    match shape? {
        Shape::Object(name) => schema::object(name),
        Shape::List(item) | Shape::Map(item) => held(Some(item)),
        _ => None,
    }
}

/// Two objects of each type: unlike each other, and alike but for some fields.
fn pairs(seed: [u8; 32]) -> Vec<(&'static str, Value, Value)> {
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut pairs = Vec::new();
    for name in TYPES {
        let kind = schema::object(name).unwrap();
        let from = object(kind, DEPTH, &mut random);
        let other = object(kind, DEPTH, &mut random);
        let mut alike = from.clone();
        alike.extend(other.clone().into_iter().filter(|(field, _)| field != "spec"));
        pairs.push((name, from.clone().into(), other.into()));
        pairs.push((name, from.into(), alike.into()));
    }
    pairs
}

fn patched(kind: PatchKind, name: &str, from: &Value, patch: &Value) -> Value {
    let result = patch::apply(kind, name, from, patch.to_string().as_bytes());
    result.unwrap_or_else(|error| panic!("{error}\n{from}\n{patch}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_json_patch_of_the_difference_gives_the_other(seed in any::<[u8; 32]>()) {
        for (name, from, to) in pairs(seed) {
            let patch = serde_json::to_value(json_patch::diff(&from, &to)).unwrap();
            prop_assert_eq!(patched(PatchKind::Json, name, &from, &patch), to);
        }
    }

    #[test]
    fn a_merge_patch_of_the_difference_gives_the_other(seed in any::<[u8; 32]>()) {
        for (name, from, to) in pairs(seed) {
            prop_assert_eq!(patched(PatchKind::Merge, name, &from, &merge_difference(&from, &to)), to);
        }
    }

    #[test]
    fn a_strategic_patch_of_the_difference_gives_the_other(seed in any::<[u8; 32]>()) {
        for (name, from, to) in pairs(seed) {
            let (Value::Object(first), Value::Object(second)) = (&from, &to) else { continue };
            let patch = strategic_difference(first, second, schema::object(name)).into();
            prop_assert_eq!(patched(PatchKind::Strategic, name, &from, &patch), to, "{} {}", from, patch);
        }
    }
}
