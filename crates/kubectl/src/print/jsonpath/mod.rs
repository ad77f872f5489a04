//! JSONPath as kubectl knows it (k8s.io/client-go/util/jsonpath): text with expressions in braces.

mod reader;

use serde_json::Value;

/// A template, read.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Root,
    Current,
    Field(String),
    Wildcard,
    Recursive,
    Slice(Option<i64>, Option<i64>, Option<i64>),
    Index(i64),
    Union(Vec<Step>),
    Filter(Box<Operand>, Operator, Box<Operand>),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Vec<Step>),
    Value(Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Template {
    /// Reads a template: `{.items[*].metadata.name}`.
    ///
    /// # Errors
    /// What cannot be read.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(Template { parts: reader::read(text)? })
    }

    /// Reads one path, with or without braces and the leading dot, as `--sort-by` and custom columns take it.
    ///
    /// # Errors
    /// What cannot be read.
    pub(crate) fn relaxed(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let dotted = if inner.starts_with(['.', '[', '@', '$']) { inner.to_owned() } else { format!(".{inner}") };
        Self::parse(&format!("{{{dotted}}}"))
    }

    /// Fills in an object. `lenient`: what is missing prints as nothing.
    ///
    /// # Errors
    /// A field that is missing, when not lenient.
    pub(crate) fn fill(&self, object: &Value, lenient: bool) -> Result<String, String> {
        let mut out = String::new();
        fill(&self.parts, object, object, lenient, &mut out)?;
        Ok(out)
    }

    /// The values that the first path of the template finds.
    pub(crate) fn find<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        match self.parts.iter().find(|part| matches!(part, Part::Path(_))) {
            Some(Part::Path(steps)) => walk(steps, object, object, true).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

fn fill(parts: &[Part], root: &Value, current: &Value, lenient: bool, out: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let found = walk(steps, root, current, lenient)?;
                let texts: Vec<String> = found.into_iter().map(shown).collect();
                out.push_str(&texts.join(" "));
            }
            Part::Range(steps, inner) => {
                for item in walk(steps, root, current, lenient)? {
                    fill(inner, root, item, lenient, out)?;
                }
            }
        }
    }
    Ok(())
}

/// A value as text: a bare string, everything else as JSON.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Object(_) | Value::Array(_) => super::json::compact(value),
        other => other.to_string(),
    }
}

fn walk<'a>(steps: &[Step], root: &'a Value, current: &'a Value, lenient: bool) -> Result<Vec<&'a Value>, String> {
    let mut found = vec![current];
    for step in steps {
        let mut next = Vec::new();
        for value in &found {
            one(step, root, value, lenient, &mut next)?;
        }
        found = next;
    }
    Ok(found)
}

fn one<'a>(
    step: &Step,
    root: &'a Value,
    value: &'a Value,
    lenient: bool,
    out: &mut Vec<&'a Value>,
) -> Result<(), String> {
    match step {
        Step::Root => out.push(root),
        Step::Current => out.push(value),
        Step::Field(name) => match value {
            Value::Object(map) => match map.get(name) {
                Some(found) => out.push(found),
                None if lenient => {}
                None => return Err(format!("{name} is not found")),
            },
            _ if lenient => {}
            _ => return Err(format!("{name} is not found")),
        },
        Step::Wildcard => match value {
            Value::Array(items) => out.extend(items),
            Value::Object(map) => out.extend(map.values()),
            _ => {}
        },
        Step::Recursive => descend(value, out),
        Step::Index(index) => {
            if let Some(items) = value.as_array() {
                let length = items.len() as i64;
                let place = if *index < 0 { length + index } else { *index };
                match usize::try_from(place).ok().and_then(|place| items.get(place)) {
                    Some(item) => out.push(item),
                    None if lenient => {}
                    None => return Err(format!("array index out of bounds: index {index}, length {length}")),
                }
            } else if !lenient {
                return Err(format!("{} is not array or slice", shown(value)));
            }
        }
        Step::Slice(from, to, by) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let length = items.len() as i64;
            let clamp = |place: i64| if place < 0 { length + place } else { place }.clamp(0, length);
            let (mut place, end) = (clamp(from.unwrap_or(0)), clamp(to.unwrap_or(length)));
            while place < end {
                out.extend(usize::try_from(place).ok().and_then(|place| items.get(place)));
                place += by.unwrap_or(1).max(1);
            }
        }
        Step::Union(all) => {
            for step in all {
                one(step, root, value, lenient, out)?;
            }
        }
        Step::Filter(left, operator, right) => {
            for item in value.as_array().into_iter().flatten() {
                if holds(left, *operator, right, root, item) {
                    out.push(item);
                }
            }
        }
    }
    Ok(())
}

fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    out.push(value);
    match value {
        Value::Object(map) => map.values().for_each(|value| descend(value, out)),
        Value::Array(items) => items.iter().for_each(|value| descend(value, out)),
        _ => {}
    }
}

fn holds(left: &Operand, operator: Operator, right: &Operand, root: &Value, item: &Value) -> bool {
    let value = |operand: &Operand| match operand {
        Operand::Value(value) => Some(value.clone()),
        Operand::Path(steps) => walk(steps, root, item, true).ok()?.first().map(|value| (*value).clone()),
    };
    let (Some(left), operator) = (value(left), operator) else { return false };
    if operator == Operator::Exists {
        return true;
    }
    let Some(right) = value(right) else { return false };
    let order = match (&left, &right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let Some(order) = order else { return false };
    match operator {
        Operator::Exists => true,
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_find_what_kubectl_finds() {
        let object = json!({"items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "status": {"ready": true, "n": 3}},
            {"metadata": {"name": "b"}, "status": {"ready": false, "n": 5}},
        ]});
        for (template, expected) in [
            ("{.items[*].metadata.name}", "a b"),
            ("{range .items[*]}{.metadata.name}{\"\\t\"}{.status.n}{\"\\n\"}{end}", "a\t3\nb\t5\n"),
            ("{.items[?(@.status.ready==true)].metadata.name}", "a"),
            ("{.items[?(@.status.n>3)].metadata.name}", "b"),
            ("{.items[?(@.metadata.name=='b')].status.n}", "5"),
            ("{.items[-1].metadata.name}", "b"),
            ("{.items[0:1].metadata.name}", "a"),
            ("{.items[0].metadata.labels.x\\.y/z}", "1"),
            ("{.items[0].metadata['name']}", "a"),
            ("{..name}", "a b"),
            ("{.items[0].status}", "{\"n\":3,\"ready\":true}"),
            ("x {$.items[0].metadata.name} y", "x a y"),
        ] {
            assert_eq!(Template::parse(template).unwrap().fill(&object, true).unwrap(), expected, "{template}");
        }
        assert!(Template::parse("{.nope}").unwrap().fill(&object, false).is_err());
        assert!(Template::parse("{.items[").is_err());
    }
}
