//! Any other kind: its fields, with their names in words.

use podlab_api::json::{at, text};
use serde_json::Value;

use super::parts::{events, head, labels};
use super::{About, Page};

pub(super) async fn describe(page: &mut Page, about: &About<'_>, object: &Value) {
    if text(object, &["metadata", "namespace"]).is_empty() {
        page.line(0, format!("Name:\t{}\nNamespace:\t", text(object, &["metadata", "name"])));
        labels(page, "Labels", at(object, &["metadata", "labels"]));
        super::parts::annotations(page, "Annotations", at(object, &["metadata", "annotations"]));
    } else {
        head(page, object);
    }
    fields(page, 0, object, &[], &["managedFields", "name", "namespace", "labels", "annotations"]);
    events(page, about.events_of(object, None).await, about.now);
}

fn fields(page: &mut Page, level: usize, object: &Value, skip: &[&str], skip_in_metadata: &[&str]) {
    // In the order of the words, not of the keys.
    let mut entries: Vec<(String, &String, &Value)> =
        object.as_object().into_iter().flatten().map(|(key, value)| (words(key), key, value)).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (words, key, value) in entries {
        if skip.contains(&key.as_str()) {
            continue;
        }
        let inner: &[&str] = if level == 0 && key == "metadata" { skip_in_metadata } else { &[] };
        match value {
            Value::Object(_) => {
                page.line(level, format!("{words}:"));
                fields(page, level + 1, value, inner, &[]);
            }
            Value::Array(items) => {
                page.line(level, format!("{words}:"));
                for item in items {
                    match item {
                        Value::Object(_) => fields(page, level + 1, item, &[], &[]),
                        other => page.line(level + 1, crate::print::jsonpath::shown(other)),
                    }
                }
            }
            Value::Null => page.line(level, format!("{words}:\t<nil>")),
            other => page.line(level, format!("{words}:\t{}", crate::print::jsonpath::shown(other))),
        }
    }
}

/// `resourceVersion` as `Resource Version`; a few are written as they are spoken.
fn words(key: &str) -> String {
    match key {
        "apiVersion" => return "API Version".to_owned(),
        "uid" => return "UID".to_owned(),
        "url" => return "URL".to_owned(),
        _ => {}
    }
    let mut words = String::new();
    let characters: Vec<char> = key.chars().collect();
    for (index, character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(index + 1);
        let begins = character.is_uppercase()
            && before.is_some_and(|before| before.is_lowercase() || after.is_some_and(|after| after.is_lowercase()));
        if begins {
            words.push(' ');
        }
        words.extend(if index == 0 { character.to_uppercase().collect::<Vec<_>>() } else { vec![*character] });
    }
    words
}

#[test]
fn keys_become_words() {
    assert_eq!(words("resourceVersion"), "Resource Version");
    assert_eq!(words("podIPs"), "Pod I Ps");
    assert_eq!(words("uid"), "UID");
}
