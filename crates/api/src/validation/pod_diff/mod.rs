//! The difference of two Pod specs, as the refusal of an update shows it: what github.com/google/go-cmp prints for the
//! server's internal types.
//!
//! [`types`] says how those types are built, this module compares, and [`text`] lays the result out.

mod text;
mod types;

use serde_json::{Map, Value};

use text::{Node, Record, Sign};
use types::Type;

/// Equal fields shown before and after one that differs.
const CONTEXT: usize = 2;

/// Entries shown of something equal.
const SHOWN_EQUAL: usize = 4;

/// Entries shown of something removed or inserted.
const SHOWN_CHANGED: usize = 16;

/// The difference from `old` to `new`, as lines.
pub(super) fn spec(old: &Value, new: &Value) -> String {
    let (old, new) = (internal(old), internal(new));
    let node = Node::wrapped("core.PodSpec", compare(&Type::Struct("PodSpec"), &old, &new));
    format!("  {}\n", node.render())
}

/// The spec as the server holds it: what concerns the host's namespaces is part of the security context.
fn internal(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let Some(fields) = spec.as_object_mut() else { return spec };
    let mut context = match fields.remove("securityContext") {
        Some(Value::Object(context)) => context,
        _ => Map::new(),
    };
    for key in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
        if let Some(value) = fields.remove(key) {
            context.insert(key.to_owned(), value);
        }
    }
    fields.insert("securityContext".to_owned(), context.into());
    spec
}

/// The records of two structs, lists or maps that differ somewhere.
fn compare(kind: &Type, old: &Value, new: &Value) -> Vec<Record> {
    let (entries, noun) = match kind {
        Type::Struct(name) => {
            let fields = types::fields(name);
            let entries = fields.into_iter().map(|field| {
                let (old, new) = (field.of(old), field.of(new));
                (field.go_name, field.kind, old, new)
            });
            (entries.collect(), "field")
        }
        Type::List(item) => {
            let part = |list: &Value, index: usize| list.get(index).cloned();
            let length = |list: &Value| list.as_array().map_or(0, Vec::len);
            let entries = (0..length(old).max(length(new)))
                .map(|index| (String::new(), (**item).clone(), part(old, index), part(new, index)));
            (entries.collect::<Vec<_>>(), "element")
        }
        Type::Map => {
            let keys = |map: &Value| map.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
            let (mut all, new_keys): (Vec<String>, Vec<String>) = (keys(old), keys(new));
            all.extend(new_keys);
            all.sort();
            all.dedup();
            let entries = all
                .into_iter()
                .map(|key| (types::quoted(&key), Type::Text, old.get(&key).cloned(), new.get(&key).cloned()));
            (entries.collect(), "entry")
        }
        _ => return Vec::new(),
    };
    records(&entries, noun)
}

type Entry = (String, Type, Option<Value>, Option<Value>);

/// Runs of equal entries shrink to those around a difference.
fn records(entries: &[Entry], noun: &str) -> Vec<Record> {
    let equal = |(_, _, old, new): &Entry| old == new;
    let mut records = Vec::new();
    let mut start = 0;
    while start < entries.len() {
        let run = entries[start..].iter().take_while(|entry| equal(entry)).count();
        if run == 0 {
            records.extend(difference(&entries[start]));
            start += 1;
            continue;
        }
        let same = &entries[start..start + run];
        let is_last = start + run == entries.len();
        let low = if start == 0 { 0 } else { run.min(CONTEXT) };
        let mut high = if is_last { 0 } else { (run - low).min(CONTEXT) };
        // Leaving out a single one would save nothing.
        if run - low - high == 1 {
            high += 1;
        }
        let show =
            |(key, kind, value, _): &Entry| Record::new(Sign::Same, key, shown(kind, value.as_ref(), Sign::Same));
        records.extend(same[..low].iter().map(show));
        if run > low + high {
            records.push(Record::left_out(run - low - high, noun));
        }
        records.extend(same[run - high..].iter().map(show));
        start += run;
    }
    records
}

/// One entry that differs: in part, or altogether.
fn difference((key, kind, old, new): &Entry) -> Vec<Record> {
    let (type_name, inner) = match kind {
        Type::Pointer(inner) => (format!("&{}", inner.name()), &**inner),
        other => (other.name(), other),
    };
    let composite = matches!(inner, Type::Struct(_) | Type::List(_) | Type::Map);
    if let (Some(old), Some(new), true) = (old, new, composite) {
        // An item of a list needs no type: the list's says it.
        let prefix = if key.is_empty() { String::new() } else { type_name };
        return vec![Record::new(Sign::Same, key, Node::wrapped(&prefix, compare(inner, old, new)))];
    }
    let side = |sign: Sign, value: &Option<Value>| match value {
        // An item of a list that is not there has no line; a field that is not there is nil, or zero.
        None if key.is_empty() => None,
        value => Some(Record::new(sign, key, shown(kind, value.as_ref(), sign))),
    };
    [side(Sign::Removed, old), side(Sign::Inserted, new)].into_iter().flatten().collect()
}

/// A value written out: without its types where it is equal on both sides, with them where it is not.
fn shown(kind: &Type, value: Option<&Value>, sign: Sign) -> Node {
    let limit = if sign == Sign::Same { SHOWN_EQUAL } else { SHOWN_CHANGED };
    let named = |kind: &Type| if sign == Sign::Same { String::new() } else { kind.name() };
    let Some(value) = value.filter(|value| !value.is_null()) else { return Node::line(kind.zero()) };
    let record = |key: &str, node: Node| Record::new(Sign::Same, key, node);
    match kind {
        Type::Pointer(inner) => shown(inner, Some(value), sign).prefixed("&"),
        Type::Struct(name) => {
            let mut records: Vec<Record> = Vec::new();
            for field in types::fields(name) {
                if let Some(part) = field.of(value).filter(|part| !field.kind.is_zero(part)) {
                    if records.len() == limit {
                        records.push(Record::dots());
                        break;
                    }
                    records.push(record(&field.go_name, shown(&field.kind, Some(&part), sign)));
                }
            }
            Node::wrapped(&named(kind), records)
        }
        Type::List(item) => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            if items.is_empty() {
                return Node::line("nil");
            }
            let mut records: Vec<Record> =
                items.iter().take(limit).map(|part| record("", shown(item, Some(part), sign).without_type())).collect();
            if items.len() > limit {
                records.push(Record::dots());
            }
            Node::wrapped(&named(kind), records)
        }
        Type::Map => {
            let entries = value.as_object().into_iter().flatten();
            let records = entries.map(|(key, part)| record(&types::quoted(key), shown(&Type::Text, Some(part), sign)));
            Node::wrapped(&named(kind), records.collect())
        }
        Type::Text => Node::line(value.as_str().map_or_else(|| value.to_string(), types::quoted)),
        Type::Number | Type::Boolean => Node::line(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kuard() -> Value {
        json!({
            "containers": [{
                "image": "gcr.io/kuar-demo/kuard-amd64:1", "imagePullPolicy": "IfNotPresent", "name": "kuard",
                "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}], "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "nodeName": "node1", "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "serviceAccount": "default",
            "serviceAccountName": "default",
            "volumes": [{"name": "kube-api-access-sd9x6", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
                {"downwardAPI": {"items": [
                    {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"},
                ]}},
            ]}}],
        })
    }

    /// Golden 060.
    #[test]
    fn a_changed_port_is_shown_in_its_place() {
        let mut new = kuard();
        new["containers"][0]["ports"][0]["containerPort"] = 9090.into();
        let expected = [
            "  core.PodSpec{",
            "  \tVolumes:        {{Name: \"kube-api-access-sd9x6\", VolumeSource: {Projected: &{Sources: \
             {{ServiceAccountToken: &{ExpirationSeconds: 3607, Path: \"token\"}}, {ConfigMap: \
             &{LocalObjectReference: {Name: \"kube-root-ca.crt\"}, Items: {{Key: \"ca.crt\", Path: \"ca.crt\"}}}}, \
             {DownwardAPI: &{Items: {{Path: \"namespace\", FieldRef: &{APIVersion: \"v1\", FieldPath: \
             \"metadata.namespace\"}}}}}}, DefaultMode: &420}}}},",
            "  \tInitContainers: nil,",
            "  \tContainers: []core.Container{",
            "  \t\t{",
            "  \t\t\t... // 3 identical fields",
            "  \t\t\tArgs:       nil,",
            "  \t\t\tWorkingDir: \"\",",
            "  \t\t\tPorts: []core.ContainerPort{",
            "  \t\t\t\t{",
            "  \t\t\t\t\tName:          \"http\",",
            "  \t\t\t\t\tHostPort:      0,",
            "- \t\t\t\t\tContainerPort: 8080,",
            "+ \t\t\t\t\tContainerPort: 9090,",
            "  \t\t\t\t\tProtocol:      \"TCP\",",
            "  \t\t\t\t\tHostIP:        \"\",",
            "  \t\t\t\t},",
            "  \t\t\t},",
            "  \t\t\tEnvFrom: nil,",
            "  \t\t\tEnv:     nil,",
            "  \t\t\t... // 16 identical fields",
            "  \t\t},",
            "  \t},",
            "  \tEphemeralContainers: nil,",
            "  \tRestartPolicy:       \"Always\",",
            "  \t... // 29 identical fields",
            "  }",
            "",
        ];
        assert_eq!(spec(&kuard(), &new), expected.join("\n"));
    }

    /// Golden 098.
    #[test]
    fn a_changed_node_is_shown_between_its_neighbours() {
        let mut new = kuard();
        new["nodeName"] = "other".into();
        let expected = [
            "  core.PodSpec{",
            "  \t... // 9 identical fields",
            "  \tServiceAccountName:           \"default\",",
            "  \tAutomountServiceAccountToken: nil,",
            "- \tNodeName:                     \"node1\",",
            "+ \tNodeName:                     \"other\",",
            "  \tSecurityContext:              &{},",
            "  \tImagePullSecrets:             nil,",
            "  \t... // 20 identical fields",
            "  }",
            "",
        ];
        assert_eq!(spec(&kuard(), &new), expected.join("\n"));
    }

    #[test]
    fn what_comes_and_goes_is_shown_whole() {
        let mut new = kuard();
        new["hostNetwork"] = true.into();
        new["nodeSelector"] = json!({"disk": "ssd"});
        let text = spec(&kuard(), &new);
        let selector = "- \tNodeSelector:                 nil,\n\
                        + \tNodeSelector:                 map[string]string{\"disk\": \"ssd\"},\n";
        assert!(text.contains(selector), "{text}");
        let context = "  \tSecurityContext: &core.PodSecurityContext{\n- \t\tHostNetwork: false,\n";
        assert!(text.contains(context), "{text}");
    }
}
