//! Which objects a command is about: types and names, labels, or files.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use podlab_api::json::{list, text};
use serde_json::Value;

use crate::discovery::Kind;
use crate::failure::{Failure, Outcome, fail};
use crate::session::Session;

/// The longest manifest.
const MAX_FILE: u64 = 16 << 20;

/// `-f`, `-R`, `-k`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Files {
    /// Files, folders or - for standard input
    #[arg(short, long, value_delimiter = ',')]
    pub(crate) filename: Vec<String>,
    /// A folder with a kustomization (not built in)
    #[arg(short, long)]
    pub(crate) kustomize: Option<String>,
    /// Folders with all that is in them
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
}

impl Files {
    pub(crate) fn is_empty(&self) -> bool {
        self.filename.is_empty() && self.kustomize.is_none()
    }
}

/// An object that was read from a file.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) source: String,
    pub(crate) object: Value,
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
}

impl Manifest {
    pub(crate) fn name(&self) -> &str {
        text(&self.object, &["metadata", "name"])
    }
}

/// One object, or all of a kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) name: Option<String>,
}

impl Session {
    /// Types and names of the command line: `pods a b`, `po,svc`, `pod/a svc/b`, `all`.
    ///
    /// # Errors
    /// A type that is not known, or words that do not go together.
    pub(crate) async fn targets(&self, arguments: &[String]) -> Outcome<Vec<Target>> {
        let mut targets = Vec::new();
        let Some(first) = arguments.first() else { return Ok(targets) };
        if arguments.iter().any(|argument| argument.contains('/')) {
            for argument in arguments {
                let Some((kind, name)) = argument.split_once('/') else {
                    return fail(
                        "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'",
                    );
                };
                if kind.is_empty() || name.is_empty() || name.contains('/') {
                    return fail("arguments in resource/name form must have a single resource and name");
                }
                targets.push(Target { kind: self.kind(kind).await?, name: Some(name.to_owned()) });
            }
            return Ok(targets);
        }
        let mut kinds = Vec::new();
        for name in first.split(',').filter(|name| !name.is_empty()) {
            match name {
                "all" => kinds.extend(self.of_category(name).await?),
                _ => kinds.push(self.kind(name).await?),
            }
        }
        for kind in kinds {
            match &arguments[1..] {
                [] => targets.push(Target { kind, name: None }),
                names => {
                    targets.extend(names.iter().map(|name| Target { kind: kind.clone(), name: Some(name.clone()) }));
                }
            }
        }
        Ok(targets)
    }

    async fn of_category(&self, category: &str) -> Outcome<Vec<Kind>> {
        let all = self.all_kinds().await?;
        Ok(all.iter().filter(|kind| kind.categories.iter().any(|known| known == category)).cloned().collect())
    }

    /// The objects of files; lists are taken apart. `enforce`: a namespace of the command line must be the object's.
    ///
    /// # Errors
    /// A file that is missing or is no manifest.
    pub(crate) async fn manifests(&self, files: &Files) -> Outcome<Vec<Manifest>> {
        if files.kustomize.is_some() {
            return fail(
                "the built-in kubectl has no kustomize: use the real one, https://kubernetes.io/docs/tasks/tools/",
            );
        }
        let mut manifests = Vec::new();
        for name in &files.filename {
            for (source, content) in read(name, files.recursive)? {
                let documents = podlab_api::decode::documents(&content).map_err(|why| {
                    Failure::Text(format!("error parsing {source}: error converting YAML to JSON: yaml: {why}"))
                })?;
                for document in documents {
                    self.add(&mut manifests, &source, document).await?;
                }
            }
        }
        Ok(manifests)
    }

    async fn add(&self, manifests: &mut Vec<Manifest>, source: &str, document: Value) -> Outcome {
        let mut waiting = vec![document];
        while let Some(mut object) = waiting.pop() {
            let (api_version, kind) = (text(&object, &["apiVersion"]).to_owned(), text(&object, &["kind"]).to_owned());
            if kind.is_empty() || api_version.is_empty() {
                let missing = if kind.is_empty() { "Kind" } else { "apiVersion" };
                let shown = crate::print::json::compact(&object);
                return fail(format!("error validating \"{source}\": error validating data: {missing} not set; if you choose to ignore these errors, turn validation off with --validate=false"))
                    .map_err(|failure| if object.is_object() { failure } else { Failure::Text(format!("unable to decode \"{source}\": {shown} is no object")) });
            }
            if kind == "List" || kind.ends_with("List") && object.get("items").is_some() {
                let items = list(&object, &["items"]).to_vec();
                waiting.extend(items.into_iter().rev());
                continue;
            }
            let known = self.kind_of(&api_version, &kind).await.map_err(|failure| match failure {
                Failure::Text(text) => {
                    let name = podlab_api::json::text(&object, &["metadata", "name"]);
                    let space = podlab_api::json::text(&object, &["metadata", "namespace"]);
                    Failure::Text(format!(
                        "resource mapping not found for name: \"{name}\" namespace: \"{space}\" from \"{source}\": {text}\nensure CRDs are installed first"
                    ))
                }
                other => other,
            })?;
            let namespace = match known.namespaced {
                false => None,
                true => Some(self.namespace_of(&mut object)?),
            };
            manifests.push(Manifest { source: source.to_owned(), object, kind: known, namespace });
        }
        Ok(())
    }

    fn namespace_of(&self, object: &mut Value) -> Outcome<String> {
        let own = text(object, &["metadata", "namespace"]).to_owned();
        if own.is_empty() {
            let namespace = self.namespace()?;
            podlab_api::json::object_mut(object, &["metadata"]).insert("namespace".into(), namespace.clone().into());
            return Ok(namespace);
        }
        match &self.globals.namespace {
            Some(wanted) if *wanted != own => fail(format!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{wanted}\". You must pass '--namespace={own}' to perform this operation."
            )),
            _ => Ok(own),
        }
    }
}

/// The texts behind a name: a file, those of a folder, standard input.
fn read(name: &str, recursive: bool) -> Outcome<Vec<(String, String)>> {
    if name == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MAX_FILE).read_to_string(&mut text);
        read.map_err(|error| Failure::Text(format!("error reading STDIN: {error}")))?;
        return Ok(vec![("STDIN".to_owned(), text)]);
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return fail(format!("the built-in kubectl reads no URLs: fetch {name} first, and name the file"));
    }
    let path = Path::new(name);
    let Ok(metadata) = std::fs::metadata(path) else {
        return fail(format!("the path \"{name}\" does not exist"));
    };
    let mut paths = Vec::new();
    if metadata.is_dir() {
        folder(path, recursive, &mut paths)?;
        if paths.is_empty() {
            return fail(format!("error reading [{name}]: recognized file extensions are [.json .yaml .yml]"));
        }
    } else {
        paths.push(path.to_owned());
    }
    paths
        .into_iter()
        .map(|path| {
            let name = path.to_string_lossy().into_owned();
            let failed = |error: std::io::Error| Failure::Text(format!("open {name}: {error}"));
            let mut text = String::new();
            std::fs::File::open(&path)
                .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
                .map_err(failed)?;
            Ok((name, text))
        })
        .collect()
}

fn folder(path: &Path, recursive: bool, paths: &mut Vec<PathBuf>) -> Outcome {
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.map_err(|error| Failure::Text(format!("open {}: {error}", path.display())))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            if recursive {
                folder(&path, true, paths)?;
            }
        } else if matches!(path.extension().and_then(|name| name.to_str()), Some("json" | "yaml" | "yml")) {
            paths.push(path);
        }
    }
    Ok(())
}
