//! The common cases of Go's text/template: fields, `range`, `if`, `with`, variables, pipes, and the usual functions.

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
        let tokens = split(text)?;
        let mut at = 0;
        let (nodes, end) = nodes(&tokens, &mut at)?;
        match end {
            None => Ok(Template { nodes }),
            Some(word) => Err(format!("unexpected {{{{{word}}}}}")),
        }
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

#[derive(Debug)]
enum Token {
    Text(String),
    Action(String),
}

/// Text and actions; `{{-` and `-}}` take the blanks beside them.
fn split(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some(begin) = rest.find("{{") {
        let (before, after) = (&rest[..begin], &rest[begin + 2..]);
        let end = after.find("}}").ok_or("unclosed action")?;
        let mut action = &after[..end];
        let before = if trim { before.trim_start() } else { before };
        let left = action.starts_with("- ");
        let before = if left { before.trim_end() } else { before };
        if left {
            action = &action[1..];
        }
        trim = action.ends_with(" -");
        if trim {
            action = &action[..action.len() - 1];
        }
        tokens.push(Token::Text(before.to_owned()));
        tokens.push(Token::Action(action.trim().to_owned()));
        rest = &after[end + 2..];
    }
    tokens.push(Token::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(tokens)
}

/// Nodes up to the action that ends them, which is told.
fn nodes(tokens: &[Token], at: &mut usize) -> Result<(Vec<Node>, Option<String>), String> {
    let mut all = Vec::new();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        let action = match token {
            Token::Text(text) => {
                all.push(Node::Text(text.clone()));
                continue;
            }
            Token::Action(action) => action.as_str(),
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        match word {
            "end" | "else" => return Ok((all, Some(action.to_owned()))),
            "if" | "with" | "range" => {
                let pipe = pipe(rest)?;
                let (then, otherwise) = branches(tokens, at)?;
                all.push(match word {
                    "if" => Node::If(pipe, then, otherwise),
                    "with" => Node::With(pipe, then, otherwise),
                    _ => Node::Range(pipe, then, otherwise),
                });
            }
            comment if comment.starts_with("/*") => {}
            _ => all.push(Node::Print(pipe(action)?)),
        }
    }
    Ok((all, None))
}

fn branches(tokens: &[Token], at: &mut usize) -> Result<(Vec<Node>, Vec<Node>), String> {
    let (then, end) = nodes(tokens, at)?;
    match end.as_deref() {
        Some("end") => Ok((then, Vec::new())),
        Some("else") => match nodes(tokens, at)? {
            (otherwise, Some(end)) if end == "end" => Ok((then, otherwise)),
            _ => Err("unexpected EOF".to_owned()),
        },
        Some(other) if other.starts_with("else if ") => {
            let pipe = pipe(&other["else if ".len()..])?;
            let (inner, otherwise) = branches(tokens, at)?;
            Ok((then, vec![Node::If(pipe, inner, otherwise)]))
        }
        _ => Err("unexpected EOF".to_owned()),
    }
}

fn pipe(text: &str) -> Result<Pipe, String> {
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    let pipe = read_pipe(&characters, &mut at)?;
    if at < characters.len() { Err(format!("unexpected {:?} in operand", characters[at])) } else { Ok(pipe) }
}

fn read_pipe(text: &[char], at: &mut usize) -> Result<Pipe, String> {
    let mut variables = Vec::new();
    let rest: String = text[*at..].iter().collect();
    if rest.trim_start().starts_with('$')
        && let Some((names, _)) = rest.split_once(":=").or_else(|| rest.split_once(" = "))
        && names.chars().all(|character| character.is_alphanumeric() || matches!(character, '$' | ',' | ' ' | '_'))
    {
        variables = names.split(',').map(|name| name.trim().to_owned()).collect();
        let sign = if rest[names.len()..].starts_with(":=") { 2 } else { 3 };
        *at += names.chars().count() + sign;
    }
    let mut commands = vec![Vec::new()];
    loop {
        while text.get(*at).is_some_and(|character| character.is_whitespace()) {
            *at += 1;
        }
        match text.get(*at) {
            None | Some(')') => break,
            Some('|') => {
                *at += 1;
                commands.push(Vec::new());
            }
            Some(_) => {
                let word = word(text, at)?;
                if let Some(command) = commands.last_mut() {
                    command.push(word);
                }
            }
        }
    }
    Ok(Pipe { variables, commands })
}

fn word(text: &[char], at: &mut usize) -> Result<Word, String> {
    match text[*at] {
        '(' => {
            *at += 1;
            let pipe = read_pipe(text, at)?;
            if text.get(*at) != Some(&')') {
                return Err("unclosed left paren".to_owned());
            }
            *at += 1;
            let chain = bare(text, at);
            Ok(Word::Inner(pipe, fields(&chain)))
        }
        '"' => {
            let begin = *at;
            *at += 1;
            while text.get(*at).is_some_and(|character| *character != '"') {
                *at += if text[*at] == '\\' { 2 } else { 1 };
            }
            *at += 1;
            let literal: String = text[begin..(*at).min(text.len())].iter().collect();
            serde_json::from_str(&literal).map(Word::Literal).map_err(|_| "unterminated quoted string".to_owned())
        }
        '`' => {
            let end = text[*at + 1..]
                .iter()
                .position(|character| *character == '`')
                .ok_or("unterminated raw quoted string")?;
            let literal: String = text[*at + 1..*at + 1 + end].iter().collect();
            *at += end + 2;
            Ok(Word::Literal(literal.into()))
        }
        _ => {
            let bare = bare(text, at);
            if let Some(rest) = bare.strip_prefix('$') {
                let (name, chain) = rest.split_once('.').unwrap_or((rest, ""));
                return Ok(Word::Variable(format!("${name}"), fields(chain)));
            }
            if bare.starts_with('.') {
                return Ok(Word::Field(fields(&bare)));
            }
            match bare.as_str() {
                "nil" => Ok(Word::Literal(Value::Null)),
                "" => Err(format!("unexpected {:?} in operand", text[*at])),
                _ => Ok(serde_json::from_str(&bare).map_or_else(|_| Word::Function(bare.clone()), Word::Literal)),
            }
        }
    }
}

fn bare(text: &[char], at: &mut usize) -> String {
    let begin = *at;
    while text
        .get(*at)
        .is_some_and(|character| !character.is_whitespace() && !matches!(character, '(' | ')' | '|' | '"'))
    {
        *at += 1;
    }
    text[begin..*at].iter().collect()
}

fn fields(chain: &str) -> Vec<String> {
    chain.split('.').filter(|field| !field.is_empty()).map(str::to_owned).collect()
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
