//! A template's text, read: first split into text and actions, then each action's pipe.

use serde_json::Value;

use super::{Node, Pipe, Word};

/// Reads a template's nodes.
///
/// # Errors
/// What cannot be read.
pub(super) fn read(text: &str) -> Result<Vec<Node>, String> {
    let tokens = split(text)?;
    match nodes(&tokens, &mut 0)? {
        (nodes, None) => Ok(nodes),
        (_, Some(word)) => Err(format!("unexpected {{{{{word}}}}}")),
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
