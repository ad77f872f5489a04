//! The real kubectl, in the versions that the tests are made for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A real kubectl.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    /// As asked for: `1.32`.
    pub version: String,
}

impl Kubectl {
    /// A kubectl of this minor version: the one `$PODLAB_KUBECTL_1_32` names (for `1.32`), else `$PODLAB_KUBECTL` or the
    /// one on `PATH` when that is its version. `None` when there is none, which has then been said
    /// ([`crate::could_not_run`]).
    pub fn find(version: &str) -> Option<Self> {
        let named = std::env::var_os(format!("PODLAB_KUBECTL_{}", version.replace('.', "_")));
        if let Some(program) = named.filter(|program| !program.is_empty()) {
            return Some(Self { program: program.into(), version: version.into() });
        }
        let program = std::env::var_os("PODLAB_KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from);
        match minor_version(&program) {
            Some(found) if found == version => Some(Self { program, version: version.into() }),
            Some(found) => {
                crate::could_not_run(format_args!("needs kubectl {version}, {} is {found}", program.display()));
                None
            }
            None => {
                crate::could_not_run(format_args!(
                    "needs kubectl {version}: none on PATH, and PODLAB_KUBECTL_{} is not set",
                    version.replace('.', "_")
                ));
                None
            }
        }
    }

    /// Any kubectl from 1.30 to 1.33, 1.32 first.
    pub fn any() -> Option<Self> {
        for version in ["1.32", "1.33", "1.31", "1.30"] {
            let named = std::env::var_os(format!("PODLAB_KUBECTL_{}", version.replace('.', "_")));
            if let Some(program) = named.filter(|program| !program.is_empty()) {
                return Some(Self { program: program.into(), version: version.into() });
            }
        }
        let program = std::env::var_os("PODLAB_KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from);
        let found = minor_version(&program);
        if found.is_none() {
            crate::could_not_run("needs a kubectl: none on PATH, and PODLAB_KUBECTL is not set");
        }
        found.map(|version| Self { program, version })
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command that uses this kubeconfig and nothing of the caller's own configuration.
    pub fn command<S: AsRef<OsStr>>(
        &self,
        kubeconfig: &Path,
        home: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("KUBECONFIG", kubeconfig).env("HOME", home);
        // Watched Tables and describe's ages are printed in the zone of the caller.
        command.env("TZ", "UTC").env_remove("KUBECTL_EXTERNAL_DIFF").env_remove("NO_COLOR");
        command
    }
}

/// `1.32`, as the client says itself.
fn minor_version(program: &Path) -> Option<String> {
    let output = Command::new(program).args(["version", "--client", "--output=json"]).output().ok()?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let git_version = version.pointer("/clientVersion/gitVersion")?.as_str()?;
    let mut parts = git_version.trim_start_matches('v').split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}
