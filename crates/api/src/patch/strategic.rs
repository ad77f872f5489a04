//! Strategic merge patch: a merge patch that knows which lists have items with names
//! (k8s.io/apimachinery/pkg/util/strategicpatch/patch.go).
//!
//! Directives inside the patch say what a plain merge cannot: `$patch` (`replace`, `delete`, `merge`) in an object or an
//! item, `$retainKeys` beside fields, `$setElementOrder/LIST` and `$deleteFromPrimitiveList/LIST` beside a list.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::keys;
use crate::error::ApiError;
use crate::schema::{self, ObjectType, Shape};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Applies `patch` to an object of the type `schema`; types unknown to the table are merged as plain maps.
///
/// # Errors
/// [`ApiError::BadRequest`] for a directive that is none, [`ApiError::Unprocessable`] for an item without its key.
pub fn merge(object: &Value, patch: &Value, schema: &str) -> Result<Value, ApiError> {
    let (Value::Object(original), Value::Object(patch)) = (object, patch) else {
        return Err(ApiError::BadRequest("Invalid JSON document".to_owned()));
    };
    merge_map(original.clone(), patch, schema::object(schema)).map(Value::Object)
}

/// A field of the type, if both are known.
fn field<'a>(object: Option<&'a ObjectType>, name: &str) -> (Option<&'a Shape>, keys::Strategy) {
    let strategy = object.map_or_else(|| keys::strategy("", name), |object| keys::strategy(object.go_name(), name));
    (object.and_then(|object| object.fields.get(name)).map(|field| &field.shape), strategy)
}

/// The type of the objects that a shape holds, itself or as items.
fn held(shape: Option<&Shape>) -> Option<&'static ObjectType> {
    match shape? {
        Shape::Object(name) => schema::object(name),
        Shape::List(item) | Shape::Map(item) => held(Some(item)),
        _ => None,
    }
}

fn merge_map(
    mut original: Map<String, Value>,
    patch: &Map<String, Value>,
    object: Option<&ObjectType>,
) -> Result<Map<String, Value>, ApiError> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => return Ok(without_directives(patch)),
        Some("delete") => return Ok(Map::new()),
        Some(other) => return Err(unknown_directive(other)),
    }
    if let Some(retained) = patch.get(RETAIN_KEYS) {
        retain(&mut original, patch, retained)?;
    }
    for (key, value) in patch {
        if key == PATCH || key == RETAIN_KEYS {
            continue;
        }
        if let Some(list) = key.strip_prefix(DELETE) {
            delete_values(&mut original, list, value)?;
            continue;
        }
        if key.starts_with(ORDER) {
            continue;
        }
        if value.is_null() {
            original.remove(key);
            continue;
        }
        let (shape, strategy) = field(object, key);
        let merged = match (original.remove(key), value) {
            (Some(Value::Object(original)), Value::Object(patch)) => {
                Value::Object(merge_map(original, patch, held(shape))?)
            }
            (Some(Value::Array(original)), Value::Array(patch)) if strategy.merge => {
                let order = patch.clone();
                let merged = merge_list(original.clone(), patch, strategy.merge_key, held(shape))?;
                Value::Array(arrange(merged, &order, &original, strategy.merge_key))
            }
            // Not there, of another type, or a list that is replaced: what the patch says.
            (_, value) => plain(value),
        };
        original.insert(key.clone(), merged);
    }
    for (key, order) in patch {
        if let Some(list) = key.strip_prefix(ORDER) {
            set_order(&mut original, list, order, field(object, list).1, patch.get(list))?;
        }
    }
    Ok(original)
}

fn unknown_directive(directive: &str) -> ApiError {
    ApiError::BadRequest(format!("unknown patch type: {directive}"))
}

/// Removes what the patch does not retain; a patch that sets more than it retains contradicts itself.
fn retain(original: &mut Map<String, Value>, patch: &Map<String, Value>, keys: &Value) -> Result<(), ApiError> {
    const MALFORMED: &str = "invalid patch format of $retainKeys, each element in the $retainKeys list must be a key \
                             of the patch or of the object";
    let Value::Array(keys) = keys else { return Err(ApiError::BadRequest(MALFORMED.to_owned())) };
    let retained = |key: &str| keys.iter().any(|retained| retained == key);
    let contradicts = |(key, value): (&String, &Value)| !key.starts_with('$') && !value.is_null() && !retained(key);
    if patch.iter().any(contradicts) {
        return Err(ApiError::BadRequest(MALFORMED.to_owned()));
    }
    original.retain(|key, _| retained(key));
    Ok(())
}

/// Takes the values out of a list of plain values.
fn delete_values(original: &mut Map<String, Value>, list: &str, values: &Value) -> Result<(), ApiError> {
    let Value::Array(values) = values else {
        return Err(ApiError::BadRequest("invalid patch format of primitive list".to_owned()));
    };
    if let Some(Value::Array(items)) = original.get_mut(list) {
        let gone: HashMap<String, ()> = values.iter().map(|value| (value.to_string(), ())).collect();
        items.retain(|item| !gone.contains_key(&item.to_string()));
    }
    Ok(())
}

/// What tells the items of a list apart, as text: the merge key's value, or the value itself.
fn identity(item: &Value, key: &str) -> Option<String> {
    if key.is_empty() { Some(item.to_string()) } else { item.get(key).map(ToString::to_string) }
}

/// The first position of each item.
fn positions(items: &[Value], key: &str) -> HashMap<String, usize> {
    let mut positions = HashMap::new();
    for (position, item) in items.iter().enumerate() {
        if let Some(identity) = identity(item, key) {
            positions.entry(identity).or_insert(position);
        }
    }
    positions
}

/// Merges items one by one; new ones come last.
fn merge_list(
    original: Vec<Value>,
    patch: &[Value],
    key: &str,
    object: Option<&ObjectType>,
) -> Result<Vec<Value>, ApiError> {
    let directive = |item: &Value| item.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    if patch.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        let kept = patch.iter().filter(|item| directive(item).is_none());
        return Ok(kept.map(plain).collect());
    }
    let mut merged: Vec<Option<Value>> = original.into_iter().map(Some).collect();
    let mut known: HashMap<String, Vec<usize>> = HashMap::new();
    for (position, item) in merged.iter().enumerate() {
        if let Some(identity) = item.as_ref().and_then(|item| identity(item, key)) {
            known.entry(identity).or_default().push(position);
        }
    }
    for item in patch {
        let Some(identity) = identity(item, key) else {
            let text = format!("map: {item} does not contain declared merge key: {key}");
            return Err(ApiError::Unprocessable(text));
        };
        match directive(item).as_deref() {
            Some("delete") => {
                for position in known.remove(&identity).unwrap_or_default() {
                    merged[position] = None;
                }
                continue;
            }
            None | Some("merge") => {}
            Some(other) => return Err(unknown_directive(other)),
        }
        let at = known.get(&identity).and_then(|positions| positions.first()).copied();
        match (at, item) {
            (Some(position), Value::Object(patch)) => {
                if let Some(Value::Object(original)) = merged[position].take() {
                    merged[position] = Some(Value::Object(merge_map(original, patch, object)?));
                }
            }
            (Some(_), _) => {}
            (None, item) => {
                known.insert(identity, vec![merged.len()]);
                merged.push(Some(plain(item)));
            }
        }
    }
    Ok(merged.into_iter().flatten().collect())
}

/// Puts the list beside `$setElementOrder/LIST` into the wanted order.
fn set_order(
    object: &mut Map<String, Value>,
    list: &str,
    order: &Value,
    strategy: keys::Strategy,
    patch: Option<&Value>,
) -> Result<(), ApiError> {
    const MALFORMED: &str = "invalid patch format of setElementOrder list";
    let Value::Array(order) = order else { return Err(ApiError::BadRequest(MALFORMED.to_owned())) };
    let key = strategy.merge_key;
    let wanted = positions(order, key);
    // What the patch adds has to have a place in the order it asks for.
    for item in patch.and_then(Value::as_array).into_iter().flatten() {
        let placed = identity(item, key).is_some_and(|identity| wanted.contains_key(&identity));
        if item.get(PATCH).is_none() && !placed {
            let shown = Value::Array(order.clone());
            return Err(ApiError::Unprocessable(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{shown}\n",
                patch.unwrap_or(&Value::Null)
            )));
        }
    }
    if let Some(Value::Array(items)) = object.get_mut(list) {
        let before = std::mem::take(items);
        let server = before.clone();
        *items = arrange(before, order, &server, key);
    }
    Ok(())
}

/// Arranges items: those that the patch names in its order, the others in the order they had, the two orders
/// interleaved as they were.
fn arrange(items: Vec<Value>, order: &[Value], server: &[Value], key: &str) -> Vec<Value> {
    let (wanted, had) = (positions(order, key), positions(server, key));
    let place = |item: &Value, places: &HashMap<String, usize>| {
        identity(item, key).and_then(|identity| places.get(&identity).copied())
    };
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| place(item, &wanted).is_some());
    named.sort_by_key(|item| place(item, &wanted));
    others.sort_by_key(|item| place(item, &had));
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let other_first = match (others.peek(), named.peek()) {
            (Some(other), Some(named)) => {
                matches!((place(other, &had), place(named, &had)), (Some(other), Some(named)) if other < named)
            }
            (Some(_), None) => true,
            (None, _) => false,
        };
        match if other_first { others.next() } else { named.next() } {
            Some(item) => arranged.push(item),
            None => return arranged,
        }
    }
}

/// A value of the patch as it is stored where there was nothing: without directives, without nulls.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_directives(fields)),
        Value::Array(items) => {
            let kept = items.iter().filter(|item| item.get(PATCH).is_none_or(|directive| directive == "merge"));
            Value::Array(kept.map(plain).collect())
        }
        other => other.clone(),
    }
}

fn without_directives(fields: &Map<String, Value>) -> Map<String, Value> {
    let is_directive =
        |key: &str| key == PATCH || key == RETAIN_KEYS || key.starts_with(ORDER) || key.starts_with(DELETE);
    fields
        .iter()
        .filter(|(key, value)| !is_directive(key) && !value.is_null())
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const POD: &str = "io.k8s.api.core.v1.Pod";
    const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

    fn patched(object: Value, patch: Value) -> Value {
        merge(&object, &patch, POD).unwrap()
    }

    fn pod(containers: Value) -> Value {
        json!({"spec": {"containers": containers}})
    }

    #[test]
    fn items_are_merged_by_their_keys() {
        let object = pod(json!([
            {"name": "a", "image": "a:1", "ports": [{"containerPort": 80, "name": "http"}], "args": ["x", "y"]},
            {"name": "b", "image": "b:1"},
        ]));
        let patch = pod(json!([
            {"name": "a", "image": "a:2", "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 443}],
             "args": ["z"]},
        ]));
        assert_eq!(
            patched(object, patch),
            pod(json!([
                {"name": "a", "image": "a:2", "args": ["z"],
                 "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 443}]},
                {"name": "b", "image": "b:1"},
            ]))
        );
    }

    #[test]
    fn directives_replace_delete_and_retain() {
        let object = pod(json!([{"name": "a"}, {"name": "b"}]));
        assert_eq!(
            patched(object.clone(), pod(json!([{"name": "a", "$patch": "delete"}]))),
            pod(json!([{"name": "b"}]))
        );
        assert_eq!(
            patched(object.clone(), pod(json!([{"name": "c"}, {"$patch": "replace"}]))),
            pod(json!([{"name": "c"}]))
        );
        assert_eq!(
            patched(object, json!({"spec": {"$patch": "replace", "nodeName": "n"}})),
            json!({"spec": {"nodeName": "n"}})
        );
        let volumes = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
        let patch = json!({"spec": {"volumes": [
            {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}, "emptyDir": null},
        ]}});
        assert_eq!(patched(volumes, patch), json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}));
        let deployment = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
        let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
        assert_eq!(
            merge(&deployment, &patch, DEPLOYMENT).unwrap(),
            json!({"spec": {"strategy": {"type": "Recreate"}}})
        );
    }

    #[test]
    fn the_order_of_items_can_be_set() {
        let object = pod(json!([{"name": "a"}, {"name": "server"}, {"name": "b"}]));
        let patch = json!({"spec": {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "new"}, {"name": "a"}],
            "containers": [{"name": "new"}],
        }});
        let names: Vec<String> = patched(object, patch)["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|container| container["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["server", "b", "new", "a"]);
        let error = merge(
            &pod(json!([])),
            &json!({"spec": {"$setElementOrder/containers": [], "containers": [{"name": "x"}]}}),
            POD,
        );
        assert_eq!(error.unwrap_err().code(), 422);
    }

    #[test]
    fn sets_of_plain_values_grow_and_shrink() {
        let object = json!({"metadata": {"finalizers": ["a", "b"]}});
        assert_eq!(
            patched(object.clone(), json!({"metadata": {"finalizers": ["c", "a"]}}))["metadata"]["finalizers"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
        assert_eq!(
            patched(object, json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})),
            json!({"metadata": {"finalizers": ["b"]}})
        );
    }

    #[test]
    fn lists_without_a_key_are_replaced() {
        let object = json!({"spec": {"tolerations": [{"key": "a"}]}});
        let patch = json!({"spec": {"tolerations": [{"key": "b"}]}});
        assert_eq!(patched(object, patch.clone()), patch);
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        let error = merge(&pod(json!([{"name": "a"}])), &pod(json!([{"image": "x"}])), POD).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (422, "map: {\"image\":\"x\"} does not contain declared merge key: name")
        );
        let error = merge(&pod(json!([])), &json!({"spec": {"$patch": "explode"}}), POD).unwrap_err();
        assert_eq!(error.code(), 400);
    }

    /// The patch that turns one list of containers into another, as kubectl would compute it.
    fn difference(from: &[(u8, u8)], to: &[(u8, u8)]) -> Value {
        let name = |number: &u8| format!("c{number}");
        let mut items: Vec<Value> = from
            .iter()
            .filter(|(number, _)| !to.iter().any(|(other, _)| other == number))
            .map(|(number, _)| json!({"name": name(number), "$patch": "delete"}))
            .collect();
        items.extend(to.iter().map(|(number, image)| json!({"name": name(number), "image": image.to_string()})));
        let order: Vec<Value> = to.iter().map(|(number, _)| json!({"name": name(number)})).collect();
        json!({"spec": {"containers": items, "$setElementOrder/containers": order}})
    }

    fn containers(list: &[(u8, u8)]) -> Value {
        let items: Vec<Value> = list
            .iter()
            .map(|(number, image)| json!({"name": format!("c{number}"), "image": image.to_string()}))
            .collect();
        pod(items.into())
    }

    /// Containers with different names.
    fn distinct() -> impl Strategy<Value = Vec<(u8, u8)>> {
        prop::collection::vec((0_u8..8, 0_u8..3), 0..6).prop_map(|list| {
            let mut kept: Vec<(u8, u8)> = Vec::new();
            for (number, image) in list {
                if !kept.iter().any(|(other, _)| *other == number) {
                    kept.push((number, image));
                }
            }
            kept
        })
    }

    proptest! {
        #[test]
        fn a_patch_of_the_difference_gives_the_other(from in distinct(), to in distinct()) {
            let patch = difference(&from, &to);
            prop_assert_eq!(patched(containers(&from), patch), containers(&to));
        }
    }
}
