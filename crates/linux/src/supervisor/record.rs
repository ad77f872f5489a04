//! What is written down about a Pod, so that neither a killed kubelet nor a killed supervisor loses how a container
//! ended. A record is replaced as a whole (rename(2)), so that a reader finds the old one or the new one.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{During, Refusal};
use crate::paths::PodDirectory;
use crate::protocol::{ContainerReport, ExitReport, PodSpec};

/// The longest record that is read: they are ours, but a disk can fail.
const RECORD_LIMIT: u64 = 8 * 1024 * 1024;

/// A Pod as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRecord {
    pub spec: PodSpec,
    /// `None` with the node's network.
    pub address: Option<Ipv4Addr>,
    /// Nanoseconds since the epoch.
    pub created_at: u64,
}

impl PodRecord {
    /// The record of the Pod in this directory, if it was ever set up.
    pub fn read(directory: &PodDirectory) -> Option<Self> {
        read(&directory.record())
    }

    pub(crate) fn write(&self, directory: &PodDirectory) -> Result<(), Refusal> {
        write(&directory.record(), self)
    }
}

/// The containers that were started in a Pod, in the order of their starts.
pub fn containers(directory: &PodDirectory) -> Vec<ContainerReport> {
    let entries = fs::read_dir(directory.containers()).into_iter().flatten().flatten();
    let mut reports: Vec<ContainerReport> =
        entries.filter_map(|entry| read(&entry.path().join("container.json"))).collect();
    reports.sort_by_key(|report| report.started_at);
    reports
}

/// Writes down that a container was started, or how it ended.
pub(crate) fn write_container(directory: &PodDirectory, report: &ContainerReport) -> Result<(), Refusal> {
    write(&directory.container(&report.id).join("container.json"), report)
}

/// Writes down an end for the containers of a Pod whose own end nobody saw.
pub(crate) fn end_containers(directory: &PodDirectory, exit: &ExitReport) {
    for mut report in containers(directory).into_iter().filter(|report| report.exit.is_none()) {
        report.exit = Some(exit.clone());
        // With a full disk the end is unknown until the next try.
        let _ = write_container(directory, &report);
    }
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let file = fs::File::open(path).ok()?;
    serde_json::from_reader(std::io::BufReader::new(std::io::Read::take(file, RECORD_LIMIT))).ok()
}

pub(crate) fn write<T: Serialize>(path: &Path, record: &T) -> Result<(), Refusal> {
    let text = serde_json::to_vec(record).map_err(std::io::Error::from).during("encode", path.display())?;
    let new = path.with_extension("new");
    let store = || {
        let mut file = fs::File::create(&new)?;
        file.write_all(&text)?;
        fs::rename(&new, path)
    };
    store().during("write", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_nobody_saw_is_added_only_where_there_is_none() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = PodDirectory::new(temporary.path(), "uid");
        let exit =
            |code| ExitReport { code, signal: None, finished_at: 9, out_of_memory: false, message: String::new() };
        for (id, started_at, exit) in [("second", 2, None), ("first", 1, Some(exit(3)))] {
            fs::create_dir_all(directory.container(id)).unwrap();
            let name = id.to_owned();
            let report =
                ContainerReport { id: name.clone(), name, attempt: 0, image_id: String::new(), started_at, exit };
            write_container(&directory, &report).unwrap();
        }
        end_containers(&directory, &exit(137));
        let codes: Vec<_> = containers(&directory).into_iter().map(|report| report.exit.unwrap().code).collect();
        assert_eq!(codes, [3, 137]);
    }
}
