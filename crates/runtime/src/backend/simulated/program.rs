//! Programs of data: what a simulated container does, written down instead of executed.

use std::time::Duration;

/// What a container of an image does. The default runs for ever, is always healthy, and ends at once when asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// It ends by itself after so long, with this code.
    pub ends: Option<(Duration, i32)>,
    /// The end is the kernel's doing: the container used more memory than it may.
    pub out_of_memory: bool,
    /// How long after SIGTERM it ends, and with which code. `None`: it does not care, and has to be killed.
    pub ends_on_term: Option<(Duration, i32)>,
    /// It cannot even be started; the runtime's text for it.
    pub start_error: Option<String>,
    /// From when until when, counted from its start, probes and commands fail.
    pub unhealthy: Vec<(Duration, Duration)>,
    /// What a failing probe or command says.
    pub complaint: String,
    /// What it leaves in its termination message file.
    pub message: String,
    /// Bytes of memory it uses.
    pub memory: u64,
}

impl Default for Program {
    fn default() -> Self {
        Program {
            ends: None,
            out_of_memory: false,
            ends_on_term: Some((Duration::ZERO, 0)),
            start_error: None,
            unhealthy: Vec::new(),
            complaint: String::new(),
            message: String::new(),
            memory: 1 << 20,
        }
    }
}

impl Program {
    /// Ends by itself.
    #[must_use]
    pub fn ending(after: Duration, code: i32) -> Self {
        Program { ends: Some((after, code)), ..Program::default() }
    }

    /// Whether a probe fails at `age`.
    #[must_use]
    pub fn is_unhealthy(&self, age: Duration) -> bool {
        self.unhealthy.iter().any(|(from, until)| (*from..*until).contains(&age))
    }
}
