//! PATCH: JSON patch, merge patch, strategic merge patch.

use bytes::Bytes;
use http::StatusCode;
use podlab_api::decode::{self, Decoded, Kind};
use podlab_api::error::ApiError;
use podlab_api::patch::{self, PatchKind};
use serde_json::Value;

use super::negotiate::Accepted;
use super::respond::{self, Shape};
use super::write::{Update, dry_run, same_name};
use super::{Answer, Call, Target, read, table};

/// A patch as it came, ready to be applied to the object as it is found.
pub(super) struct Patch {
    kind: PatchKind,
    body: Bytes,
}

impl Patch {
    /// # Errors
    /// When the body is not said to be a patch, or too large.
    pub(super) async fn of(call: &mut Call) -> Result<Self, ApiError> {
        let kind = PatchKind::from_content_type(call.content_type())?;
        if kind == PatchKind::Apply {
            return Err(ApiError::BadRequest(patch::NO_APPLY.to_owned()));
        }
        Ok(Self { kind, body: call.body().await? })
    }

    /// # Errors
    /// When it is no patch, or does not fit the object.
    pub(super) fn apply(&self, schema: &str, object: &Value) -> Result<Value, ApiError> {
        let mut patched = patch::apply(self.kind, schema, object, &self.body)?;
        // The version the object had is nobody's condition: when somebody writes in between, the patch is applied to
        // what they wrote. One that the patch itself names stays, and has to be the present one.
        let version = |value: &Value| value.pointer("/metadata/resourceVersion").cloned();
        if version(&patched) == version(object)
            && let Some(metadata) = patched.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("resourceVersion");
        }
        Ok(patched)
    }
}

pub(super) async fn patch(call: &mut Call, target: &Target) -> Answer {
    let update =
        Update { subresource: target.subresource.map(|subresource| subresource.name), dry_run: dry_run(call)? };
    let accepted = Accepted::of(&call.parts.headers)?;
    let patch = Patch::of(call).await?;
    let kind = Kind::from(target.resource);
    let mut warnings = Vec::new();
    let stored = update
        .run(call, target, |old| {
            // A patch speaks of the object as this resource shows it.
            let shown = table::converted(target.resource, old.clone());
            let patched = patch.apply(target.resource.schema, &shown)?;
            let decoded = typed(&kind, patched)?;
            let (object, found) = call.judge(&kind, decoded)?;
            warnings = found;
            same_name(target, &object)?;
            Ok(table::stored(target.resource, object))
        })
        .await?;
    let shape = Shape::of(&call.parts);
    let mut response = read::one(call, target, &shape, accepted, StatusCode::OK, &stored);
    respond::warn(&mut response, &warnings);
    Ok(response)
}

/// The result of a patch has to be an object of the kind again.
fn typed(kind: &Kind<'_>, value: Value) -> Result<Decoded, ApiError> {
    decode::check(kind, value, b"")
}
