//! A learner's folder: a folder for each exercise, and what was done in a plain text file.
//!
//! ```text
//! README.md           how to work here
//! progress.txt        a line an exercise: see [`progress`]
//! .gitattributes      how git merges that file
//! EXERCISE/task.md    what to do
//! EXERCISE/ANSWER     the answer; it begins as the starter
//! EXERCISE/given/     what the exercise sets up, to read
//! ```

mod pages;
pub mod progress;
pub mod submission;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use self::progress::{HEADER, NotUnderstood, Progress, State};
use crate::format::{Exercise, Library};
use crate::yaml::{self, FileError};

const PROGRESS: &str = "progress.txt";

/// Both sides' lines are kept, and joined when they are read.
const ATTRIBUTES: &str = "progress.txt merge=union\n";

/// A folder that `podlab init` made.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

/// A workspace cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// There is something else in the folder.
    #[error("{} is not empty, and not a workspace: name a new folder", .0.display())]
    NotEmpty(PathBuf),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The progress file says something else.
    #[error("{}: {source}\nmend that line, or delete it; the other lines stay as they are", path.display())]
    Progress { path: PathBuf, source: NotUnderstood },
}

/// What `podlab init` did.
#[derive(Debug)]
pub struct Made {
    /// The workspace.
    pub workspace: Workspace,
    /// Exercises that were not there before.
    pub added: u32,
    /// Whether there was a workspace already.
    pub before: bool,
}

impl Workspace {
    /// The workspace that holds the folder `here`, if any.
    pub fn find(here: &Path) -> Option<Workspace> {
        let ours = |root: &&Path| yaml::read(&root.join(PROGRESS)).is_ok_and(|text| text.starts_with(HEADER));
        here.ancestors().find(ours).map(|root| Workspace { root: root.to_owned() })
    }

    /// Makes a workspace in `root`, or adds to one the exercises that have come since. Nothing that is there is touched.
    ///
    /// # Errors
    ///
    /// When the folder holds something else, or cannot be written to.
    pub fn init(root: &Path, library: &Library) -> Result<Made, WorkspaceError> {
        let workspace = Workspace { root: root.to_owned() };
        let before = Workspace::find(root).is_some_and(|found| found.root == root);
        if !before {
            // A new clone of an empty repository is as good as an empty folder.
            let others = std::fs::read_dir(root).into_iter().flatten().flatten();
            if others.into_iter().any(|entry| entry.file_name() != ".git") {
                return Err(WorkspaceError::NotEmpty(root.to_owned()));
            }
            write(&root.join(".gitattributes"), ATTRIBUTES)?;
        }
        let mut added = 0;
        for exercise in library.exercises() {
            let folder = workspace.folder(exercise);
            if folder.exists() {
                continue;
            }
            workspace.lay_out(exercise)?;
            added += 1;
        }
        write(&root.join("README.md"), &pages::readme(library))?;
        // Last: a folder is a workspace once all of it is there.
        workspace.change(|_| ())?;
        Ok(Made { workspace, added, before })
    }

    fn lay_out(&self, exercise: &Exercise) -> Result<(), WorkspaceError> {
        let folder = self.folder(exercise);
        write(&folder.join("task.md"), &pages::task(exercise, &exercise.read(&exercise.folder.join("task.md"))?))?;
        for file in exercise.setup.iter().chain(&exercise.files) {
            let name = file.file_name().unwrap_or_default();
            write(&folder.join("given").join(name), &exercise.read(file)?)?;
        }
        write(&self.answer(exercise), &exercise.read(&exercise.starter)?)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of an exercise.
    pub fn folder(&self, exercise: &Exercise) -> PathBuf {
        self.root.join(&exercise.name)
    }

    /// The learner's answer.
    pub fn answer(&self, exercise: &Exercise) -> PathBuf {
        self.folder(exercise).join(&exercise.answer)
    }

    /// The exercise whose folder holds `here`.
    pub fn exercise_at<'a>(&self, here: &Path, library: &'a Library) -> Option<&'a Exercise> {
        let first = here.strip_prefix(&self.root).ok()?.components().next()?;
        library.exercises().iter().find(|exercise| first.as_os_str() == exercise.name.as_str())
    }

    /// The first exercise that is not passed yet, after `after` and then from the beginning.
    ///
    /// # Errors
    ///
    /// When the progress cannot be read.
    pub fn next<'a>(
        &self,
        library: &'a Library,
        after: Option<&Exercise>,
    ) -> Result<Option<&'a Exercise>, WorkspaceError> {
        let progress = self.progress()?;
        let exercises = library.exercises();
        let from = after.and_then(|after| exercises.iter().position(|exercise| exercise.name == after.name));
        let (before, behind) = exercises.split_at(from.map_or(0, |from| from + 1));
        let current = after.map(|after| after.name.as_str());
        Ok(behind.iter().chain(before).find(|exercise| {
            progress.of(&exercise.name).state != State::Passed && current != Some(exercise.name.as_str())
        }))
    }

    /// What was done so far.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a line of it not understood.
    pub fn progress(&self) -> Result<Progress, WorkspaceError> {
        let path = self.root.join(PROGRESS);
        Progress::parse(&yaml::read(&path)?).map_err(|source| WorkspaceError::Progress { path, source })
    }

    /// Changes the progress. Two that do it at the same time wait for each other.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn change(&self, change: impl FnOnce(&mut Progress)) -> Result<(), WorkspaceError> {
        let path = self.root.join(PROGRESS);
        let failed = |source| WorkspaceError::Write { path: path.clone(), source };
        // The folder is locked and not the file, for the file is replaced.
        let folder = File::open(&self.root).map_err(failed)?;
        flock(&folder, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        let mut progress = if path.exists() { self.progress()? } else { Progress::default() };
        change(&mut progress);
        let written = tempfile::NamedTempFile::new_in(&self.root).and_then(|mut file| {
            file.write_all(progress.to_string().as_bytes())?;
            rustix::fs::fchmod(file.as_file(), rustix::fs::Mode::from_raw_mode(0o644))?;
            file.persist(&path).map_err(io::Error::from)
        });
        written.map(drop).map_err(failed)
    }

    /// Puts the starter back. What the learner had is kept beside it, under the name that is returned.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or written.
    pub fn reset(&self, exercise: &Exercise) -> Result<Option<PathBuf>, WorkspaceError> {
        let (answer, starter) = (self.answer(exercise), exercise.read(&exercise.starter)?);
        let had = match yaml::read(&answer) {
            Ok(text) if text != starter => Some(self.set_aside(&answer, &text)?),
            Ok(_) => None,
            Err(_) => {
                self.lay_out(exercise)?;
                None
            }
        };
        write(&answer, &starter)?;
        self.change(|progress| progress.change(&exercise.name, |entry| entry.state = State::Open))?;
        Ok(had)
    }

    fn set_aside(&self, answer: &Path, text: &str) -> Result<PathBuf, WorkspaceError> {
        let folder = answer.parent().unwrap_or(&self.root);
        let name = answer.file_name().unwrap_or_default().to_string_lossy();
        let taken: BTreeSet<_> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        let free = (1..)
            .map(|number| format!("{name}.before-{number}"))
            .find(|name| !taken.contains(name.as_str().as_ref() as &std::ffi::OsStr));
        let aside = folder.join(free.unwrap_or_default());
        write(&aside, text)?;
        Ok(aside)
    }
}

fn write(path: &Path, text: &str) -> Result<(), WorkspaceError> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| std::fs::write(path, text))
        .map_err(|source| WorkspaceError::Write { path: path.to_owned(), source })
}
