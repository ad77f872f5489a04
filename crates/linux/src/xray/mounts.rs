//! What is mounted in a container, and what of it is the same in another one: `/proc/PID/mountinfo` (proc(5)).
//!
//! Two mounts show the same files when both the device and the path on it are the same. That is how a mount in a
//! container is recognised: the volumes' places on the node are looked up in the node's own list first.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::paths::PodDirectory;

/// A mount in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountView {
    pub container: String,
    /// In the container.
    pub path: String,
    pub what: Kind,
    /// `overlay`, `tmpfs`, `ext4` …
    pub file_system: String,
    pub read_only: bool,
    /// The other containers of the Pod that show the same files, or a part of the same volume.
    pub shared_with: Vec<String>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The image, under what the container has changed.
    Image,
    Volume(String),
    /// The Pod's `/dev/shm`.
    Memory,
    /// A file that the node writes for the Pod: `hosts`, `hostname`, `resolv.conf`.
    Managed(String),
    /// The file for the container's last words.
    Termination,
    /// The kernel's own: `/proc`, `/sys`, `/dev` and what is in them.
    Kernel,
}

/// A line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    device: String,
    /// What of the device is shown.
    root: PathBuf,
    point: PathBuf,
    read_only: bool,
    file_system: String,
}

/// Files, wherever they are mounted: a device and a path on it.
type Place = (String, PathBuf);

/// `36 35 98:0 /root /mount/point rw,noatime … - type source rw`; one that cannot be read is left out.
pub(super) fn parse(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(2);
        let (device, root, point, options) = (left.next()?, left.next()?, left.next()?, left.next()?);
        // Either the mount or the file system under it may forbid writing.
        let super_options = right.split(' ').nth(2).unwrap_or_default();
        let read_only = [options, super_options].iter().any(|options| options.split(',').any(|word| word == "ro"));
        Some(Line {
            device: device.to_owned(),
            root: unescape(root),
            point: unescape(point),
            read_only,
            file_system: right.split(' ').next()?.to_owned(),
        })
    };
    text.lines().filter_map(line).collect()
}

/// Blanks, tabs, line feeds and backslashes are written as `\` and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain.into()
}

/// Whether the root file system in a `mountinfo` is that of the container `id`: its changes are kept in a directory
/// of that name.
pub(super) fn is_root_of(mountinfo: &str, id: &str) -> bool {
    let root = mountinfo.lines().find(|line| line.split(' ').nth(4) == Some("/"));
    root.is_some_and(|line| line.contains(&format!("/containers/{id}/upper")))
}

/// Where on which device the files lie that the node shows to its containers.
pub(super) struct Places(Vec<(Place, Kind)>);

impl Places {
    pub(super) fn find(node: &[Line], directory: &PodDirectory, volumes: &[(String, PathBuf)]) -> Self {
        let small = directory.small_files();
        let mut places: Vec<(PathBuf, Kind)> =
            volumes.iter().map(|(name, path)| (path.clone(), Kind::Volume(name.clone()))).collect();
        places.push((directory.shared_memory(), Kind::Memory));
        for name in ["hosts", "hostname", "resolv.conf"] {
            places.push((small.join(name), Kind::Managed(name.to_owned())));
        }
        // What else lies there.
        places.push((small, Kind::Termination));
        Self(places.into_iter().filter_map(|(path, kind)| Some((place(node, &path)?, kind))).collect())
    }

    fn kind(&self, line: &Line) -> Kind {
        let same = |(device, root): &Place| *device == line.device && line.root.starts_with(root);
        let found = self.0.iter().find(|(place, _)| same(place));
        match found {
            Some((_, kind)) => kind.clone(),
            None if line.point == Path::new("/") => Kind::Image,
            None => Kind::Kernel,
        }
    }
}

/// The device, and the path on it, of a path in a file tree with these mounts.
fn place(lines: &[Line], path: &Path) -> Option<Place> {
    // Of two mounts on one point the later one is seen.
    let nearest = |line: &&Line| path.starts_with(&line.point);
    let line = lines.iter().filter(nearest).max_by_key(|line| line.point.components().count())?;
    let below = path.strip_prefix(&line.point).ok()?;
    let root = if below.as_os_str().is_empty() { line.root.clone() } else { line.root.join(below) };
    Some((line.device.clone(), root))
}

/// The mounts of every container, each with the others that show the same.
pub(super) fn describe(places: &Places, containers: &[(&str, Vec<Line>)]) -> Vec<MountView> {
    let mut views = Vec::new();
    for (name, lines) in containers {
        for line in lines {
            let what = places.kind(line);
            // Two parts of one volume count: what one container writes there, the other may see.
            let volume = |other: &Line| matches!(what, Kind::Volume(_)) && places.kind(other) == what;
            let same = |other: &Line| (other.device == line.device && other.root == line.root) || volume(other);
            let shared_with = match what {
                // That the kernel has one `/sys` for all is true, and says nothing about the Pod.
                Kind::Kernel => Vec::new(),
                _ => containers
                    .iter()
                    .filter(|(other, lines)| other != name && lines.iter().any(same))
                    .map(|(other, _)| (*other).to_owned())
                    .collect(),
            };
            views.push(MountView {
                container: (*name).to_owned(),
                path: line.point.to_string_lossy().into_owned(),
                what,
                file_system: line.file_system.clone(),
                read_only: line.read_only,
                shared_with,
            });
        }
    }
    views
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "\
1 0 8:1 /state/disk / rw - ext4 /dev/sda rw
2 1 8:1 /state/pods /pods rw - ext4 /dev/sda rw
3 2 0:50 / /pods/uid/shm rw - tmpfs tmpfs rw
4 2 0:51 / /pods/uid/etc rw - tmpfs tmpfs rw
5 2 0:52 / /pods/uid/volumes/keys rw - tmpfs tmpfs rw
";
    const WEB: &str = "\
10 9 0:60 / / rw - overlay overlay rw,upperdir=/pods/uid/containers/abc/upper
11 10 0:61 / /proc rw - proc proc rw
12 10 0:50 / /dev/shm rw - tmpfs tmpfs rw
13 10 8:1 /state/pods/uid/volumes/html/sub /srv/a\\040b ro - ext4 /dev/sda rw
14 10 0:52 / /keys rw - tmpfs tmpfs ro
15 10 0:51 /hosts /etc/hosts rw - tmpfs tmpfs rw
16 10 0:51 /termination-abc /dev/termination-log rw - tmpfs tmpfs rw
malformed
";
    const GIT: &str = "\
20 9 0:70 / / rw - overlay overlay rw,upperdir=/pods/uid/containers/def/upper
21 20 8:1 /state/pods/uid/volumes/html /git rw - ext4 /dev/sda rw
22 20 0:50 / /dev/shm rw - tmpfs tmpfs rw
23 20 0:52 / /keys ro - tmpfs tmpfs rw
";

    fn views() -> Vec<MountView> {
        let directory = PodDirectory::new(Path::new("/pods"), "uid");
        let volumes = ["html", "keys"].map(|name| (name.to_owned(), directory.volume(name)));
        let places = Places::find(&parse(NODE), &directory, &volumes);
        describe(&places, &[("web", parse(WEB)), ("git", parse(GIT))])
    }

    #[test]
    fn mounts_are_recognised_by_device_and_path() {
        let views = views();
        let of = |path: &str| views.iter().find(|view| view.container == "web" && view.path == path).unwrap();
        assert_eq!(of("/").what, Kind::Image);
        assert_eq!(of("/proc").what, Kind::Kernel);
        assert_eq!(of("/dev/shm").what, Kind::Memory);
        assert_eq!(of("/srv/a b").what, Kind::Volume("html".to_owned()));
        assert_eq!(of("/keys").what, Kind::Volume("keys".to_owned()));
        assert_eq!(of("/etc/hosts").what, Kind::Managed("hosts".to_owned()));
        assert_eq!(of("/dev/termination-log").what, Kind::Termination);
        assert!(of("/srv/a b").read_only && of("/keys").read_only && !of("/").read_only);
    }

    #[test]
    fn the_same_files_are_marked_as_shared() {
        let views = views();
        let shared: Vec<_> = views
            .iter()
            .filter(|view| !view.shared_with.is_empty())
            .map(|view| format!("{} {} {}", view.container, view.path, view.shared_with.join(",")))
            .collect();
        assert_eq!(
            shared,
            [
                "web /dev/shm git",
                "web /srv/a b git",
                "web /keys git",
                "git /git web",
                "git /dev/shm web",
                "git /keys web",
            ]
        );
    }

    #[test]
    fn a_root_tells_its_container() {
        assert!(is_root_of(WEB, "abc") && !is_root_of(WEB, "def") && !is_root_of("", "abc"));
    }
}
