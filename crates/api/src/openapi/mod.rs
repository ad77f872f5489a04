//! The OpenAPI documents: what `kubectl explain` shows and what `kubectl apply` computes its patches from.

mod document;
mod enums;
pub mod v2;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use crate::registry;

/// A document as it is served.
pub struct Document {
    /// JSON.
    pub bytes: Vec<u8>,
    /// Of the bytes; part of the document's address, and its entity tag.
    pub hash: String,
}

impl Document {
    fn new(value: &Value) -> Self {
        let bytes = value.to_string().into_bytes();
        let hash = Sha512::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        Self { bytes, hash }
    }
}

static DOCUMENTS: LazyLock<BTreeMap<String, Document>> = LazyLock::new(|| {
    let mut paths: Vec<(String, &str, &str)> = registry::all()
        .iter()
        .map(|resource| (path(resource.group, resource.version), resource.group, resource.version))
        .collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(|(path, group, version)| (path, Document::new(&document::build(group, version)))).collect()
});

static INDEX: LazyLock<Document> = LazyLock::new(|| {
    let paths: Map<String, Value> = DOCUMENTS
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    Document::new(&json!({"paths": paths}))
});

/// `api/v1`, or `apis/apps/v1`.
#[must_use]
pub fn path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// `GET /openapi/v3` (golden 387).
#[must_use]
pub fn index() -> &'static Document {
    &INDEX
}

/// `GET /openapi/v3/PATH`, such as `api/v1`. Built at first use, then kept.
#[must_use]
pub fn document(path: &str) -> Option<&'static Document> {
    DOCUMENTS.get(path)
}
