//! The built `podlab`, and running programs with a deadline.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::Output;

/// How long a test waits for something that must happen. Generous: it is only ever used up by a defect.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The built `podlab`: `$PODLAB_BINARY`, else beside this test's own executable.
///
/// Cargo builds it before any test of the workspace runs; `cargo test -p` of another crate does not, and then the one
/// of the last build is taken.
///
/// # Panics
///
/// When there is none.
pub fn podlab() -> PathBuf {
    if let Some(binary) = std::env::var_os("PODLAB_BINARY") {
        return binary.into();
    }
    let test = std::env::current_exe().expect("this test's own path");
    // target/TRIPLE/PROFILE/deps/TEST-HASH
    let binary = test.ancestors().nth(2).expect("a folder of the build").join("podlab");
    assert!(binary.is_file(), "{} is missing: run `cargo build` first", binary.display());
    binary
}

/// Runs a command to its end, without standard input.
///
/// # Panics
///
/// When it cannot be started, or has not ended within [`DEADLINE`] (it is killed then).
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Both pipes are drained while we wait, so that the command never blocks on a full one.
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let ended = wait_for_end(&child, DEADLINE);
    if !ended {
        child.kill().expect("killing a child of ours");
    }
    let status = child.wait().expect("waiting for a child of ours");
    let output = std::process::Output { status, stdout: stdout(), stderr: stderr() };
    let output = Output::new(command, output);
    assert!(ended, "not ended after {DEADLINE:?}, killed: {output}");
    output
}

/// Whether the child ends within `deadline`.
pub(crate) fn wait_for_end(child: &Child, deadline: Duration) -> bool {
    let pid = Pid::from_child(child);
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    readable(&descriptor, deadline)
}

/// Whether `descriptor` becomes readable within `deadline`; a pidfd is when its process has ended.
pub(crate) fn readable(descriptor: &impl std::os::fd::AsFd, deadline: Duration) -> bool {
    let timeout = Timespec::try_from(deadline).expect("a short deadline");
    let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
    loop {
        match poll(&mut polled, Some(&timeout)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// Reads a stream to its end on a thread; the returned closure gives what was read.
fn drain(stream: Option<impl Read + Send + 'static>) -> impl FnOnce() -> Vec<u8> {
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).expect("reading a child's output");
        }
        bytes
    });
    || reader.join().expect("the reading thread")
}
