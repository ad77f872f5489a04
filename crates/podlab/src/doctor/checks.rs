//! What can be tried in this process.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Finding, Item, Seen};
use crate::directory::StateDirectory;

/// What a state directory may come to hold: images, the store, emptyDirs.
const DISK: u64 = 1 << 30;
/// Watches of projected volumes and of the tests; 128 is the kernel's own default.
const INOTIFY_INSTANCES: u64 = 128;

pub(super) fn all(directory: &StateDirectory) -> Vec<Finding> {
    let root = rustix::process::geteuid().is_root();
    let ids = Item {
        name: "subordinate ids",
        needed: false,
        touches: "images with several users",
        remedy: "sudo apt-get install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
    };
    let seccomp = Item { name: "seccomp", needed: true, touches: "everything: containers are filtered", remedy: "" };
    let port = Item { name: "loopback port", needed: true, touches: "the API server and the book", remedy: "" };
    let disk = Item {
        name: "free disk",
        needed: false,
        touches: "anything that writes",
        remedy: "use a larger disk: podlab --dir DIR start",
    };
    let inotify = Item {
        name: "inotify",
        needed: false,
        touches: "noticing changed files",
        remedy: "sudo sysctl fs.inotify.max_user_instances=1024",
    };
    let fuse =
        Item { name: "fuse", needed: false, touches: "file systems in containers", remedy: "sudo modprobe fuse" };
    let nfs = Item { name: "nfs", needed: false, touches: "volumes of kind nfs", remedy: "sudo modprobe nfs" };
    let score = Item {
        name: "protection from the OOM killer",
        needed: false,
        touches: "the order in which classes of Pods are killed",
        remedy: "start it as root, with CAP_SYS_RESOURCE",
    };
    let kubectl = Item {
        name: "kubectl",
        needed: false,
        touches: "typing the book's commands",
        remedy: "install kubectl 1.30 to 1.33: https://kubernetes.io/docs/tasks/tools/",
    };
    vec![
        ids.finding(if root { Ok("not needed as root".to_owned()) } else { subordinate_ids() }),
        seccomp.finding(seccomp_actions()),
        port.finding(loopback_port()),
        disk.finding(free_disk(directory.path())),
        inotify.finding(inotify_instances()),
        fuse.finding(device("/dev/fuse")),
        nfs.finding(file_system("nfs4")),
        score.finding(oom_score()),
        kubectl.finding(kubectl_version()),
    ]
}

fn failed(what: &str) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// `newuidmap` and `newgidmap`, and a range for this user in both files: subuid(5).
fn subordinate_ids() -> Seen {
    for program in ["newuidmap", "newgidmap"] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|directory| directory.join(program).is_file()) {
            return Err(format!("{program} is not on PATH"));
        }
    }
    let user = rustix::process::geteuid().as_raw().to_string();
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = names.lines().find(|line| line.split(':').nth(2) == Some(&user)).and_then(|line| line.split(':').next());
    for file in ["/etc/subuid", "/etc/subgid"] {
        let ranges = fs::read_to_string(file).map_err(failed(file))?;
        let ours = |line: &str| line.split(':').next().is_some_and(|owner| owner == user || Some(owner) == name);
        if !ranges.lines().any(ours) {
            return Err(format!("{file} has no range for user {user}"));
        }
    }
    Ok("a range, and the programs that map it".to_owned())
}

fn seccomp_actions() -> Seen {
    let path = "/proc/sys/kernel/seccomp/actions_avail";
    let actions = fs::read_to_string(path).map_err(failed(path))?;
    let has_errno = actions.split_ascii_whitespace().any(|action| action == "errno");
    if has_errno { Ok("filters can refuse calls".to_owned()) } else { Err("filters cannot refuse calls".to_owned()) }
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

/// Whether the kernel has a file system: fsopen(2) also loads its module, where this user may do that.
fn file_system(name: &str) -> Seen {
    match rustix::mount::fsopen(name, rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC) {
        Ok(_) => Ok("the kernel has a client".to_owned()),
        Err(errno) => Err(format!("fsopen {name}: {errno}")),
    }
}

/// Guaranteed Pods get a score below their node's own: lowering one takes `CAP_SYS_RESOURCE`.
fn oom_score() -> Seen {
    let path = "/proc/self/oom_score_adj";
    let before = fs::read_to_string(path).map_err(failed(path))?;
    fs::write(path, "-997").map_err(failed("lower oom_score_adj"))?;
    fs::write(path, before.trim()).map_err(failed("raise oom_score_adj again"))?;
    Ok("oom_score_adj can be lowered".to_owned())
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
