//! A node's taints keep Pods away that do not tolerate them.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::super::diagnosis::Rejection;
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;

pub(super) fn prepare<'a>(pod: &'a Incoming, _: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let tolerations = pod.spec.tolerations.as_deref().unwrap_or_default();
    Ok(Some(Box::new(move |node| {
        let untolerated = node
            .taints
            .iter()
            .filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"))
            .find(|taint| !tolerated(taint, tolerations));
        match untolerated {
            None => Ok(()),
            Some(taint) => Err(Rejection::permanent(format!(
                "node(s) had untolerated taint {{{}: {}}}",
                taint.key,
                taint.value.as_deref().unwrap_or_default()
            ))),
        }
    })))
}

/// Whether one of the tolerations covers a taint (`ToleratesTaint` in k8s.io/api/core/v1/toleration.go): no effect means
/// every effect, and `Exists` without a key every taint.
#[must_use]
pub fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        let value = toleration.value.as_deref().unwrap_or_default();
        (effect.is_empty() || effect == taint.effect)
            && (key.is_empty() || key == taint.key)
            && match toleration.operator.as_deref().unwrap_or_default() {
                "" | "Equal" => value == taint.value.as_deref().unwrap_or_default(),
                "Exists" => true,
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_cover_what_upstream_says() {
        let taint: Taint =
            serde_json::from_value(serde_json::json!({ "key": "special", "value": "yes", "effect": "NoSchedule" }))
                .expect("a taint");
        let table = [
            (
                serde_json::json!({ "key": "special", "operator": "Equal", "value": "yes", "effect": "NoSchedule" }),
                true,
            ),
            (serde_json::json!({ "key": "special", "value": "yes" }), true),
            (serde_json::json!({ "key": "special", "value": "no" }), false),
            (serde_json::json!({ "key": "special", "operator": "Exists", "effect": "NoExecute" }), false),
            (serde_json::json!({ "key": "other", "operator": "Exists" }), false),
            (serde_json::json!({ "operator": "Exists" }), true),
        ];
        for (toleration, expected) in table {
            let tolerations = [serde_json::from_value(toleration.clone()).expect("a toleration")];
            assert_eq!(tolerated(&taint, &tolerations), expected, "{toleration}");
        }
        assert!(!tolerated(&taint, &[]));
    }
}
