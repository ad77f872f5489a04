//! Label selectors inside objects (k8s.io/apimachinery/pkg/apis/meta/v1/validation/validation.go).

use serde_json::Value;

use super::metadata;
use crate::error::{FieldError, FieldPath};
use crate::json::{at, list, text};

/// `matchLabels` and `matchExpressions`.
pub(super) fn check(errors: &mut Vec<FieldError>, selector: &Value, path: &FieldPath) {
    errors.extend(metadata::labels(at(selector, &["matchLabels"]), &path.child("matchLabels")));
    for (index, expression) in list(selector, &["matchExpressions"]).iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = list(expression, &["values"]);
        match text(expression, &["operator"]) {
            "In" | "NotIn" if values.is_empty() => {
                let message = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(&path.child("values"), message));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let message = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&path.child("values"), message));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let message = "not a valid selector operator";
                errors.push(FieldError::invalid(&path.child("operator"), other, message));
            }
        }
    }
}
