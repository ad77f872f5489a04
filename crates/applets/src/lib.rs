//! The programs inside the built-in images, as applets of the one binary.
//!
//! An image's `/kuard` is a link to the static `podlab` binary; which program it is, the name it was called by says,
//! as in busybox. A program here does what its namesake does as far as the texts use it, and costs a few megabytes.

mod agnhost;
mod coredns;
mod git;
mod kuard;
mod log;
mod nginx;
mod pause;
mod server;
mod stress;

use std::ffi::OsString;
use std::process::ExitCode;

/// A program: what it is called, and its main function, which gets the arguments after the name.
struct Applet {
    name: &'static str,
    main: fn(Vec<String>) -> ExitCode,
}

const APPLETS: &[Applet] = &[
    Applet { name: "agnhost", main: agnhost::main },
    Applet { name: "coredns", main: coredns::main },
    Applet { name: "git-origin", main: git::origin::main },
    Applet { name: "git-sync", main: git::sync::main },
    Applet { name: "kuard", main: kuard::main },
    Applet { name: "nginx", main: nginx::main },
    Applet { name: "pause", main: pause::main },
    Applet { name: "stress", main: stress::main },
    Applet { name: stress::HOG, main: stress::hog },
    Applet { name: nginx::WORKER, main: nginx::worker },
];

/// The names under which the binary is one of the programs of the built-in images.
pub fn names() -> impl Iterator<Item = &'static str> {
    APPLETS.iter().map(|applet| applet.name)
}

/// Runs the applet that `name` (the last component of `argv[0]`) stands for, with the `arguments` after it.
/// `None` when there is no such applet.
pub fn run(name: &str, arguments: Vec<OsString>) -> Option<ExitCode> {
    let applet = APPLETS.iter().find(|applet| applet.name == name)?;
    let arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    Some((applet.main)(arguments))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_unknown_name_is_no_applet() {
        assert!(super::run("podlab", Vec::new()).is_none());
        let names: std::collections::BTreeSet<_> = super::names().collect();
        assert_eq!(names.len(), super::names().count(), "no two have one name");
    }
}
