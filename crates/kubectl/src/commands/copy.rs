//! `kubectl cp`: tar on both sides of an exec.
//!
//! What comes out of a container was made by whoever runs there. Only regular files and folders are taken, under the
//! place that was named and nowhere else; links, devices and names that lead outside are left out with a warning.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Component, Path as FilePath, PathBuf};

use clap::Args;
use podlab_api::json::text;
use serde_json::Value;

use super::exec::of;
use super::pods;
use crate::failure::{Failure, Outcome, fail};
use crate::print::{complain, quoted, say};
use crate::session::Session;
use crate::streams::{STATUS, STDERR, STDIN, STDOUT, verdict};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// SOURCE and DESTINATION; one of them is [NAMESPACE/]POD:PATH
    words: Vec<String>,
    /// The container; the first when left out
    #[arg(short, long)]
    container: Option<String>,
    /// Owners and modes stay behind
    #[arg(long)]
    no_preserve: bool,
    /// Tries after a broken connection
    #[arg(long, default_value_t = 0)]
    retries: i64,
}

/// Sent at once.
const PIECE: usize = 32 << 10;
/// Files of an archive at most.
const MAX_ENTRIES: usize = 1_000_000;

struct Place {
    namespace: Option<String>,
    pod: String,
    path: String,
}

/// `pod:path`, `namespace/pod:path`; without a colon it is here.
fn place(word: &str) -> Outcome<Option<Place>> {
    let Some((pod, path)) = word.split_once(':').filter(|(pod, _)| !pod.starts_with(['.', '/'])) else {
        return Ok(None);
    };
    if path.is_empty() {
        return fail("filepath can not be empty");
    }
    if pod.is_empty() {
        return fail("filespec must match the canonical format: [[namespace/]pod:]file/path");
    }
    let parts: Vec<&str> = pod.split('/').collect();
    match parts.as_slice() {
        [pod] => Ok(Some(Place { namespace: None, pod: (*pod).to_owned(), path: path.to_owned() })),
        [namespace, pod] => {
            Ok(Some(Place { namespace: Some((*namespace).to_owned()), pod: (*pod).to_owned(), path: path.to_owned() }))
        }
        _ => fail("filespec must match the canonical format: [[namespace/]pod:]file/path"),
    }
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let [source, destination] = arguments.words.as_slice() else {
        return fail("source and destination are required\nSee 'kubectl cp -h' for help and examples");
    };
    match (place(source)?, place(destination)?) {
        (Some(_), Some(_)) => fail("one of src or dest must be a local file specification"),
        (Some(from), None) => download(session, &arguments, &from, FilePath::new(destination)).await,
        (None, Some(to)) => upload(session, &arguments, source, &to).await,
        _ => fail("one of src or dest must be a remote file specification"),
    }
}

async fn pod_of(session: &Session, place: &Place) -> Outcome<Value> {
    let namespace = match &place.namespace {
        Some(namespace) => namespace.clone(),
        None => session.namespace()?,
    };
    let path = podlab_client::Path::new("/api/v1/namespaces").segment(&namespace).segment("pods").segment(&place.pod);
    let pod = session.get(&path).await?;
    let phase = text(&pod, &["status", "phase"]);
    if matches!(phase, "Succeeded" | "Failed") {
        return fail(format!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    Ok(pod)
}

/// Runs a command with a file as its input; what it writes goes to `output`, its complaints to ours.
async fn run_there(
    session: &Session,
    pod: &Value,
    container: &str,
    command: &[&str],
    input: Option<&mut File>,
    output: &mut dyn Write,
) -> Outcome<u8> {
    let mut path = of(pod, "exec").query("container", container);
    for word in command {
        path = path.query("command", word);
    }
    path = path.query("stdout", "true").query("stderr", "true");
    if input.is_some() {
        path = path.query("stdin", "true");
    }
    let (mut sender, mut receiver) = session.channels(&path, "v5.channel.k8s.io, v4.channel.k8s.io").await?;
    let sending = async {
        let Some(file) = input else { return sender };
        let mut piece = vec![0; PIECE];
        while let Ok(read) = file.read(&mut piece) {
            if read == 0 || !sender.send(STDIN, &piece[..read]).await {
                break;
            }
        }
        sender.end(STDIN).await;
        sender
    };
    let receiving = async {
        let mut status = None;
        while let Some((channel, bytes)) = receiver.next().await {
            match channel {
                STDOUT => output.write_all(&bytes).map_err(|error| Failure::Text(error.to_string()))?,
                STDERR => say(&String::from_utf8_lossy(&bytes)),
                STATUS => {
                    status = Some(bytes);
                    break;
                }
                _ => {}
            }
        }
        Outcome::Ok(status)
    };
    let (mut sender, status) = tokio::join!(sending, receiving);
    sender.close().await;
    match status? {
        Some(status) => verdict(&status),
        None => Ok(0),
    }
}

async fn upload(session: &Session, arguments: &Arguments, source: &str, to: &Place) -> Outcome {
    let local = FilePath::new(source);
    if std::fs::metadata(local).is_err() {
        return fail(format!("{source} doesn't exist in local filesystem"));
    }
    let pod = pod_of(session, to).await?;
    let container = pods::container(&pod, arguments.container.as_deref(), false);
    let mut target = to.path.trim_end_matches('/').to_owned();
    if target.is_empty() {
        target.push('/');
    }
    let is_folder =
        run_there(session, &pod, &container, &["test", "-d", &target], None, &mut std::io::sink()).await? == 0;
    if is_folder {
        let name =
            local.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
        target = format!("{}/{}", target.trim_end_matches('/'), name.unwrap_or_default());
    }
    let (folder, name) = target.rsplit_once('/').unwrap_or((".", &target));
    let mut archive = tar::Builder::new(temporary()?);
    archive.follow_symlinks(false);
    let packed = match local.is_dir() {
        true => archive.append_dir_all(name, local),
        false => archive.append_path_with_name(local, name),
    };
    let file = packed.and_then(|()| archive.into_inner());
    let mut file = file.map_err(|error| Failure::Text(format!("{source}: {error}")))?;
    file.rewind().map_err(|error| Failure::Text(error.to_string()))?;
    let mut command = vec!["tar"];
    if arguments.no_preserve {
        command.extend(["--no-same-permissions", "--no-same-owner"]);
    }
    command.extend(["-xmf", "-"]);
    if !folder.is_empty() {
        command.extend(["-C", folder]);
    } else {
        command.extend(["-C", "/"]);
    }
    match run_there(session, &pod, &container, &command, Some(&mut file), &mut std::io::stdout()).await? {
        0 => Ok(()),
        code => {
            complain(&format!("command terminated with exit code {code}"));
            Err(Failure::Exit(code))
        }
    }
}

fn temporary() -> Outcome<File> {
    tempfile::tempfile().map_err(|error| Failure::Text(format!("a temporary file: {error}")))
}

async fn download(session: &Session, arguments: &Arguments, from: &Place, to: &FilePath) -> Outcome {
    let pod = pod_of(session, from).await?;
    let container = pods::container(&pod, arguments.container.as_deref(), false);
    let mut file = temporary()?;
    // tar goes on after a file that it cannot read, and has said so; what it has packed is kept.
    run_there(session, &pod, &container, &["tar", "cf", "-", &from.path], None, &mut file).await?;
    file.rewind().map_err(|error| Failure::Text(error.to_string()))?;
    unpack(file, from, to)
}

/// The name in the archive without its beginning and without steps up.
fn inside(name: &FilePath, prefix: &FilePath) -> Option<PathBuf> {
    let rest = name.strip_prefix(prefix).ok()?;
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    plain.then(|| rest.components().filter(|part| matches!(part, Component::Normal(_))).collect())
}

fn unpack(file: File, from: &Place, to: &FilePath) -> Outcome {
    let remote = from.path.as_str();
    let prefix: PathBuf =
        FilePath::new(remote).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let base = prefix.file_name().map(PathBuf::from).unwrap_or_default();
    let root = if to.is_dir() { to.join(&base) } else { to.to_owned() };
    let failed = |path: &FilePath, error: std::io::Error| Failure::Text(format!("{}: {error}", path.display()));
    let mut archive = tar::Archive::new(file);
    let entries = archive.entries().map_err(|error| Failure::Text(format!("tar: {error}")))?;
    for (count, entry) in entries.enumerate() {
        if count >= MAX_ENTRIES {
            return fail(format!("the archive has more than {MAX_ENTRIES} entries"));
        }
        let mut entry = entry.map_err(|error| Failure::Text(format!("tar: {error}")))?;
        let name = entry.path().map_err(|error| Failure::Text(format!("tar: {error}")))?.into_owned();
        let name: PathBuf =
            name.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir)).collect();
        let Some(rest) = inside(&name, &prefix) else {
            complain(&format!(
                "warning: file {} is outside target destination, skipping",
                quoted(&name.to_string_lossy())
            ));
            continue;
        };
        let target = if rest.as_os_str().is_empty() { root.clone() } else { root.join(rest) };
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            std::fs::create_dir_all(&target).map_err(|error| failed(&target, error))?;
        } else if kind.is_symlink() {
            let link = entry.link_name().ok().flatten().unwrap_or_default().into_owned();
            complain(&format!(
                "warning: skipping symlink: {} -> {} (consider using \"kubectl exec -n {} {} -- tar cf - {} | tar xf -\")",
                quoted(&target.to_string_lossy()),
                quoted(&link.to_string_lossy()),
                quoted(from.namespace.as_deref().unwrap_or_default()),
                quoted(&from.pod),
                quoted(remote),
            ));
        } else if kind.is_file() {
            if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
            }
            let mut out = File::create(&target).map_err(|error| failed(&target, error))?;
            std::io::copy(&mut entry, &mut out).map_err(|error| failed(&target, error))?;
        } else {
            complain(&format!(
                "warning: skipping {}: it is neither a file nor a folder",
                quoted(&target.to_string_lossy())
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_outside_are_refused() {
        let within = |name: &str| inside(FilePath::new(name), FilePath::new("data"));
        assert_eq!(within("data/a/b"), Some("a/b".into()));
        assert_eq!(within("data"), Some("".into()));
        assert_eq!(within("data/../../etc/passwd"), None);
        assert_eq!(within("other/a"), None);
        assert_eq!(within("database/a"), None);
    }

    #[test]
    fn places_are_told_from_files() {
        assert!(place("pod:/x").unwrap().is_some_and(|place| place.pod == "pod" && place.path == "/x"));
        assert!(place("team/pod:x").unwrap().is_some_and(|place| place.namespace.as_deref() == Some("team")));
        assert!(place("./a:b").unwrap().is_none() && place("file").unwrap().is_none());
        assert!(place("pod:").is_err());
    }
}
