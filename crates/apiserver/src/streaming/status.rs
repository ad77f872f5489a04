//! How a command ended: the node's word for it, as the Status that clients read from the error stream.

use serde_json::{Value, json};

/// The Status for the payload of a node's status frame.
pub(super) fn of(payload: &[u8]) -> Value {
    let ended: Value = serde_json::from_slice(payload).unwrap_or_default();
    match (ended["code"].as_i64(), ended["error"].as_str()) {
        (Some(0), _) => json!({"metadata": {}, "status": "Success"}),
        (Some(code), _) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        (None, Some(text)) => internal(&format!("Internal error occurred: {text}")),
        (None, None) => internal("the node said nothing about how it ended"),
    }
}

/// A failure that is not the command's own.
pub(super) fn internal(text: &str) -> Value {
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("Internal error occurred: {text}"),
        "reason": "InternalError",
        "details": {"causes": [{"message": text}]},
        "code": 500,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_errors_become_statuses() {
        assert_eq!(of(br#"{"code":0}"#)["status"], "Success");
        let seven = of(br#"{"code":7}"#);
        assert_eq!(seven["details"]["causes"][0], json!({"reason": "ExitCode", "message": "7"}));
        assert_eq!(seven["message"], "command terminated with non-zero exit code: exit status 7");
        let text = of(br#"{"error":"error executing command in container: x"}"#);
        assert_eq!(
            text["message"],
            "Internal error occurred: Internal error occurred: error executing command in container: x"
        );
        assert_eq!(of(b"")["reason"], "InternalError");
    }
}
