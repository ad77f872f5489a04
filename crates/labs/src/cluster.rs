//! The cluster a lab runs on, and the kubectl that drives it.

use std::path::PathBuf;

use crate::needs::Trial;

/// A cluster that runs already: ours, or any other, known by nothing but its kubeconfig.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The kubeconfig that the lab's commands and our own requests use.
    pub kubeconfig: PathBuf,
    /// Podlab's state directory, when the cluster is one of ours; steps that call `podlab` need it.
    pub dir: Option<PathBuf>,
    /// The program that a step's `kubectl` means.
    pub kubectl: Kubectl,
    /// A folder put before the rest of `PATH`, so that `podlab` in a step means this one (`DIR/bin`).
    pub bin: Option<PathBuf>,
    /// Tries whether the host of a cluster of ours has what a lab needs.
    pub trial: Trial,
}

/// What a step's `kubectl` means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kubectl {
    /// The first one on `PATH`.
    #[default]
    OnPath,
    /// This program.
    Program(PathBuf),
}

impl Cluster {
    /// A cluster reached through `kubeconfig`, driven with the kubectl that `$PODLAB_KUBECTL` names, else the one on `PATH`.
    pub fn new(kubeconfig: impl Into<PathBuf>) -> Cluster {
        let kubectl = std::env::var_os("PODLAB_KUBECTL").map(|program| Kubectl::Program(program.into()));
        Cluster {
            kubeconfig: kubeconfig.into(),
            dir: None,
            kubectl: kubectl.unwrap_or_default(),
            bin: None,
            trial: |_| Ok(()),
        }
    }

    /// The same, with a way to try what the host allows.
    pub fn trying(self, trial: Trial) -> Cluster {
        Cluster { trial, ..self }
    }

    /// The same, for a Podlab cluster whose state lies in `dir`.
    pub fn with_dir(self, dir: impl Into<PathBuf>) -> Cluster {
        let dir = dir.into();
        Cluster { bin: Some(dir.join("bin")), dir: Some(dir), ..self }
    }
}
