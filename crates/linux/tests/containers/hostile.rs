//! Images made to break out: everything the runtime touches in a root file system is, in turn, something else than it
//! should be (CVE-2019-16884, CVE-2021-30465, CVE-2025-31133, CVE-2026-41579 and their relatives).
//!
//! A start may fail or succeed. Where the kernel's own file systems belong it must fail. In no case may anything
//! outside of the container have changed: a canary on the node's disk, and the node's mounts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use podlab_linux::rootfs::{BindMount, Propagation};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::cluster::LAYER;
use crate::pod::{Pod, container, equal, text};

/// What the runtime mounts on, makes, or reads in a root file system.
const PLACES: &[&str] = &[
    "proc",
    "sys",
    "dev",
    "dev/null",
    "etc",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/passwd",
    "dev/termination-log",
    "data",
    "data/volume",
    "work",
];

/// Places where anything but a directory must be refused.
const KERNEL: &[&str] = &["proc", "sys", "dev"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    AbsoluteLink,
    EscapingLink,
    DanglingLink,
    LinkToProc,
    File,
    Fifo,
    Device,
}

const SHAPES: &[Shape] = &[
    Shape::AbsoluteLink,
    Shape::EscapingLink,
    Shape::DanglingLink,
    Shape::LinkToProc,
    Shape::File,
    Shape::Fifo,
    Shape::Device,
];

const CANARY: &str = "/canary";

pub(crate) fn hostile_images() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    fs::create_dir_all(Path::new(CANARY).join("directory")).map_err(text)?;
    fs::write(Path::new(CANARY).join("file"), "alive").map_err(text)?;
    fs::create_dir_all("/source").map_err(text)?;
    let before = state()?;
    let (mut started, mut refused) = (0, 0);
    for (number, (place, shape)) in
        PLACES.iter().flat_map(|place| SHAPES.iter().map(move |shape| (place, shape))).enumerate()
    {
        let layer = PathBuf::from(format!("/var/lib/podlab/images/hostile-{number}"));
        // A user namespace may not be allowed to make devices; there is one shape less then.
        if !make(&layer, place, *shape).map_err(text)? {
            continue;
        }
        let what = format!("{place} as {shape:?}");
        let name = format!("case-{number}");
        let mut spec = container(&name, &["exit", "0"]);
        spec.layers.insert(0, layer);
        spec.working_directory = "/work".to_owned();
        spec.mounts.push(BindMount {
            source: "/source".into(),
            sub_path: String::new(),
            target: "/data/volume".to_owned(),
            read_only: false,
            recursive: true,
            propagation: Propagation::Private,
        });
        let mut watch = pod.watch()?;
        match pod.start(spec)? {
            Ok(()) if KERNEL.contains(place) => return Err(format!("{what}: the container started")),
            Ok(()) => {
                started += 1;
                crate::pod::ended(&mut watch, &format!("id-{name}"))?;
            }
            Err(error) => {
                refused += 1;
                // A refusal says which path it is about.
                if !error.message.contains('/') {
                    return Err(format!("{what}: {error}"));
                }
            }
        }
        equal(&state()?, &before).map_err(|difference| format!("{what}:\n{difference}"))?;
    }
    // Neither side of the table may be empty, or it tests nothing.
    if started == 0 || refused == 0 {
        return Err(format!("{started} containers started and {refused} were refused"));
    }
    // The Pod is none the worse for it.
    equal(&pod.run("sound", &["exit", "0"])?.code, &0)
}

/// A layer over [`LAYER`] with one thing in the wrong shape. False: this machine does not let us make it.
fn make(layer: &Path, place: &str, shape: Shape) -> std::io::Result<bool> {
    let path = layer.join(place);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let base = fs::metadata(LAYER)?.permissions();
    fs::set_permissions(layer, base)?;
    match shape {
        Shape::AbsoluteLink => symlink(format!("{CANARY}/directory"), path)?,
        Shape::EscapingLink => symlink(format!("../../../../../../../..{CANARY}/file"), path)?,
        Shape::DanglingLink => symlink(format!("{CANARY}/new"), path)?,
        Shape::LinkToProc => symlink("/proc/self/fd", path)?,
        Shape::File => fs::write(path, "not what you think")?,
        Shape::Fifo => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)?,
        Shape::Device => {
            let made = mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3));
            return Ok(made.is_ok());
        }
    }
    Ok(true)
}

/// All that must stay as it is: the canary's names and contents, and the node's mounts.
fn state() -> Result<(Vec<String>, String), String> {
    let mut names = Vec::new();
    for directory in [PathBuf::from(CANARY), Path::new(CANARY).join("directory")] {
        for entry in fs::read_dir(directory).map_err(text)? {
            let path = entry.map_err(text)?.path();
            let content = fs::read_to_string(&path).unwrap_or_default();
            names.push(format!("{} {content}", path.display()));
        }
    }
    names.sort();
    Ok((names, fs::read_to_string("/proc/self/mountinfo").map_err(text)?))
}
