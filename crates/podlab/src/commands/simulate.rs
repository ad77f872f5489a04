//! `podlab simulate`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use podlab_simulator::{Options, Report, Strategy, Waves};

use super::Format;

/// What there is to say about it before its examples.
pub(crate) const HELP: &str = "\
The scheduler's, the controllers' and the kubelets' real decisions on simulated nodes, in virtual time and one thread.
Nothing runs on a kernel. The same options give the same trace, byte for byte, on every machine; a seed that fails
fails again. A node counts as bought while a Pod is on it.
Exit status: 0 it went through, 1 something happened that must never happen.

Examples:
  podlab simulate --nodes 5000 --pods 100000 --seed 7
  podlab simulate --nodes 50 --pods 1000 --day --strategy pack
                                 what a day's load costs when nodes are filled up
  podlab simulate --nodes 3 --pods 6 --faults --seed 42 --trace trace.txt
                                 with crashes, lost messages and nodes that fail";

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SimulateArguments {
    /// How many nodes, of 8 processors and 32 GiB each
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = number)]
    nodes: usize,
    /// How many Pods
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = number)]
    pods: usize,
    /// What decides about chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long the cluster lives, of its own time [default: 10m; with --day 1d]
    #[arg(long, value_name = "DURATION", value_parser = super::clock::duration)]
    lasts: Option<Duration>,
    /// Have parts crash, messages be lost and nodes fail, and see that the cluster comes to rest
    #[arg(long, conflicts_with_all = ["day", "lasts"])]
    faults: bool,
    /// Let the load change as a day does: a third of it in the night
    #[arg(long)]
    day: bool,
    /// Where Pods go
    #[arg(long, value_enum, default_value_t)]
    strategy: Placing,
    /// Write what happened to this file, a line each
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Placing {
    /// To the emptiest node
    #[default]
    Spread,
    /// To the fullest node that will do
    Pack,
}

/// A limit, as for everything that comes from outside.
const MOST: usize = 1_000_000;

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("a number from 1 to {MOST}")),
    }
}

/// # Errors
///
/// When the trace cannot be written.
pub(crate) fn run(arguments: &SimulateArguments) -> anyhow::Result<ExitCode> {
    let usual = Duration::from_secs(if arguments.day { 24 * 3600 } else { 600 });
    let options = Options {
        nodes: arguments.nodes,
        pods: arguments.pods,
        seed: arguments.seed,
        lasts: arguments.lasts.unwrap_or(usual),
        faults: arguments.faults,
        strategy: match arguments.strategy {
            Placing::Spread => Strategy::Spread,
            Placing::Pack => Strategy::Pack,
        },
        waves: if arguments.day { Waves::Day } else { Waves::None },
        keep_trace: arguments.trace.is_some(),
    };
    let outcome = podlab_simulator::run(&options);
    let trace = match &outcome {
        Ok(report) => &report.trace,
        Err(failure) => &failure.trace,
    };
    if let (Some(path), Some(trace)) = (&arguments.trace, trace) {
        std::fs::write(path, trace).with_context(|| path.display().to_string())?;
    }
    let report = outcome?;
    match arguments.output {
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Format::Text => print(&report),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Report) {
    let Report { nodes, pods, seed, virtual_seconds, events, decisions, bound, .. } = report;
    println!("Simulated: {nodes} nodes, {pods} Pods, seed {seed}; nothing of this ran on a kernel.");
    println!("{virtual_seconds} s of the cluster's time, {events} events, {decisions} decisions, {bound} Pods bound.");
    println!(
        "Nodes bought: {:.1} on average, {} at most. Used of them: {:.1} % of the processors, {:.1} % of the memory.",
        report.nodes_bought, report.most_nodes_bought, report.cpu_utilization, report.memory_utilization
    );
    println!("Trace: {}", report.trace_digest);
}
