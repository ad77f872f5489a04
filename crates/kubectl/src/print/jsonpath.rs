//! JSONPath as kubectl knows it (k8s.io/client-go/util/jsonpath): text with expressions in braces.

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
        let mut reader = Reader { text: text.chars().collect(), at: 0 };
        let parts = reader.parts(false)?;
        Ok(Template { parts })
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

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Text and expressions, to the end or to `{end}`.
    fn parts(&mut self, inside: bool) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(character) = self.peek() {
            self.at += 1;
            if character != '{' {
                text.push(character);
                continue;
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            self.blanks();
            let rest: String = self.text[self.at..].iter().take(6).collect();
            if rest.starts_with("end") {
                self.at += 3;
                self.close()?;
                return if inside { Ok(parts) } else { Err("not in range, nothing to end".to_owned()) };
            }
            if rest.starts_with("range ") {
                self.at += 6;
                self.blanks();
                let steps = self.steps()?;
                self.close()?;
                parts.push(Part::Range(steps, self.parts(true)?));
                continue;
            }
            loop {
                self.blanks();
                match self.peek() {
                    Some('}') => {
                        self.at += 1;
                        break;
                    }
                    Some(quote @ ('"' | '\'')) => parts.push(Part::Text(self.quoted(quote)?)),
                    Some(_) => parts.push(Part::Path(self.steps()?)),
                    None => return Err("unclosed action".to_owned()),
                }
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if inside { Err("unterminated range".to_owned()) } else { Ok(parts) }
    }

    fn close(&mut self) -> Result<(), String> {
        self.blanks();
        match self.peek() {
            Some('}') => {
                self.at += 1;
                Ok(())
            }
            _ => Err("unclosed action".to_owned()),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.at += 1;
        let mut text = String::new();
        while let Some(character) = self.peek() {
            self.at += 1;
            match character {
                '\\' => {
                    let escaped = self.peek().unwrap_or('\\');
                    self.at += 1;
                    text.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        other => other,
                    });
                }
                end if end == quote => return Ok(text),
                other => text.push(other),
            }
        }
        Err("unterminated quoted string".to_owned())
    }

    fn steps(&mut self) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        let begin = self.at;
        while let Some(character) = self.peek() {
            match character {
                '$' => {
                    self.at += 1;
                    steps.push(Step::Root);
                }
                '@' => {
                    self.at += 1;
                    steps.push(Step::Current);
                }
                '.' => {
                    self.at += 1;
                    match self.peek() {
                        Some('.') => {
                            self.at += 1;
                            steps.push(Step::Recursive);
                            if self.peek().is_some_and(|next| next.is_alphanumeric() || next == '*') {
                                self.field(&mut steps);
                            }
                        }
                        _ => self.field(&mut steps),
                    }
                }
                '[' => steps.push(self.bracket()?),
                character if steps.is_empty() && (character.is_alphanumeric() || character == '*') => {
                    self.field(&mut steps);
                }
                _ => break,
            }
        }
        if self.at == begin {
            let rest: String = self.text[self.at..].iter().collect();
            return Err(format!("unrecognized character in action: {rest}"));
        }
        Ok(steps)
    }

    fn field(&mut self, steps: &mut Vec<Step>) {
        if self.peek() == Some('*') {
            self.at += 1;
            steps.push(Step::Wildcard);
            return;
        }
        let mut name = String::new();
        while let Some(character) = self.peek() {
            match character {
                '\\' => {
                    self.at += 1;
                    name.extend(self.peek());
                    self.at += 1;
                }
                '.' | '[' | ']' | '}' | ' ' | ')' | '=' | '!' | '<' | '>' | ',' | '\t' | '\n' => break,
                other => {
                    name.push(other);
                    self.at += 1;
                }
            }
        }
        if !name.is_empty() {
            steps.push(Step::Field(name));
        }
    }

    fn bracket(&mut self) -> Result<Step, String> {
        self.at += 1;
        if self.peek() == Some('?') {
            self.at += 1;
            self.blanks();
            if self.peek() != Some('(') {
                return Err("invalid filter".to_owned());
            }
            self.at += 1;
            let left = self.operand()?;
            self.blanks();
            let operator = self.operator();
            let right = if operator == Operator::Exists { Operand::Value(Value::Null) } else { self.operand()? };
            self.blanks();
            for wanted in [')', ']'] {
                if self.peek() != Some(wanted) {
                    return Err("unterminated filter".to_owned());
                }
                self.at += 1;
            }
            return Ok(Step::Filter(Box::new(left), operator, Box::new(right)));
        }
        let mut all = Vec::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(quote @ ('\'' | '"')) => all.push(Step::Field(self.quoted(quote)?)),
                Some('*') => {
                    self.at += 1;
                    all.push(Step::Wildcard);
                }
                Some(_) => {
                    let mut text = String::new();
                    while let Some(character) = self.peek().filter(|character| !matches!(character, ']' | ',')) {
                        text.push(character);
                        self.at += 1;
                    }
                    all.push(index_or_slice(text.trim())?);
                }
                None => return Err("unterminated array".to_owned()),
            }
            self.blanks();
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {
                    self.at += 1;
                    break;
                }
                _ => return Err("unterminated array".to_owned()),
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Step::Union(all) })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.blanks();
        match self.peek() {
            Some(quote @ ('\'' | '"')) => Ok(Operand::Value(self.quoted(quote)?.into())),
            Some('@' | '$' | '.') => Ok(Operand::Path(self.steps()?)),
            _ => {
                let mut text = String::new();
                while let Some(character) =
                    self.peek().filter(|next| !matches!(next, ')' | ' ' | '=' | '!' | '<' | '>'))
                {
                    text.push(character);
                    self.at += 1;
                }
                let value = serde_json::from_str(&text).map_err(|_| format!("unrecognized identifier {text}"))?;
                Ok(Operand::Value(value))
            }
        }
    }

    fn operator(&mut self) -> Operator {
        let two: String = self.text[self.at..].iter().take(2).collect();
        let (operator, length) = match two.as_str() {
            "==" => (Operator::Equal, 2),
            "!=" => (Operator::NotEqual, 2),
            "<=" => (Operator::LessOrEqual, 2),
            ">=" => (Operator::GreaterOrEqual, 2),
            two if two.starts_with('<') => (Operator::Less, 1),
            two if two.starts_with('>') => (Operator::Greater, 1),
            _ => (Operator::Exists, 0),
        };
        self.at += length;
        operator
    }
}

fn index_or_slice(text: &str) -> Result<Step, String> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("invalid array index {text}"));
    let optional = |text: Option<&str>| match text.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => number(text).map(Some),
    };
    if !text.contains(':') {
        return number(text).map(Step::Index);
    }
    let mut parts = text.split(':');
    Ok(Step::Slice(optional(parts.next())?, optional(parts.next())?, optional(parts.next())?))
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
