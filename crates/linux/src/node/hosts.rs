//! The nodes' `/etc/hosts`: the machine's, and names that a lab adds.
//!
//! `/etc` on a node is the machine's, and cannot be changed. One file lies over it, the same on all nodes, in the cluster's
//! run-time directory: what is written there is known to every node at once, also to those that come later.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;

use crate::error::{During, Refusal};
use crate::paths::State;
use crate::rootfs::Mount;
use crate::rootfs::root::Root;

const FILE: &str = "hosts";
const TARGET: &str = "etc/hosts";

/// Begins with the names that the machine knows: those of an earlier life are forgotten.
pub(crate) fn begin(state: &State<'_>) -> Result<(), Refusal> {
    let machines = fs::read("/etc/hosts").unwrap_or_default();
    let path = state.run().join(FILE);
    fs::write(&path, machines).during("write", path.display())
}

/// Adds a name for an address, before all others. In place: each node has mounted this very file.
pub fn add(directory: &Path, address: Ipv4Addr, name: &str) -> Result<(), Refusal> {
    let path = State(directory).run().join(FILE);
    let before = fs::read_to_string(&path).during("read", path.display())?;
    let line = format!("{address}\t{name}\n");
    if before.lines().any(|known| known == line.trim_end()) {
        return Ok(());
    }
    fs::write(&path, line + &before).during("write", path.display())
}

/// Lays the file over the node's. A machine without one, or with a link to nowhere, has none that a program would read.
pub(super) fn show(state: &State<'_>, disk: &Root) -> Result<(), Refusal> {
    let Ok(target) = disk.find(TARGET) else { return Ok(()) };
    let run = Root::open(&state.run())?;
    let file = run.find(FILE).during("open", FILE)?;
    Mount::bind(file.as_fd(), false, FILE)?.attach(target.as_fd(), TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_added_is_the_first_found() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("run")).unwrap();
        let path = directory.path().join("run/hosts");
        fs::write(&path, "127.0.0.1 localhost\n").unwrap();
        for name in ["a", "b", "a"] {
            add(directory.path(), Ipv4Addr::new(10, 99, 0, 254), name).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "10.99.0.254\tb\n10.99.0.254\ta\n127.0.0.1 localhost\n");
    }
}
