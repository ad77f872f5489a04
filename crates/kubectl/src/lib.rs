//! The built-in kubectl: the same words, the same output and the same exit codes as the real one.
//!
//! What a learner types here works unchanged with the real program. Tables are the server's own, so a new kind needs no
//! code here. [`cli`] has the words, [`session`] the way to the server, `commands/` a file a command, `print/` the forms
//! in which objects are shown, `describe/` a file a kind.

mod cli;
mod commands;
mod describe;

mod discovery;
mod failure;
mod find;
mod help;
mod http_call;
mod kubeconfig;
mod print;
mod select;
mod session;
mod streams;

use std::ffi::OsString;
use std::process::ExitCode;

use failure::Failure;
use session::Session;

/// Runs one command to its end. `arguments` are what follows the program's name.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let (globals, command) = match cli::parse(&arguments) {
        Ok(parsed) => parsed,
        Err(code) => return ExitCode::from(code),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::complain(&format!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let plain = globals.plain;
    let session = Session::new(globals);
    let outcome = runtime.block_on(commands::run(&session, command));
    // A reader of standard input may still wait for a key.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Exit(code)) => ExitCode::from(code),
        Err(failure) => {
            let text = failure.text();
            print::complain(text.strip_suffix('\n').unwrap_or(&text));
            if let Some(next) = help::next_step(&failure).filter(|_| !plain) {
                print::complain(&next);
            }
            ExitCode::FAILURE
        }
    }
}
