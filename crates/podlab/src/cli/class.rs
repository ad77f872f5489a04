//! The commands of those who teach.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use podlab_labs::commands::{GradeOptions, ReportFormat, ResultFormat};

use crate::commands::{Context, class, colour};

#[derive(Debug, Subcommand)]
pub(super) enum ClassCommand {
    /// Grade a whole workspace: points, partial credit, and the reason for each missing point
    #[command(after_help = "\
Of the workspace only the answer of each exercise and the progress file are read. Names and ports that an exercise declares
to vary are drawn from the seed, which is printed: the same seed grades the same way again.

Exit status: 0 everything passes, 1 something does not, 2 something could not be checked.

Examples:
  podlab grade ~/pods
  podlab grade handed-in/ada --format json > results/ada.json
  podlab --pack ~/hidden-checks grade handed-in/ada --seed 7 --format junit")]
    Grade(GradeArguments),
    /// Check a pack of labs, exercises and hidden checks
    #[command(subcommand, after_help = "Examples:\n  podlab pack check ~/my-pack")]
    Pack(PackCommand),
    /// Put the results of a class together
    #[command(subcommand, after_help = "Examples:\n  podlab class report results > class.html")]
    Class(ReportCommand),
}

#[derive(Args, Debug)]
pub(super) struct GradeArguments {
    /// The workspace
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// How to print the results; the schema of json is in the book
    #[arg(long, value_enum, default_value_t)]
    format: Output,
    /// What varies is drawn from this number [default: any]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Whose workspace it is [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Grade on this cluster instead of Podlab's own
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For build servers
    Junit,
}

#[derive(Debug, Subcommand)]
pub(super) enum PackCommand {
    /// Say everything that is wrong with a pack
    #[command(after_help = "\
Its solutions must pass, its starters fail, and its wrong answers fail with their own diagnosis: that is tried on the
cluster. Every objective must be practised, every exercise take time and be worth something, no diagnosis have two meanings.

Exit status: 0 nothing is wrong, 1 something is, 2 the answers could not be tried.

Examples:
  podlab pack check ~/my-pack
  podlab pack check ~/my-pack --no-cluster")]
    Check {
        /// The pack
        folder: PathBuf,
        /// Only what can be said without running anything
        #[arg(long, conflicts_with = "kubeconfig")]
        no_cluster: bool,
        /// Try the answers on this cluster instead of Podlab's own
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// One table of many results: who, how far, the first failure, hints
    #[command(after_help = "\
Examples:
  podlab class report results > class.html
  podlab class report results/*.json --format csv > class.csv")]
    Report {
        /// Result files (podlab grade --format json), or folders of them
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// How to print the table
        #[arg(long, value_enum, default_value_t)]
        format: Table,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Table {
    /// A page for a browser
    #[default]
    Html,
    /// A row for each learner and exercise
    Csv,
}

pub(super) fn run(context: &Context, command: ClassCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClassCommand::Grade(GradeArguments { folder, format, seed, who, kubeconfig }) => {
            let format = match format {
                Output::Text => ResultFormat::Text,
                Output::Json => ResultFormat::Json,
                Output::Junit => ResultFormat::Junit,
            };
            class::grade(context, &folder, &GradeOptions { who, seed, format, colour: colour() }, kubeconfig)
        }
        ClassCommand::Pack(PackCommand::Check { folder, no_cluster, kubeconfig }) => {
            class::pack_check(context, &folder, no_cluster, kubeconfig)
        }
        ClassCommand::Class(ReportCommand::Report { results, format }) => {
            let format = match format {
                Table::Html => ReportFormat::Html,
                Table::Csv => ReportFormat::Csv,
            };
            class::report(&results, format)
        }
    }
}
