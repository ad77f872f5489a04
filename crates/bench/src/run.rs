//! Runs the figures of a bench file, each in a process of its own.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::figure::{Absent, Figure};
use crate::table::{self, Row};
use crate::{floor, server};

/// Beside which build the figures stand.
const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
/// A measure that has taken this long does not end.
const PATIENCE: &str = "300";

/// The `main` of a bench file. Words on the command line choose the figures whose names contain one of them.
pub fn run(figures: &[Figure]) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let result = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--server", directory] => server::main(directory.as_ref()),
        ["--figure", name] => measure(figures, name),
        words => compare(figures, words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One figure, in this process: prints its samples.
fn measure(figures: &[Figure], name: &str) -> anyhow::Result<()> {
    let known = figures.iter().find(|figure| figure.name == name);
    let measured = match (known.with_context(|| format!("no figure is called {name}"))?.measure)() {
        Ok(samples) => Measured::Samples(samples),
        Err(error) => Measured::Absent(error.downcast::<Absent>()?.to_string()),
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// What the process of a figure says.
#[derive(Debug, Deserialize, Serialize)]
enum Measured {
    Samples(Vec<f64>),
    /// Why there are none.
    Absent(String),
}

/// All figures that were asked for: measures them, keeps them, prints the table.
fn compare(figures: &[Figure], words: &[&str]) -> anyhow::Result<()> {
    let chosen =
        figures.iter().filter(|figure| words.is_empty() || words.iter().any(|word| figure.name.contains(word)));
    let chosen: Vec<&Figure> = chosen.collect();
    if chosen.is_empty() {
        // It may be one of another file's.
        eprintln!(
            "no figure here has such a name; there are: {}",
            figures.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", ")
        );
        return Ok(());
    }
    println!("{}", floor::describe());
    let (mut failures, mut absent) = (Vec::new(), Vec::new());
    for figure in &chosen {
        eprintln!("measuring {} ({})", figure.name, figure.what);
        match in_a_process(figure.name) {
            Ok(Measured::Samples(samples)) => keep(figure.name, &samples)?,
            Ok(Measured::Absent(why)) => absent.push(format!("{}: not measured: {why}", figure.name)),
            Err(error) => failures.push(format!("{}: {error:#}", figure.name)),
        }
    }
    let rows: Vec<Row<'_>> = chosen
        .iter()
        .map(|figure| Row { figure, release: kept("release", figure.name), debug: kept("debug", figure.name) })
        .collect();
    println!("{}", table::render(&rows));
    absent.iter().for_each(|line| println!("{line}"));
    if failures.is_empty() { Ok(()) } else { bail!("could not be measured:\n{}", failures.join("\n")) }
}

fn in_a_process(name: &str) -> anyhow::Result<Measured> {
    // `timeout` ends it together with what it started, should it hang.
    let mut command = Command::new("timeout");
    command.arg(PATIENCE).arg(std::env::current_exe()?).args(["--figure", name]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("{}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Where the samples of earlier runs lie: the table shows those of the other build beside its own.
fn folder(profile: &str) -> Option<PathBuf> {
    // target/TRIPLE/PROFILE/deps/BENCH-HASH
    let program = std::env::current_exe().ok()?;
    Some(program.ancestors().nth(4)?.join("figures").join(profile))
}

fn keep(name: &str, samples: &[f64]) -> anyhow::Result<()> {
    let folder = folder(PROFILE).context("this program does not lie in a target folder")?;
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), serde_json::to_string(samples)?)?;
    Ok(())
}

fn kept(profile: &str, name: &str) -> Option<Vec<f64>> {
    serde_json::from_slice(&std::fs::read(folder(profile)?.join(name)).ok()?).ok()
}
