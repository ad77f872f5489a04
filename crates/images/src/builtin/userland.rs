//! Shells and tools for the built-in images, copied from this machine the way an initramfs is made: the programs, and the
//! libraries they need. The host's own directories are never mounted into a container.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::elf;
use super::tree::Tree;
use crate::error::ImageError;

/// Where programs are looked for, under the host's root.
const PROGRAM_DIRECTORIES: [&str; 4] = ["usr/bin", "bin", "usr/sbin", "sbin"];

/// Bash and what Debian counts as essential, with `ps` and its like, and what network examples use.
const GNU_TOOLS: &[&str] = &[
    "[",
    "arch",
    "awk",
    "b2sum",
    "base32",
    "base64",
    "basename",
    "bash",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "cmp",
    "comm",
    "cp",
    "csplit",
    "cut",
    "dash",
    "date",
    "dd",
    "df",
    "diff",
    "dir",
    "dirname",
    "du",
    "echo",
    "egrep",
    "env",
    "expand",
    "expr",
    "factor",
    "false",
    "fgrep",
    "find",
    "findmnt",
    "fold",
    "free",
    "getent",
    "grep",
    "groups",
    "gunzip",
    "gzip",
    "head",
    "hostid",
    "hostname",
    "id",
    "install",
    "join",
    "kill",
    "link",
    "ln",
    "logname",
    "ls",
    "lsns",
    "mawk",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "more",
    "mount",
    "mountpoint",
    "mv",
    "nice",
    "nl",
    "nohup",
    "nproc",
    "numfmt",
    "od",
    "paste",
    "pgrep",
    "pidof",
    "pkill",
    "pmap",
    "pr",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "shred",
    "shuf",
    "sleep",
    "sort",
    "split",
    "stat",
    "stdbuf",
    "stty",
    "sum",
    "sync",
    "tac",
    "tail",
    "tar",
    "taskset",
    "tee",
    "test",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "truncate",
    "tsort",
    "tty",
    "umount",
    "uname",
    "unexpand",
    "uniq",
    "unlink",
    "unshare",
    "uptime",
    "users",
    "watch",
    "wc",
    "which",
    "who",
    "whoami",
    "xargs",
    "yes",
    "zcat",
];

/// A userland for small images: busybox when the host has a static one, else the host's own tools under busybox's names.
pub(super) fn small(tree: &Tree, host: &Path) -> Result<(), ImageError> {
    if let Some(busybox) = busybox(host) {
        tree.copy("usr/bin/busybox", &busybox)?;
        for applet in applets(&busybox)? {
            tree.link(&format!("usr/bin/{applet}"), "busybox")?;
        }
        return Ok(());
    }
    gnu(tree, host)?;
    if tree.path("usr/bin/sh").exists() {
        tree.link("usr/bin/ash", "sh")?;
    }
    // A busybox has no bash, and a transcript that shows `exec -- bash` fail must hold here too.
    let bash = tree.path("usr/bin/bash");
    if bash.exists() && !links_to(&tree.path("usr/bin/sh"), "bash") {
        std::fs::remove_file(&bash).map_err(ImageError::io("cannot remove", &bash))?;
    }
    Ok(())
}

fn links_to(link: &Path, name: &str) -> bool {
    std::fs::read_link(link).is_ok_and(|target| target.file_name().is_some_and(|file| file == name))
}

/// Bash and the GNU tools of the host. Where there is no bash (or it is a host made of busybox), the small userland.
pub(super) fn debian(tree: &Tree, host: &Path) -> Result<(), ImageError> {
    if find(host, "bash").is_some() { gnu(tree, host) } else { small(tree, host) }
}

/// A busybox that needs no libraries.
pub(super) fn busybox(host: &Path) -> Option<PathBuf> {
    let path = find(host, "busybox")?.canonicalize().ok()?;
    let needs = elf::needs(&path).ok()?;
    (needs.interpreter.is_none() && needs.libraries.is_empty()).then_some(path)
}

/// The names it answers to, from itself.
fn applets(busybox: &Path) -> Result<Vec<String>, ImageError> {
    let output = Command::new(busybox)
        .arg("--list")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(ImageError::io("cannot run", busybox))?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.lines().filter(|name| !name.is_empty() && !name.contains('/')).take(1000).map(str::to_owned).collect())
}

fn gnu(tree: &Tree, host: &Path) -> Result<(), ImageError> {
    let mut copier = Copier { tree, host, done: BTreeSet::new() };
    for tool in GNU_TOOLS {
        if let Some(path) = find(host, tool) {
            copier.program(tool, &path)?;
        }
    }
    Ok(())
}

fn find(host: &Path, name: &str) -> Option<PathBuf> {
    PROGRAM_DIRECTORIES.iter().map(|directory| host.join(directory).join(name)).find(|path| path.is_file())
}

struct Copier<'a> {
    tree: &'a Tree,
    host: &'a Path,
    /// Paths in the layer that are there.
    done: BTreeSet<String>,
}

impl Copier<'_> {
    /// A program under the name it was asked by: the file itself, and a link where the host has a link.
    fn program(&mut self, name: &str, path: &Path) -> Result<(), ImageError> {
        let Ok(real) = path.canonicalize() else { return Ok(()) };
        let Some(file) = real.file_name().and_then(|file| file.to_str()) else { return Ok(()) };
        self.file(&format!("usr/bin/{file}"), &real)?;
        if file != name { self.tree.link(&format!("usr/bin/{name}"), file) } else { Ok(()) }
    }

    fn file(&mut self, destination: &str, source: &Path) -> Result<(), ImageError> {
        if !self.done.insert(destination.to_owned()) {
            return Ok(());
        }
        self.tree.copy(destination, source)?;
        let needs = elf::needs(source).map_err(ImageError::io("cannot read", source))?;
        if let Some(interpreter) = &needs.interpreter {
            // Programs name their loader by path, /lib64/ld-linux-x86-64.so.2: that path must exist in the layer.
            self.library_at(interpreter.trim_start_matches('/'))?;
        }
        for library in &needs.libraries {
            if let Some(path) = self.find_library(library) {
                self.library_at(&path)?;
            }
        }
        Ok(())
    }

    /// Where the loader would find it, relative to the root.
    fn find_library(&self, name: &str) -> Option<String> {
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        [format!("usr/lib/{triplet}"), format!("lib/{triplet}"), "usr/lib64".into(), "lib64".into(), "usr/lib".into()]
            .iter()
            .map(|directory| format!("{directory}/{name}"))
            .find(|path| self.host.join(path).is_file())
    }

    fn library_at(&mut self, path: &str) -> Result<(), ImageError> {
        let source = self.host.join(path);
        if !source.is_file() {
            return Ok(());
        }
        // /lib and /lib64 are links to their places under /usr in the base layer.
        let destination = if path.starts_with("usr/") { path.to_owned() } else { format!("usr/{path}") };
        self.file(&destination, &source)
    }
}
