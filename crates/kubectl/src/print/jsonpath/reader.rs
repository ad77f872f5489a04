//! A template's text, read.

use serde_json::Value;

use super::{Operand, Operator, Part, Step};

/// Reads a template's parts.
///
/// # Errors
/// What cannot be read.
pub(super) fn read(text: &str) -> Result<Vec<Part>, String> {
    Reader { text: text.chars().collect(), at: 0 }.parts(false)
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
