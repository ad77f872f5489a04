//! `/dev`: six devices, terminals, shared memory and message queues.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::mount::{Mount, SAFE};
use super::root::Root;
use crate::error::{During, Refusal};

/// What every container may use: name, and the numbers that say which device it is (Linux
/// Documentation/admin-guide/devices.txt).
const DEVICES: &[(&str, u32, u32)] =
    &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// What a node has beside these: file systems in user space.
const FUSE: (&str, u32, u32) = ("fuse", 10, 229);

/// Opens a device of the node, and makes sure that it is the one its name says: a masked file of `/proc` is as safe as
/// the `/dev/null` that covers it (CVE-2025-31133).
pub(crate) fn open_device(name: &str) -> Result<OwnedFd, Refusal> {
    let path = format!("/dev/{name}");
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = rustix::fs::open(&path, flags, Mode::empty()).during("open", &path)?;
    let status = rustix::fs::fstat(&device).during("examine", &path)?;
    let numbers = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
    let expected = DEVICES.iter().chain([&FUSE]).find(|device| device.0 == name).map(|device| (device.1, device.2));
    if FileType::from_raw_mode(status.st_mode) != FileType::CharacterDevice || expected != Some(numbers) {
        return Err(Errno::NODEV).during("use as device", path);
    }
    Ok(device)
}

/// A `/dev` of the container's own. It is mounted `nodev`: what works in it are the six devices bound in.
pub(super) fn mount_dev(root: &Root, shared_memory: &std::path::Path) -> Result<(), Refusal> {
    let target = root.plain_directory("dev")?;
    let dev = Mount::new("tmpfs", &[("mode", "755"), ("size", "64k")], SAFE)?;
    dev.attach(target.as_fd(), "/dev")?;
    fill_dev(&dev)?;

    let shm = directory(&dev, "shm")?;
    let source = Root::open(shared_memory)?;
    Mount::bind(source.as_fd(), false, "shared memory")?.attach(shm.as_fd(), "/dev/shm")?;
    let queues = directory(&dev, "mqueue")?;
    let attributes = SAFE | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Mount::new("mqueue", &[], attributes)?.attach(queues.as_fd(), "/dev/mqueue")
}

/// Gives a node the device for file systems in user space, where the machine has one.
pub(crate) fn add_fuse(dev: &Mount) -> Result<(), Refusal> {
    let (name, ..) = FUSE;
    let Ok(device) = open_device(name) else { return Ok(()) };
    Mount::bind(device.as_fd(), false, name)?.attach(file(dev, name)?.as_fd(), "/dev/fuse")
}

/// The part of `/dev` that a node has, too: devices, terminals and the usual links.
pub(crate) fn fill_dev(dev: &Mount) -> Result<(), Refusal> {
    for (name, _, _) in DEVICES {
        let device = open_device(name)?;
        let place = file(dev, name)?;
        Mount::bind(device.as_fd(), false, name)?.attach(place.as_fd(), &format!("/dev/{name}"))?;
    }
    let terminals = directory(dev, "pts")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    // Group 5 is `tty`; where that id means nothing (a user namespace with one id) terminals belong to the group.
    let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    let pts = match Mount::new("devpts", &options, attributes) {
        Err(refusal) if refusal.errno == Errno::INVAL => Mount::new("devpts", &options[..3], attributes),
        other => other,
    }?;
    pts.attach(terminals.as_fd(), "/dev/pts")?;
    for (name, destination) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
    ] {
        rustix::fs::symlinkat(destination, dev, name).during("create link", format_args!("/dev/{name}"))?;
    }
    Ok(())
}

fn directory(dev: &Mount, name: &str) -> Result<OwnedFd, Refusal> {
    rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755)).during("create directory", name)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dev, name, flags, Mode::empty()).during("open", name)
}

fn file(dev: &Mount, name: &str) -> Result<OwnedFd, Refusal> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(dev, name, flags, Mode::from_raw_mode(0o666)).during("create file", name)
}
