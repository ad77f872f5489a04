//! All the labs of a workbook.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::{Exercise, Lab};
use crate::Workbook;
use crate::yaml::{self, FileError};

/// The labs in the order they are read, with their exercises.
#[derive(Debug)]
pub struct Library {
    labs: Vec<Arc<Lab>>,
    /// The folder of each lab.
    folders: Vec<PathBuf>,
    exercises: Vec<Exercise>,
}

/// The labs do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder cannot be listed.
    #[error("cannot list {}: {source}", path.display())]
    List { path: PathBuf, source: std::io::Error },
    /// `order.yaml` and the folders disagree.
    #[error("labs/order.yaml and the folders disagree about {name}: {what}")]
    Order { name: String, what: &'static str },
    /// A lab and the folders of its exercises disagree.
    #[error("lab {lab} and its folder exercises/ disagree about {exercise}: {what}")]
    Exercises { lab: String, exercise: String, what: &'static str },
    /// A pack has a lab or an exercise of a name that is taken.
    #[error("{}: the name {name} is taken; the names of labs and of exercises are unique over all packs", folder.display())]
    Taken { folder: PathBuf, name: String },
    /// A pack has neither.
    #[error("{} is no pack: it holds neither labs/order.yaml nor hidden/", .0.display())]
    NoPack(PathBuf),
    /// A file of hidden checks is about no exercise.
    #[error("{}: there is no exercise of this name to add checks to", .0.display())]
    NothingToHide(PathBuf),
    /// There is no such lab.
    #[error("there is no lab {name}; the labs are: {known}")]
    NoLab { name: String, known: String },
    /// There is no such exercise.
    #[error("there is no exercise {name}; the exercises are: {known}")]
    NoExercise { name: String, known: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    labs: Vec<String>,
    /// The lab whose exercises come first, wherever it stands itself.
    practice_from: Option<String>,
}

impl Library {
    /// The labs of a workbook and of its packs, with the packs' hidden checks.
    ///
    /// # Errors
    ///
    /// As for [`Library::load`], and when a pack does not fit to the others.
    pub fn of(workbook: &Workbook) -> Result<Library, LibraryError> {
        let mut library = Library::load(&workbook.labs())?;
        for pack in workbook.packs() {
            library.add(pack)?;
        }
        Ok(library)
    }

    /// Reads every lab under `folder`, which is a workbook's `labs/`.
    ///
    /// # Errors
    ///
    /// When a file cannot be used, or a lab or an exercise is listed but missing, or there but not listed.
    pub fn load(folder: &Path) -> Result<Library, LibraryError> {
        let path = folder.join("order.yaml");
        let order: Order = yaml::decode(&path, &yaml::read(&path)?)?;
        let mut unlisted = folders(folder)?;
        let mut library = Library { labs: Vec::new(), folders: Vec::new(), exercises: Vec::new() };
        for name in order.labs {
            if !unlisted.remove(&name) {
                return Err(LibraryError::Order { name, what: "it is listed, twice or without a folder" });
            }
            let path = folder.join(&name).join("lab.yaml");
            let lab = Lab::decode(&name, &path, &yaml::read(&path)?)?;
            library.exercises.extend(exercises_of(&lab, &folder.join(&name))?);
            library.labs.push(Arc::new(lab));
            library.folders.push(folder.join(&name));
        }
        if let Some(name) = unlisted.pop_first() {
            return Err(LibraryError::Order { name, what: "there is a folder, but it is not listed" });
        }
        if let Some(first) = order.practice_from {
            if !library.labs.iter().any(|lab| lab.name == first) {
                return Err(LibraryError::Order { name: first, what: "practice begins with it, and it is not listed" });
            }
            // Stable: within a lab, and among the other labs, the order stays.
            library.exercises.sort_by_key(|exercise| exercise.lab != first);
        }
        Ok(library)
    }

    /// Adds a pack: its labs come after those that are there, its hidden checks after the others of their exercise.
    fn add(&mut self, pack: &Path) -> Result<(), LibraryError> {
        let (labs, hidden) = (pack.join("labs"), pack.join("hidden"));
        if !labs.join("order.yaml").is_file() && !hidden.is_dir() {
            return Err(LibraryError::NoPack(pack.to_owned()));
        }
        if labs.is_dir() {
            let Library { labs, folders, exercises } = Library::load(&labs)?;
            let names = labs.iter().map(|lab| &lab.name).chain(exercises.iter().map(|exercise| &exercise.name));
            for name in names {
                let lab = self.labs.iter().any(|lab| lab.name == *name);
                if lab || self.exercises.iter().any(|exercise| exercise.name == *name) {
                    return Err(LibraryError::Taken { folder: pack.to_owned(), name: name.clone() });
                }
            }
            self.labs.extend(labs);
            self.folders.extend(folders);
            self.exercises.extend(exercises);
        }
        for file in files(&hidden)? {
            let name = file.file_stem().unwrap_or_default();
            let exercise = self.exercises.iter_mut().find(|exercise| name == exercise.name.as_str());
            exercise.ok_or_else(|| LibraryError::NothingToHide(file.clone()))?.hide(&file)?;
        }
        Ok(())
    }

    /// The labs, in order.
    pub fn labs(&self) -> &[Arc<Lab>] {
        &self.labs
    }

    /// The exercises, in the order of their labs, but for the lab that practice begins with: its own come first.
    pub fn exercises(&self) -> &[Exercise] {
        &self.exercises
    }

    /// The lab of this name.
    ///
    /// # Errors
    ///
    /// When there is none; the error lists those that are.
    pub fn lab(&self, name: &str) -> Result<&Arc<Lab>, LibraryError> {
        self.labs.iter().find(|lab| lab.name == name).ok_or_else(|| LibraryError::NoLab {
            name: name.to_owned(),
            known: self.labs.iter().map(|lab| lab.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The exercise of this name, whatever its lab.
    ///
    /// # Errors
    ///
    /// When there is none; the error lists those that are.
    pub fn exercise(&self, name: &str) -> Result<&Exercise, LibraryError> {
        self.exercises.iter().find(|exercise| exercise.name == name).ok_or_else(|| LibraryError::NoExercise {
            name: name.to_owned(),
            known: self.exercises.iter().map(|exercise| exercise.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The folder of a lab.
    pub fn folder(&self, lab: &Lab) -> PathBuf {
        let found = self.labs.iter().zip(&self.folders).find(|(known, _)| known.name == lab.name);
        found.map(|(_, folder)| folder.clone()).unwrap_or_default()
    }

    /// Where the snapshot of a step lies.
    pub fn snapshot(&self, lab: &Lab, step: &str) -> PathBuf {
        self.folder(lab).join("snapshots").join(format!("{step}.snap"))
    }
}

fn exercises_of(lab: &Lab, folder: &Path) -> Result<Vec<Exercise>, LibraryError> {
    let folder = folder.join("exercises");
    let mut unlisted = if folder.is_dir() { folders(&folder)? } else { BTreeSet::new() };
    let disagree =
        |exercise: &str, what| LibraryError::Exercises { lab: lab.name.clone(), exercise: exercise.to_owned(), what };
    let mut exercises = Vec::new();
    for name in &lab.exercises {
        if !unlisted.remove(name) {
            return Err(disagree(name, "it is listed, twice or without a folder"));
        }
        exercises.push(Exercise::load(name, &lab.name, &folder.join(name))?);
    }
    match unlisted.pop_first() {
        Some(name) => Err(disagree(&name, "there is a folder, but it is not listed")),
        None => Ok(exercises),
    }
}

/// The names of the folders in `folder`; hidden ones apart.
fn folders(folder: &Path) -> Result<BTreeSet<String>, LibraryError> {
    let failed = |source| LibraryError::List { path: folder.to_owned(), source };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') {
            names.insert(name);
        }
    }
    Ok(names)
}

/// The YAML files in `folder`, by name; none when there is no such folder.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>, LibraryError> {
    if !folder.is_dir() {
        return Ok(BTreeSet::new());
    }
    let failed = |source| LibraryError::List { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed));
    paths.filter(|path| !path.as_ref().is_ok_and(|path| path.extension().is_none_or(|ext| ext != "yaml"))).collect()
}
