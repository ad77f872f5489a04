//! What the commands `podlab lab`, `podlab check` and `podlab book` do.
//!
//! Everything a learner reads is written to `out`; what is returned decides the exit status.

pub use self::book::{book_build, book_preprocess, book_router, book_serve};
pub use self::check::check;
pub use self::choose::Asked;
pub use self::class::{ReportFormat, class_report};
pub use self::grade::{GradeOptions, ResultFormat, grade_workspace};
pub use self::lab::{lab_list, lab_run, lab_shell, lab_verify};
pub use self::pack::pack_check;
pub use self::watch::{Key, WatchOptions, watch};
pub use self::workspace::{hint, init, list, reset, solution};

mod book;
mod check;
mod choose;
mod class;
mod grade;
mod lab;
mod pack;
mod watch;
mod workspace;

/// How `podlab lab run` and `podlab check` behave.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Go on without waiting for Enter before each command.
    pub auto: bool,
    /// Colour what is written; the caller knows whether it is a terminal.
    pub colour: bool,
    /// What varies is drawn from it; without, it is as the task shows it.
    pub seed: Option<u32>,
}

/// How an exercise, or a whole verification, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything that was checked holds.
    Pass,
    /// Something does not hold.
    Fail,
    /// The checks could not be made: no cluster, or the host refuses what they need. Never counts as passed.
    CouldNotCheck,
}

impl Outcome {
    /// The exit status of the command: 0, 1 or 2.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

/// Resolves at Ctrl-C, or when we are asked to end: whoever waits for it then undoes what was done.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
