//! The three ways to change an object in part: JSON patch, merge patch, strategic merge patch.

pub mod keys;
mod strategic;

use serde_json::Value;

use crate::decode::{self, MAX_BODY_BYTES};
use crate::error::ApiError;

pub use keys::{Strategy, strategy};
pub use strategic::merge as strategic_merge;

/// Operations of one JSON patch at most (k8s.io/apiserver/pkg/endpoints/handlers/patch.go, `maxJSONPatchOperations`).
pub const MAX_OPERATIONS: usize = 10_000;

/// What is said to a server-side apply.
pub const NO_APPLY: &str = "this server does not know server-side apply yet: use kubectl apply without --server-side";

/// What a patch's `Content-Type` says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    Strategic,
    /// Server-side apply.
    Apply,
}

/// The media types of patches, in the order the error lists them.
pub const MEDIA_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

impl PatchKind {
    /// # Errors
    /// [`ApiError::UnsupportedMediaType`] for anything that is no patch.
    pub fn from_content_type(content_type: Option<&str>) -> Result<Self, ApiError> {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(ApiError::UnsupportedMediaType(MEDIA_TYPES.map(str::to_owned).to_vec())),
        }
    }
}

/// Applies the patch in `body` to an object of the type `schema`. The result is not decoded yet: the caller passes it
/// through [`crate::decode::check`], which finds unknown fields and wrong types.
///
/// # Errors
/// [`ApiError::BadRequest`] for a patch that is none, [`ApiError::Unprocessable`] for one that does not fit the object,
/// [`ApiError::TooLarge`] for one that is over the limits.
pub fn apply(kind: PatchKind, schema: &str, object: &Value, body: &[u8]) -> Result<Value, ApiError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(ApiError::TooLarge(format!("limit is {MAX_BODY_BYTES}")));
    }
    let unreadable = |error: serde_json::Error| ApiError::BadRequest(format!("error decoding patch: {error}"));
    let read = || decode::value(body).map_err(unreadable);
    match kind {
        PatchKind::Json => json(object, read()?),
        PatchKind::Merge => {
            let mut patched = object.clone();
            json_patch::merge(&mut patched, &read()?);
            Ok(patched)
        }
        PatchKind::Strategic => strategic_merge(object, &read()?, schema),
        PatchKind::Apply => Err(ApiError::BadRequest(NO_APPLY.to_owned())),
    }
}

/// Applies the operations; what copies add up to is limited like a body.
fn json(object: &Value, patch: Value) -> Result<Value, ApiError> {
    let count = patch.as_array().map_or(0, Vec::len);
    if count > MAX_OPERATIONS {
        return Err(ApiError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
        )));
    }
    let patch: json_patch::Patch = serde_json::from_value(patch)
        .map_err(|error| ApiError::BadRequest(format!("error decoding patch: {error}")))?;
    let mut patched = object.clone();
    let mut copied = 0;
    for operation in &patch.0 {
        if let json_patch::PatchOperation::Copy(copy) = operation {
            copied += patched.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if copied > MAX_BODY_BYTES {
                let message = format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the \
                     limit {MAX_BODY_BYTES}"
                );
                return Err(ApiError::TooLarge(message));
            }
        }
        let one = std::slice::from_ref(operation);
        json_patch::patch(&mut patched, one).map_err(|_| refused())?;
    }
    Ok(patched)
}

/// The real server's answer to a JSON patch that does not fit tells no more.
fn refused() -> ApiError {
    ApiError::Unprocessable("the server rejected our request due to an error in our request".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POD: &str = "io.k8s.api.core.v1.Pod";

    fn patched(kind: PatchKind, object: Value, patch: Value) -> Result<Value, ApiError> {
        apply(kind, POD, &object, patch.to_string().as_bytes())
    }

    #[test]
    fn a_merge_patch_replaces_and_removes() {
        let object = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [{"name": "x"}]}});
        let patch = json!({"metadata": {"labels": {"a": null, "c": "3"}}, "spec": {"containers": [{"name": "y"}]}});
        assert_eq!(
            patched(PatchKind::Merge, object, patch).unwrap(),
            json!({"metadata": {"labels": {"b": "2", "c": "3"}}, "spec": {"containers": [{"name": "y"}]}})
        );
    }

    #[test]
    fn a_json_patch_is_limited() {
        let object = json!({"a": "x".repeat(1000)});
        let add = json!([{"op": "add", "path": "/b", "value": 1}]);
        assert_eq!(patched(PatchKind::Json, object.clone(), add).unwrap()["b"], 1);
        let missing = json!([{"op": "remove", "path": "/nope"}]);
        assert_eq!(patched(PatchKind::Json, object.clone(), missing).unwrap_err().code(), 422);
        let many = vec![json!({"op": "add", "path": "/b", "value": 1}); MAX_OPERATIONS + 1];
        assert_eq!(patched(PatchKind::Json, object.clone(), many.into()).unwrap_err().code(), 413);
        let copies: Vec<Value> =
            (0..4000).map(|index| json!({"op": "copy", "from": "/a", "path": format!("/c{index}")})).collect();
        assert_eq!(patched(PatchKind::Json, object, copies.into()).unwrap_err().code(), 413);
    }

    /// As deep as a body can be; a thread of the server has 2 MiB of stack, and is somewhere in it already.
    #[test]
    fn depth_ends_before_the_stack_does() {
        const DEEPEST: usize = 127;
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let work = move || {
            let deep = decode::value(nested(DEEPEST).as_bytes()).unwrap();
            assert!(decode::value(nested(DEEPEST + 1).as_bytes()).is_err());
            for kind in [PatchKind::Merge, PatchKind::Strategic] {
                assert_eq!(patched(kind, deep.clone(), deep.clone()).unwrap(), deep);
            }
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(work).unwrap().join().unwrap();
    }
}
