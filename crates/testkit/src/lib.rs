//! What the integration tests stand on. Only tests depend on this crate.
//!
//! ```no_run
//! use podlab_testkit::{Cluster, Kubectl};
//!
//! let Some(kubectl) = Kubectl::find("1.32") else { return }; // says that it could not run
//! let cluster = Cluster::start(); // the built `podlab`, in a directory of its own
//! let pods = cluster.kubectl(&kubectl, ["get", "pods"]).success();
//! assert_eq!(pods.stderr, "No resources found in default namespace.\n");
//! cluster.stop(); // panics, naming each leak, when anything is left
//! ```
//!
//! Every [`Cluster`] is bracketed by a [`Ledger`], which looks only at what carries the cluster's own directory in its
//! name; so tests run in parallel.

mod cluster;
mod kubectl;
pub mod ledger;
mod output;
mod program;
mod registry;
mod user;

use std::fmt::Display;
use std::io::Write;

pub use cluster::{Builder, Cluster};
pub use kubectl::Kubectl;
pub use ledger::{Leak, Ledger};
pub use output::Output;
pub use program::{DEADLINE, podlab, run};
pub use registry::Registry;
pub use user::User;

/// Says in words that the calling test could not run, and why.
///
/// The line goes past libtest's capturing, so that it is seen although the test counts as passed, and also to the file
/// that `$PODLAB_COULD_NOT_RUN` names, where `.ci/run` counts it apart.
///
/// # Panics
///
/// Where everything must be able to run: [`must_run`].
pub fn could_not_run(why: impl Display) {
    assert!(!must_run(), "could not run: {why}\n(CI=true, as root: every test must be able to run)");
    kernel_refuses(why);
}

/// The same, for what the kernels of the gate's machines may refuse even to root: `tests/could-not-check.txt` of the command
/// lists it. These tests run on the kernels of `.ci/cgroup-layouts`.
pub fn kernel_refuses(why: impl Display) {
    let thread = std::thread::current();
    let line = format!("could not run: {}: {why}\n", thread.name().unwrap_or("a test"));
    // A test's own failure to say something is not worth failing over.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("PODLAB_COULD_NOT_RUN")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(file)
    {
        let _ = file.write_all(line.as_bytes());
    }
}

/// Whether this is a machine, and a user, that must be able to run every test: root under `CI=true`.
pub fn must_run() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true") && rustix::process::geteuid().is_root()
}
