//! What a chapter may say beyond Markdown.
//!
//! | directive | shows |
//! |---|---|
//! | `{{#lab LAB STEP}}` | the recorded step: its command and what it printed |
//! | `{{#manifest LAB FILE}}` | a file of the lab, word for word |
//! | `{{#diagram NAME}}` | the drawing `book/src/diagrams/NAME.svg` |
//! | `{{#exercise NAME}}` | the exercise: its task, what it is worth, its starter and three folded hints |
//! | `{{#about LAB}}` | minutes, sources and objectives of a lab |
//! | `{{#claims}}` | the table of what the texts say and what holds |
//!
//! A backslash before the braces keeps a directive as it is.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::html;
use crate::claims::{Claims, ClaimsError};
use crate::format::{Exercise, Lab, Library, LibraryError, Step};
use crate::yaml::{self, FileError};
use crate::{Workbook, snapshot};

/// A chapter says something that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum DirectiveError {
    /// There is no such directive, or it takes other arguments.
    #[error(
        "{directive}: there is no such directive; a chapter may use lab, manifest, diagram, exercise, about, claims"
    )]
    Unknown { directive: String },
    /// The lab has no such step.
    #[error("{directive}: lab {lab} has no step {step}; its steps are {known}")]
    NoStep { directive: String, lab: String, step: String, known: String },
    /// The labs cannot be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The claims cannot be used.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

static DIRECTIVE: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and the tests use it")]
    Regex::new(r"\\?\{\{#(lab|manifest|diagram|exercise|about|claims)((?:\s+[^\s{}]+)*)\s*\}\}").unwrap()
});

/// What directives are about.
pub(super) struct Sources {
    pub(super) library: Library,
    pub(super) diagrams: PathBuf,
    pub(super) claims: PathBuf,
}

impl Sources {
    pub(super) fn load(workbook: &Workbook) -> Result<Sources, DirectiveError> {
        Ok(Sources {
            library: Library::of(workbook)?,
            diagrams: workbook.book().join("src/diagrams"),
            claims: workbook.labs().join("claims.yaml"),
        })
    }

    /// The chapter with every directive replaced.
    pub(super) fn expand(&self, chapter: &str) -> Result<String, DirectiveError> {
        let mut out = String::with_capacity(chapter.len());
        let mut copied = 0;
        for found in DIRECTIVE.captures_iter(chapter) {
            let whole = found.get_match();
            out.push_str(&chapter[copied..whole.start()]);
            match whole.as_str().strip_prefix('\\') {
                Some(kept) => out.push_str(kept),
                None => out.push_str(&self.replace(&found)?),
            }
            copied = whole.end();
        }
        out.push_str(&chapter[copied..]);
        Ok(out)
    }

    fn replace(&self, found: &Captures<'_>) -> Result<String, DirectiveError> {
        let arguments: Vec<&str> = found[2].split_whitespace().collect();
        match (&found[1], arguments.as_slice()) {
            ("lab", [lab, step]) => self.step(&found[0], self.library.lab(lab)?, step),
            ("manifest", [lab, file]) => self.manifest(self.library.lab(lab)?, file),
            ("diagram", [name]) => self.diagram(name),
            ("exercise", [name]) => exercise(self.library.exercise(name)?),
            ("about", [lab]) => Ok(about(self.library.lab(lab)?)),
            ("claims", []) => Ok(Claims::load(&self.claims)?.table(&self.library)),
            _ => Err(DirectiveError::Unknown { directive: found[0].to_owned() }),
        }
    }

    fn step(&self, directive: &str, lab: &Lab, name: &str) -> Result<String, DirectiveError> {
        let command = lab.steps.iter().find_map(|step| match step {
            Step::Run(run) if run.name == name => Some((&run.command, true)),
            Step::Start(start) if start.name == name => Some((&start.command, false)),
            _ => None,
        });
        let Some((command, runs)) = command else {
            return Err(DirectiveError::NoStep {
                directive: directive.to_owned(),
                lab: lab.name.clone(),
                step: name.to_owned(),
                known: lab.transcripts().collect::<Vec<_>>().join(", "),
            });
        };
        let transcript = snapshot::read(&self.library.snapshot(lab, name))?;
        Ok(html::step(&lab.name, name, command, transcript.as_ref(), runs))
    }

    fn manifest(&self, lab: &Lab, file: &str) -> Result<String, DirectiveError> {
        let text = yaml::read(&self.library.folder(lab).join(file))?;
        let language = if file.ends_with(".json") { "json" } else { "yaml" };
        Ok(format!(
            "\n<p class=\"file-name\"><code>labs/{}/{}</code></p>\n\n```{language}\n{}\n```\n\n",
            html::escape(&lab.name),
            html::escape(file),
            text.trim_end()
        ))
    }

    fn diagram(&self, name: &str) -> Result<String, DirectiveError> {
        let text = yaml::read(&self.diagrams.join(format!("{name}.svg")))?;
        // A blank line would end the HTML block.
        let text = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n");
        Ok(format!("\n<figure class=\"diagram\">\n{text}\n</figure>\n\n"))
    }
}

fn about(lab: &Lab) -> String {
    let list = |items: &[String]| items.iter().map(|item| format!("- {item}\n")).collect::<String>();
    let needs: Vec<_> = lab.needs.iter().map(|need| need.words()).collect();
    let needs = if needs.is_empty() { "nothing beyond a running cluster".to_owned() } else { needs.join(", ") };
    format!(
        "\n<div class=\"about\">\n\n**After this chapter you can**\n\n{}\n*About {} minutes. Needs {needs}. Follows {}.*\n\n\
         To go through it in a terminal: `podlab lab run {}`\n\n</div>\n\n",
        list(&lab.objectives),
        lab.minutes,
        lab.source.join("; "),
        lab.name
    )
}

/// A file as a reader names it: from the folder that has the labs.
fn shown(file: &Path) -> String {
    let parts: Vec<_> = file.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    let from = parts.iter().rposition(|part| part == "labs").unwrap_or(0);
    parts[from..].join("/")
}

fn exercise(exercise: &Exercise) -> Result<String, DirectiveError> {
    let task = exercise.read(&exercise.folder.join("task.md"))?;
    let starter = exercise.read(&exercise.starter)?;
    let mut given = String::new();
    for file in exercise.setup.iter().chain(&exercise.files) {
        let text = exercise.read(file)?;
        given.push_str(&format!("`{}`:\n\n```yaml\n{}\n```\n\n", shown(file), text.trim_end()));
    }
    if exercise.setup.is_some() {
        given.insert_str(0, "What is there already, ");
    }
    let begin = if exercise.kind.asks_for_facts() { "and fill it in" } else { "and change it" };
    let points = exercise.points();
    let checks: String =
        exercise.checks.iter().map(|check| format!("- {} ({} points)\n", check.title, check.points)).collect();
    let hint = |summary: &str, text: &str| {
        format!("<details>\n<summary>{summary}</summary>\n\n{}\n\n</details>\n\n", text.trim())
    };
    Ok(format!(
        "\n<section class=\"exercise\" id=\"exercise-{name}\">\n\n### Exercise: {title}\n\n\
         *{minutes} minutes, {points} points.*\n\n{task}\n\n\
         {given}Save this as `{answer}`, {begin}:\n\n```yaml\n{starter}\n```\n\n\
         What is checked:\n\n{checks}\n\
         ```console\n$ podlab check {name} {answer}\n```\n\n{hints}</section>\n\n",
        name = exercise.name,
        title = exercise.title,
        minutes = exercise.minutes,
        task = task.trim(),
        answer = exercise.answer,
        starter = starter.trim_end(),
        hints = [
            hint("Hint 1: where to look", &exercise.hints.r#where),
            hint("Hint 2: the idea", &exercise.hints.concept),
            hint("Hint 3: the field", &exercise.hints.field),
        ]
        .concat(),
    ))
}
