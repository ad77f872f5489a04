//! Label selectors: `app=web,tier in (front,back),!canary` (k8s.io/apimachinery/pkg/labels/selector.go).

use std::fmt;

use serde_json::Value;

use crate::json::{entries, list, text};
use crate::validation::names;

/// Requirements at most in one selector; a longer one is no honest question.
const MAX_REQUIREMENTS: usize = 1000;

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One term of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    /// In alphabetical order, as selectors are printed.
    pub values: Vec<String>,
}

/// All of its requirements have to hold. The empty selector selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    pub requirements: Vec<Requirement>,
}

impl Requirement {
    /// Whether a label of this value (`None`: not there) meets the requirement.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.iter().any(|wanted| wanted == value);
        let compare = |holds: fn(i64, i64) -> bool| {
            let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
            match (number(value), number(self.values.first().map(String::as_str))) {
                (Some(value), Some(limit)) => holds(value, limit),
                _ => false,
            }
        };
        match self.operator {
            Operator::Equals | Operator::In => value.is_some_and(among),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(among),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compare(|value, limit| value > limit),
            Operator::LessThan => compare(|value, limit| value < limit),
        }
    }
}

impl LabelSelector {
    /// Reads the text of a `labelSelector` parameter.
    ///
    /// # Errors
    /// The parser's message, as upstream words it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, tokens: tokens(text)?, next: 0 };
        let mut requirements = parser.requirements()?;
        // Upstream keeps requirements in the order of their keys.
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// Reads a `metav1.LabelSelector`: `matchLabels` and `matchExpressions`.
    ///
    /// # Errors
    /// What is wrong with an expression.
    pub fn from_object(selector: &Value) -> Result<Self, String> {
        let mut requirements = Self::from_map(&selector["matchLabels"]).requirements;
        for expression in list(selector, &["matchExpressions"]) {
            let operator = match text(expression, &["operator"]) {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{other:?} is not a valid label selector operator")),
            };
            let mut values: Vec<String> =
                list(expression, &["values"]).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
            values.sort();
            requirements.push(Requirement { key: text(expression, &["key"]).to_owned(), operator, values });
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// Reads a plain map of labels: a Service's selector, a node selector.
    #[must_use]
    pub fn from_map(labels: &Value) -> Self {
        let requirements = entries(labels, &[])
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::Equals,
                values: vec![value.as_str().unwrap_or_default().to_owned()],
            })
            .collect();
        Self { requirements }
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels (a JSON object, or null) is selected.
    #[must_use]
    pub fn matches(&self, labels: &Value) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(labels.get(&requirement.key).and_then(Value::as_str)))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let Requirement { key, operator, values } = requirement;
            let values = values.join(",");
            match operator {
                Operator::Equals => write!(f, "{key}={values}")?,
                Operator::NotEquals => write!(f, "{key}!={values}")?,
                Operator::In => write!(f, "{key} in ({values})")?,
                Operator::NotIn => write!(f, "{key} notin ({values})")?,
                Operator::Exists => write!(f, "{key}")?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::GreaterThan => write!(f, "{key}>{values}")?,
                Operator::LessThan => write!(f, "{key}<{values}")?,
            }
        }
        Ok(())
    }
}

/// A word, or one of the marks between words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Mark(&'a str),
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Mark(text) => text,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    const MARKS: [&str; 9] = ["!=", "==", "=", "!", ",", "(", ")", "<", ">"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mark = MARKS.iter().find(|mark| rest.starts_with(**mark));
        let length = match mark {
            Some(mark) => mark.len(),
            None => rest.find(|c: char| c.is_whitespace() || "=!(),<>".contains(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(if mark.is_some() { Token::Mark(token) } else { Token::Word(token) });
        if tokens.len() > MAX_REQUIREMENTS * 8 {
            return Err("the selector is too long".to_owned());
        }
        rest = after.trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn unexpected(&self, found: Option<Token<'_>>, expected: &str) -> String {
        let found = found.as_ref().map_or("", Token::text);
        format!("unable to parse requirement: found '{found}', expected: {expected}")
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        if self.tokens.is_empty() {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            if requirements.len() > MAX_REQUIREMENTS {
                return Err(format!("a selector has at most {MAX_REQUIREMENTS} requirements"));
            }
            match self.take() {
                None => return Ok(requirements),
                Some(Token::Mark(",")) if matches!(self.peek(), Some(Token::Word(_) | Token::Mark("!"))) => {}
                Some(Token::Mark(",")) => {
                    let found = self.peek().as_ref().map_or("", Token::text).to_owned();
                    return Err(format!("found '{found}', expected: identifier after ','"));
                }
                Some(other) => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == Some(Token::Mark("!"));
        if absent {
            self.next += 1;
        }
        let key = match self.take() {
            Some(Token::Word(key)) => key.to_owned(),
            found => return Err(self.unexpected(found, "!, identifier, or 'end of string'")),
        };
        if let Some(problem) = names::qualified_name(&key).first() {
            return Err(format!("unable to parse requirement: <nil>: Invalid value: {key:?}: {problem}"));
        }
        if absent {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        let (operator, values) = match self.peek() {
            None | Some(Token::Mark(",")) => (Operator::Exists, Vec::new()),
            Some(Token::Mark("=" | "==")) => (Operator::Equals, self.one_value()),
            Some(Token::Mark("!=")) => (Operator::NotEquals, self.one_value()),
            Some(Token::Mark(">")) => (Operator::GreaterThan, self.one_value()),
            Some(Token::Mark("<")) => (Operator::LessThan, self.one_value()),
            Some(Token::Word("in")) => (Operator::In, self.values()?),
            Some(Token::Word("notin")) => (Operator::NotIn, self.values()?),
            found => return Err(self.unexpected(found, "in, notin, =, ==, !=, gt, lt")),
        };
        for value in &values {
            if let Some(problem) = names::label_value(value).first() {
                let shown = self.text;
                return Err(format!(
                    "unable to parse requirement: values[0][{key}]: Invalid value: {value:?}: {problem} (in {shown:?})"
                ));
            }
        }
        Ok(Requirement { key, operator, values })
    }

    /// The word after an operator; nothing means the empty value.
    fn one_value(&mut self) -> Vec<String> {
        self.next += 1;
        match self.peek() {
            Some(Token::Word(value)) => {
                self.next += 1;
                vec![value.to_owned()]
            }
            _ => vec![String::new()],
        }
    }

    /// `(a, b)` after `in` or `notin`.
    fn values(&mut self) -> Result<Vec<String>, String> {
        self.next += 1;
        match self.take() {
            Some(Token::Mark("(")) => {}
            found => return Err(self.unexpected(found, "'('")),
        }
        let mut values = vec![String::new()];
        loop {
            match self.take() {
                Some(Token::Word(value)) => {
                    if let Some(last) = values.last_mut() {
                        value.clone_into(last);
                    }
                }
                Some(Token::Mark(",")) => values.push(String::new()),
                Some(Token::Mark(")")) => break,
                found => return Err(self.unexpected(found, "',', or identifier")),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn selectors_select() {
        let labels = json!({"app": "demo", "tier": "front", "weight": "7"});
        for selector in [
            "",
            "app=demo",
            "app==demo",
            "app",
            "!canary",
            "app!=other",
            "canary!=yes",
            "tier in (front, back)",
            "tier notin (back),app in (demo)",
            "weight>3",
            "weight<9, app",
        ] {
            assert!(LabelSelector::parse(selector).unwrap().matches(&labels), "{selector}");
        }
        for selector in ["app=other", "!app", "canary", "tier in (back)", "tier notin (front)", "weight>7", "canary="] {
            assert!(!LabelSelector::parse(selector).unwrap().matches(&labels), "{selector}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for selector in ["=", "app in", "app in (", "app in front", "a=b c", "a b", "a,,b", "a=b,", "-x=1", "a=b=c"] {
            assert!(LabelSelector::parse(selector).is_err(), "{selector}");
        }
    }

    #[test]
    fn an_objects_selector_prints_as_kubectl_prints_it() {
        let selector = LabelSelector::from_object(&json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]}],
        }));
        assert_eq!(selector.unwrap().to_string(), "app=web,tier in (a,b)");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z!=<>(), ]{0,40}|.{0,30}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
