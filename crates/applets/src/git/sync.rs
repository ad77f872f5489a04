//! git-sync: keeps a folder as a branch of a repository is, for another container of the Pod to use.
//!
//! Upstream: <https://github.com/kubernetes/git-sync>. Every commit gets a folder of its own under `.worktrees`, and a link
//! is moved from the old one to the new one in one step: who reads sees all of one commit or all of another. The flags of
//! both generations are read, `--repo` as `-repo`, or from the environment (`GITSYNC_REPO`, `GIT_SYNC_REPO`).

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use podlab_client::sleeper::Sleeper;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::checkout::checkout;
use super::object::Id;
use super::remote::Remote;
use crate::server::on_one_thread;

const USAGE: &str = "\
Usage: git-sync --repo=http://HOST/PATH --root=FOLDER
  --ref, --branch NAME   what to follow (HEAD)
  --link, --dest NAME    the link in the folder (the repository's name)
  --period, --wait TIME  between two looks, in seconds or as 10s, 1m (10s)
  --one-time             end after the first sync
  --max-failures N       how often in a row it may fail before it ends (0; -1: for ever)
  --leak SIZE            lose so much memory with each look: a defect on purpose, for limits to catch
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    repo: String,
    reference: String,
    root: PathBuf,
    link: String,
    period: Duration,
    one_time: bool,
    /// `None`: it never ends for that.
    max_failures: Option<u32>,
    /// Bytes with each look.
    leak: usize,
}

/// Reads the flags, and the environment where there is none.
pub(super) fn parse(arguments: &[String], environment: impl Fn(&str) -> Option<String>) -> Result<Options, String> {
    let mut given: Vec<(String, String)> = Vec::new();
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        let flag = word.trim_start_matches('-');
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None if flag == "one-time" => (flag, "true".to_owned()),
            None => (flag, words.next().cloned().ok_or(format!("{word} wants a value"))?),
        };
        let known = [
            "repo",
            "ref",
            "branch",
            "rev",
            "root",
            "link",
            "dest",
            "period",
            "wait",
            "one-time",
            "max-failures",
            "max-sync-failures",
            "leak",
            "depth",
            "v",
            "verbose",
        ];
        if !known.contains(&name) {
            return Err(format!("unknown flag: {word}"));
        }
        given.push((name.to_owned(), value));
    }
    let value = |names: &[&str]| {
        let flag = given.iter().rev().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.clone());
        flag.or_else(|| {
            let words = names.iter().map(|name| name.replace('-', "_").to_uppercase());
            words
                .flat_map(|name| [format!("GITSYNC_{name}"), format!("GIT_SYNC_{name}")])
                .find_map(|name| environment(&name))
        })
    };
    let repo = value(&["repo"]).ok_or("required flag: --repo must be specified")?;
    let root = value(&["root"]).ok_or("required flag: --root must be specified")?;
    let leaf = repo.trim_end_matches('/').rsplit('/').next().unwrap_or_default().trim_end_matches(".git").to_owned();
    let link = value(&["link", "dest"]).unwrap_or(leaf);
    if link.is_empty() || link.contains('/') || link.starts_with('.') {
        return Err(format!("--link must be a name, not {link:?}"));
    }
    let wrong = |name: &str, value: &str| format!("invalid argument {value:?} for --{name}");
    let period = value(&["period", "wait"]).unwrap_or_else(|| "10s".to_owned());
    let failures = value(&["max-failures", "max-sync-failures"]).unwrap_or_else(|| "0".to_owned());
    let leak = value(&["leak"]).unwrap_or_else(|| "0".to_owned());
    Ok(Options {
        reference: value(&["ref", "branch"]).unwrap_or_else(|| "HEAD".to_owned()),
        root: root.into(),
        link,
        period: time(&period).ok_or_else(|| wrong("period", &period))?,
        one_time: value(&["one-time"]).is_some_and(|text| text == "true"),
        max_failures: match failures.parse::<i64>() {
            Ok(count) => u32::try_from(count).ok(),
            Err(_) => return Err(wrong("max-failures", &failures)),
        },
        leak: crate::stress::size(&leak).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| wrong("leak", &leak))?,
        repo,
    })
}

/// `10`, `1.5`, `10s`, `500ms`, `1m`.
fn time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(digits.parse::<f64>().ok()? * factor).ok()
}

/// A line of the log, as the namesake writes it: JSON.
fn log(level: i8, message: &str, more: Value) {
    let stamp = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
    let mut line = json!({"logger": "", "ts": stamp, "level": level, "msg": message});
    if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    eprintln!("{line}");
}

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let options = match parse(&arguments, |name| std::env::var(name).ok()) {
        Ok(options) => options,
        Err(problem) => {
            eprint!("ERROR: {problem}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    log(0, "starting up", json!({"version": "podlab's stand-in", "args": arguments}));
    match on_one_thread(follow(&options)) {
        Ok(code) => code,
        Err(error) => {
            log(-1, "cannot run", json!({"error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

async fn follow(options: &Options) -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sleeper = Sleeper::wall();
    let (mut failures, mut syncs) = (0, 0);
    let mut lost: Vec<Vec<u8>> = Vec::new();
    loop {
        let outcome = tokio::select! {
            outcome = sync(options, syncs) => outcome,
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        };
        // Written to: memory that is only reserved costs nothing.
        lost.push(vec![b'x'; options.leak]);
        match outcome {
            Ok(changed) => {
                failures = 0;
                syncs += u32::from(changed);
                if options.one_time {
                    log(0, "exiting after one sync", json!({"status": 0}));
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Err(problem) => {
                log(-1, "error syncing repo, will retry", json!({"error": problem, "failCount": failures + 1}));
                if options.max_failures.is_some_and(|most| failures >= most) {
                    log(-1, "too many failures, aborting", json!({"failCount": failures + 1}));
                    return Ok(ExitCode::FAILURE);
                }
                failures += 1;
            }
        }
        tokio::select! {
            () = sleeper.sleep(options.period) => {}
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// The commit that is published now.
fn current(options: &Options) -> Option<Id> {
    let target = fs::read_link(options.root.join(&options.link)).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

/// Looks once; true when there was something new.
pub(super) async fn sync(options: &Options, count: u32) -> Result<bool, String> {
    let mut remote = Remote::new(&options.repo)?;
    let commit = remote.resolve(&options.reference).await?;
    let before = current(options);
    if before.as_ref() == Some(&commit) {
        return Ok(false);
    }
    let facts = json!({"ref": options.reference, "local": before.clone().unwrap_or_default(), "remote": commit, "syncCount": count});
    log(0, "update required", facts);
    let trees = options.root.join(".worktrees");
    fs::create_dir_all(&trees).map_err(|error| format!("{}: {error}", trees.display()))?;
    let (next, place) = (trees.join("next"), trees.join(&commit));
    // What an earlier process did not get to its end.
    remove(&next)?;
    remove(&place)?;
    checkout(&mut remote, &commit, &next).await?;
    fs::rename(&next, &place).map_err(|error| format!("{}: {error}", place.display()))?;
    publish(options, &commit).map_err(|error| format!("{}: {error}", options.root.display()))?;
    if let Some(before) = before {
        remove(&trees.join(before))?;
    }
    log(0, "updated successfully", json!({"ref": options.reference, "remote": commit, "syncCount": count + 1}));
    Ok(true)
}

fn publish(options: &Options, commit: &str) -> io::Result<()> {
    let new = options.root.join(".link");
    let _ = fs::remove_file(&new);
    symlink(Path::new(".worktrees").join(commit), &new)?;
    fs::rename(new, options.root.join(&options.link))
}

fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
