//! What a learner has done: a plain text file with a line an exercise.
//!
//! ```text
//! # Podlab progress 1. A line an exercise, written by podlab. Git keeps both lines when two machines disagree,
//! # and podlab joins them: the better result counts, and so does every hint.
//! first-pod passed 2/2
//! kuard-ports tried 3/8 hints:2
//! manifest-repair passed 9/9 hints:3 solution:gave-up
//! ```
//!
//! Joining is what makes it safe to merge: of two lines about one exercise the higher state, points, hint and way to the
//! solution are taken, whatever their order, so that no machine's work is lost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How the file begins; a folder with such a file is a workspace.
pub(crate) const HEADER: &str = "# Podlab progress 1.";

const ABOUT: &str = "\
# Podlab progress 1. A line an exercise, written by podlab. Git keeps both lines when two machines disagree,
# and podlab joins them: the better result counts, and so does every hint.
";

/// The state of every exercise that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress(BTreeMap<String, Entry>);

/// What is known of one exercise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// How far it is.
    pub state: State,
    /// The points of the best result, and all points there were.
    pub points: (u32, u32),
    /// The highest tier of the hints that were read.
    pub hints: u8,
    /// How the solution was come by.
    pub solution: Solution,
}

/// How far an exercise is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not checked since it was begun, or begun again.
    #[default]
    Open,
    /// Checked, and not passed.
    Tried,
    /// Passed once.
    Passed,
}

/// How a learner came by the solution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Solution {
    /// Not at all.
    #[default]
    Unseen,
    /// After passing.
    AfterPassing,
    /// Before: by giving up.
    GaveUp,
}

impl State {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Tried => "tried",
            State::Passed => "passed",
        }
    }
}

impl Solution {
    /// The word in files.
    pub fn word(self) -> &'static str {
        match self {
            Solution::Unseen => "unseen",
            Solution::AfterPassing => "after-passing",
            Solution::GaveUp => "gave-up",
        }
    }
}

/// A line that is not one of ours.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the progress file is not understood: {text:?}")]
pub struct NotUnderstood {
    /// Which one, from 1.
    pub line: usize,
    /// Its beginning.
    pub text: String,
}

impl Progress {
    /// Reads the file's text; lines about the same exercise are joined.
    ///
    /// # Errors
    ///
    /// At the first line that is no line of a progress file, such as the mark of a merge that was not finished.
    pub fn parse(text: &str) -> Result<Progress, NotUnderstood> {
        let mut progress = Progress::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, entry) =
                entry(line).ok_or_else(|| NotUnderstood { line: number + 1, text: line.chars().take(60).collect() })?;
            let known = progress.0.entry(name.to_owned()).or_default();
            *known = known.joined(entry);
        }
        Ok(progress)
    }

    /// The exercise of this name; nothing done yet when it is not there.
    pub fn of(&self, exercise: &str) -> Entry {
        self.0.get(exercise).copied().unwrap_or_default()
    }

    /// Changes what is known of an exercise.
    pub fn change(&mut self, exercise: &str, change: impl FnOnce(&mut Entry)) {
        change(self.0.entry(exercise.to_owned()).or_default());
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(ABOUT)?;
        for (name, entry) in &self.0 {
            let (got, all) = entry.points;
            write!(f, "{name} {} {got}/{all}", entry.state.word())?;
            if entry.hints > 0 {
                write!(f, " hints:{}", entry.hints)?;
            }
            if entry.solution != Solution::Unseen {
                write!(f, " solution:{}", entry.solution.word())?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

impl Entry {
    fn joined(self, other: Entry) -> Entry {
        Entry {
            state: self.state.max(other.state),
            points: if other.points.0 > self.points.0 { other.points } else { self.points },
            hints: self.hints.max(other.hints),
            solution: self.solution.max(other.solution),
        }
    }

    /// Counts a result: a pass stays a pass, and the most points count.
    pub fn count(&mut self, passed: bool, points: (u32, u32)) {
        let state = if passed { State::Passed } else { State::Tried };
        *self = Entry { state, points, ..Entry::default() }.joined(*self);
    }
}

fn entry(line: &str) -> Option<(&str, Entry)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let state = match words.next()? {
        "open" => State::Open,
        "tried" => State::Tried,
        "passed" => State::Passed,
        _ => return None,
    };
    let (got, all) = words.next()?.split_once('/')?;
    let mut entry = Entry { state, points: (got.parse().ok()?, all.parse().ok()?), ..Entry::default() };
    for word in words {
        match word.split_once(':')? {
            ("hints", tier) => entry.hints = tier.parse().ok().filter(|tier| *tier <= 3)?,
            ("solution", "after-passing") => entry.solution = Solution::AfterPassing,
            ("solution", "gave-up") => entry.solution = Solution::GaveUp,
            _ => return None,
        }
    }
    Some((name, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut progress = Progress::default();
        progress.change("kuard-ports", |entry| entry.count(false, (3, 8)));
        progress.change("kuard-ports", |entry| entry.hints = 2);
        progress.change("first-pod", |entry| entry.count(true, (2, 2)));
        progress.change("first-pod", |entry| entry.solution = Solution::AfterPassing);
        let text = progress.to_string();
        assert!(text.starts_with(HEADER));
        assert!(
            text.ends_with("first-pod passed 2/2 solution:after-passing\nkuard-ports tried 3/8 hints:2\n"),
            "{text}"
        );
        assert_eq!(Progress::parse(&text), Ok(progress));
    }

    #[test]
    fn a_worse_result_takes_nothing_away() {
        let mut entry = Entry::default();
        entry.count(true, (8, 8));
        entry.count(false, (3, 8));
        assert_eq!((entry.state, entry.points), (State::Passed, (8, 8)));
    }

    #[test]
    fn lines_of_two_machines_are_joined_whatever_their_order() {
        let lines = ["a passed 8/8", "a tried 3/8 hints:3", "a open 0/8 solution:gave-up"];
        let joined = Entry { state: State::Passed, points: (8, 8), hints: 3, solution: Solution::GaveUp };
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let text = order.map(|line| lines[line]).join("\n");
            assert_eq!(Progress::parse(&text).unwrap().of("a"), joined);
        }
    }

    #[test]
    fn an_unfinished_merge_is_not_guessed_at() {
        for wrong in [
            "<<<<<<< HEAD",
            "a passed",
            "a done 1/1",
            "a tried 1",
            "a tried 1/2 hints:9",
            "a tried 1/2 x",
            "A tried 1/2",
        ] {
            assert_eq!(Progress::parse(&format!("b open 0/1\n{wrong}\n")).unwrap_err().line, 2, "{wrong}");
        }
    }
}
