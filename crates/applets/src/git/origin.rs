//! git-origin: a repository with a small site in it, served over HTTP, and `git-origin commit` to change it.
//!
//! For labs: somebody has to be the "remote Git repository" where there is no network. What it serves real Git clones too.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use axum::Router;
use tower_http::services::ServeDir;

use super::object::{Entry, Id, Kind, Object};

/// The repository's place, and where it is found: `http://HOST/site.git`.
const SERVED: &str = "/srv/git";
const NAME: &str = "site.git";
const BRANCH: &str = "refs/heads/main";
/// What is in it from the start.
const FIRST: &str =
    "<!DOCTYPE html>\n<html><head><title>A site</title></head><body><h1>The first version</h1></body></html>\n";

const USAGE: &str = "\
Usage: git-origin                                       serve http://HOST/site.git on port 80
       git-origin commit MESSAGE FILE=CONTENT...        change files, and commit that
";

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let repository = Path::new(SERVED).join(NAME);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            let files = [("index.html".to_owned(), FIRST.to_owned())];
            match create(&repository)
                .and_then(|new| if new { commit(&repository, "First version", files) } else { Ok(String::new()) })
            {
                Ok(_) => crate::server::serve(router(Path::new(SERVED)), 80, || println!("serving http://:80/{NAME}")),
                Err(error) => failed(&error),
            }
        }
        ["commit", message, files @ ..] if !files.is_empty() => {
            let split =
                |file: &&str| file.split_once('=').map(|(name, content)| (name.to_owned(), format!("{content}\n")));
            let Some(files) = files.iter().map(split).collect::<Option<Vec<_>>>() else { return usage() };
            match commit(&repository, message, files) {
                Ok(id) => {
                    println!("[main {}] {message}", &id[..7]);
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&error),
            }
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::FAILURE
}

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("git-origin: {error}");
    ExitCode::FAILURE
}

/// The files as they lie: the protocol needs no more.
pub(super) fn router(served: &Path) -> Router {
    Router::new().fallback_service(ServeDir::new(PathBuf::from(served)))
}

/// Makes an empty repository; false when there is one.
pub(super) fn create(repository: &Path) -> io::Result<bool> {
    if repository.join("HEAD").exists() {
        return Ok(false);
    }
    fs::create_dir_all(repository.join("objects/info"))?;
    fs::create_dir_all(repository.join("refs/heads"))?;
    fs::create_dir_all(repository.join("info"))?;
    fs::write(repository.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")?;
    fs::write(repository.join("HEAD"), format!("ref: {BRANCH}\n"))?;
    Ok(true)
}

/// Changes files at the top of the branch's last commit, and makes that the next one.
pub(super) fn commit(
    repository: &Path,
    message: &str,
    files: impl IntoIterator<Item = (String, String)>,
) -> io::Result<Id> {
    let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidInput, problem);
    let branch = repository.join(BRANCH);
    let parent = fs::read_to_string(&branch).ok().map(|id| id.trim().to_owned());
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    if let Some(parent) = &parent {
        let tree = read(repository, parent)?.tree().ok_or_else(|| invalid(format!("{parent} is no commit")))?;
        let before = read(repository, &tree)?.entries().map_err(invalid)?;
        entries.extend(before.into_iter().map(|entry| (entry.name.clone(), entry)));
    }
    for (name, content) in files {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(invalid(format!("{name:?} is no name of a file here")));
        }
        let id = Object { kind: Kind::Blob, data: content.into_bytes() }.write(repository)?;
        entries.insert(name.clone(), Entry { mode: 0o100644, name, id });
    }
    let tree = Object::of_entries(entries.into_values().collect()).write(repository)?;
    let parents: String = parent.iter().map(|parent| format!("parent {parent}\n")).collect();
    let who = format!("A reader <reader@example.com> {} +0000", jiff::Timestamp::now().as_second());
    let text = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{message}\n");
    let id = Object { kind: Kind::Commit, data: text.into_bytes() }.write(repository)?;
    fs::write(&branch, format!("{id}\n"))?;
    // What `git update-server-info` writes: who fetches by HTTP cannot list folders.
    let (refs, new) = (repository.join("info/refs"), repository.join("info/refs.new"));
    fs::write(&new, format!("{id}\t{BRANCH}\n"))?;
    fs::rename(new, refs)?;
    Ok(id)
}

fn read(repository: &Path, id: &str) -> io::Result<Object> {
    let (folder, name) = id.split_at_checked(2).ok_or(io::ErrorKind::InvalidData)?;
    let bytes = fs::read(repository.join("objects").join(folder).join(name))?;
    Object::read(&bytes).map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))
}
