//! The files of a cgroup: which limit is which file's which value, in the two versions.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Controller, Version};

/// What a cgroup is set to. `None` leaves the kernel's default, which is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// In thousandths of a core: the share of the processor when it is short.
    pub cpu_request_millis: Option<u64>,
    /// In thousandths of a core: the most that is given.
    pub cpu_limit_millis: Option<u64>,
    /// In bytes.
    pub memory: Option<u64>,
    pub pids: Option<u64>,
    /// When memory runs out, everything in the cgroup is killed and not one process of it (version 2 only).
    pub kill_all_on_memory: bool,
}

/// What a cgroup uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time since the cgroup was made.
    pub cpu_nanoseconds: u64,
    /// Working set in bytes: what is charged, less file pages that the kernel would give back first.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// One file to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Not every kernel has the file.
    pub(super) optional: bool,
}

/// A CPU request as version 1's `cpu.shares`: 1024 a core, at least 2 (kubelet, `MilliCPUToShares`).
pub fn shares(request_millis: u64) -> u64 {
    (request_millis * 1024 / 1000).clamp(2, 262_144)
}

/// Version 1 shares (2 to 262144) as version 2's `cpu.weight` (1 to 10000), on the line through both ends
/// (kubernetes/enhancements, KEP-2254).
pub fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// The scheduler's period in microseconds.
const PERIOD: u64 = 100_000;

/// A CPU limit as microseconds of every period; the kernel takes no less than a millisecond.
pub fn quota(limit_millis: u64) -> u64 {
    (limit_millis * PERIOD / 1000).max(1000)
}

pub(super) fn name(controller: Controller) -> &'static str {
    match controller {
        Controller::Cpu => "cpu",
        Controller::Cpuacct => "cpuacct",
        Controller::Memory => "memory",
        Controller::Pids => "pids",
    }
}

pub(super) fn controller(name: &str) -> Option<Controller> {
    match name {
        "cpu" => Some(Controller::Cpu),
        "cpuacct" => Some(Controller::Cpuacct),
        "memory" => Some(Controller::Memory),
        "pids" => Some(Controller::Pids),
        _ => None,
    }
}

/// What to write for these limits in a hierarchy that has these controllers.
pub(super) fn settings(version: Version, controllers: &[Controller], limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |file, value: String, optional| settings.push(Setting { file, value, optional });
    for controller in controllers {
        match (version, controller) {
            (Version::V1, Controller::Cpu) => {
                if let Some(request) = limits.cpu_request_millis {
                    set("cpu.shares", shares(request).to_string(), false);
                }
                if let Some(limit) = limits.cpu_limit_millis {
                    set("cpu.cfs_period_us", PERIOD.to_string(), false);
                    set("cpu.cfs_quota_us", quota(limit).to_string(), false);
                }
            }
            (Version::V2, Controller::Cpu) => {
                if let Some(request) = limits.cpu_request_millis {
                    set("cpu.weight", weight(shares(request)).to_string(), false);
                }
                if let Some(limit) = limits.cpu_limit_millis {
                    set("cpu.max", format!("{} {PERIOD}", quota(limit)), false);
                }
            }
            (Version::V1, Controller::Memory) => {
                if let Some(limit) = limits.memory {
                    set("memory.limit_in_bytes", limit.to_string(), false);
                    // Memory and swap together no more than memory: no swap. Absent when swap is not counted.
                    set("memory.memsw.limit_in_bytes", limit.to_string(), true);
                }
            }
            (Version::V2, Controller::Memory) => {
                if let Some(limit) = limits.memory {
                    set("memory.max", limit.to_string(), false);
                    set("memory.swap.max", "0".to_owned(), true);
                }
                if limits.kill_all_on_memory {
                    set("memory.oom.group", "1".to_owned(), true);
                }
            }
            (_, Controller::Pids) => {
                if let Some(limit) = limits.pids {
                    set("pids.max", limit.to_string(), false);
                }
            }
            (_, Controller::Cpuacct) => {}
        }
    }
    settings
}

pub(super) fn read_usage(version: Version, controllers: &[Controller], directory: &Path, usage: &mut Usage) {
    let number = |file| read(directory, file).trim().parse::<u64>().unwrap_or_default();
    for controller in controllers {
        match (version, controller) {
            (Version::V1, Controller::Cpuacct) => usage.cpu_nanoseconds = number("cpuacct.usage"),
            (Version::V2, Controller::Cpu) => {
                usage.cpu_nanoseconds = field(&read(directory, "cpu.stat"), "usage_usec") * 1000;
            }
            (Version::V1, Controller::Memory) => {
                let inactive = field(&read(directory, "memory.stat"), "total_inactive_file");
                usage.memory = number("memory.usage_in_bytes").saturating_sub(inactive);
            }
            (Version::V2, Controller::Memory) => {
                let inactive = field(&read(directory, "memory.stat"), "inactive_file");
                usage.memory = number("memory.current").saturating_sub(inactive);
            }
            (_, Controller::Pids) => usage.pids = number("pids.current"),
            (Version::V1, Controller::Cpu) | (Version::V2, Controller::Cpuacct) => {}
        }
    }
}

pub(super) fn out_of_memory_kills(version: Version, controllers: &[Controller], directory: &Path) -> u64 {
    if !controllers.contains(&Controller::Memory) {
        return 0;
    }
    let file = match version {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    field(&read(directory, file), "oom_kill")
}

fn read(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap_or_default()
}

/// The number after `key` in a file of `key number` lines; 0 when it is not there.
fn field(text: &str, key: &str) -> u64 {
    let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_limits_become_what_the_kubelet_writes() {
        // The reference cluster's own numbers: 500m and 100m requested, limits of one core and 100m.
        assert_eq!((shares(500), shares(100), shares(0)), (512, 102, 2));
        assert_eq!((quota(1000), quota(100), quota(1)), (100_000, 10_000, 1000));
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 39, 10_000));
    }

    #[test]
    fn each_limit_goes_to_the_hierarchy_that_has_its_controller() {
        let limits = Limits { cpu_limit_millis: Some(250), memory: Some(64), pids: Some(9), ..Limits::default() };
        let files = |version, controllers: &[Controller]| -> Vec<_> {
            settings(version, controllers, &limits).into_iter().map(|setting| (setting.file, setting.value)).collect()
        };
        assert_eq!(files(Version::V2, &[Controller::Cpu]), [("cpu.max", "25000 100000".to_owned())]);
        assert_eq!(files(Version::V1, &[Controller::Pids]), [("pids.max", "9".to_owned())]);
        assert_eq!(files(Version::V1, &[Controller::Memory])[0], ("memory.limit_in_bytes", "64".to_owned()));
        assert!(files(Version::V2, &[]).is_empty());
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let events = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!((field(events, "oom_kill"), field(events, "oom_kil")), (2, 0));
    }
}
