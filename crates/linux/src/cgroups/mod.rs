//! Control groups: what a Pod may use, and what it does use.
//!
//! The kernel has two interfaces (cgroups(7)). Version 1 has a tree of directories per controller; version 2 has one
//! tree for all. Many hosts have version 2; some mount version 1 for the controllers and a version 2 tree without
//! controllers beside it (*hybrid*). Here a [`Cgroup`] is one path in *every* tree that is useful, and each limit goes
//! to the tree that has its controller. So the three layouts need no case of their own: they differ in the list of
//! [`Hierarchy`]s that [`Tree::discover`] finds, and in the names of the files ([`files`]).
//!
//! What the host does not let us do is no failure: [`Tree::could_not`] says it in words, and Pods run without.

mod discover;
mod files;
mod settings;
mod writable;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::error::{During, Refusal};
pub use discover::cluster_name;
pub use files::{Limits, Usage, quota, shares, weight};
pub use settings::Settings;
pub use writable::make_writable;

/// A resource that is limited and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    Cpu,
    /// Version 1 counts processor time in a controller of its own.
    Cpuacct,
    Memory,
    Pids,
}

/// Which of the two interfaces a tree of directories has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    V1,
    V2,
}

/// One tree of directories, and the place in it below which ours are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    pub version: Version,
    /// What it is called under `/sys/fs/cgroup`: `memory`, `cpu,cpuacct`, `unified`; empty when version 2 is all there.
    pub name: String,
    pub controllers: Vec<Controller>,
    /// The directory under which our cgroups lie.
    pub base: PathBuf,
}

/// Where cgroups can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    pub hierarchies: Vec<Hierarchy>,
    /// What this host does not let us do, in words.
    pub could_not: Vec<String>,
}

impl Tree {
    /// The cgroup of this relative path; nothing is made yet. An empty path is the tree's base.
    pub fn cgroup(&self, path: &str) -> Cgroup {
        let directories = self.hierarchies.iter().map(|hierarchy| Directory {
            version: hierarchy.version,
            controllers: hierarchy.controllers.clone(),
            base: hierarchy.base.clone(),
            path: hierarchy.base.join(path),
        });
        Cgroup { directories: directories.collect() }
    }

    /// The same hierarchies with the cgroup `path` of each as the base.
    pub fn below(&self, path: &str) -> Tree {
        let mut tree = self.clone();
        for hierarchy in &mut tree.hierarchies {
            hierarchy.base.push(path);
        }
        tree
    }

    /// The tree as it is seen through a cgroup namespace rooted at its base, with the hierarchies mounted in the usual
    /// places below `mounts` (`/sys/fs/cgroup`).
    pub fn mounted_at(&self, mounts: &Path) -> Tree {
        let mut tree = self.clone();
        for hierarchy in &mut tree.hierarchies {
            hierarchy.base = mounts.join(&hierarchy.name);
        }
        tree
    }

    /// Whether a limit of this kind can be set.
    pub fn has(&self, controller: Controller) -> bool {
        self.hierarchies.iter().any(|hierarchy| hierarchy.controllers.contains(&controller))
    }
}

/// A cgroup: the same path in each hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup {
    directories: Vec<Directory>,
}

/// A cgroup in one hierarchy.
#[derive(Clone, Debug)]
struct Directory {
    version: Version,
    controllers: Vec<Controller>,
    base: PathBuf,
    path: PathBuf,
}

impl Cgroup {
    /// Makes the cgroup and those above it, up to the tree's base. One that exists is no error.
    pub fn create(&self) -> Result<(), Refusal> {
        self.directories.iter().try_for_each(Directory::create)
    }

    /// Makes the cgroup in one that exists, for a process that is to leave that one: while it has processes, a version 2
    /// cgroup cannot hand controllers down. [`Cgroup::create`] of any other below it does so later, for all.
    pub fn create_exit(&self) -> Result<(), Refusal> {
        self.directories.iter().try_for_each(|directory| make(&directory.path))
    }

    /// Sets limits. A limit whose controller is missing is left out; [`Tree::could_not`] has said so.
    pub fn set(&self, limits: &Limits) -> Result<(), Refusal> {
        self.directories.iter().try_for_each(|directory| {
            files::settings(directory.version, &directory.controllers, limits).into_iter().try_for_each(|setting| {
                match write(&directory.path.join(setting.file), &setting.value) {
                    Err(_) if setting.optional => Ok(()),
                    result => result,
                }
            })
        })
    }

    /// Opens the doors into the cgroup: who writes `0` into each is in it. A process that will have lost the right to
    /// open them (or the sight of them) can be handed these.
    pub fn doors(&self) -> Result<Vec<OwnedFd>, Refusal> {
        let doors = self.directories.iter().map(|directory| {
            let path = directory.path.join("cgroup.procs");
            rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).during("open", path.display())
        });
        doors.collect()
    }

    /// Moves this process into the cgroup.
    pub fn join(&self) -> Result<(), Refusal> {
        enter(&self.doors()?)
    }

    /// The processes in the cgroup itself, as numbers of our pid namespace.
    pub fn processes(&self) -> Vec<Pid> {
        let listed = self.directories.iter().flat_map(|directory| directory.processes());
        let mut processes: Vec<_> = listed.collect();
        processes.sort_by_key(|pid| pid.as_raw_nonzero());
        processes.dedup();
        processes
    }

    /// Kills everything in the cgroup and below it.
    ///
    /// Version 2 does that in one step (`cgroup.kill`, since Linux 5.14). Elsewhere forking is forbidden first
    /// (`pids.max`), so that what is killed stays less than what there was.
    pub fn kill(&self) {
        for directory in &self.directories {
            if write(&directory.path.join("cgroup.kill"), "1").is_ok() {
                continue;
            }
            let _ = fs::write(directory.path.join("pids.max"), "0");
            for path in directory.deepest_first() {
                for pid in processes_of(&path) {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
        }
    }

    /// Removes the cgroup and those below it. They must be empty; one that is gone already is no error.
    pub fn remove(&self) -> Result<(), Refusal> {
        for directory in &self.directories {
            for path in directory.deepest_first() {
                match rustix::fs::rmdir(&path) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    refused => return refused.during("remove cgroup", path.display()),
                }
            }
        }
        Ok(())
    }

    /// What the cgroup and those below it use. Zero for what is not counted here.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for directory in &self.directories {
            files::read_usage(directory.version, &directory.controllers, &directory.path, &mut usage);
        }
        usage
    }

    /// How many processes in the cgroup the kernel has killed because memory ran out.
    pub fn out_of_memory_kills(&self) -> u64 {
        let kills = self
            .directories
            .iter()
            .map(|directory| files::out_of_memory_kills(directory.version, &directory.controllers, &directory.path));
        kills.max().unwrap_or_default()
    }

    /// Whether any of its directories is still there.
    pub fn exists(&self) -> bool {
        self.directories.iter().any(|directory| directory.path.exists())
    }
}

/// Moves this process into the cgroup whose [doors](Cgroup::doors) these are.
pub fn enter(doors: &[impl AsFd]) -> Result<(), Refusal> {
    doors.iter().try_for_each(|door| rustix::io::write(door, b"0").map(drop).during("enter", "cgroup"))
}

impl Directory {
    fn create(&self) -> Result<(), Refusal> {
        if self.path.is_dir() {
            return Ok(());
        }
        let below = self.path.strip_prefix(&self.base).unwrap_or(Path::new(""));
        let mut current = self.base.clone();
        for component in below.components() {
            if self.version == Version::V2 {
                // A version 2 cgroup hands each controller down, or its children do not have it.
                self.delegate(&current)?;
            }
            current.push(component);
            make(&current)?;
        }
        Ok(())
    }

    fn delegate(&self, parent: &Path) -> Result<(), Refusal> {
        if self.controllers.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> =
            self.controllers.iter().map(|controller| format!("+{}", files::name(*controller))).collect();
        write(&parent.join("cgroup.subtree_control"), &wanted.join(" "))
    }

    fn processes(&self) -> Vec<Pid> {
        processes_of(&self.path)
    }

    /// The directory and all below it, children before parents.
    fn deepest_first(&self) -> Vec<PathBuf> {
        fn visit(path: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    visit(&entry.path(), found);
                }
            }
            found.push(path.to_owned());
        }
        let mut found = Vec::new();
        visit(&self.path, &mut found);
        found
    }
}

fn make(path: &Path) -> Result<(), Refusal> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        refused => refused.during("create cgroup", path.display()),
    }
}

fn processes_of(directory: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)).collect()
}

fn write(path: &Path, value: &str) -> Result<(), Refusal> {
    fs::write(path, value).during("write", format_args!("{value:?} to {}", path.display()))
}
