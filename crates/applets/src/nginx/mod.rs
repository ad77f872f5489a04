//! `nginx`: a small web server with the face of the real one: its files, its log lines, its signals.
//!
//! Like the original it is a master that owns the listening socket, and workers that answer requests. It serves static
//! files and understands of the configuration only what [`configuration`] says.

mod configuration;
mod master;
mod requests;
mod worker;

use std::process::ExitCode;

use jiff::Timestamp;

use self::configuration::Configuration;
use crate::log::stamp;

/// The version that the transcripts of the reference cluster show.
const VERSION: &str = "nginx/1.22.1";
/// How a worker is started: the name it shows in `ps`.
pub(crate) const WORKER: &str = "nginx: worker process";

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let mut test = false;
    let mut globals = String::new();
    let mut path = configuration::MAIN.to_owned();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-v" | "-V" => {
                eprintln!("nginx version: {VERSION}");
                return ExitCode::SUCCESS;
            }
            "-t" => test = true,
            "-g" => globals = arguments.next().unwrap_or_default(),
            "-c" => path = arguments.next().unwrap_or_default(),
            _ => {
                eprintln!("nginx: invalid option: \"{argument}\"");
                return ExitCode::FAILURE;
            }
        }
    }
    let configuration = match Configuration::load(&path, &globals) {
        Ok(configuration) => configuration,
        Err(problem) => {
            log("emerg", &problem);
            return ExitCode::FAILURE;
        }
    };
    if test {
        eprintln!("nginx: the configuration file {path} syntax is ok");
        eprintln!("nginx: configuration file {path} test is successful");
        return ExitCode::SUCCESS;
    }
    master::run(&configuration)
}

/// A worker: started by the master with the listening socket as standard input and the document root as argument.
pub(crate) fn worker(arguments: Vec<String>) -> ExitCode {
    match arguments.as_slice() {
        [root] => worker::run(root.into()),
        _ => ExitCode::FAILURE,
    }
}

/// A line of the error log.
fn log(level: &str, message: &str) {
    let id = std::process::id();
    eprintln!("{} [{level}] {id}#{id}: {message}", stamp(Timestamp::now()));
}
