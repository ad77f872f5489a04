//! The common cases of Go's text/template: fields, `range`, `if`, `with`, variables, pipes, and the usual functions.

mod reader;

use std::cmp::Ordering;

use serde_json::Value;

/// A template, read.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Print(Pipe),
    If(Pipe, Vec<Node>, Vec<Node>),
    With(Pipe, Vec<Node>, Vec<Node>),
    Range(Pipe, Vec<Node>, Vec<Node>),
}

/// `$name := command | command`
#[derive(Clone, Debug)]
struct Pipe {
    variables: Vec<String>,
    commands: Vec<Vec<Word>>,
}

#[derive(Clone, Debug)]
enum Word {
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    Inner(Pipe, Vec<String>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What cannot be read.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(Template { nodes: reader::read(text)? })
    }

    /// Fills in an object.
    ///
    /// # Errors
    /// A function that is not known, or given what it cannot take.
    pub(crate) fn fill(&self, object: &Value) -> Result<String, String> {
        let mut run = Run { variables: vec![("$".to_owned(), object.clone())], out: String::new() };
        run.nodes(&self.nodes, object)?;
        Ok(run.out)
    }
}

struct Run {
    variables: Vec<(String, Value)>,
    out: String,
}

impl Run {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let known = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.out.push_str(&shown(&value));
                    } else {
                        self.assign(&pipe.variables[0], value);
                    }
                }
                Node::If(pipe, then, otherwise) => {
                    let value = self.declared(pipe, dot)?;
                    self.nodes(if true_like(&value) { then } else { otherwise }, dot)?;
                }
                Node::With(pipe, then, otherwise) => {
                    let value = self.declared(pipe, dot)?;
                    if true_like(&value) {
                        self.nodes(then, &value)?;
                    } else {
                        self.nodes(otherwise, dot)?;
                    };
                }
                Node::Range(pipe, then, otherwise) => {
                    let value = self.pipe(pipe, dot)?;
                    let items: Vec<(Value, Value)> = match value {
                        Value::Array(items) => {
                            items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect()
                        }
                        Value::Object(map) => map.into_iter().map(|(key, item)| (key.into(), item)).collect(),
                        Value::Null => Vec::new(),
                        other => return Err(format!("range can't iterate over {}", shown(&other))),
                    };
                    if items.is_empty() {
                        self.nodes(otherwise, dot)?;
                    }
                    for (key, item) in items {
                        let before = self.variables.len();
                        match pipe.variables.as_slice() {
                            [one] => self.variables.push((one.clone(), item.clone())),
                            [one, two] => {
                                self.variables.push((one.clone(), key));
                                self.variables.push((two.clone(), item.clone()));
                            }
                            _ => {}
                        }
                        self.nodes(then, &item)?;
                        self.variables.truncate(before);
                    }
                }
            }
        }
        self.variables.truncate(known.max(1));
        Ok(())
    }

    /// A later assignment changes the variable, a first one makes it.
    fn assign(&mut self, name: &str, value: Value) {
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn declared(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let value = self.pipe(pipe, dot)?;
        if let Some(name) = pipe.variables.first() {
            self.variables.push((name.clone(), value.clone()));
        }
        Ok(value)
    }

    fn pipe(&self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last.take(), dot)?);
        }
        Ok(last.unwrap_or(Value::Null))
    }

    fn command(&self, words: &[Word], last: Option<Value>, dot: &Value) -> Result<Value, String> {
        let Some(first) = words.first() else { return Err("missing value for command".to_owned()) };
        let Word::Function(name) = first else { return self.value(first, dot) };
        let mut arguments = words[1..].iter().map(|word| self.value(word, dot)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(last);
        call(name, &arguments)
    }

    fn value(&self, word: &Word, dot: &Value) -> Result<Value, String> {
        match word {
            Word::Literal(value) => Ok(value.clone()),
            Word::Field(fields) => Ok(chain(dot, fields)),
            Word::Variable(name, fields) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => Ok(chain(value, fields)),
                None => Err(format!("undefined variable \"{name}\"")),
            },
            Word::Inner(pipe, fields) => Ok(chain(&self.pipe(pipe, dot)?, fields)),
            Word::Function(name) => call(name, &[]),
        }
    }
}

fn chain(value: &Value, fields: &[String]) -> Value {
    fields.iter().try_fold(value, |value, field| value.get(field)).cloned().unwrap_or(Value::Null)
}

fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let compare = || match arguments {
        [Value::String(a), Value::String(b), ..] => Ok(a.cmp(b)),
        [a, b, ..] if a.is_number() && b.is_number() => Ok(number(a).total_cmp(&number(b))),
        [a, b, ..] => Ok(if a == b { Ordering::Equal } else { Ordering::Less }),
        _ => Err(format!("wrong number of args for {name}")),
    };
    Ok(match name {
        "len" => match arguments.first() {
            Some(Value::Array(items)) => items.len(),
            Some(Value::Object(map)) => map.len(),
            Some(Value::String(text)) => text.len(),
            _ => return Err("len of nil pointer".to_owned()),
        }
        .into(),
        "index" => arguments.iter().skip(1).try_fold(
            arguments.first().cloned().unwrap_or(Value::Null),
            |value, key| match key {
                Value::String(key) => Ok(value.get(key).cloned().unwrap_or(Value::Null)),
                key => {
                    let place = key.as_u64().and_then(|place| usize::try_from(place).ok()).unwrap_or(usize::MAX);
                    value.get(place).cloned().ok_or_else(|| format!("error calling index: index out of range: {key}"))
                }
            },
        )?,
        "eq" => {
            let first = arguments.first();
            arguments
                .iter()
                .skip(1)
                .any(|other| {
                    Some(other) == first || other.as_f64().is_some() && other.as_f64() == first.and_then(Value::as_f64)
                })
                .into()
        }
        "ne" => compare()?.is_ne().into(),
        "lt" => compare()?.is_lt().into(),
        "le" => compare()?.is_le().into(),
        "gt" => compare()?.is_gt().into(),
        "ge" => compare()?.is_ge().into(),
        "not" => (!arguments.first().is_some_and(true_like)).into(),
        "and" => arguments.iter().find(|value| !true_like(value)).or(arguments.last()).cloned().unwrap_or(Value::Null),
        "or" => arguments.iter().find(|value| true_like(value)).or(arguments.last()).cloned().unwrap_or(Value::Null),
        "print" => arguments.iter().map(shown).collect::<String>().into(),
        "println" => (arguments.iter().map(shown).collect::<Vec<_>>().join(" ") + "\n").into(),
        "printf" => printf(arguments)?.into(),
        "exists" => arguments
            .iter()
            .skip(1)
            .try_fold(arguments.first(), |value, key| Some(value?.get(key.as_str()?)))
            .flatten()
            .is_some()
            .into(),
        "base64decode" => {
            use base64::Engine;
            let text = arguments.first().and_then(Value::as_str).unwrap_or_default();
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| error.to_string())?;
            String::from_utf8_lossy(&bytes).into_owned().into()
        }
        other => return Err(format!("function \"{other}\" not defined")),
    })
}

/// `%s`, `%v`, `%d`, `%q` and a width.
fn printf(arguments: &[Value]) -> Result<String, String> {
    let format = arguments.first().and_then(Value::as_str).ok_or("wrong type for value; expected string")?;
    let mut rest = arguments[1..].iter();
    let mut out = String::new();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut width = String::new();
        while let Some(digit) = characters.next_if(|next| next.is_ascii_digit() || matches!(next, '-' | '.')) {
            width.push(digit);
        }
        let text = match characters.next() {
            Some('%') => "%".to_owned(),
            Some('q') => rest.next().map(|value| super::quoted(&shown(value))).unwrap_or_default(),
            Some(_) => rest.next().map(shown).unwrap_or_default(),
            None => "%!(NOVERB)".to_owned(),
        };
        let wide = width.trim_start_matches('-').split('.').next().and_then(|width| width.parse().ok()).unwrap_or(0);
        out.push_str(&if width.starts_with('-') { format!("{text:<wide$}") } else { format!("{text:>wide$}") });
    }
    Ok(out)
}

fn true_like(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A value as `%v` prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", shown(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_fill_in_as_gos_do() {
        let object = json!({"items": [{"n": "a", "x": 1}, {"n": "b", "x": 2}], "m": {"k": "v"}, "e": []});
        for (template, expected) in [
            ("{{range .items}}{{.n}}{{\"\\n\"}}{{end}}", "a\nb\n"),
            ("{{range $i, $v := .items}}{{$i}}={{$v.n}} {{end}}", "0=a 1=b "),
            ("{{if eq (index .items 0).n \"a\"}}yes{{else}}no{{end}}", "yes"),
            ("{{range .e}}x{{else}}none{{end}}", "none"),
            ("{{len .items}} {{.nope}} {{.m}}", "2 <no value> map[k:v]"),
            ("{{with .m}}{{.k}}{{end}}", "v"),
            ("a {{- \"b\" -}} c", "abc"),
            ("{{printf \"%s-%d\" .m.k 3}}", "v-3"),
            ("{{ \"aGk=\" | base64decode }}", "hi"),
            ("{{if and .m .e}}1{{else if .m}}2{{end}}", "2"),
        ] {
            assert_eq!(Template::parse(template).unwrap().fill(&object).unwrap(), expected, "{template}");
        }
        assert!(Template::parse("{{range .items}}").is_err());
        assert!(Template::parse("{{nope 1}}").unwrap().fill(&object).is_err());
    }
}
