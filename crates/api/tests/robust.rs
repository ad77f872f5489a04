//! Whatever a client sends, of any kind: it is refused, or it goes through everything a write and a read go through.

use podlab_api::decode::{self, Kind};
use podlab_api::registry::{self, Resource};
use podlab_api::schema::{self, Shape};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Map, Value, json};

/// Objects inside objects at most.
const DEPTH: usize = 7;

/// A value of a shape, or now and then one of another.
fn value(shape: &Shape, depth: usize, random: &mut TestRng) -> Value {
    if random.random_ratio(1, 2000) {
        return [Value::Null, json!(-1), json!(""), json!([null]), json!({}), json!(true)][random.random_range(0..6)]
            .clone();
    }
    let text = |random: &mut TestRng| {
        const TEXTS: [&str; 12] =
            ["", "a", "kuard", "Not Valid!", "..", "../x", "Always", "node1", "10.0.0.1", "50%", "a=b", "Localhost"];
        Value::from(TEXTS[random.random_range(0..TEXTS.len())])
    };
    match shape {
        Shape::Boolean => random.random_bool(0.5).into(),
        Shape::Int32 | Shape::Int64 => [-1_i64, 0, 1, 80, 70_000][random.random_range(0..5)].into(),
        Shape::Number => json!(0.5),
        Shape::Text => text(random),
        Shape::Bytes => "aGVsbG8=".into(),
        Shape::Quantity => ["0", "100m", "1Gi", "-1", "1e3"][random.random_range(0..5)].into(),
        Shape::IntOrString => [json!(80), json!("http"), json!("25%")][random.random_range(0..3)].clone(),
        Shape::Time | Shape::MicroTime => "2026-11-20T18:50:49Z".into(),
        Shape::Any => json!({"any": 1}),
        Shape::List(item) => {
            let length = random.random_range(0..3);
            (0..length).map(|_| value(item, depth, random)).collect::<Vec<_>>().into()
        }
        Shape::Map(item) => {
            let keys = ["cpu", "memory", "app", "a b"];
            let count = random.random_range(0..3);
            let entries = keys.iter().take(count).map(|key| ((*key).to_owned(), value(item, depth, random)));
            Value::Object(entries.collect())
        }
        Shape::Object(name) => object(name, depth, random),
    }
}

/// An object with some of its type's fields.
fn object(name: &str, depth: usize, random: &mut TestRng) -> Value {
    let mut fields = Map::new();
    if let (Some(object), Some(depth)) = (schema::object(name), depth.checked_sub(1)) {
        for (name, field) in &object.fields {
            if random.random_bool(if field.always { 0.9 } else { 0.35 }) {
                fields.insert(name.clone(), value(&field.shape, depth, random));
            }
        }
    }
    fields.into()
}

/// Decodes, defaults, prepares, validates and prints, as a create, an update and a status update.
fn go_through(resource: &Resource, mut first: Value, mut second: Value) {
    for object in [&mut first, &mut second] {
        object["apiVersion"] = resource.api_version().into();
        object["kind"] = resource.kind.into();
    }
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut stored: Option<Value> = None;
    for (value, subresource) in [(first, None), (second.clone(), None), (second, Some("status"))] {
        let Ok(decoded) = decode::check(&Kind::from(resource), value, b"") else { continue };
        assert_eq!(decoded.findings, Vec::<String>::new());
        let mut object = decoded.object;
        (resource.default)(&mut object);
        (resource.prepare)(&mut object, stored.as_ref(), subresource);
        for error in (resource.validate)(&object, stored.as_ref(), subresource) {
            assert!(!error.to_string().is_empty());
        }
        assert_eq!((resource.row)(&object, now).len(), resource.columns.len());
        // What is stored is read again: it has to be of its type still.
        let again = decode::typed(resource.schema, object.clone());
        assert!(again.is_ok(), "{} {object}: {again:?}", resource.kind);
        stored = Some(object);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_kind_survives_anything(seed in any::<[u8; 32]>()) {
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        for resource in registry::all() {
            let first = object(resource.schema, DEPTH, &mut random);
            let second = object(resource.schema, DEPTH, &mut random);
            go_through(resource, first, second);
        }
    }
}
