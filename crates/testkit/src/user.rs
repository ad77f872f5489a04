//! Who runs a cluster: the caller, or somebody with fewer rights that root can become. An ordinary caller plays the part
//! that it has.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;

/// Somebody who is not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Without any privilege, and with a single id.
    Nobody,
    /// With a range of subordinate ids. The user exists only in mount namespaces of these tests: nothing is written to
    /// the machine's own `/etc`.
    WithRanges,
}

/// What the second kind of user is called and numbered, and its range.
const NAME: &str = "podlab-test";
const ID: u32 = 54_321;
const RANGE: &str = "podlab-test:300000:65536\n";

/// Shows the files of the user over those of the machine and becomes the user.
const BECOME: &str = r#"
for file in passwd group subuid subgid; do mount --bind "$1/$file" /etc/$file || exit 125; done
id=$2; shift 2
exec setpriv --reuid="$id" --regid="$id" --clear-groups "$@"
"#;

impl User {
    /// Whether the tests can become this user here; if not, that has been said ([`crate::could_not_run`]).
    pub fn is_possible(self) -> bool {
        let caller = rustix::process::geteuid();
        if !caller.is_root() {
            let has_ranges = podlab_linux::fabric::ranges_of(caller.as_raw()).is_ok();
            let is_this_one = has_ranges == (self == User::WithRanges);
            if !is_this_one {
                crate::could_not_run("only root can become another user");
            }
            return is_this_one;
        }
        let missing = ["newuidmap", "newgidmap", "unshare", "setpriv"].into_iter().find(|name| !on_path(name));
        match missing.filter(|_| self == User::WithRanges) {
            Some(name) => {
                crate::could_not_run(format_args!("needs {name} on PATH (packages uidmap and util-linux)"));
                false
            }
            None => true,
        }
    }

    /// In `could-not-check.txt`.
    pub fn name(self) -> &'static str {
        match self {
            User::Nobody => "nobody",
            User::WithRanges => "ranges",
        }
    }

    fn id(self) -> u32 {
        let caller = rustix::process::geteuid();
        match self {
            _ if !caller.is_root() => caller.as_raw(),
            User::Nobody => 65_534,
            User::WithRanges => ID,
        }
    }

    /// A command of `program` that runs as this user. `place` is where [`User::settle_in`] was called.
    pub(crate) fn command(self, place: &Path, program: impl AsRef<OsStr>) -> Command {
        match self {
            _ if !rustix::process::geteuid().is_root() => Command::new(program),
            User::Nobody => {
                let mut command = Command::new(program);
                command.uid(self.id()).gid(self.id());
                command
            }
            User::WithRanges => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"]);
                command.arg(place.join("etc")).arg(ID.to_string()).arg(program);
                command
            }
        }
    }

    /// Gives the user a place: the directories in it, the built program (the build's own folder may be closed to
    /// others), the labs, and the files that say who it is.
    pub(crate) fn settle_in(self, place: &Path) -> std::io::Result<()> {
        let root = rustix::process::geteuid().is_root();
        // An ordinary caller owns what it makes.
        let own = |path: &Path| if root { chown(path, Some(self.id()), Some(self.id())) } else { Ok(()) };
        let ours = program_in(place);
        std::fs::copy(program::podlab(), &ours)?;
        std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o755))?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for name in ["labs", "book"] {
            copy(&source.join(name), &place.join("workbook").join(name))?;
        }
        for path in [place, &ours, &place.join("home"), &place.join("tmp")] {
            own(path)?;
        }
        if self == User::WithRanges && root {
            let etc = place.join("etc");
            std::fs::create_dir(&etc)?;
            let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
            let line = format!("{NAME}:x:{ID}:{ID}::/nonexistent:/bin/sh\n");
            std::fs::write(etc.join("passwd"), read("/etc/passwd") + &line)?;
            std::fs::write(etc.join("group"), read("/etc/group") + &format!("{NAME}:x:{ID}:\n"))?;
            std::fs::write(etc.join("subuid"), RANGE)?;
            std::fs::write(etc.join("subgid"), RANGE)?;
        }
        Ok(())
    }
}

/// The program of a user who has settled in at `place`.
pub(crate) fn program_in(place: &Path) -> PathBuf {
    place.join("podlab")
}

fn on_path(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
