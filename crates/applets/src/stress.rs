//! stress: uses memory and processor time on purpose, in processes of its own, for limits to be met.
//!
//! Its namesake's flags as far as manifests use them: `--cpu N`, `--vm N --vm-bytes SIZE`, `--vm-hang SECONDS`,
//! `--timeout SECONDS`. Each hog is a child: when the kernel kills one for the container's memory limit, the first
//! process is left to say so, and that is what the container's end looks like.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use podlab_client::sleeper::Sleeper;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::server::on_one_thread;

/// The name of a hog's process, and of its applet.
pub(crate) const HOG: &str = "stress-hog";
/// What a memory hog takes unless it is told.
const USUAL_BYTES: u64 = 256 << 20;
/// Hogs of a kind.
const MOST: usize = 1024;
/// Memory is written to by the page.
const PAGE: usize = 4096;

const USAGE: &str = "\
Usage: stress [--cpu N] [--vm N] [--vm-bytes B] [--vm-hang N] [--timeout N]
 -c, --cpu N        spawn N workers that compute
 -m, --vm N         spawn N workers that allocate and write memory
     --vm-bytes B   of so many bytes each (256M), with a suffix k, M or G
     --vm-hang N    hold the memory for N seconds before it is written again (0: for ever)
 -t, --timeout N    end after N seconds
";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    cpu: usize,
    vm: usize,
    vm_bytes: Option<u64>,
    /// `None`: written again at once.
    vm_hang: Option<u64>,
    timeout: Option<u64>,
}

/// Reads the flags. `None` when they are not to be understood, or ask for help.
fn parse(arguments: &[String]) -> Option<Options> {
    let mut options = Options::default();
    let mut words = arguments.iter().flat_map(|word| match word.split_once('=') {
        Some((name, value)) => vec![name, value],
        None => vec![word.as_str()],
    });
    while let Some(name) = words.next() {
        let value = words.next()?;
        match name {
            "-c" | "--cpu" | "-cpus" => options.cpu = value.parse().ok().filter(|count| *count <= MOST)?,
            "-m" | "--vm" => options.vm = value.parse().ok().filter(|count| *count <= MOST)?,
            "--vm-bytes" => options.vm_bytes = Some(size(value)?),
            "--vm-hang" => options.vm_hang = Some(seconds(value)?),
            "-t" | "--timeout" => options.timeout = Some(seconds(value)?),
            _ => return None,
        }
    }
    (options.cpu + options.vm > 0).then_some(options)
}

/// `150M` in bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match text[digits.len()..].chars().next().map(|letter| letter.to_ascii_lowercase()) {
        None | Some('b') => 1,
        Some('k') => 1 << 10,
        Some('m') => 1 << 20,
        Some('g') => 1 << 30,
        Some(_) => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let Some(options) = parse(&arguments) else {
        print!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let own = std::process::id();
    println!("stress: info: [{own}] dispatching hogs: {} cpu, 0 io, {} vm, 0 hdd", options.cpu, options.vm);
    let begun = Instant::now();
    match on_one_thread(supervise(&options)) {
        Ok(true) => {
            println!("stress: info: [{own}] successful run completed in {}s", begun.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("stress: FAIL: [{own}] failed run completed in {}s", begun.elapsed().as_secs());
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("stress: FAIL: [{own}] {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the hogs until their time is over (true), or one has ended, or somebody says so.
async fn supervise(options: &Options) -> io::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut hogs, mut pids) = (JoinSet::new(), Vec::new());
    let bytes = options.vm_bytes.unwrap_or(USUAL_BYTES).to_string();
    let hang = options.vm_hang.map(|seconds| seconds.to_string()).unwrap_or_default();
    let computing = std::iter::repeat_n(vec!["cpu"], options.cpu);
    let remembering = std::iter::repeat_n(vec!["vm", bytes.as_str(), hang.as_str()], options.vm);
    for arguments in computing.chain(remembering) {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(HOG).args(arguments);
        let mut child = tokio::process::Command::from(command).spawn()?;
        let pid = child.id().unwrap_or_default();
        pids.push(pid);
        hogs.spawn(async move { (pid, child.wait().await) });
    }
    let over = async {
        match options.timeout {
            Some(seconds) => Sleeper::wall().sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    let success = tokio::select! {
        () = over => true,
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        Some(ended) = hogs.join_next() => {
            let (pid, status) = ended?;
            println!("stress: FAIL: [{}] <-- worker {pid} {}", std::process::id(), how(status?));
            false
        }
    };
    for pid in pids.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
    Ok(success)
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("got signal {signal}"),
        (None, code) => format!("returned error {}", code.unwrap_or_default()),
    }
}

/// A hog: does one thing for ever.
pub(crate) fn hog(arguments: Vec<String>) -> ExitCode {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["cpu"] => loop {
            std::hint::black_box(std::hint::black_box(2.0_f64).sqrt());
        },
        ["vm", bytes, hang] => remember(bytes.parse().unwrap_or(USUAL_BYTES), hang.parse().ok()),
        _ => ExitCode::FAILURE,
    }
}

fn remember(bytes: u64, hang: Option<u64>) -> ExitCode {
    let mut memory: Vec<u8> = Vec::new();
    let Ok(bytes) = usize::try_from(bytes) else { return ExitCode::FAILURE };
    if let Err(error) = memory.try_reserve_exact(bytes) {
        println!("stress: FAIL: [{}] hogvm malloc failed: {error}", std::process::id());
        return ExitCode::FAILURE;
    }
    memory.resize(bytes, b'Z');
    loop {
        match hang {
            Some(0) => loop {
                std::thread::park();
            },
            #[expect(clippy::disallowed_methods, reason = "to do nothing for a while is what it was asked to do")]
            Some(seconds) => std::thread::sleep(Duration::from_secs(seconds)),
            None => {}
        }
        for page in memory.chunks_mut(PAGE) {
            page[0] = page[0].wrapping_add(1);
        }
        std::hint::black_box(&memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Options> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_as_manifests_have_them() {
        let memory = Options { vm: 1, vm_bytes: Some(150 << 20), vm_hang: Some(1), ..Options::default() };
        assert_eq!(read("--vm 1 --vm-bytes 150M --vm-hang 1"), Some(memory));
        let both = Options { cpu: 2, vm: 1, timeout: Some(120), ..Options::default() };
        assert_eq!(read("-c 2 --vm=1 --timeout 2m"), Some(both));
        for line in ["", "--help", "--cpu", "--cpu many", "--cpu 99999", "--vm 1 --vm-bytes 1Q", "--timeout 5"] {
            assert_eq!(read(line), None, "{line}");
        }
        assert_eq!(size("18446744073709551615G"), None);
    }
}
