//! The keys of `podlab watch`.

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Go to the next exercise, when this one is passed.
    Next,
    /// Go to the next exercise although this one is not passed.
    Skip,
    /// Show the next hint.
    Hint,
    /// Show the list.
    List,
    /// Check again.
    Run,
    /// Check all exercises.
    CheckAll,
    /// End.
    Quit,
    /// A key that means nothing.
    Other(char),
}

impl Key {
    /// What a character means.
    pub fn of(character: char) -> Key {
        match character {
            'n' => Key::Next,
            'N' => Key::Skip,
            'h' => Key::Hint,
            'l' => Key::List,
            'r' => Key::Run,
            'c' => Key::CheckAll,
            'q' => Key::Quit,
            other => Key::Other(other),
        }
    }
}

/// The line that tells them.
pub(super) const LEGEND: &str = "n next   h hint   l list   r run again   c check all   q quit";
