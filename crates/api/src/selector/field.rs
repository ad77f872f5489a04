//! Field selectors: `status.phase=Running,spec.nodeName!=node1` (k8s.io/apimachinery/pkg/fields/selector.go).

use std::fmt;

use serde_json::Value;

use crate::error::ApiError;
use crate::json::{at, list, text};
use crate::registry::Resource;

/// One term: the field has the value, or has it not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    equal: bool,
    value: String,
}

/// All of its terms have to hold. The empty selector selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

impl FieldSelector {
    /// Reads the text of a `fieldSelector` parameter. `\,`, `\=` and `\\` stand for themselves in values.
    ///
    /// # Errors
    /// The parser's message.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for term in split(text) {
            if term.is_empty() {
                continue;
            }
            let Some((at, operator)) = operator(&term) else {
                return Err(format!("invalid selector: {text:?}; can't understand {term:?}"));
            };
            let (field, value) = (&term[..at], &term[at + operator.len()..]);
            let value = unescape(value)?;
            terms.push(Term { field: field.to_owned(), equal: operator != "!=", value });
        }
        Ok(Self { terms })
    }

    /// Refuses fields that the resource cannot be selected by.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`]; kubectl puts the rest of what golden 262 shows before its text.
    pub fn check(&self, resource: &Resource) -> Result<(), ApiError> {
        for Term { field, .. } in &self.terms {
            let known = match field.as_str() {
                "metadata.name" => true,
                "metadata.namespace" => resource.namespaced,
                other => resource.selectable_fields.contains(&other),
            };
            if !known {
                return Err(ApiError::BadRequest(format!("field label not supported: {field}")));
            }
        }
        Ok(())
    }

    /// The same for objects that have other names for some fields.
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(&str) -> String) -> Self {
        for term in &mut self.terms {
            term.field = name(&term.field);
        }
        self
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The one value that `field` has to have, if the selector asks for one: a list by `metadata.name` is a look-up.
    #[must_use]
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether the object is selected.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| (field_value(object, &term.field) == term.value) == term.equal)
    }
}

/// The value that a field selector compares.
#[must_use]
pub fn field_value(object: &Value, field: &str) -> String {
    match field {
        // Where the event comes from, told in the old way or the new.
        "source" => match text(object, &["source", "component"]) {
            "" => text(object, &["reportingComponent"]).to_owned(),
            component => component.to_owned(),
        },
        "status.podIP" => match list(object, &["status", "podIPs"]).first() {
            Some(first) => text(first, &["ip"]).to_owned(),
            None => text(object, &["status", "podIP"]).to_owned(),
        },
        "spec.hostNetwork" | "spec.unschedulable" => {
            let path: Vec<&str> = field.split('.').collect();
            at(object, &path).as_bool().unwrap_or_default().to_string()
        }
        "status.replicas" => at(object, &["status", "replicas"]).as_i64().unwrap_or_default().to_string(),
        _ => {
            let path: Vec<&str> = field.split('.').collect();
            match at(object, &path) {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            }
        }
    }
}

/// Splits at commas that are not escaped.
fn split(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        if character == ',' && !escaped {
            terms.push(String::new());
            continue;
        }
        escaped = character == '\\' && !escaped;
        if let Some(term) = terms.last_mut() {
            term.push(character);
        }
    }
    terms
}

/// Where the operator of a term is, and which.
fn operator(term: &str) -> Option<(usize, &'static str)> {
    term.char_indices().find_map(|(at, _)| {
        let rest = &term[at..];
        ["!=", "==", "="].into_iter().find(|operator| rest.starts_with(operator)).map(|operator| (at, operator))
    })
}

fn unescape(value: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => {
                    return Err(format!("invalid field selector: invalid escape sequence: \\{other}"));
                }
                None => return Err("invalid field selector: trailing \\".to_owned()),
            },
            ',' | '=' => return Err(format!("invalid field selector: unescaped character in value: {character}")),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Term { field, equal, value }) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if *equal { "=" } else { "!=" };
            let value = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{field}{operator}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn fields_are_compared_as_text() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "node1"}, "status": {"phase": "Running"}});
        for selector in [
            "",
            "status.phase=Running",
            "status.phase==Running",
            "status.phase!=Failed,spec.nodeName=node1",
            "spec.hostNetwork=false",
        ] {
            assert!(FieldSelector::parse(selector).unwrap().matches(&pod), "{selector}");
        }
        assert!(!FieldSelector::parse("spec.nodeName=").unwrap().matches(&pod));
        assert_eq!(FieldSelector::parse("metadata.name=p").unwrap().required("metadata.name"), Some("p"));
    }

    /// Golden 262.
    #[test]
    fn unknown_fields_are_refused() {
        let pods = registry::find("", "v1", "pods").unwrap();
        let error = FieldSelector::parse("foo=bar").unwrap().check(pods).unwrap_err();
        assert_eq!(error.to_string(), "field label not supported: foo");
        assert!(FieldSelector::parse("metadata.namespace=a,status.phase=Failed").unwrap().check(pods).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z.=!,\\\\]{0,40}|.{0,30}") {
            if let Ok(selector) = FieldSelector::parse(&text) {
                prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
