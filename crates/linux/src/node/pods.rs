//! The Pods of a node, as its init knows them: a supervisor and an address each.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use super::init::remove_socket;
use crate::cgroups::Tree;
use crate::clock;
use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, Process, spawn};
use crate::network::{Block, next_address};
use crate::paths::{PodDirectory, inside};
use crate::protocol::{ExitReport, PodSpec, SupervisedPod};
use crate::supervisor::{self, PodContext, record};
use crate::{descriptors, fail_point, syscalls};

/// Where the last address given out is written down.
const LAST_ADDRESS: &str = "/var/lib/podlab/node/last-address.json";

/// The exit code of a container that ended with its node, unseen: what the container runtimes say then.
const UNKNOWN: i32 = 255;

pub(super) struct Pods {
    block: Block,
    cgroups: Tree,
    user_namespace: bool,
    /// What a Pod is allowed: init itself, with a descriptor a Pod, is allowed more.
    descriptors: Rlimit,
    last: Option<Ipv4Addr>,
    supervised: Vec<Supervised>,
}

struct Supervised {
    process: Process,
    uid: String,
    cgroup: String,
    address: Option<Ipv4Addr>,
}

#[derive(Serialize, Deserialize)]
struct LastAddress {
    last: Ipv4Addr,
}

impl Pods {
    /// The node starts: whatever ran on it before has ended.
    pub(super) fn new(block: Block, cgroups: Tree, user_namespace: bool, descriptors: Rlimit) -> Self {
        for entry in std::fs::read_dir(inside::PODS).into_iter().flatten().flatten() {
            let directory = PodDirectory::new(Path::new(inside::PODS), &entry.file_name().to_string_lossy());
            record::end_containers(&directory, &unseen(UNKNOWN, None));
        }
        // Processes end with their node; what they were counted in does not.
        if let Err(refusal) = cgroups.cgroup("kubepods").remove() {
            log_line!("node init: {refusal}");
        }
        let last: Option<LastAddress> = record::read(Path::new(LAST_ADDRESS));
        let last = last.map(|record| record.last);
        Self { block, cgroups, user_namespace, descriptors, last, supervised: Vec::new() }
    }

    pub(super) fn list(&self) -> Vec<SupervisedPod> {
        self.supervised.iter().map(Supervised::describe).collect()
    }

    /// Gives a Pod an address and a supervisor; one that has them keeps them.
    pub(super) fn create(&mut self, spec: PodSpec) -> Result<SupervisedPod, Refusal> {
        if let Some(known) = self.supervised.iter().find(|known| known.uid == spec.uid) {
            return Ok(known.describe());
        }
        // It will be a file name and a part of a path.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if spec.uid.is_empty() || spec.uid.len() > 64 || !spec.uid.bytes().all(plain) {
            return Err(Errno::INVAL).during("use as uid", format_args!("{:?}", spec.uid));
        }
        let address = if spec.host_network { None } else { Some(self.next_address()?) };
        let socket = Path::new(inside::SUPERVISORS).join(&spec.uid);
        remove_socket(&spec.uid);
        let listener = UnixListener::bind(&socket).during("listen on", socket.display())?;
        fail_point::reached("init-socket-bound");
        let (uid, cgroup) = (spec.uid.clone(), spec.cgroup.clone());
        let pod = PodContext {
            directory: PodDirectory::new(Path::new(inside::PODS), &spec.uid),
            spec,
            address,
            block: self.block,
            cgroups: self.cgroups.clone(),
            user_namespace: self.user_namespace,
        };
        let limit = self.descriptors;
        let process = spawn(Namespaces::PROCESS_ID, None, || {
            descriptors::allow(limit);
            let descriptor = listener.as_raw_fd();
            // SAFETY: what init owned is a copy here that nobody will touch; this closure ends the process.
            unsafe { syscalls::close_all_except(&[2, descriptor]) };
            syscalls::reserve_stdio();
            supervisor::main(pod, listener)
        })?;
        fail_point::reached("init-supervisor-started");
        self.supervised.push(Supervised { process, uid, cgroup, address });
        self.supervised.last().map(Supervised::describe).ok_or(Errno::CHILD).during("start", "a supervisor")
    }

    /// Kills a Pod. False: it has no supervisor.
    pub(super) fn kill(&mut self, uid: &str) -> bool {
        let Some(pod) = self.supervised.iter().find(|pod| pod.uid == uid) else { return false };
        let _ = pod.process.signal(Signal::KILL);
        true
    }

    // ANCHOR: ended
    /// A child has ended. If it was a supervisor, the Pod's uid: the kernel has ended everything in the Pod before it
    /// let us know. What outlives processes is tidied up here; directories and logs stay.
    pub(super) fn ended(&mut self, pid: Pid) -> Option<String> {
        let index = self.supervised.iter().position(|pod| pod.process.pid == pid)?;
        let pod = self.supervised.remove(index);
        fail_point::reached("init-supervisor-ended");
        let directory = PodDirectory::new(Path::new(inside::PODS), &pod.uid);
        record::end_containers(&directory, &unseen(128 + libc::SIGKILL, Some(libc::SIGKILL)));
        for memory in [directory.shared_memory(), directory.small_files()] {
            let _ = rustix::mount::unmount(&memory, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        if let Err(refusal) = self.cgroups.cgroup(&pod.cgroup).remove() {
            log_line!("node init: {refusal}");
        }
        remove_socket(&pod.uid);
        Some(pod.uid)
    }
    // ANCHOR_END: ended

    fn next_address(&mut self) -> Result<Ipv4Addr, Refusal> {
        let taken = |address| self.supervised.iter().any(|pod| pod.address == Some(address));
        let address = next_address(self.block, self.last, taken)
            .ok_or(Errno::ADDRNOTAVAIL)
            .during("find a free address in", self.block)?;
        self.last = Some(address);
        record::write(Path::new(LAST_ADDRESS), &LastAddress { last: address })?;
        Ok(address)
    }
}

impl Supervised {
    fn describe(&self) -> SupervisedPod {
        SupervisedPod { uid: self.uid.clone(), pid: self.process.pid.as_raw_nonzero().get(), address: self.address }
    }
}

fn unseen(code: i32, signal: Option<i32>) -> ExitReport {
    ExitReport { code, signal, finished_at: clock::now(), out_of_memory: false, message: String::new() }
}
