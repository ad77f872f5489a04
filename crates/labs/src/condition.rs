//! Conditions on live objects, written in CEL: Kubernetes' own expression language.
//!
//! A condition sees variables such as `object` (null while the object does not exist). A field that is not there yet is
//! how a young object looks, so an expression that stumbles over one is simply not true yet; [`Expression::evaluate`]
//! tells the two apart for those who report.

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value};
use serde::Deserialize;
use serde::de::Error as _;

/// The longest expression that is compiled, in bytes.
const MAX_EXPRESSION: usize = 4096;

/// The functions an expression may call: CEL's own, and those on texts and lists, as Kubernetes has them.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // They are declared once, over different names; that they fit is for the tests to show.
    let added = env.add_extension(cel::extensions::strings).and_then(|()| env.add_extension(cel::extensions::lists));
    debug_assert!(added.is_ok(), "{added:?}");
    Arc::new(env)
});

/// A compiled CEL expression, and the text it came from.
pub struct Expression {
    source: String,
    program: Program,
}

/// The text is not a CEL expression.
#[derive(Debug, thiserror::Error)]
#[error("not a CEL expression: {reason}")]
pub struct NotAnExpression {
    /// What the parser says.
    pub reason: String,
}

impl Expression {
    /// Compiles `source`.
    ///
    /// # Errors
    ///
    /// When it is not CEL, or too long.
    pub fn compile(source: &str) -> Result<Expression, NotAnExpression> {
        if source.len() > MAX_EXPRESSION {
            return Err(NotAnExpression { reason: format!("longer than {MAX_EXPRESSION} bytes") });
        }
        let program = Program::compile(source).map_err(|error| NotAnExpression { reason: error.to_string() })?;
        Ok(Expression { source: source.to_owned(), program })
    }

    /// The text of the expression.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value, as JSON; `Err` says which field or function was not there.
    ///
    /// # Errors
    ///
    /// The text of what went wrong in the evaluation.
    pub fn evaluate(&self, variables: &Variables) -> Result<serde_json::Value, String> {
        let value = self.program.execute(&variables.context).map_err(|error| error.to_string())?;
        json(&value)
    }

    /// Whether the expression is `true`. A missing field makes it false.
    pub fn holds(&self, variables: &Variables) -> bool {
        matches!(self.program.execute(&variables.context), Ok(Value::Bool(true)))
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Expression::compile(&source).map_err(D::Error::custom)
    }
}

/// What an expression may name.
pub struct Variables {
    context: Context<'static, 'static>,
}

impl Variables {
    /// The variables of these names and values.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a serde_json::Value)>) -> Variables {
        let mut context = Context::with_env(LIBRARY.clone());
        for (name, value) in variables {
            context.add_variable_from_value(name, convert(value));
        }
        Variables { context }
    }
}

/// JSON as CEL sees it: every whole number is an int, as the fields of the API are.
fn convert(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(bool) => Value::Bool(*bool),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        serde_json::Value::String(text) => Value::String(text.clone().into()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(convert).collect::<Vec<_>>().into()),
        serde_json::Value::Object(fields) => {
            let fields: std::collections::HashMap<String, Value> =
                fields.iter().map(|(key, value)| (key.clone(), convert(value))).collect();
            Value::Map(fields.into())
        }
    }
}

fn json(value: &Value) -> Result<serde_json::Value, String> {
    value.json().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(expression: &str, object: serde_json::Value) -> bool {
        Expression::compile(expression).unwrap().holds(&Variables::new([("object", &object)]))
    }

    #[test]
    fn a_field_that_is_not_there_yet_is_not_true_yet() {
        assert!(holds("object.status.phase == 'Running'", json!({"status": {"phase": "Running"}})));
        assert!(!holds("object.status.phase == 'Running'", json!({"status": {"phase": "Pending"}})));
        assert!(!holds("object.status.phase == 'Running'", json!({})));
        assert!(!holds("object.status.phase == 'Running'", json!(null)));
        assert!(holds("object == null", json!(null)));
    }

    #[test]
    fn lists_of_the_api_can_be_asked_about() {
        let pod = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "restarts": 0}});
        assert!(holds("object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')", pod.clone()));
        assert!(holds("object.status.restarts == 0 && object.status.conditions.size() == 1", pod.clone()));
        assert!(holds("has(object.status) && !has(object.metadata)", pod));
    }

    #[test]
    fn texts_and_lists_have_their_functions() {
        let object = json!({"labels": {"app": "a", "team": "b"}, "names": ["x", "y"]});
        assert!(holds("object.names.join(', ') == 'x, y'", object.clone()));
        assert!(holds("object.labels.map(k, k + '=' + object.labels[k]).size() == 2", object));
    }

    #[test]
    fn what_an_expression_says_can_be_shown() {
        let object = json!({"a": [1, "two", null]});
        let value = Expression::compile("object.a").unwrap().evaluate(&Variables::new([("object", &object)])).unwrap();
        assert_eq!(value, json!([1, "two", null]));
        let error = Expression::compile("object.b").unwrap().evaluate(&Variables::new([("object", &object)]));
        assert!(error.unwrap_err().contains('b'));
    }

    #[test]
    fn text_that_is_no_expression_is_refused() {
        assert!(Expression::compile("object.status ==").is_err());
        assert!(Expression::compile(&"1+".repeat(4000)).is_err());
    }
}
