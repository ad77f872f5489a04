//! The command line as people type it.

mod class;
mod exercises;
mod image;
mod node;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

use podlab_labs::book::Edition;

use crate::commands;
use crate::control_plane::Thresholds;

/// What `--default-storage-class` takes.
pub(crate) const STORAGE_CLASSES: [&str; 3] = ["local-path", "local-storage", "none"];

const EXAMPLES: &str = "\
Examples:
  podlab                           start a one-node cluster and the book; Ctrl-C stops it
  podlab start --detach            the same in the background; `podlab stop` stops it
  podlab node exec node1 -- ip a   a command on the node
  podlab xray pod/kuard            what a Pod is, from the kernel itself
  podlab lab run kuard             walk through a lab, step by step
  podlab init ~/pods               a folder with all exercises; podlab watch checks them there
  podlab --dir /tmp/two start      a second cluster beside the first

All state lies in one directory: --dir, else $PODLAB_DIR, else $XDG_STATE_HOME/podlab, else
~/.local/state/podlab. Nothing else is written, and ~/.kube is never touched.";

/// A workbook about Kubernetes Pods whose every example runs.
#[derive(Debug, Parser)]
#[command(name = "podlab", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The cluster's state directory
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// The folder with labs/ and book/ [default: found upwards from here]
    #[arg(long, global = true, value_name = "DIR", env = "PODLAB_WORKBOOK", hide_env_values = true)]
    workbook: Option<PathBuf>,

    /// A folder with labs, exercises or hidden checks of a teacher's own (may be repeated; also PODLAB_PACKS, with colons)
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PODLAB_PACKS",
        value_delimiter = ':',
        hide_env_values = true,
        hide_env = true
    )]
    pack: Vec<PathBuf>,

    /// No colours and no columns: for screen readers and logs (also NO_COLOR, TERM=dumb)
    #[arg(long, global = true)]
    plain: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster, and the book beside it (what `podlab` alone does)
    #[command(after_help = "\
Examples:
  podlab start                   in the foreground; Ctrl-C stops it
  podlab start --detach          returns once the node is Ready
  podlab start --port 8000       the book on port 8000 and no other
  podlab start --behind 1d       a new cluster whose clock can be sped up (podlab clock --help)
  eval \"$(podlab start --detach | grep ^export)\"
                                 and kubectl works in this shell")]
    Start(StartArguments),
    /// Stop the cluster; nothing of it is left but its state directory
    #[command(after_help = "\
Examples:
  podlab stop                    the one in the usual place
  podlab --dir /tmp/two stop     another one; `podlab --dir /tmp/two start` goes on where it was
  podlab stop --delete           and delete everything of it")]
    Stop {
        /// Delete the state directory, too: objects, images, logs
        #[arg(long)]
        delete: bool,
    },
    /// Show whether the cluster runs, its nodes and its Pods
    #[command(after_help = "\
Exit status: 0 a cluster runs and answers, 1 it does not.

Examples:
  podlab status
  podlab --plain status          a sentence a line, for screen readers and logs
  podlab status --output json    for programs; .book is the link that lets a browser run steps")]
    Status {
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: commands::Format,
    },
    /// Print what a shell needs to complete podlab's words
    #[command(after_help = "\
Examples:
  source <(podlab completions bash)
  podlab completions fish > ~/.config/fish/completions/podlab.fish")]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    #[command(after_help = "Examples:\n  podlab man | man -l -")]
    Man,
    /// Try everything the labs need from this machine
    #[command(after_help = "\
Each item is tried, not looked up; what does not work says what it touches and how to mend it.
Exit status: 0 everything works, 2 something does not.

Examples:
  podlab doctor
  podlab doctor --output json | jq -r '.[] | select(.verdict != \"works\") | .remedy'")]
    Doctor {
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: commands::Format,
    },
    /// Print the path of the kubeconfig
    #[command(after_help = "Examples:\n  export KUBECONFIG=$(podlab kubeconfig)")]
    Kubeconfig,
    /// Show what a Pod is, from the kernel itself: processes, namespaces, cgroups, mounts, address
    #[command(after_help = "\
The same ID is the same namespace: what containers share has one row with all of them in it.

Examples:
  podlab xray pod/web
  podlab xray pod/coredns-0 --namespace kube-system
  podlab xray pod/web --output json | jq .namespaces")]
    Xray {
        /// The Pod: pod/NAME
        pod: commands::xray::PodName,
        /// The Pod's namespace
        #[arg(long, short, default_value = "default")]
        namespace: String,
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: commands::Format,
    },
    /// Add, stop and list nodes; work on one, as if logged in to it
    #[command(
        subcommand,
        after_help = "Examples:\n  podlab node exec node1 -- ip address\n  podlab node add\n  podlab node stop node2"
    )]
    Node(node::NodeCommand),
    /// Serve a folder as a file server, for volumes of kind nfs
    #[command(subcommand, after_help = "Examples:\n  podlab nfs serve exports")]
    Nfs(NfsCommand),
    /// Explain what the cluster decides
    #[command(subcommand, after_help = "Examples:\n  podlab explain schedule pod/web")]
    Explain(ExplainCommand),
    /// Hold the cluster's clock: let it stand, run fast, or go ahead
    #[command(subcommand, after_help = commands::clock::HELP)]
    Clock(commands::clock::ClockCommand),
    /// Run a cluster of any size in virtual time, from a seed
    #[command(after_help = commands::simulate::HELP)]
    Simulate(commands::simulate::SimulateArguments),
    /// List, walk through and verify the labs
    #[command(subcommand, after_help = "Examples:\n  podlab lab list\n  podlab lab run kuard")]
    Lab(LabCommand),
    #[command(flatten)]
    Exercise(exercises::ExerciseCommand),
    #[command(flatten)]
    Class(class::ClassCommand),
    /// Build or serve the book without a cluster
    #[command(subcommand, after_help = "Examples:\n  podlab book build public\n  podlab book serve --port 8000")]
    Book(BookCommand),
    /// Look at the images that Pods can use
    #[command(subcommand, after_help = "Examples:\n  podlab image ls\n  podlab image inspect nginx")]
    Image(image::ImageCommand),
    /// The built-in kubectl; without KUBECONFIG it is about the cluster of this directory
    #[command(disable_help_flag = true, after_help = "Examples:\n  podlab kubectl get pods")]
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StartArguments {
    /// Return once the node is Ready; the cluster goes on in the background
    #[arg(long)]
    pub(crate) detach: bool,
    /// Do not serve the book
    #[arg(long, conflicts_with = "port")]
    pub(crate) no_book: bool,
    /// Serve the book on this port and no other
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Do not set up the cluster's DNS; one that is there stays
    #[arg(long)]
    pub(crate) no_dns: bool,
    /// The StorageClass of claims that name none; what was set before stays without this
    #[arg(long, value_name = "CLASS", value_parser = clap::builder::PossibleValuesParser::new(STORAGE_CLASSES))]
    pub(crate) default_storage_class: Option<String>,
    /// Remove images that nobody runs when the disk is so full, in percent [default: 85]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=100))]
    image_gc_high_threshold: Option<u8>,
    /// ... until it is only so full [default: 80]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=100))]
    image_gc_low_threshold: Option<u8>,
    /// How many nodes there are at least; those added later come back as well
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(crate) nodes: u8,
    /// Start the clock of a new cluster this far in the past: room to step it and to speed it up
    #[arg(long, value_name = "DURATION", value_parser = commands::clock::duration)]
    pub(crate) behind: Option<Duration>,
    #[command(flatten)]
    pub(crate) node: commands::node::NodeOptions,
}

#[derive(Debug, Subcommand)]
enum NfsCommand {
    /// Serve a folder to the cluster's nodes and Pods, until Ctrl-C
    #[command(after_help = commands::nfs::HELP)]
    Serve(commands::nfs::ServeArguments),
}

#[derive(Debug, Subcommand)]
enum ExplainCommand {
    /// Show each node's verdict and score for a Pod, as if it were to be placed now
    #[command(after_help = "\
A node is refused by the first filter it does not pass. Of the others, the one with the most points wins: the sum of
what each score gives, 0 to 100, times its weight.

Examples:
  podlab explain schedule pod/web
  podlab explain schedule pod/coredns-0 --namespace kube-system
  podlab explain schedule pod/web --output json | jq '.nodes[].refusedBy'")]
    Schedule {
        /// The Pod: pod/NAME
        pod: commands::xray::PodName,
        /// The Pod's namespace
        #[arg(long, short, default_value = "default")]
        namespace: String,
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: commands::Format,
    },
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// List the labs and their exercises
    #[command(after_help = "Examples:\n  podlab lab list")]
    List,
    /// Walk through a lab: each command is shown, then run
    #[command(after_help = "\
Exit status: 0 it went through, 1 something was not as it should be, 2 it could not be tried.

Examples:
  podlab lab run kuard           Enter runs the next command, q stops
  podlab lab run kuard --auto    without waiting
  podlab lab run kuard --kubeconfig ~/.kube/config
                                 on another cluster")]
    Run {
        lab: String,
        /// Do not wait for Enter before each command
        #[arg(long)]
        auto: bool,
        /// Run on this cluster instead of Podlab's own
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Open a shell with a copy of a lab's files, its cluster and its kubectl
    #[command(after_help = "\
The shell is $SHELL; KUBECONFIG, PATH and HOME are the lab's. What you create stays until you delete it.

Examples:
  podlab lab shell kuard
  echo 'kubectl apply -f kuard-pod.yaml' | podlab lab shell kuard")]
    Shell {
        lab: String,
        /// Work on this cluster instead of Podlab's own
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Run labs and compare what they print with what the book shows
    #[command(after_help = "\
Exit status: 0 as recorded, 1 something differs, 2 something could not be checked.

Examples:
  podlab lab verify              all labs
  podlab lab verify kuard")]
    Verify {
        /// The labs [default: all]
        labs: Vec<String>,
        /// Run on this cluster instead of Podlab's own
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum BookCommand {
    /// Render the book to a folder
    #[command(after_help = "Examples:\n  podlab book build\n  podlab book build public")]
    Build {
        /// Where to [default: book/ in the state directory]
        destination: Option<PathBuf>,
        /// With a page for teachers behind each chapter that has a lab
        #[arg(long)]
        teacher: bool,
    },
    /// Serve the book; Ctrl-C ends it
    #[command(after_help = "Examples:\n  podlab book serve\n  podlab book serve --port 8000")]
    Serve {
        /// The port [default: any free one]
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        port: u16,
    },
}

/// Runs the command line and turns errors into text on standard error.
impl StartArguments {
    /// What is said about unused images.
    ///
    /// # Errors
    ///
    /// When it would be removed until the disk is fuller than it may be.
    pub(crate) fn image_garbage(&self) -> anyhow::Result<Thresholds> {
        let (high, low) = (self.image_gc_high_threshold.unwrap_or(85), self.image_gc_low_threshold.unwrap_or(80));
        anyhow::ensure!(low < high, "--image-gc-low-threshold {low} has to be below --image-gc-high-threshold {high}");
        Ok(Thresholds { high, low })
    }
}

pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            commands::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let plain = cli.plain || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    if plain {
        anstream::ColorChoice::Never.write_global();
    }
    let context = commands::Context { dir: cli.dir, workbook: cli.workbook, packs: cli.pack, plain };
    match cli.command.unwrap_or_else(|| Command::Start(StartArguments::default())) {
        Command::Start(arguments) => commands::start::run(&context, &arguments),
        Command::Stop { delete } => commands::stop::run(&context, delete),
        Command::Status { output } => commands::status::run(&context, output),
        Command::Completions { shell } => {
            // Into memory first: the generator panics when its writer fails, and `| head` closes a pipe.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "podlab", &mut script);
            print_all(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            print_all(&page)
        }
        Command::Doctor { output } => commands::doctor::run(&context, output),
        Command::Kubeconfig => commands::kubeconfig::run(&context),
        Command::Xray { pod, namespace, output } => commands::xray::run(&context, &pod, &namespace, output),
        Command::Node(command) => node::run(&context, command),
        Command::Nfs(NfsCommand::Serve(arguments)) => commands::nfs::serve(&context, &arguments),
        Command::Explain(ExplainCommand::Schedule { pod, namespace, output }) => {
            commands::explain::schedule(&context, &pod, &namespace, output)
        }
        Command::Simulate(arguments) => commands::simulate::run(&arguments),
        Command::Clock(command) => commands::clock::run(&context, &command),
        Command::Lab(LabCommand::List) => commands::lab::list(&context),
        Command::Lab(LabCommand::Run { lab, auto, kubeconfig }) => commands::lab::run(&context, &lab, auto, kubeconfig),
        Command::Lab(LabCommand::Shell { lab, kubeconfig }) => commands::lab::shell(&context, &lab, kubeconfig),
        Command::Lab(LabCommand::Verify { labs, kubeconfig }) => commands::lab::verify(&context, &labs, kubeconfig),
        Command::Exercise(command) => exercises::run(&context, command),
        Command::Class(command) => class::run(&context, command),
        Command::Book(BookCommand::Build { destination, teacher }) => {
            let edition = if teacher { Edition::Teacher } else { Edition::Reader };
            commands::book::build(&context, edition, destination)
        }
        Command::Book(BookCommand::Serve { port }) => commands::book::serve(&context, port),
        Command::Image(command) => image::run(&context, command),
        Command::Kubectl { arguments } => commands::kubectl::here(&context, arguments),
    }
}

fn print_all(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(bytes)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn visit(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{path} has none"));
            assert!(examples.contains(path.trim()), "the examples of {path} show it");
            command.get_subcommands().for_each(|inner| visit(inner, &path));
        }
        visit(&Cli::command(), "");
    }

    #[test]
    fn no_command_means_start() {
        assert!(Cli::try_parse_from(["podlab", "--dir", "d"]).unwrap().command.is_none());
    }

    #[test]
    fn what_follows_two_dashes_is_the_nodes_command() {
        let cli = Cli::try_parse_from(["podlab", "node", "exec", "node1", "--", "ls", "-l", "--dir"]).unwrap();
        assert_eq!(cli.dir, None);
        let Some(Command::Node(node::NodeCommand::Exec { command, .. })) = cli.command else {
            panic!("another command")
        };
        assert_eq!(command, ["ls", "-l", "--dir"]);
    }
}
