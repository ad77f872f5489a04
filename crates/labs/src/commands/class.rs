//! `podlab class report`

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::results::{self, Results, SCHEMA};

/// The largest result file that is read, in bytes; one of sixty exercises has some hundred thousand.
const MAX_FILE: u64 = 16 << 20;

/// The most result files of one report.
const MAX_FILES: usize = 10_000;

/// How a class report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// A page for a browser.
    Html,
    /// A row for each learner and exercise.
    Csv,
}

/// `podlab class report DIR…`: one table of the result files in these folders (or of these files).
///
/// # Errors
///
/// When a file that is named, or a JSON file in a folder that is named, is no result of `podlab grade`.
pub fn class_report(paths: &[PathBuf], format: ReportFormat, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let mut class = Vec::new();
    for file in files(paths)? {
        class.push(read(&file)?);
    }
    class.sort_by(|one, other| one.who.cmp(&other.who));
    let text = match format {
        ReportFormat::Html => results::html(&class),
        ReportFormat::Csv => results::csv(&class),
    };
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
        for entry in entries {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                files.push(file);
            }
        }
    }
    if files.is_empty() {
        anyhow::bail!(
            "there is no result file; one for each learner: podlab grade WORKSPACE --format json > NAME.json"
        );
    }
    if files.len() > MAX_FILES {
        anyhow::bail!("{} result files; a report takes {MAX_FILES}", files.len());
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Results> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > MAX_FILE {
        anyhow::bail!("{} is larger than {MAX_FILE} bytes", path.display());
    }
    let no_result = || format!("{} is no result of podlab grade --format json", path.display());
    let results: Results = serde_json::from_slice(&bytes).with_context(no_result)?;
    if results.schema != SCHEMA {
        anyhow::bail!("{} has the schema {:?}; this podlab reads {SCHEMA}", path.display(), results.schema);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_result_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        let mut report =
            |path: &Path| class_report(&[path.to_owned()], ReportFormat::Csv, &mut out).unwrap_err().to_string();
        assert!(report(folder.path()).contains("podlab grade WORKSPACE"));
        let file = folder.path().join("a.json");
        std::fs::write(&file, "{}").unwrap();
        assert!(report(folder.path()).contains("a.json is no result"));
        let other = r#"{"schema":"podlab.results/9","who":"a","seed":1,"points":{"got":0,"of":0},"exercises":[]}"#;
        std::fs::write(&file, other).unwrap();
        assert!(report(&file).contains("podlab.results/9"));
    }
}
