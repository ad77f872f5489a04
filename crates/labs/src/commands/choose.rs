//! Which exercise a command is about, and which file is its answer.

use std::path::{Path, PathBuf};

use crate::format::{Exercise, Library};
use crate::workspace::Workspace;

/// Where a command was typed, and what was typed after it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The current folder.
    pub here: &'a Path,
    /// The name of an exercise.
    pub exercise: Option<&'a str>,
}

/// What a command is about.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    pub(super) exercise: &'a Exercise,
    /// The workspace around the current folder, if there is one.
    pub(super) workspace: Option<Workspace>,
}

impl Chosen<'_> {
    /// The answer in the workspace, else in the current folder.
    pub(super) fn answer(&self, here: &Path) -> PathBuf {
        match &self.workspace {
            Some(workspace) => shown(&workspace.answer(self.exercise), here),
            None => PathBuf::from(&self.exercise.answer),
        }
    }
}

/// The exercise that is named; else that of the current folder; else the first of the workspace that is not passed.
pub(super) fn choose<'a>(library: &'a Library, asked: Asked<'_>) -> anyhow::Result<Chosen<'a>> {
    let workspace = Workspace::find(asked.here);
    if let Some(name) = asked.exercise {
        return Ok(Chosen { exercise: library.exercise(name)?, workspace });
    }
    let Some(found) = &workspace else {
        anyhow::bail!(
            "this is no workspace, so name the exercise: podlab lab list shows them\n\
             a workspace has a folder for each: podlab init DIR"
        );
    };
    let exercise = match found.exercise_at(asked.here, library) {
        Some(exercise) => exercise,
        None => found.next(library, None)?.ok_or_else(|| {
            anyhow::anyhow!("every exercise is passed; name one to do it again: podlab list shows them")
        })?,
    };
    Ok(Chosen { exercise, workspace })
}

/// A path as it reads from the current folder.
pub(super) fn shown(path: &Path, here: &Path) -> PathBuf {
    if let Ok(below) = path.strip_prefix(here) {
        return below.to_owned();
    }
    match here.parent().and_then(|above| path.strip_prefix(above).ok()) {
        Some(beside) => Path::new("..").join(beside),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_from_the_current_folder() {
        let show = |path: &str, here: &str| shown(Path::new(path), Path::new(here)).display().to_string();
        assert_eq!(show("/w/a/pod.yaml", "/w"), "a/pod.yaml");
        assert_eq!(show("/w/a/pod.yaml", "/w/a"), "pod.yaml");
        assert_eq!(show("/w/a/pod.yaml", "/w/b"), "../a/pod.yaml");
        assert_eq!(show("/w/a/pod.yaml", "/v/b"), "/w/a/pod.yaml");
    }
}
