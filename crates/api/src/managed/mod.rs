//! `metadata.managedFields`: who set which field (sigs.k8s.io/structured-merge-diff, k8s.io/apimachinery/pkg/util/managedfields).
//!
//! Every write that is not a server-side apply (which this server does not know) is an *Update*: its manager takes what
//! it added or changed, and all others lose that and what was removed. So nothing has to be known but the object
//! before, the object after, and the entries there were.

mod compare;
mod lists;
mod set;

use serde_json::{Value, json};

pub use compare::zero;
pub use lists::{ListType, list_type};

use set::Set;

/// Entries of operation Update at most; the oldest become one.
const MOST: usize = 10;
/// The manager of what the oldest were.
const ANCIENT: &str = "ancient-changes";

/// A write, as far as the bookkeeping wants to know it.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// `io.k8s.api.core.v1.Pod`.
    pub schema: &'a str,
    pub api_version: &'a str,
    /// The `fieldManager` of the request, or the first word of its user agent.
    pub manager: &'a str,
    pub subresource: Option<&'a str>,
    /// Whether the kind has a status that only its own route writes.
    pub status_apart: bool,
    /// RFC 3339.
    pub time: &'a str,
}

/// Notes in `new` who set what, given the object before; there is none when it is created.
pub fn record(write: &Write<'_>, old: Option<&Value>, new: &mut Value) {
    let zero;
    let old = match old {
        Some(old) => old,
        None => {
            zero = compare::zero(write.schema);
            &zero
        }
    };
    let mut difference = compare::difference(write.schema, old, new);
    if write.status_apart {
        let other = if write.subresource == Some("status") { "f:spec" } else { "f:status" };
        difference.changed.remove(other);
        difference.removed.remove(other);
    }
    if difference.changed.is_empty() && difference.removed.is_empty() {
        return;
    }
    let known = old["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let mut entries: Vec<Entry> = known.into_iter().map(Entry::read).collect();
    let own = entries.iter().position(|entry| entry.is_of(write));
    for (index, entry) in entries.iter_mut().enumerate() {
        entry.fields.subtract(&difference.removed);
        if Some(index) != own {
            entry.fields.subtract(&difference.changed);
        }
    }
    if !difference.changed.is_empty() {
        let entry = match own {
            Some(own) => &mut entries[own],
            None => {
                entries.push(Entry::new(write));
                let last = entries.len() - 1;
                &mut entries[last]
            }
        };
        entry.fields.unite(difference.changed);
        entry.head["time"] = write.time.into();
    }
    entries.retain(|entry| !entry.fields.is_empty());
    cap(&mut entries, write.api_version);
    entries.sort_by_key(Entry::order);
    let entries: Vec<Value> = entries.into_iter().map(Entry::write).collect();
    if let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) {
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".into(), entries.into());
        }
    }
}

/// Makes one of the oldest entries when there are too many.
fn cap(entries: &mut Vec<Entry>, api_version: &str) {
    if entries.len() <= MOST {
        return;
    }
    entries.sort_by_key(|entry| (entry.text("manager") != ANCIENT, entry.order()));
    let old: Vec<Entry> = entries.drain(..=entries.len() - MOST).collect();
    let time = old.last().map(|entry| entry.text("time").to_owned()).unwrap_or_default();
    let mut fields = Set::default();
    old.into_iter().for_each(|entry| fields.unite(entry.fields));
    let head = json!({"manager": ANCIENT, "operation": "Update", "apiVersion": api_version, "time": time});
    entries.push(Entry { head, fields });
}

/// An item of `managedFields`.
#[derive(Debug)]
struct Entry {
    /// All but the fields.
    head: Value,
    fields: Set,
}

impl Entry {
    fn new(write: &Write<'_>) -> Self {
        let mut head = json!({"manager": write.manager, "operation": "Update", "apiVersion": write.api_version});
        if let Some(subresource) = write.subresource {
            head["subresource"] = subresource.into();
        }
        Self { head, fields: Set::default() }
    }

    fn read(mut entry: Value) -> Self {
        let fields = Set::read(&entry["fieldsV1"].take());
        Self { head: entry, fields }
    }

    fn write(self) -> Value {
        let mut entry = self.head;
        entry["fieldsType"] = "FieldsV1".into();
        entry["fieldsV1"] = self.fields.write();
        entry
    }

    fn text(&self, field: &str) -> &str {
        self.head.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_of(&self, write: &Write<'_>) -> bool {
        self.text("manager") == write.manager
            && self.text("operation") == "Update"
            && self.text("apiVersion") == write.api_version
            && self.text("subresource") == write.subresource.unwrap_or_default()
    }

    /// Entries stand in the order of time, then of names.
    fn order(&self) -> [String; 4] {
        ["time", "manager", "apiVersion", "subresource"].map(|field| self.text(field).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write<'a>(manager: &'a str, subresource: Option<&'a str>, time: &'a str) -> Write<'a> {
        let schema = "io.k8s.api.core.v1.Pod";
        Write { schema, api_version: "v1", manager, subresource, status_apart: true, time }
    }

    fn pod() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "default", "annotations": {"a/b": "c"}},
            "spec": {
                "containers": [{"name": "main", "image": "i", "command": ["x"], "resources": {"limits": {"cpu": "1"}}}],
                "restartPolicy": "Always", "securityContext": {},
            },
            "status": {"phase": "Pending"},
        })
    }

    /// Golden 539.
    #[test]
    fn a_new_object_is_its_makers() {
        let mut pod = pod();
        record(&write("kubectl", None, "t1"), None, &mut pod);
        assert_eq!(
            pod["metadata"]["managedFields"],
            json!([{
                "manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": "t1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {"f:annotations": {".": {}, "f:a/b": {}}},
                    "f:spec": {
                        "f:containers": {"k:{\"name\":\"main\"}": {
                            ".": {}, "f:command": {}, "f:image": {}, "f:name": {},
                            "f:resources": {".": {}, "f:limits": {".": {}, "f:cpu": {}}},
                        }},
                        "f:restartPolicy": {}, "f:securityContext": {},
                    },
                },
            }])
        );
    }

    #[test]
    fn who_changes_a_field_takes_it() {
        let mut first = pod();
        record(&write("kubectl", None, "t1"), None, &mut first);
        let mut second = first.clone();
        second["metadata"]["labels"] = json!({"x": "y"});
        second["spec"]["containers"][0]["image"] = "j".into();
        record(&write("other", None, "t2"), Some(&first), &mut second);
        let entries = second["metadata"]["managedFields"].as_array().unwrap();
        let container = |entry: &Value| entry["fieldsV1"]["f:spec"]["f:containers"]["k:{\"name\":\"main\"}"].clone();
        assert!(container(&entries[0]).get("f:image").is_none(), "{second:#}");
        assert_eq!(container(&entries[1]), json!({"f:image": {}}));
        assert_eq!(entries[1]["fieldsV1"]["f:metadata"], json!({"f:labels": {".": {}, "f:x": {}}}));

        let mut third = second.clone();
        third["metadata"].as_object_mut().unwrap().remove("labels");
        third["spec"]["containers"][0]["image"] = "k".into();
        record(&write("kubectl", None, "t3"), Some(&second), &mut third);
        let entries = third["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "nothing is left to the other: {third:#}");
        assert_eq!(entries[0]["time"], "t3");
    }

    #[test]
    fn a_status_is_written_by_its_own_route() {
        let mut first = pod();
        record(&write("kubectl", None, "t1"), None, &mut first);
        let mut second = first.clone();
        second["status"] = json!({"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "hostIPs": [{"ip": "h"}]});
        record(&write("kubelet", Some("status"), "t1"), Some(&first), &mut second);
        let entry = &second["metadata"]["managedFields"][1];
        assert_eq!((&entry["manager"], &entry["subresource"]), (&json!("kubelet"), &json!("status")));
        let ip = json!({".": {}, "k:{\"ip\":\"10.0.0.1\"}": {".": {}, "f:ip": {}}});
        assert_eq!(entry["fieldsV1"], json!({"f:status": {"f:phase": {}, "f:podIPs": ip, "f:hostIPs": {}}}));
        let mut third = second.clone();
        record(&write("kubelet", Some("status"), "t2"), Some(&second), &mut third);
        assert_eq!(third, second, "nothing changed");
    }

    #[test]
    fn the_oldest_become_one() {
        let mut object = pod();
        record(&write("kubectl", None, "t00"), None, &mut object);
        for number in 1..30 {
            let old = object.clone();
            object["metadata"]["annotations"][format!("n{number}")] = "x".into();
            let (manager, time) = (format!("m{number}"), format!("t{number:02}"));
            record(&write(&manager, None, &time), Some(&old), &mut object);
        }
        let entries = object["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries.len(), MOST);
        assert_eq!(entries[0]["manager"], ANCIENT);
        assert!(entries[0]["fieldsV1"]["f:metadata"]["f:annotations"]["f:n5"].is_object());
    }
}
