//! YAML as kubectl writes it: keys in alphabetical order, lists not indented, text quoted only where it must be and
//! folded at 80 columns.

use serde_json::Value;

/// Where lines are folded.
const WIDTH: usize = 80;

/// A document, ending with a line feed.
pub(crate) fn document(value: &Value) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    writer.node(value, 0, Place::Root);
    writer.line();
    writer.out
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    /// Behind `key:`.
    Value,
    /// Behind `-`.
    Item,
}

struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column += indent;
    }

    fn node(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                let mut first = place != Place::Value;
                for (key, value) in map {
                    if !first {
                        self.line();
                        self.indent(indent);
                    }
                    first = false;
                    self.key(key);
                    // A list stands under its key, not indented; so do its items' continuations.
                    let inner = if value.is_array() { indent } else { indent + 2 };
                    self.node(value, inner, Place::Value);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let mut first = place != Place::Value;
                for item in items {
                    if !first {
                        self.line();
                        self.indent(indent);
                    }
                    first = false;
                    self.push("-");
                    if matches!(item, Value::Object(map) if !map.is_empty())
                        || matches!(item, Value::Array(list) if !list.is_empty())
                    {
                        self.push(" ");
                    }
                    self.node(item, indent + 2, Place::Item);
                }
            }
            scalar => {
                if place != Place::Root {
                    self.push(" ");
                }
                self.scalar(scalar, indent, place);
            }
        }
    }

    fn key(&mut self, key: &str) {
        match style(key) {
            Style::Plain => self.push(key),
            Style::Single | Style::Literal if !key.contains('\n') => {
                self.push(&format!("'{}'", key.replace('\'', "''")));
            }
            _ => self.push(&double(key)),
        }
        self.push(":");
    }

    fn scalar(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::String(text) => self.text(text, if place == Place::Root { 2 } else { indent }),
            Value::Object(_) => self.push("{}"),
            Value::Array(_) => self.push("[]"),
            Value::Number(number) => self.push(&number_text(number)),
            other => self.push(&other.to_string()),
        }
    }

    fn text(&mut self, text: &str, indent: usize) {
        match style(text) {
            Style::Plain => self.folded(text, indent, ""),
            Style::Single => {
                self.push("'");
                self.folded(&text.replace('\'', "''"), indent, "");
                self.push("'");
            }
            Style::Double => self.double(text, indent),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Breaks at single blanks once the line is long enough.
    fn folded(&mut self, text: &str, indent: usize, prefix: &str) {
        let characters: Vec<char> = text.chars().collect();
        for (index, character) in characters.iter().enumerate() {
            let alone = *character == ' '
                && index > 0
                && characters[index - 1] != ' '
                && characters.get(index + 1).is_some_and(|next| *next != ' ');
            if alone && self.column > WIDTH {
                self.line();
                self.indent(indent);
                self.push(prefix);
            } else {
                self.out.push(*character);
                self.column += 1;
            }
        }
    }

    /// Quoted text with escapes; a line that is broken at a blank ends with a backslash where a blank follows.
    fn double(&mut self, text: &str, indent: usize) {
        self.push("\"");
        let characters: Vec<char> = text.chars().collect();
        let mut blank = false;
        for (index, character) in characters.iter().enumerate() {
            if *character == ' ' {
                let inside = index > 0 && index + 1 < characters.len();
                if !blank && inside && self.column > WIDTH {
                    self.line();
                    self.indent(indent);
                    if characters[index + 1] == ' ' {
                        self.push("\\");
                    }
                } else {
                    self.push(" ");
                }
                blank = true;
            } else {
                self.push(&escape(*character));
                blank = false;
            }
        }
        self.push("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.push("|");
        if text.starts_with([' ', '\n']) {
            self.push("2");
        }
        if !text.ends_with('\n') {
            self.push("-");
        } else if text.ends_with("\n\n") || text == "\n" {
            self.push("+");
        }
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n') {
            self.line();
            if !line.is_empty() {
                self.indent(indent);
                self.push(line);
            }
        }
    }
}

/// Numbers keep their form; a float without a fraction loses it.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

fn style(text: &str) -> Style {
    if text.is_empty() || resolves(text) {
        return Style::Double;
    }
    let special = text.chars().any(|character| !printable(character));
    if special {
        return Style::Double;
    }
    if text.contains('\n') {
        // A blank before a break would be lost when the text is read again.
        return if text.contains(" \n") && text.ends_with(' ') || text.ends_with(' ') {
            Style::Double
        } else {
            Style::Literal
        };
    }
    if plain(text) {
        Style::Plain
    } else if text.contains('\t') {
        Style::Double
    } else {
        Style::Single
    }
}

fn printable(character: char) -> bool {
    matches!(character, '\n' | '\t' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
        && character != '\u{feff}'
}

/// Whether the text may stand without quotes.
fn plain(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let (first, last) = (characters[0], characters[characters.len() - 1]);
    if first == ' ' || last == ' ' || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    let blank_follows = characters.get(1).is_none_or(|next| matches!(next, ' ' | '\t' | '\n'));
    match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => return false,
        '?' | ':' | '-' if blank_follows => return false,
        _ => {}
    }
    for (index, character) in characters.iter().enumerate() {
        match character {
            ':' if characters.get(index + 1).is_none_or(|next| matches!(next, ' ' | '\t')) => return false,
            '#' if index > 0 && matches!(characters[index - 1], ' ' | '\t') => return false,
            '\t' | '\n' => return false,
            _ => {}
        }
    }
    true
}

/// Whether a reader of YAML 1.1 would take the bare text for something else than text.
fn resolves(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "y", "Y", "yes", "Yes", "YES",
        "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "<<", ".inf", ".Inf", ".INF", "+.inf",
        "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN",
    ];
    WORDS.contains(&text) || number(text) || timestamp(text) || sexagesimal(text)
}

fn number(text: &str) -> bool {
    let bare = text.replace('_', "");
    let digits = bare.strip_prefix(['+', '-']).unwrap_or(&bare);
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return false;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return !rest.is_empty() && rest.chars().all(|digit| digit.is_digit(radix));
        }
    }
    let floats = !digits.is_empty()
        && digits.chars().all(|character| matches!(character, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'))
        && digits.contains(|character: char| character.is_ascii_digit());
    floats && (digits.chars().all(|digit| digit.is_ascii_digit()) || float(digits))
}

/// `[0-9]*.?[0-9]*([eE][-+]?[0-9]+)?` with a digit before the exponent.
fn float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let whole = mantissa.replacen('.', "", 1);
    !whole.is_empty()
        && whole.chars().all(|digit| digit.is_ascii_digit())
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit())
        })
}

/// Numbers with colons were numbers of base 60 once.
fn sexagesimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = digits.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    digits.starts_with(|digit: char| matches!(digit, '1'..='9'))
        && !rest.is_empty()
        && first.chars().all(|digit| digit.is_ascii_digit() || digit == '_')
        && rest.iter().enumerate().all(|(index, part)| {
            let part = if index + 1 == rest.len() { part.split('.').next().unwrap_or_default() } else { part };
            (1..=2).contains(&part.len())
                && part.chars().all(|digit| digit.is_ascii_digit())
                && part.parse::<u8>().is_ok_and(|value| value < 60)
        })
}

fn timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let year = bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-';
    year && (text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::Date>().is_ok() && !text.contains('T'))
}

fn double(text: &str) -> String {
    text.chars().fold(String::from("\""), |quoted, character| quoted + &escape(character)) + "\""
}

fn escape(character: char) -> String {
    match character {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{feff}' => "\\uFEFF".to_owned(),
        shown if printable(shown) => shown.to_string(),
        low if (low as u32) < 0x100 => format!("\\x{:02X}", low as u32),
        low if (low as u32) < 0x1_0000 => format!("\\u{:04X}", low as u32),
        high => format!("\\U{:08X}", high as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_look_as_kubectl_prints_them() {
        let value = json!({
            "a": {"b": [{"c": 1, "d": "x"}, {"c": []}], "e": {}}, "f": null, "g": "true", "h": "8080", "i": "a: b",
            "j": "line\nbreak\n", "k": "10.0.0.1", "l": "2026-11-20T18:46:50Z", "m": [["x"], "y"], "n": "", "o": "1:30",
            "p": "*", "q": "100m", "r": "1e3", "s": "0.5", "t": "no",
        });
        let expected = "a:\n  b:\n  - c: 1\n    d: x\n  - c: []\n  e: {}\nf: null\ng: \"true\"\nh: \"8080\"\ni: 'a: b'\nj: |\n  \
            line\n  break\nk: 10.0.0.1\nl: \"2026-11-20T18:46:50Z\"\nm:\n- - x\n- \"y\"\n\"n\": \"\"\no: \"1:30\"\np: '*'\nq: 100m\n\
            r: \"1e3\"\ns: \"0.5\"\nt: \"no\"\n";
        assert_eq!(document(&value), expected);
    }
}
