//! The pages of a workspace.

use crate::format::{Exercise, Library};
use crate::words::count;

/// How to work in the folder, and the exercises in order.
pub(super) fn readme(library: &Library) -> String {
    let mut page = String::from(
        "# Podlab exercises\n\n\
         Each folder is an exercise: `task.md` says what to do, and the file beside it is your answer.\n\n\
         ```console\n\
         $ podlab start --detach      # a cluster, once; podlab stop ends it\n\
         $ podlab watch               # checks the answer whenever you save it\n\
         ```\n\n\
         | command | does |\n|---|---|\n\
         | `podlab check` | checks the exercise of this folder, or the next one that is open |\n\
         | `podlab watch` | the same at every save, with keys: n next, h hint, l list, r run again, c check all, q quit |\n\
         | `podlab hint` | the next of three hints: where to look, which idea, which field |\n\
         | `podlab solution` | the solution, once you have passed; `--give-up` before that |\n\
         | `podlab reset` | puts the starter back, and keeps what you had |\n\
         | `podlab list` | what is done and what is not |\n\n\
         `progress.txt` says how far you are. Put this folder under git and work on two machines if you like: \
         lines of both are kept when you merge, and the better one counts.\n\n\
         ## The exercises\n\n",
    );
    for lab in library.labs() {
        let mut exercises = library.exercises().iter().filter(|exercise| exercise.lab == lab.name).peekable();
        if exercises.peek().is_none() {
            continue;
        }
        page.push_str(&format!("{}\n\n", lab.title));
        for Exercise { name, minutes, title, .. } in exercises {
            page.push_str(&format!("- [{name}]({name}/task.md), {minutes} min: {title}\n"));
        }
        page.push('\n');
    }
    page
}

/// The page of an exercise.
pub(super) fn task(exercise: &Exercise, task: &str) -> String {
    let checks: String =
        exercise.checks.iter().map(|check| format!("- {} ({})\n", check.title, count(check.points, "point"))).collect();
    let given = exercise.setup.is_some() || !exercise.files.is_empty();
    let given = if given { " What the exercise sets up lies in `given/`, to read." } else { "" };
    format!(
        "# {}\n\n{}, {}. The book explains it in {}.\n\n{}\n\n\
         Your answer is `{}`, in this folder.{given}\n\n\
         What is checked:\n\n{checks}\n\
         ```console\n$ podlab check {}\n```\n",
        exercise.title,
        count(exercise.minutes, "minute"),
        count(exercise.points(), "point"),
        exercise.section.replace(".md", ".html"),
        task.trim(),
        exercise.answer,
        exercise.name,
    )
}
