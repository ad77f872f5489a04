//! Patches of a Pod. What they make of it need not be a Pod, but it is a value within limits.

use std::sync::LazyLock;

use podlab_api::decode;
use podlab_api::patch::{self, PatchKind};
use serde_json::Value;

use super::bodies::manifests;

const POD: &str = "io.k8s.api.core.v1.Pod";

static OBJECT: LazyLock<Value> = LazyLock::new(|| manifests().remove(0));

/// Patches, a line each.
fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    lines(include_str!("../../seeds/json-patches.txt"))
}

pub(crate) fn merge_seeds() -> Vec<Vec<u8>> {
    lines(include_str!("../../seeds/merge-patches.txt"))
}

pub(crate) fn strategic_seeds() -> Vec<Vec<u8>> {
    let directives = lines(include_str!("../../seeds/strategic-patches.txt"));
    directives.into_iter().chain(merge_seeds()).collect()
}

fn apply(kind: PatchKind, bytes: &[u8]) -> Option<Value> {
    let patched = patch::apply(kind, POD, &OBJECT, bytes).ok()?;
    assert!(patched.to_string().len() < 4 * decode::MAX_BODY_BYTES);
    // Of the type or not, nothing breaks over it.
    let _ = decode::typed(POD, patched.clone());
    Some(patched)
}

pub(crate) fn json(bytes: &[u8]) {
    apply(PatchKind::Json, bytes);
}

pub(crate) fn merge(bytes: &[u8]) {
    // A second time changes nothing more (RFC 7386).
    if let Some(patched) = apply(PatchKind::Merge, bytes) {
        assert_eq!(patch::apply(PatchKind::Merge, POD, &patched, bytes).unwrap(), patched);
    }
}

pub(crate) fn strategic(bytes: &[u8]) {
    if let Some(patched) = apply(PatchKind::Strategic, bytes) {
        // Directives are said, and not stored.
        assert!(!has_directive(&patched), "{patched}");
    }
}

fn has_directive(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_directive),
        Value::Object(fields) => fields.iter().any(|(name, value)| name == "$patch" || has_directive(value)),
        _ => false,
    }
}
