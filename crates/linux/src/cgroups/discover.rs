//! Finding out where this host lets us make cgroups: by trying.

use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::{Controller, Hierarchy, Tree, Version, files};

/// The name of a cluster's cgroup: `podlab-` and a hash of its state directory, so that two clusters side by side have
/// two, and a janitor finds the one of a cluster whose processes are gone.
pub fn cluster_name(directory: &Path) -> String {
    // FNV-1a: short, and stable from one build to the next, which the standard library's hasher does not promise.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in directory.as_os_str().as_encoded_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("podlab-{hash:016x}")
}

impl Tree {
    /// Makes the cgroup `name` in every hierarchy where that is possible: at the hierarchy's root, else in the cgroup
    /// this process is in (which someone may have delegated to us).
    pub fn discover(name: &str) -> Tree {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut tree = Tree::default();
        for mount in mounts(&mountinfo, &own) {
            match try_places(&mount, name) {
                Ok(hierarchy) => tree.hierarchies.push(hierarchy),
                // The version 2 tree of a hybrid host only makes killing faster.
                Err(_) if mount.version == Version::V2 && mount.name == "unified" => {}
                Err(why) => tree.could_not.push(format!("{}: {why}", mount.what())),
            }
        }
        for controller in [Controller::Cpu, Controller::Memory, Controller::Pids] {
            let said = tree.could_not.iter().any(|line| line.contains(files::name(controller)));
            if !tree.has(controller) && !said {
                tree.could_not.push(format!("{}: the host has no such cgroup controller", files::name(controller)));
            }
        }
        tree
    }
}

/// Where the processes of a delegated version 2 cgroup go, so that it can hand controllers down.
const ASIDE: &str = "podlab-machine";

/// A process may fork while it is being moved: so often are the processes looked through.
const ROUNDS: usize = 16;

/// A mounted hierarchy, and where in it this process is.
#[derive(Debug, PartialEq, Eq)]
struct CgroupMount {
    version: Version,
    name: String,
    controllers: Vec<Controller>,
    point: PathBuf,
    /// This process's cgroup as a directory below `point`.
    own: PathBuf,
}

impl CgroupMount {
    fn what(&self) -> String {
        let names: Vec<_> = self.controllers.iter().map(|controller| files::name(*controller)).collect();
        if names.is_empty() { "cgroup v2".to_owned() } else { names.join(", ") }
    }
}

/// The useful hierarchies in the texts of `/proc/self/mountinfo` and `/proc/self/cgroup` (proc(5)).
fn mounts(mountinfo: &str, own: &str) -> Vec<CgroupMount> {
    let mut found: Vec<CgroupMount> = Vec::new();
    for line in mountinfo.lines() {
        // 36 35 98:0 /root /mount/point options … - type source super-options
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right): (Vec<_>, Vec<_>) = (left.split(' ').collect(), right.split(' ').collect());
        let ([_, _, _, root, point, ..], [kind, _, options, ..]) = (&left[..], &right[..]) else { continue };
        let point = PathBuf::from(point);
        let (version, controllers) = match *kind {
            "cgroup" => (Version::V1, options.split(',').filter_map(files::controller).collect::<Vec<_>>()),
            "cgroup2" => (Version::V2, Vec::new()),
            _ => continue,
        };
        if version == Version::V1 && controllers.is_empty() || found.iter().any(|mount| mount.point == point) {
            continue;
        }
        let name = match point.strip_prefix("/sys/fs/cgroup") {
            Ok(name) => name.to_string_lossy().into_owned(),
            Err(_) => point.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        };
        let path = own_path(own, version, &controllers).unwrap_or("/");
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        // Moved aside by an earlier cluster in the same place: see `enable`.
        let below = if below.ends_with(ASIDE) { below.parent().unwrap_or(below) } else { below };
        let own = point.join(below);
        found.push(CgroupMount { version, name, controllers, point, own });
    }
    found
}

/// The path of this process's cgroup: the line `4:memory:/path`, or `0::/path` for version 2.
fn own_path<'a>(own: &'a str, version: Version, controllers: &[Controller]) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        let ours = match version {
            Version::V2 => names.is_empty(),
            Version::V1 => names.split(',').filter_map(files::controller).any(|name| controllers.contains(&name)),
        };
        ours.then_some(path)
    })
}

fn try_places(mount: &CgroupMount, name: &str) -> Result<Hierarchy, String> {
    let mut refusals = Vec::new();
    for place in [&mount.point, &mount.own] {
        match try_place(mount, place, name) {
            Ok(hierarchy) => return Ok(hierarchy),
            Err(why) if refusals.contains(&why) => {}
            Err(why) => refusals.push(why),
        }
    }
    Err(refusals.join("; "))
}

fn try_place(mount: &CgroupMount, place: &Path, name: &str) -> Result<Hierarchy, String> {
    let mut controllers = mount.controllers.clone();
    if mount.version == Version::V2 {
        controllers = available(place);
        enable(place, &controllers)?;
    }
    let base = place.join(name);
    match rustix::fs::mkdir(&base, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(format!("create {}: {}", base.display(), crate::error::errno_text(errno))),
    }
    Ok(Hierarchy { version: mount.version, name: mount.name.clone(), controllers, base })
}

/// The controllers a version 2 cgroup could hand down.
fn available(place: &Path) -> Vec<Controller> {
    let text = std::fs::read_to_string(place.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().filter_map(files::controller).collect()
}

/// Hands the controllers of a version 2 cgroup down to its children.
///
/// That is refused while the cgroup has processes of its own (except the root). In a delegated cgroup those are we,
/// so they move to a child of it first. (They stay there when the cluster is gone: the caller's shell is one of them.)
fn enable(place: &Path, controllers: &[Controller]) -> Result<(), String> {
    let file = place.join("cgroup.subtree_control");
    let wanted: Vec<_> = controllers.iter().map(|controller| format!("+{}", files::name(*controller))).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let refused = |error: std::io::Error| format!("write {}: {error}", file.display());
    let aside = place.join(ASIDE);
    for _ in 0..ROUNDS {
        match std::fs::write(&file, wanted.join(" ")) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {}
            other => return other.map_err(refused),
        }
        let _ = std::fs::create_dir(&aside);
        for pid in super::processes_of(place) {
            // A process may have ended since it was listed.
            let _ = std::fs::write(aside.join("cgroup.procs"), pid.as_raw_nonzero().to_string());
        }
    }
    Err(refused(Errno::BUSY.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "29 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "\
33 32 0:29 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory
34 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 32 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
36 32 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
malformed line
";

    #[test]
    fn one_tree_on_version_2() {
        let own = "0::/user.slice/session-1.scope\n";
        let found = mounts(V2, own);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].version, found[0].name.as_str()), (Version::V2, ""));
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/user.slice/session-1.scope"));
    }

    #[test]
    fn a_tree_per_controller_on_a_hybrid_host() {
        let own = "4:memory:/a/b\n3:cpu,cpuacct:/\n1:name=systemd:/x\n0::/\n";
        let found = mounts(HYBRID, own);
        let names: Vec<_> = found.iter().map(|mount| mount.name.as_str()).collect();
        assert_eq!(names, ["memory", "cpu,cpuacct", "unified"]);
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(found[1].controllers, [Controller::Cpu, Controller::Cpuacct]);
    }

    #[test]
    fn a_mount_of_a_subtree_is_taken_out_of_the_path() {
        let container = "33 32 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let found = mounts(container, "4:memory:/docker/abc/inner\n");
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/memory/inner"));
    }

    #[test]
    fn who_was_moved_aside_looks_where_they_were() {
        let found = mounts(V2, "0::/user.slice/delegated.scope/podlab-machine\n");
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/user.slice/delegated.scope"));
    }

    #[test]
    fn two_directories_have_two_names() {
        let (one, two) = (cluster_name(Path::new("/a")), cluster_name(Path::new("/b")));
        assert_ne!(one, two);
        assert_eq!(one.len(), "podlab-".len() + 16);
    }
}
