//! `kubectl diff`: what apply would change, as `diff -u -N` shows it.

use std::path::{Path as FilePath, PathBuf};
use std::process::Command;

use clap::Args;
use podlab_api::json::{at, object_mut};
use podlab_api::registry;
use serde_json::{Value, json};

use super::apply::LAST_APPLIED;
use super::three_way::three_way;
use crate::failure::{Failure, Outcome, fail};
use crate::http_call::{MERGE, STRATEGIC};
use crate::print::yaml;
use crate::select::{Files, Manifest};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Let the server merge
    #[arg(long)]
    server_side: bool,
    /// Take over fields that others manage
    #[arg(long)]
    force_conflicts: bool,
    /// Who is said to change the fields
    #[arg(long)]
    field_manager: Option<String>,
    /// With metadata.managedFields
    #[arg(long)]
    show_managed_fields: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    if arguments.files.is_empty() {
        return fail("must specify one of -f and -k");
    }
    let (live, merged) = (folder("LIVE")?, folder("MERGED")?);
    let written = write(session, &arguments, &live.0, &merged.0).await;
    written?;
    let command = std::env::var("KUBECTL_EXTERNAL_DIFF").unwrap_or_default();
    let mut words = command.split_whitespace();
    let mut diff = match words.next() {
        Some(program) => {
            let mut diff = Command::new(program);
            diff.args(words);
            diff
        }
        None => {
            let mut diff = Command::new("diff");
            diff.args(["-u", "-N"]);
            diff
        }
    };
    let status = diff.arg(&live.0).arg(&merged.0).status();
    let status = status.map_err(|error| Failure::Text(format!("failed to run \"diff\": {error}")))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(Failure::Exit(1)),
        other => {
            let code = other.and_then(|code| u8::try_from(code).ok()).unwrap_or(2);
            crate::print::complain(&format!("error: failed to run \"diff\": exit status {code}"));
            Err(Failure::Exit(code))
        }
    }
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the temporary directory's.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `LIVE-123456789` in the temporary directory.
fn folder(name: &str) -> Outcome<Folder> {
    use std::os::unix::fs::DirBuilderExt;
    let stamp = jiff::Timestamp::now().as_nanosecond().unsigned_abs();
    let number = (stamp ^ u128::from(std::process::id()) << 20) % 4_000_000_000;
    let path = std::env::temp_dir().join(format!("{name}-{number}"));
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => Ok(Folder(path)),
        Err(error) => fail(format!("{}: {error}", path.display())),
    }
}

async fn write(session: &Session, arguments: &Arguments, live: &FilePath, merged: &FilePath) -> Outcome {
    for manifest in session.manifests(&arguments.files).await? {
        let (before, after) = both(session, arguments, &manifest).await?;
        let kind = &manifest.kind;
        let group = if kind.group.is_empty() { String::new() } else { format!("{}.", kind.group) };
        let namespace = manifest.namespace.as_deref().unwrap_or_default();
        let name = format!("{group}{}.{}.{namespace}.{}", kind.version, kind.kind, manifest.name());
        for (folder, object) in [(live, before), (merged, Some(after))] {
            let Some(mut object) = object else { continue };
            if !arguments.show_managed_fields {
                object_mut(&mut object, &["metadata"]).remove("managedFields");
            }
            let path = folder.join(&name);
            std::fs::write(&path, yaml::document(&object))
                .map_err(|error| Failure::Text(format!("{}: {error}", path.display())))?;
        }
    }
    Ok(())
}

/// The object as it is, and as it would be.
async fn both(session: &Session, arguments: &Arguments, manifest: &Manifest) -> Outcome<(Option<Value>, Value)> {
    let kind = &manifest.kind;
    let path = kind.object(manifest.namespace.as_deref(), manifest.name());
    let manager = arguments.field_manager.as_deref().unwrap_or("kubectl-client-side-apply");
    let dry = |path: podlab_client::Path| path.query("dryRun", "All").query("fieldManager", manager);
    let live = match session.get(&path).await {
        Ok(live) => live,
        Err(failure) if failure.is_not_found() => {
            let path = dry(kind.collection(manifest.namespace.as_deref()));
            return Ok((None, session.send(http::Method::POST, &path, &manifest.object).await?));
        }
        Err(failure) => return Err(failure),
    };
    if arguments.server_side {
        let path = dry(path).query("force", if arguments.force_conflicts { "true" } else { "false" });
        let merged = session.patch(&path, "application/apply-patch+yaml", &manifest.object).await?;
        return Ok((Some(live), merged));
    }
    let original = at(&live, &["metadata", "annotations", LAST_APPLIED]).as_str();
    let original: Value = original.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(json!({}));
    let schema = registry::find_kind(&kind.group, &kind.version, &kind.kind).map(|resource| resource.schema);
    let mut modified = manifest.object.clone();
    // As apply would send it, but for the annotation, which stays as it is.
    object_mut(&mut modified, &["metadata", "annotations"]).remove(LAST_APPLIED);
    let patch = three_way(&original, &modified, &live, schema);
    let content_type = if schema.is_some() { STRATEGIC } else { MERGE };
    let merged = session.patch(&dry(path), content_type, &patch).await?;
    Ok((Some(live), merged))
}
