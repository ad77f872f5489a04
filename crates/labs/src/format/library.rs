//! All the labs of a workbook.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::{Exercise, Lab};
use crate::yaml::{self, FileError};

/// The labs in the order they are read, with their exercises.
#[derive(Debug)]
pub struct Library {
    folder: PathBuf,
    labs: Vec<Arc<Lab>>,
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
}

impl Library {
    /// Reads every lab under `folder`, which is a workbook's `labs/`.
    ///
    /// # Errors
    ///
    /// When a file cannot be used, or a lab or an exercise is listed but missing, or there but not listed.
    pub fn load(folder: &Path) -> Result<Library, LibraryError> {
        let path = folder.join("order.yaml");
        let order: Order = yaml::decode(&path, &yaml::read(&path)?)?;
        let mut unlisted = folders(folder)?;
        let (mut labs, mut exercises) = (Vec::new(), Vec::new());
        for name in order.labs {
            if !unlisted.remove(&name) {
                return Err(LibraryError::Order { name, what: "it is listed, twice or without a folder" });
            }
            let path = folder.join(&name).join("lab.yaml");
            let lab = Lab::decode(&name, &path, &yaml::read(&path)?)?;
            exercises.extend(exercises_of(&lab, &folder.join(&name))?);
            labs.push(Arc::new(lab));
        }
        match unlisted.pop_first() {
            Some(name) => Err(LibraryError::Order { name, what: "there is a folder, but it is not listed" }),
            None => Ok(Library { folder: folder.to_owned(), labs, exercises }),
        }
    }

    /// The labs, in order.
    pub fn labs(&self) -> &[Arc<Lab>] {
        &self.labs
    }

    /// The exercises, in the order of their labs.
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
        self.folder.join(&lab.name)
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
