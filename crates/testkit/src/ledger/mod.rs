//! The leak ledger: what there was before, and what is left after.
//!
//! A ledger is opened on a *scope*, a directory with a unique name, before anything is started in it. Everything that
//! a cluster leaves behind carries that name somewhere: a process in its arguments, environment or mounts, a mount in
//! its root or source, a cgroup in the hash that names it. So tests in parallel do not see each other's things.
//! Network links of the host are the exception: no test may make any, so every new one is a leak.

mod descriptors;
mod places;
mod processes;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use descriptors::Descriptors;

/// Something that is still there and should not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leak {
    /// A process that was still running at the deadline.
    Process {
        pid: i32,
        command: String,
    },
    /// A line of this process's own `/proc/self/mountinfo`.
    Mount(String),
    Cgroup(PathBuf),
    /// A network link of the host's own namespace.
    Link(String),
    /// Something in the temporary directory that the cluster was given.
    Path(PathBuf),
}

/// What there was when it was opened.
#[derive(Debug)]
pub struct Ledger {
    scope: PathBuf,
    links: BTreeSet<String>,
}

impl Ledger {
    /// Notes what there is now. `scope` is a directory whose name nothing else on the machine has.
    ///
    /// # Panics
    ///
    /// When the scope is not a directory.
    pub fn open(scope: &Path) -> Self {
        let scope = scope.canonicalize().expect("the ledger's scope");
        Self { links: places::links(), scope }
    }

    /// Waits for the last process of the scope to end, for at most `deadline`, and says what is left then.
    pub fn settle(&self, deadline: Duration) -> Vec<Leak> {
        let end = Instant::now() + deadline;
        let mut leaks = Vec::new();
        // A process may start another while we wait for it: look until none is found.
        loop {
            let found = processes::in_scope(self.name());
            if found.is_empty() {
                break;
            }
            let still: Vec<_> = found.into_iter().filter(|process| !process.ended_before(end)).collect();
            if !still.is_empty() {
                leaks.extend(still.iter().map(processes::Found::leak));
                break;
            }
        }
        leaks.extend(self.places());
        leaks.sort();
        leaks
    }

    /// Everything but processes.
    fn places(&self) -> Vec<Leak> {
        let mut leaks: Vec<_> = places::mounts(self.name()).into_iter().map(Leak::Mount).collect();
        leaks.extend(places::cgroups(&self.scope.join("state")).into_iter().map(Leak::Cgroup));
        leaks.extend(places::links().difference(&self.links).cloned().map(Leak::Link));
        leaks.extend(places::entries(&self.scope.join("tmp")).into_iter().map(Leak::Path));
        leaks
    }

    /// Ends what is left of a test that has failed, so that it does not disturb the ones after it.
    pub(crate) fn clean_up(&self) {
        for process in processes::in_scope(self.name()) {
            process.kill();
        }
    }

    /// The unique part that names are searched for.
    fn name(&self) -> &str {
        self.scope.file_name().and_then(|name| name.to_str()).expect("a temporary directory's name is ASCII")
    }
}
