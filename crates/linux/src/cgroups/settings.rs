//! What a cgroup is set to, read back from the kernel and spelt the same for both versions.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::weight;
use super::{Cgroup, Controller, Version};

/// The limits of a cgroup as the kernel has them. `None` is no limit, or nothing that limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The share of the processor when it is short, 1 to 10000: version 2's number, also for version 1's shares.
    pub cpu_weight: Option<u64>,
    /// In thousandths of a core.
    pub cpu_limit_millis: Option<u64>,
    /// In bytes.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub pids_limit: Option<u64>,
}

impl Cgroup {
    /// What the kernel says the limits are.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for directory in &self.directories {
            let read = |file: &str| fs::read_to_string(directory.path.join(file)).unwrap_or_default();
            for controller in &directory.controllers {
                add(&mut settings, directory.version, *controller, &read);
            }
        }
        settings
    }

    /// The directories it really is, for who wants to look there: one a hierarchy.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(|directory| directory.path.as_path())
    }
}

fn add(settings: &mut Settings, version: Version, controller: Controller, read: &dyn Fn(&str) -> String) {
    match (version, controller) {
        (Version::V1, Controller::Cpu) => {
            settings.cpu_weight = number(&read("cpu.shares")).map(weight);
            let (quota, period) = (number(&read("cpu.cfs_quota_us")), number(&read("cpu.cfs_period_us")));
            settings.cpu_limit_millis = quota.zip(period).and_then(|(quota, period)| millis(quota, period));
        }
        (Version::V2, Controller::Cpu) => {
            settings.cpu_weight = number(&read("cpu.weight"));
            let text = read("cpu.max");
            let mut words = text.split_whitespace().map(number);
            let both = words.next().flatten().zip(words.next().flatten());
            settings.cpu_limit_millis = both.and_then(|(quota, period)| millis(quota, period));
        }
        (Version::V1, Controller::Memory) => {
            /// Version 1 has no word for "no limit": it is the largest number of whole pages.
            const UNLIMITED: u64 = 1 << 62;
            settings.memory_limit = number(&read("memory.limit_in_bytes")).filter(|bytes| *bytes < UNLIMITED);
        }
        (Version::V2, Controller::Memory) => settings.memory_limit = number(&read("memory.max")),
        (_, Controller::Pids) => settings.pids_limit = number(&read("pids.max")),
        (_, Controller::Cpuacct) => {}
    }
}

/// `max` and `-1` are no numbers: no limit.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn millis(quota: u64, period: u64) -> Option<u64> {
    quota.checked_mul(1000)?.checked_div(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(version: Version, files: &[(&str, &str)]) -> Settings {
        let read = |name: &str| {
            let file = files.iter().find(|(known, _)| *known == name);
            file.map(|(_, text)| format!("{text}\n")).unwrap_or_default()
        };
        let mut settings = Settings::default();
        for controller in [Controller::Cpu, Controller::Cpuacct, Controller::Memory, Controller::Pids] {
            add(&mut settings, version, controller, &read);
        }
        settings
    }

    #[test]
    fn both_versions_are_spelt_the_same() {
        let first = [
            ("cpu.shares", "512"),
            ("cpu.cfs_quota_us", "25000"),
            ("cpu.cfs_period_us", "100000"),
            ("memory.limit_in_bytes", "67108864"),
            ("pids.max", "100"),
        ];
        let second =
            [("cpu.weight", "20"), ("cpu.max", "25000 100000"), ("memory.max", "67108864"), ("pids.max", "100")];
        let expected = Settings {
            cpu_weight: Some(20),
            cpu_limit_millis: Some(250),
            memory_limit: Some(64 << 20),
            pids_limit: Some(100),
        };
        assert_eq!(settings(Version::V1, &first), expected);
        assert_eq!(settings(Version::V2, &second), expected);
    }

    #[test]
    fn no_limit_is_none_in_every_spelling() {
        let first = [
            ("cpu.cfs_quota_us", "-1"),
            ("cpu.cfs_period_us", "100000"),
            ("memory.limit_in_bytes", "9223372036854771712"),
            ("pids.max", "max"),
        ];
        let second = [("cpu.max", "max 100000"), ("memory.max", "max"), ("pids.max", "max")];
        for (version, files) in [(Version::V1, &first[..]), (Version::V2, &second), (Version::V2, &[])] {
            assert_eq!(settings(version, files), Settings::default(), "{version:?} {files:?}");
        }
    }
}
