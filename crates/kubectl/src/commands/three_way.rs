//! The patch of `kubectl apply`: what was applied last, what is to be applied now, and what is there.
//!
//! Fields that were applied and no longer are, go; fields that somebody else set stay. Lists whose items have names are
//! merged by them where the type says so (k8s.io/apimachinery/pkg/util/strategicpatch/patch.go, `CreateThreeWayMergePatch`).

use podlab_api::patch::keys::{Strategy, strategy};
use podlab_api::schema::{self, ObjectType, Shape};
use serde_json::{Map, Value, json};

/// The patch that makes `current` have what `modified` says. `schema` is the name of the type, when it is known; else
/// lists are replaced as a whole.
pub(crate) fn three_way(original: &Value, modified: &Value, current: &Value, schema: Option<&str>) -> Value {
    Value::Object(maps(original, modified, current, schema.and_then(schema::object)))
}

fn held(shape: Option<&Shape>) -> Option<&'static ObjectType> {
    match shape? {
        Shape::Object(name) => schema::object(name),
        Shape::List(item) | Shape::Map(item) => held(Some(item)),
        _ => None,
    }
}

fn maps(original: &Value, modified: &Value, current: &Value, of: Option<&ObjectType>) -> Map<String, Value> {
    let empty = Map::new();
    let [original, modified, current] = [original, modified, current].map(|value| value.as_object().unwrap_or(&empty));
    let mut patch = Map::new();
    for (key, wanted) in modified {
        let plan =
            of.map_or(Strategy { merge_key: "", merge: false, retain_keys: false }, |of| strategy(of.go_name(), key));
        let inner = held(of.and_then(|of| of.fields.get(key)).map(|field| &field.shape));
        let before = original.get(key).unwrap_or(&Value::Null);
        match (wanted, current.get(key)) {
            (Value::Null, None) => {}
            (Value::Null, Some(_)) => {
                patch.insert(key.clone(), Value::Null);
            }
            (wanted, None) => {
                patch.insert(key.clone(), wanted.clone());
            }
            (Value::Object(fields), Some(there @ Value::Object(_))) => {
                let mut inner = maps(before, wanted, there, inner);
                if !inner.is_empty() {
                    if plan.retain_keys {
                        inner.insert("$retainKeys".into(), fields.keys().cloned().collect::<Vec<_>>().into());
                    }
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Array(items), Some(Value::Array(there))) if plan.merge => {
                let before = before.as_array().map_or(&[][..], Vec::as_slice);
                if plan.merge_key.is_empty() {
                    sets(&mut patch, key, before, items, there);
                } else {
                    lists(&mut patch, key, &plan, [before, items, there], inner);
                }
            }
            (wanted, Some(there)) if wanted == there => {}
            (wanted, Some(_)) => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    for key in original.keys().filter(|key| !modified.contains_key(*key) && current.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch
}

/// Lists of plain values that are merged as sets.
fn sets(patch: &mut Map<String, Value>, key: &str, before: &[Value], items: &[Value], there: &[Value]) {
    let more: Vec<Value> = items.iter().filter(|item| !there.contains(item)).cloned().collect();
    let less: Vec<Value> =
        before.iter().filter(|item| !items.contains(item) && there.contains(item)).cloned().collect();
    if !more.is_empty() {
        patch.insert(key.to_owned(), more.into());
    }
    if !less.is_empty() {
        patch.insert(format!("$deleteFromPrimitiveList/{key}"), less.into());
    }
}

/// Lists whose items have a name.
fn lists(
    patch: &mut Map<String, Value>,
    key: &str,
    plan: &Strategy,
    [before, items, there]: [&[Value]; 3],
    of: Option<&ObjectType>,
) {
    let name = plan.merge_key;
    let find = |list: &'_ [Value], item: &Value| list.iter().find(|other| other[name] == item[name]).cloned();
    let mut changes = Vec::new();
    for item in items {
        match find(there, item) {
            None => changes.push(item.clone()),
            Some(found) => {
                let mut inner = maps(&find(before, item).unwrap_or(Value::Null), item, &found, of);
                if !inner.is_empty() {
                    if plan.retain_keys {
                        let fields: Vec<String> =
                            item.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
                        inner.insert("$retainKeys".into(), fields.into());
                    }
                    inner.insert(name.to_owned(), item[name].clone());
                    changes.push(Value::Object(inner));
                }
            }
        }
    }
    for item in before {
        if find(items, item).is_none() && find(there, item).is_some() {
            changes.push(json!({ "$patch": "delete", name: item[name] }));
        }
    }
    if !changes.is_empty() {
        let order: Vec<Value> = items.iter().map(|item| json!({ name: item[name] })).collect();
        patch.insert(format!("$setElementOrder/{key}"), order.into());
        patch.insert(key.to_owned(), changes.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: Option<&str> = Some("io.k8s.api.core.v1.Pod");

    #[test]
    fn what_others_set_stays_and_what_is_no_longer_applied_goes() {
        let original = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let modified = json!({"metadata": {"labels": {"a": "1"}}});
        let current = json!({"metadata": {"labels": {"a": "1", "b": "2", "c": "3"}}, "status": {}});
        assert_eq!(three_way(&original, &modified, &current, POD), json!({"metadata": {"labels": {"b": null}}}));
        assert_eq!(three_way(&modified, &modified, &current, POD), json!({}));
    }

    #[test]
    fn containers_are_merged_by_name() {
        let object = |image: &str| json!({"spec": {"containers": [{"name": "a", "image": image}]}});
        let current = json!({"spec": {"containers": [{"name": "a", "image": "x", "imagePullPolicy": "Always"}]}});
        assert_eq!(three_way(&object("x"), &object("x"), &current, POD), json!({}));
        let expected = json!({"spec": {
            "$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a", "image": "y"}],
        }});
        assert_eq!(three_way(&object("x"), &object("y"), &current, POD), expected);
        let without = json!({"spec": {"containers": [{"name": "b", "image": "z"}]}});
        let patch = three_way(&object("x"), &without, &current, POD);
        assert_eq!(patch["spec"]["containers"][1], json!({"$patch": "delete", "name": "a"}));
    }

    #[test]
    fn lists_of_unknown_types_are_replaced() {
        let current = json!({"spec": {"items": [{"name": "a"}, {"name": "b"}]}});
        let modified = json!({"spec": {"items": [{"name": "a"}]}});
        assert_eq!(three_way(&json!({}), &modified, &current, None), modified);
    }
}
