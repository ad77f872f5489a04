//! What takes a process of its own to try: namespaces, mounts, network, cgroups.
//!
//! `podlab doctor` runs `podlab internal trial "NAME"` for each; the child does the thing and ends, and with it ends
//! everything it made. Exit status 0 and a line of what was seen, or 1 and why not.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use podlab_labs::needs::Need;
use podlab_linux::cgroups::{self, Controller, Tree};
use podlab_linux::fabric::{self, UserNamespace};
use podlab_linux::namespaces::{Namespaces, unshare};
use podlab_linux::network::{self, Balancer, Block, Entrance, Pool, Protocol};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use serde::{Deserialize, Serialize};

use super::{Finding, Item, Seen};

/// The hidden role word.
pub(crate) const ROLE: &str = "trial";

/// Which trial a process is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Trial {
    UserNamespace,
    SubordinateIds,
    Seccomp,
    Namespaces,
    /// The second half of `Namespaces`: as the first process of a new pid namespace.
    Proc,
    Overlay,
    Network,
    PacketRules,
    Cgroup(Controller),
}

/// What is tried in a process of its own.
fn items() -> Vec<(Item, Trial)> {
    const NOTHING: &str = "everything: no node can be started";
    let root = is_root();
    let item = |name, touches, remedy| Item { name, needed: true, touches, need: None, remedy };
    let cgroup = |name, touches| Item {
        name,
        needed: false,
        touches,
        need: Some(Need::Cgroups),
        remedy: if root { "" } else { "systemd-run --user --scope -p Delegate=yes podlab start" },
    };
    let user = Item {
        name: "user namespaces",
        needed: !root,
        touches: if root { "starting without root" } else { NOTHING },
        need: None,
        remedy: "sudo sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000",
    };
    let ids = Item {
        name: "subordinate ids",
        needed: false,
        touches: "images with several users",
        need: Some(Need::Users),
        remedy: "sudo apt-get install uidmap && sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
    };
    let rules = Item {
        name: "nf_tables",
        needed: false,
        touches: "Services: their addresses lead nowhere",
        need: None,
        remedy: "sudo modprobe -a nf_tables nft_chain_nat nft_nat nft_masq nft_numgen nft_reject_ipv4",
    };
    vec![
        (user, Trial::UserNamespace),
        (ids, Trial::SubordinateIds),
        (item("pid, mount, uts, ipc and cgroup namespaces", NOTHING, ""), Trial::Namespaces),
        (item("overlay", NOTHING, "sudo modprobe overlay"), Trial::Overlay),
        (item("bridge and veth", NOTHING, "sudo modprobe -a bridge veth"), Trial::Network),
        (rules, Trial::PacketRules),
        (item("seccomp", "everything: containers are filtered", ""), Trial::Seccomp),
        (cgroup("cgroup cpu", "processor limits and shares"), Trial::Cgroup(Controller::Cpu)),
        (cgroup("cgroup memory", "memory limits, OOMKilled"), Trial::Cgroup(Controller::Memory)),
        (cgroup("cgroup pids", "limits on the number of processes"), Trial::Cgroup(Controller::Pids)),
    ]
}

/// Runs every trial.
pub(super) fn all() -> Vec<Finding> {
    items().into_iter().map(|(item, trial)| item.finding(attempt(trial))).collect()
}

/// Runs those that labs mean by `need`.
pub(super) fn of(need: Need) -> Vec<Finding> {
    let asked = items().into_iter().filter(|(item, _)| item.need == Some(need));
    asked.map(|(item, trial)| item.finding(attempt(trial))).collect()
}

/// Whether this user can make user namespaces and has rights in them.
pub(super) fn user_namespaces_work() -> Seen {
    attempt(Trial::UserNamespace)
}

/// Runs one trial in a child.
fn attempt(trial: Trial) -> Seen {
    let output = Command::new("/proc/self/exe")
        .args(crate::role::arguments(ROLE, &trial))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start a process: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The child.
pub(crate) fn main(trial: Trial) -> ExitCode {
    let seen = match trial {
        Trial::UserNamespace => user_namespace(),
        Trial::SubordinateIds => subordinate_ids(),
        Trial::Seccomp => seccomp(),
        Trial::Namespaces => namespaces(),
        Trial::Proc => proc(),
        Trial::Overlay => overlay(),
        Trial::Network => network(),
        Trial::PacketRules => packet_rules(),
        Trial::Cgroup(controller) => cgroup(controller),
    };
    match seen {
        Ok(detail) => {
            println!("{detail}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes a user namespace and uses a right that one has in it: some hosts give the one without the other.
fn user_namespace() -> Seen {
    UserNamespace::Single.enter().map_err(|refusal| refusal.to_string())?;
    unshare(Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME).map_err(|refusal| refusal.to_string())?;
    rustix::system::sethostname(b"trial").map_err(|errno| format!("set a host name in a user namespace: {errno}"))?;
    Ok("made, and this user is root in it".to_owned())
}

fn subordinate_ids() -> Seen {
    if is_root() {
        return Ok("not needed as root".to_owned());
    }
    let [(_, users), (_, groups)] = fabric::ranges_of(rustix::process::geteuid().as_raw())?;
    UserNamespace::Ranges.enter().map_err(|refusal| refusal.to_string())?;
    Ok(format!("mapped {users} users and {groups} groups"))
}

/// Puts this process under the filter that containers run under.
fn seccomp() -> Seen {
    rustix::thread::set_no_new_privs(true).map_err(|errno| format!("give up new privileges: {errno}"))?;
    let filter = podlab_linux::seccomp::default_filter().map_err(|refusal| refusal.to_string())?;
    filter.install().map_err(|refusal| refusal.to_string())?;
    Ok("a filter is in force".to_owned())
}

/// Enters new namespaces, those of a user first where this one is not root.
fn enter(namespaces: Namespaces) -> Result<(), String> {
    if !is_root() {
        UserNamespace::Single.enter().map_err(|refusal| refusal.to_string())?;
    }
    unshare(namespaces).map_err(|refusal| refusal.to_string())?;
    if namespaces.contains(Namespaces::MOUNT) {
        // What is mounted from here on must not reach the host.
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(|errno| format!("making / private: {errno}"))?;
    }
    Ok(())
}

fn namespaces() -> Seen {
    enter(
        Namespaces::MOUNT
            | Namespaces::PROCESS_ID
            | Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME
            | Namespaces::INTER_PROCESS_COMMUNICATION
            | Namespaces::CONTROL_GROUP,
    )?;
    // A new pid namespace begins with the next child.
    attempt(Trial::Proc)
}

/// Refused in a container whose own /proc is masked: the new one would show what is hidden there.
fn proc() -> Seen {
    mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
        .map_err(|errno| format!("mount /proc in a new pid namespace: {errno}"))?;
    Ok(format!("made; this process is number {} in it", std::process::id()))
}

fn overlay() -> Seen {
    enter(Namespaces::MOUNT)?;
    let failed = |what: &'static str| move |errno| format!("{what}: {errno}");
    // Mounted over a directory that is there everywhere; nobody but this process sees it.
    mount("tmpfs", "/tmp", "tmpfs", MountFlags::empty(), None).map_err(failed("mount a tmpfs"))?;
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(Path::new("/tmp").join(name)).map_err(|error| error.to_string())?;
    }
    fs::write("/tmp/lower/file", "below").map_err(|error| error.to_string())?;
    let options = c"lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work";
    mount("overlay", "/tmp/merged", "overlay", MountFlags::empty(), options).map_err(failed("mount an overlay"))?;
    fs::write("/tmp/merged/file", "above").map_err(|error| format!("write through the overlay: {error}"))?;
    let lower = fs::read_to_string("/tmp/lower/file").map_err(|error| error.to_string())?;
    if lower != "below" {
        return Err("a write through the overlay changed the lower directory".to_owned());
    }
    Ok("mounted; a write stays in its own layer".to_owned())
}

fn network() -> Seen {
    enter(Namespaces::NETWORK)?;
    // The same calls that the fabric makes.
    network::set_up_fabric().map_err(|refusal| refusal.to_string())?;
    let namespace = network::open_own_namespace().map_err(|refusal| refusal.to_string())?;
    network::connect_node(1, std::os::fd::AsFd::as_fd(&namespace)).map_err(|refusal| refusal.to_string())?;
    Ok("made in a network namespace of its own".to_owned())
}

fn packet_rules() -> Seen {
    enter(Namespaces::NETWORK)?;
    // As a node does for a Service with two Pods behind it, which keeps its clients.
    let address = Ipv4Addr::new(10, 96, 0, 1);
    let pool = Pool {
        name: "trial".to_owned(),
        protocol: Protocol::Tcp,
        entrances: vec![Entrance { address, port: 80, masquerade: true }],
        members: [2, 3].map(|last| SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, last), 8080)).to_vec(),
        affinity: Some(60),
    };
    let range = Block { address: Ipv4Addr::new(10, 96, 0, 0), prefix: 12 };
    Balancer::open().and_then(|mut balancer| balancer.apply(range, &[pool])).map_err(|refusal| refusal.to_string())?;
    Ok("made in a network namespace of its own".to_owned())
}

fn cgroup(controller: Controller) -> Seen {
    // As the machine does; where that is refused, the directory will say so.
    let _ = cgroups::make_writable();
    let tree = Tree::discover(&format!("podlab-doctor-{}", std::process::id()));
    let has = tree.has(controller);
    let place = tree.hierarchies.iter().find(|hierarchy| hierarchy.controllers.contains(&controller));
    let detail = place.map(|place| format!("cgroup {:?}, {}", place.version, place.base.display()).to_lowercase());
    tree.cgroup("").remove().map_err(|refusal| refusal.to_string())?;
    match (has, detail) {
        (true, Some(detail)) => Ok(detail),
        _ => {
            // A line begins with the controllers it is about; one about version 2 is about all of them.
            let name = format!("{controller:?}").to_lowercase();
            let ours = |line: &&String| {
                line.split(": ")
                    .next()
                    .is_some_and(|about| about.contains("v2") || about.split(", ").any(|n| n == name))
            };
            Err(tree.could_not.iter().filter(ours).cloned().collect::<Vec<_>>().join("; "))
        }
    }
}
