//! What can be tried in this process.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use podlab_labs::needs::Need;

use super::{Finding, Item, Seen};
use crate::directory::StateDirectory;

/// What a state directory may come to hold: images, the store, emptyDirs.
const DISK: u64 = 1 << 30;
/// Watches of projected volumes and of the tests; 128 is the kernel's own default.
const INOTIFY_INSTANCES: u64 = 128;

/// What is tried in this process, one after the other.
type Check = (Item, fn(&StateDirectory) -> Seen);

/// The item about the userland of small images.
pub(super) const BUSYBOX: &str = "busybox";

const CHECKS: [Check; 10] = [
    (
        Item { name: "loopback port", needed: true, touches: "the API server and the book", need: None, remedy: "" },
        |_| loopback_port(),
    ),
    (
        Item {
            name: "free disk",
            needed: false,
            touches: "anything that writes",
            need: None,
            remedy: "use a larger disk: podlab --dir DIR start",
        },
        |directory| free_disk(directory.path()),
    ),
    (
        Item {
            name: "inotify",
            needed: false,
            touches: "noticing changed files",
            need: None,
            remedy: "sudo sysctl fs.inotify.max_user_instances=1024",
        },
        |_| inotify_instances(),
    ),
    (
        Item {
            name: "AppArmor",
            needed: false,
            touches: "starting without root",
            need: None,
            remedy: "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        },
        |_| app_armor(),
    ),
    (
        Item {
            name: "fuse",
            needed: false,
            touches: "file systems in containers",
            need: Some(Need::Fuse),
            remedy: "sudo modprobe fuse",
        },
        |_| device("/dev/fuse"),
    ),
    (
        Item {
            name: "nfs",
            needed: false,
            touches: "volumes of kind nfs",
            need: Some(Need::Nfs),
            remedy: "sudo modprobe nfs, or fuse",
        },
        |_| podlab_linux::nfs::possible().map(str::to_owned),
    ),
    (
        Item {
            name: "protection from the OOM killer",
            needed: false,
            touches: "the order in which classes of Pods are killed",
            need: Some(Need::OomScore),
            remedy: "start it as root, with CAP_SYS_RESOURCE",
        },
        |_| oom_score(),
    ),
    (
        Item {
            name: BUSYBOX,
            needed: false,
            touches: "the small images: they get this machine's own shell and tools, whose words differ",
            need: None,
            remedy: "sudo apt-get install busybox-static",
        },
        |_| busybox(),
    ),
    (
        Item {
            name: "kubectl",
            needed: false,
            touches: "typing the book's commands",
            need: None,
            remedy: "use the built-in one (podlab kubectl; podlab start prints a PATH with it), or install 1.30 to 1.33",
        },
        |_| kubectl_version(),
    ),
    (Item { name: "kvm", needed: false, touches: "", need: None, remedy: "" }, |_| {
        Ok("not needed: a node is a set of namespaces, not a virtual machine".to_owned())
    }),
];

pub(super) fn all(directory: &StateDirectory) -> Vec<Finding> {
    CHECKS.iter().map(|(item, check)| item.finding(check(directory))).collect()
}

/// Those that labs mean by `need`; none of them looks at the state directory.
pub(super) fn of(need: Need) -> Vec<Finding> {
    let asked = CHECKS.iter().filter(|(item, _)| item.need == Some(need));
    asked.map(|(item, check)| item.finding(check(&StateDirectory::at("/".into())))).collect()
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// Ubuntu 24.04 lets everybody make user namespaces, in which they then have no rights; whether that is so here, the
/// trial of user namespaces has found. This one names the setting.
fn app_armor() -> Seen {
    let path = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let restricted = fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
    if !restricted {
        return Ok("does not restrict user namespaces".to_owned());
    }
    if rustix::process::geteuid().is_root() {
        return Ok("restricts user namespaces, but not root's".to_owned());
    }
    match super::trials::user_namespaces_work() {
        Ok(_) => Ok("restricts user namespaces, but not this program's".to_owned()),
        Err(why) => Err(format!("gives no rights in user namespaces ({path} is 1): {why}")),
    }
}

fn loopback_port() -> Seen {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed("listen on 127.0.0.1"))?;
    let address = listener.local_addr().map_err(failed("listen on 127.0.0.1"))?;
    Ok(format!("listened on {address}"))
}

/// Of the file system that holds the state directory, or would.
fn free_disk(path: &Path) -> Seen {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let statistics = rustix::fs::statvfs(existing).map_err(|errno| format!("{}: {errno}", existing.display()))?;
    let free = statistics.f_bavail * statistics.f_frsize;
    let detail = format!("{} MiB free in {}", free >> 20, existing.display());
    if free >= DISK { Ok(detail) } else { Err(format!("{detail}, {} wanted", DISK >> 20)) }
}

fn inotify_instances() -> Seen {
    rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC)
        .map_err(|errno| format!("inotify: {errno}"))?;
    let path = "/proc/sys/fs/inotify/max_user_instances";
    let limit = fs::read_to_string(path).map_err(failed(path))?;
    let limit: u64 = limit.trim().parse().map_err(|error| format!("{path}: {error}"))?;
    let detail = format!("{limit} instances a user");
    if limit >= INOTIFY_INSTANCES { Ok(detail) } else { Err(detail) }
}

fn device(path: &str) -> Seen {
    fs::OpenOptions::new().read(true).write(true).open(path).map_err(failed(path))?;
    Ok(format!("{path} opened"))
}

/// Guaranteed Pods get a score below their node's own: lowering one takes `CAP_SYS_RESOURCE`.
fn oom_score() -> Seen {
    let path = "/proc/self/oom_score_adj";
    let before = fs::read_to_string(path).map_err(failed(path))?;
    fs::write(path, "-997").map_err(failed("lower oom_score_adj"))?;
    fs::write(path, before.trim()).map_err(failed("raise oom_score_adj again"))?;
    Ok("oom_score_adj can be lowered".to_owned())
}

fn busybox() -> Seen {
    let found = podlab_images::builtin::static_busybox();
    found.map(|path| path.display().to_string()).ok_or_else(|| "there is none that needs no libraries".to_owned())
}

fn kubectl_version() -> Seen {
    let output = Command::new("kubectl")
        .args(["version", "--client", "--output=json"])
        .stdin(Stdio::null())
        .output()
        .map_err(failed("kubectl"))?;
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let field = |name: &str| version["clientVersion"][name].as_str().unwrap_or_default().to_owned();
    let minor: String = field("minor").chars().take_while(char::is_ascii_digit).collect();
    match minor.parse::<u32>() {
        Ok(30..=33) => Ok(field("gitVersion")),
        Ok(_) => Err(format!("{} is not one of 1.30 to 1.33", field("gitVersion"))),
        Err(_) => Err("kubectl does not say its version".to_owned()),
    }
}
