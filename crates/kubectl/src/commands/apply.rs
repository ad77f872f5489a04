//! `kubectl apply`

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::Method;
use podlab_api::json::{at, object_mut, text};
use podlab_api::registry;
use serde_json::{Value, json};

use super::common::{DryRun, Writing, pause, validation};
use super::three_way::three_way;
use crate::failure::{Failure, Outcome, fail, together};
use crate::http_call::{Call, MERGE, STRATEGIC};
use crate::print::{complain, json as print_json};
use crate::select::{Files, Manifest};
use crate::session::Session;

/// Where what was applied is kept on the object.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Tries when somebody else writes at the same time.
const TRIES: u32 = 5;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    words: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    writing: Writing,
    /// Let the server merge
    #[arg(long)]
    server_side: bool,
    /// Take over fields that others manage
    #[arg(long)]
    force_conflicts: bool,
    /// strict, warn or ignore
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "strict", default_value = "strict")]
    validate: String,
    /// Delete objects that were applied and are no longer in the files (not built in)
    #[arg(long)]
    prune: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// Delete and make again what cannot be changed
    #[arg(long)]
    force: bool,
    /// Take this configuration over what others set
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", action = clap::ArgAction::Set)]
    overwrite: bool,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    if arguments.words.first().is_some_and(|word| word == "view-last-applied") {
        return fail("the built-in kubectl has no apply view-last-applied: kubectl get -o yaml shows the annotation");
    }
    if !arguments.words.is_empty() {
        return fail(format!(
            "Unexpected args: [{}]\nSee 'kubectl apply -h' for help and examples",
            arguments.words.join(" ")
        ));
    }
    if arguments.files.is_empty() {
        return fail("must specify one of -f and -k");
    }
    if arguments.prune {
        return fail("the built-in kubectl does not prune: use the real one, https://kubernetes.io/docs/tasks/tools/");
    }
    if arguments.server_side && arguments.writing.dry()? == DryRun::Client {
        return fail("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)");
    }
    let mut teller = arguments.writing.teller()?;
    let mut failures = Vec::new();
    let selector = arguments.selector.as_deref().map(podlab_api::selector::LabelSelector::parse);
    let selector = selector.transpose().map_err(Failure::Text)?;
    let manifests = session.manifests(&arguments.files).await?;
    if manifests.is_empty() {
        return fail("no objects passed to apply");
    }
    for manifest in manifests {
        let labels = at(&manifest.object, &["metadata", "labels"]);
        if selector.as_ref().is_some_and(|selector| !selector.matches(labels)) {
            continue;
        }
        let applied = match arguments.server_side {
            true => server_side(session, &arguments, &manifest).await,
            false => client_side(session, &arguments, &manifest).await,
        };
        match applied {
            Ok((object, what)) => teller.tell(&object, what)?,
            Err(failure) => failures.push(failure),
        }
    }
    together(failures)
}

async fn server_side(session: &Session, arguments: &Arguments, manifest: &Manifest) -> Outcome<(Value, &'static str)> {
    let path = arguments.writing.on(manifest.kind.object(manifest.namespace.as_deref(), manifest.name()), "kubectl")?;
    let path = path.query("fieldValidation", validation(&arguments.validate)?);
    let path = if arguments.force_conflicts { path.query("force", "true") } else { path };
    let body = Bytes::from(manifest.object.to_string());
    let call = Call { accept: None, content_type: Some("application/apply-patch+yaml"), body };
    match session.call(Method::PATCH, &path, call).await {
        Ok(object) => Ok((object, "serverside-applied")),
        Err(Failure::Status(mut status)) if status["reason"] == "Conflict" => {
            let message = text(&status, &["message"]).to_owned();
            status["message"] = format!(
                "{message}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.\n* If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that should keep their\n  current managers.\n* You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"
            )
            .into();
            let text = Failure::Status(status).message();
            Err(Failure::Text(text))
        }
        Err(failure) => Err(failure),
    }
}

/// The object with what it is in the annotation that the next apply reads.
pub(crate) fn with_last_applied(object: &Value) -> Value {
    let mut modified = object.clone();
    object_mut(&mut modified, &["metadata", "annotations"]).remove(LAST_APPLIED);
    let applied = print_json::compact(&modified) + "\n";
    object_mut(&mut modified, &["metadata", "annotations"]).insert(LAST_APPLIED.into(), applied.into());
    modified
}

/// As errors name an object.
fn described(manifest: &Manifest) -> String {
    let kind = &manifest.kind;
    format!(
        "Resource: \"{}/{}, Resource={}\", GroupVersionKind: \"{}/{}, Kind={}\"\nName: \"{}\", Namespace: \"{}\"",
        kind.group,
        kind.version,
        kind.plural,
        kind.group,
        kind.version,
        kind.kind,
        manifest.name(),
        manifest.namespace.as_deref().unwrap_or_default(),
    )
}

async fn client_side(session: &Session, arguments: &Arguments, manifest: &Manifest) -> Outcome<(Value, &'static str)> {
    let kind = &manifest.kind;
    let source = manifest.source.as_str();
    let retrieving = |failure: Failure| match failure {
        Failure::Status(mut status) => {
            let message = text(&status, &["message"]).to_owned();
            status["message"] = format!(
                "error when retrieving current configuration of:\n{}\nfrom server for: \"{source}\": {message}",
                described(manifest)
            )
            .into();
            Failure::Status(status)
        }
        other => other,
    };
    if manifest.name().is_empty() {
        if !text(&manifest.object, &["metadata", "generateName"]).is_empty() {
            let prefix = text(&manifest.object, &["metadata", "generateName"]);
            return fail(format!("from {prefix}: cannot use generate name with apply"));
        }
        return fail(format!(
            "error when retrieving current configuration of:\n{}\nfrom server for: \"{source}\": resource name may not be empty",
            described(manifest)
        ));
    }
    let dry = arguments.writing.dry()?;
    let modified = with_last_applied(&manifest.object);
    let path = kind.object(manifest.namespace.as_deref(), manifest.name());
    let checked = validation(&arguments.validate)?;
    let manager = "kubectl-client-side-apply";
    let mut tried = 0;
    loop {
        tried += 1;
        let current = match session.get(&path).await {
            Ok(current) => current,
            Err(failure) if failure.is_not_found() => {
                let path = arguments.writing.on(kind.collection(manifest.namespace.as_deref()), manager)?;
                let path = path.query("fieldValidation", checked);
                let made =
                    session.make(path, &modified, dry).await.map_err(|failure| failure.when("creating", source))?;
                return Ok((made, "created"));
            }
            Err(failure) => return Err(retrieving(failure)),
        };
        let last = at(&current, &["metadata", "annotations", LAST_APPLIED]).as_str().map(str::to_owned);
        if last.is_none() && dry != DryRun::Client && tried == 1 {
            complain(&format!(
                "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
                kind.plural,
                manifest.name()
            ));
        }
        let original: Value = last.and_then(|last| serde_json::from_str(&last).ok()).unwrap_or(json!({}));
        let schema = registry::find_kind(&kind.group, &kind.version, &kind.kind).map(|resource| resource.schema);
        let patch = three_way(&original, &modified, &current, schema);
        if dry == DryRun::Client {
            return Ok((current, "configured"));
        }
        if patch == json!({}) {
            return Ok((current, "unchanged"));
        }
        let path = arguments.writing.on(path.clone(), manager)?.query("fieldValidation", checked);
        let content_type = if schema.is_some() { STRATEGIC } else { MERGE };
        match session.patch(&path, content_type, &patch).await {
            Ok(patched) => {
                let same =
                    at(&patched, &["metadata", "resourceVersion"]) == at(&current, &["metadata", "resourceVersion"]);
                return Ok((patched, if same && dry == DryRun::No { "unchanged" } else { "configured" }));
            }
            Err(failure) if failure.is_conflict() && tried < TRIES => {
                pause(Duration::from_secs(1)).await;
            }
            Err(failure) if arguments.force && matches!(failure.reason(), "Invalid" | "Conflict") => {
                super::delete::and_wait(session, kind, manifest.namespace.as_deref(), manifest.name()).await?;
                let path = kind.collection(manifest.namespace.as_deref());
                return Ok((session.make(path, &modified, dry).await?, "configured"));
            }
            Err(failure) => {
                let doing =
                    format!("applying patch:\n{}\nto:\n{}\nfor:", print_json::compact(&patch), described(manifest));
                return Err(failure.when("patching", source).when(&doing, source));
            }
        }
    }
}
