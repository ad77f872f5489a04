//! The master: owns the listening socket, starts the workers and ends them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::configuration::Configuration;
use super::{VERSION, WORKER, log};

pub(super) fn run(configuration: &Configuration) -> ExitCode {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, configuration.port));
    let listener = match TcpListener::bind(address) {
        Ok(listener) => OwnedFd::from(listener),
        Err(error) => {
            log("emerg", &format!("bind() to {address} failed ({error})"));
            return ExitCode::FAILURE;
        }
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    log("notice", "using the \"epoll\" event method");
    log("notice", VERSION);
    log("notice", &format!("OS: Linux {}", rustix::system::uname().release().to_string_lossy()));
    let limit = getrlimit(Resource::Nofile);
    let number = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    log("notice", &format!("getrlimit(RLIMIT_NOFILE): {}:{}", number(limit.current), number(limit.maximum)));
    log("notice", "start worker processes");
    runtime.block_on(async {
        match supervise(configuration, &listener).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log("alert", &format!("cannot run workers ({error})"));
                ExitCode::FAILURE
            }
        }
    })
}

async fn supervise(configuration: &Configuration, listener: &OwnedFd) -> io::Result<()> {
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut workers = JoinSet::new();
    let mut pids = Vec::new();
    for _ in 0..configuration.workers {
        start(configuration, listener, &mut workers, &mut pids)?;
    }
    let mut stopping = false;
    while !workers.is_empty() {
        tokio::select! {
            _ = quit.recv(), if !stopping => stopping = stop(&pids, 3, "QUIT", Signal::QUIT, "shutting down"),
            _ = terminate.recv() => stopping = stop(&pids, 15, "TERM", Signal::TERM, "exiting"),
            _ = interrupt.recv() => stopping = stop(&pids, 2, "INT", Signal::TERM, "exiting"),
            Some(ended) = workers.join_next() => {
                let (pid, status): (u32, String) = ended?;
                pids.retain(|other| *other != pid);
                log(if stopping { "notice" } else { "alert" }, &format!("worker process {pid} {status}"));
                if !stopping {
                    start(configuration, listener, &mut workers, &mut pids)?;
                }
            }
        }
    }
    log("notice", "exit");
    Ok(())
}

fn start(
    configuration: &Configuration,
    listener: &OwnedFd,
    workers: &mut JoinSet<(u32, String)>,
    pids: &mut Vec<u32>,
) -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(WORKER).arg(&configuration.root).stdin(Stdio::from(listener.try_clone()?));
    let mut child: Child = tokio::process::Command::from(command).spawn()?;
    let pid = child.id().unwrap_or_default();
    log("notice", &format!("start worker process {pid}"));
    pids.push(pid);
    workers.spawn(async move {
        let status = match child.wait().await {
            Ok(status) => match status.code() {
                Some(code) => format!("exited with code {code}"),
                None => format!("exited on {status}"),
            },
            Err(error) => error.to_string(),
        };
        (pid, status)
    });
    Ok(())
}

fn stop(pids: &[u32], number: u8, name: &str, signal: Signal, what: &str) -> bool {
    log("notice", &format!("signal {number} (SIG{name}) received, {what}"));
    for pid in pids {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }
    true
}
