//! The pages for those who teach, which only the teacher edition has.

use std::path::Path;

use mdbook_preprocessor::book::{BookItem, Chapter};

use super::directive::Sources;
use crate::format::{Exercise, Lab};
use crate::words::count;
use crate::yaml::{self, FileError};

/// Puts behind each chapter that has a lab the lab's page for teachers.
pub(super) fn add_pages(items: &mut [BookItem], sources: &Sources) -> Result<(), FileError> {
    for item in items {
        let BookItem::Chapter(chapter) = item else { continue };
        add_pages(&mut chapter.sub_items, sources)?;
        let Some(path) = &chapter.path else { continue };
        let labs = sources.library.labs().iter().filter(|lab| Path::new(&lab.chapter) == path);
        for lab in labs {
            let mut parents = chapter.parent_names.clone();
            parents.push(chapter.name.clone());
            let page = Chapter::new("For teachers", page(lab, sources)?, format!("teachers-{}.md", lab.name), parents);
            chapter.sub_items.push(BookItem::Chapter(page));
        }
    }
    Ok(())
}

/// The lab's own page, and what a teacher wants to know of its exercises.
fn page(lab: &Lab, sources: &Sources) -> Result<String, FileError> {
    let mut page = yaml::read(&sources.library.folder(lab).join("teacher.md"))?;
    let exercises = sources.library.exercises().iter().filter(|exercise| exercise.lab == lab.name);
    for exercise in exercises {
        page.push_str(&about(exercise)?);
    }
    Ok(page)
}

/// Its solution, and the mistakes it recognises.
fn about(exercise: &Exercise) -> Result<String, FileError> {
    let mut out = format!(
        "\n## Exercise {}: {}\n\n{}, {}.\n",
        exercise.name,
        exercise.title,
        count(exercise.minutes, "minute"),
        count(exercise.points(), "point")
    );
    if let Some(solution) = exercise.solutions.first() {
        out.push_str(&format!(
            "\n```yaml\n{}\n```\n\nMistakes it recognises:\n\n",
            exercise.read(solution)?.trim_end()
        ));
    }
    for diagnosis in &exercise.diagnoses {
        out.push_str(&format!("- **{}**: {}\n", diagnosis.name, diagnosis.says.trim()));
    }
    Ok(out)
}
