//! A worker: answers requests until it is told to stop.

use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::requests::router;
use crate::server::{accept, on_one_thread};

pub(super) fn run(root: PathBuf) -> ExitCode {
    // Its command line is for people; this is the name in /proc/PID/comm.
    let _ = rustix::thread::set_name(c"nginx");
    match on_one_thread(serve(root)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::log("emerg", &format!("worker cannot serve ({error})"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(root: PathBuf) -> io::Result<()> {
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A terminal's Ctrl-C goes to the master too, which ends the workers itself.
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        never = accept(listener()?, router(root, write)) => match never {},
        _ = quit.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// The socket that the master passed as standard input.
fn listener() -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// One write a line, so that lines of different workers do not mix. A closed log is no reason not to serve.
fn write(line: &str) {
    let _ = io::stdout().lock().write_all(line.as_bytes());
}
