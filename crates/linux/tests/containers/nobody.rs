//! The same scenarios, run by a user without any privilege.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

/// What this user may be refused on the gate's machines. All else has to work.
const PERMITTED: [(&str, &str); 7] = [
    ("users", "without a range in /etc/subuid there is one id"),
    ("the_user_stays_the_same", "without a range in /etc/subuid there is one id"),
    ("out_of_memory", "nobody delegated a cgroup to this user"),
    ("a_limit_on_processes", "nobody delegated a cgroup to this user"),
    ("a_limit_on_the_processor", "nobody delegated a cgroup to this user"),
    ("what_a_container_uses", "nobody delegated a cgroup to this user"),
    ("all_of_a_container_is_killed", "nobody delegated a cgroup to this user"),
];

/// `nobody` of Debian and most others.
const ID: u32 = 65_534;

/// As root, and run by cargo (who runs the program itself has chosen the user): has the scenarios run by `nobody`, and
/// says what came of it. True: nothing was refused but what may be.
pub(crate) fn can_do_the_rest(filters: &[impl AsRef<OsStr>]) -> bool {
    if !rustix::process::geteuid().is_root() || std::env::var_os("CARGO_MANIFEST_DIR").is_none() {
        return true;
    }
    let output = match run(filters) {
        Ok(output) => output,
        Err(error) => {
            println!("as nobody: {error}");
            return false;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
        println!("as nobody: {line}");
    }
    let refused = text.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... could not check"));
    let refused: BTreeSet<_> = refused.map(|(name, _)| name).collect();
    let permitted: BTreeSet<_> = PERMITTED.iter().map(|(name, _)| *name).collect();
    let more: Vec<_> = refused.difference(&permitted).collect();
    if !more.is_empty() {
        println!("as nobody: could not be checked, and is not in the permitted set: {more:?}");
    }
    output.status.success() && more.is_empty()
}

fn run(filters: &[impl AsRef<OsStr>]) -> std::io::Result<Output> {
    let place = tempfile::Builder::new().prefix("podlab-nobody-").tempdir()?;
    chown(place.path(), Some(ID), Some(ID))?;
    // The build's own folder may be closed to others.
    let program = place.path().join("containers");
    std::fs::copy("/proc/self/exe", &program)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Command::new(&program).args(filters).env("TMPDIR", place.path()).current_dir("/").uid(ID).gid(ID).output()
}
