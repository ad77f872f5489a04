//! pause: holds a Pod's namespaces open by doing nothing.
//!
//! In a cluster with an ordinary runtime each Pod has one such container. Here the Pod supervisor does that work;
//! the image exists because manifests name it, as the smallest program that runs until it is told to end.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::server::on_one_thread;

pub(crate) fn main(_arguments: Vec<String>) -> ExitCode {
    let waited = on_one_thread(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    });
    match waited {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pause: cannot wait for signals: {error}");
            ExitCode::FAILURE
        }
    }
}
