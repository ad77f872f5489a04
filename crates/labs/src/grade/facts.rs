//! The answer to an exercise that asks for facts: a YAML mapping, with a value for every key of the starter.

use serde_json::Value;

/// Reads the facts. The error is for the learner.
pub(super) fn read(answer: &str, starter: &str) -> Result<Value, String> {
    let facts: Value = serde_saphyr::from_str(answer).map_err(|error| error.to_string())?;
    let Value::Object(given) = &facts else {
        return Err("the file is not a list of `key: value` lines".to_owned());
    };
    let asked: Value = serde_saphyr::from_str(starter).map_err(|error| error.to_string())?;
    let keys = asked.as_object().into_iter().flat_map(|asked| asked.keys());
    let missing: Vec<&str> = keys.filter(|key| given.get(*key).is_none_or(blank)).map(String::as_str).collect();
    if missing.is_empty() { Ok(facts) } else { Err(format!("not answered yet: {}", missing.join(", "))) }
}

fn blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_question_needs_an_answer() {
        let starter = "phase:\nrestarts:\n";
        assert_eq!(read("phase: Running\nrestarts: 2\n", starter), Ok(json!({"phase": "Running", "restarts": 2})));
        assert_eq!(read("phase: Running\nrestarts:\n", starter), Err("not answered yet: restarts".to_owned()));
        assert_eq!(read("phase: ''\n", starter), Err("not answered yet: phase, restarts".to_owned()));
        assert!(read("- phase", starter).unwrap_err().contains("key: value"));
        assert!(read("phase: [", starter).is_err());
    }
}
