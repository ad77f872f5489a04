//! What the kernel tells about a process: memory, threads that woke up, descriptors it may have.

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Resident memory of a process, in MiB.
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: u32) -> anyhow::Result<f64> {
    memory(pid, "VmRSS:")
}

/// The most resident memory that a process ever had, in MiB.
///
/// # Errors
/// When there is no such process.
pub fn highest(pid: u32) -> anyhow::Result<f64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("the kernel does not say")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}

/// How often the threads of a process have gone to sleep of their own accord: each time, something had woken them.
///
/// # Errors
/// When there is no such process.
pub fn sleeps(pid: u32) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.context("no count of context switches")?.trim().parse::<f64>()?;
    }
    Ok(sum)
}

/// What this thread has had of a processor so far, in seconds: what others do on the machine is not in it.
#[must_use]
pub fn processor_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Lets this process and its children have as many descriptors as the system allows.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_descriptor_limit() -> anyhow::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}
