//! The commands of those who do exercises.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::commands::{self, Context};

#[derive(Debug, Subcommand)]
pub(super) enum ExerciseCommand {
    /// Make a folder with all exercises to work in
    #[command(after_help = "\
A folder an exercise, with its task and a starter; progress.txt says what is done. Called again, it adds the exercises
that have come since, and touches nothing that is there.

Examples:
  podlab init ~/pods && cd ~/pods && podlab watch")]
    Init {
        /// The folder: a new one, an empty one or a workspace
        folder: PathBuf,
    },
    /// Grade your answer to an exercise by what its Pods do
    #[command(after_help = "\
Exit status: 0 it passes, 1 it does not, 2 it could not be checked.

In a workspace (podlab init) the exercise is that of the current folder, else the first that is not passed, and the result
is recorded.

Examples:
  podlab check
  podlab check kuard-ports
  podlab check kuard-ports another-try.yaml")]
    Check {
        /// The exercise's name, as the book gives it
        exercise: Option<String>,
        /// Your answer [default: the exercise's own file]
        file: Option<PathBuf>,
        /// What varies when it is graded is drawn from this number [default: as the task shows it]
        #[arg(long, value_name = "N")]
        seed: Option<u32>,
        /// Grade on this cluster instead of Podlab's own
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Check your answer whenever you save it
    #[command(after_help = "\
Keys: n goes on to the next exercise once this one is passed (N in any case), h shows the next hint, l the list, r checks
again, c checks all, q quits. In a terminal a key is enough; with --plain, or when input or output is no terminal, a key
and Enter, and nothing on the screen is ever taken back.

Examples:
  cd ~/pods && podlab watch
  podlab watch kuard-ports --plain     for screen readers")]
    Watch {
        /// The exercise [default: that of the current folder, else the first that is not passed]
        exercise: Option<String>,
        /// Grade on this cluster instead of Podlab's own
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Show the next of an exercise's three hints
    #[command(after_help = "\
The first says where to look, the second which idea it is about, the third which field to write. A workspace records
which ones you read.

Examples:
  podlab hint
  podlab hint kuard-ports --tier 3")]
    Hint {
        /// The exercise [default: that of the current folder, else the first that is not passed]
        exercise: Option<String>,
        /// Which one
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
        tier: Option<u8>,
    },
    /// Show the solution of an exercise you have passed
    #[command(after_help = "\
Examples:
  podlab solution kuard-ports
  podlab solution kuard-ports --give-up     before passing; the workspace records it")]
    Solution {
        /// The exercise [default: that of the current folder, else the first that is not passed]
        exercise: Option<String>,
        /// Show it although the exercise is not passed
        #[arg(long)]
        give_up: bool,
    },
    /// Put the starter of an exercise back
    #[command(after_help = "\
What you had is kept beside it. Hints and solutions you saw stay recorded.

Examples:
  podlab reset kuard-ports")]
    Reset {
        /// The exercise [default: that of the current folder, else the first that is not passed]
        exercise: Option<String>,
    },
    /// Show the exercises of a workspace and how far they are
    #[command(after_help = "Examples:\n  cd ~/pods && podlab list")]
    List,
}

pub(super) fn run(context: &Context, command: ExerciseCommand) -> anyhow::Result<ExitCode> {
    use commands::workspace;
    match command {
        ExerciseCommand::Init { folder } => workspace::init(context, &folder),
        ExerciseCommand::Check { exercise, file, seed, kubeconfig } => {
            commands::lab::check(context, exercise.as_deref(), file.as_deref(), seed, kubeconfig)
        }
        ExerciseCommand::Watch { exercise, kubeconfig } => {
            commands::watch::run(context, exercise.as_deref(), kubeconfig)
        }
        ExerciseCommand::Hint { exercise, tier } => workspace::hint(context, exercise.as_deref(), tier),
        ExerciseCommand::Solution { exercise, give_up } => workspace::solution(context, exercise.as_deref(), give_up),
        ExerciseCommand::Reset { exercise } => workspace::reset(context, exercise.as_deref()),
        ExerciseCommand::List => workspace::list(context),
    }
}
