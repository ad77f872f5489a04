//! Who asks for much and does not read it: what lies in between does not grow, and nothing of it is lost.

use std::io::Read;
use std::process::{Child, Stdio};

use k8s_openapi::api::core::v1::Pod;
use podlab_testkit::{Cluster, Kubectl};
use rustix::event::{PollFd, PollFlags, poll};

use crate::plug::rig::{Part, Rig};
use crate::plug::{marker, steady};

const MEBIBYTE: usize = 1 << 20;
/// More than all pipes, sockets and buffers on the way together.
const BYTES: usize = 48 * MEBIBYTE;
/// By how much the kubelet or the control plane may grow, in KiB.
const ROOM: u64 = 8 * 1024;

/// A cluster with a Pod that runs.
struct Stage {
    rig: Rig,
    kubectl: Kubectl,
}

impl Stage {
    fn new() -> Option<Self> {
        let kubectl = Kubectl::any()?;
        let rig = Rig::of(Cluster::start());
        rig.create::<Pod>(&steady("web", &marker(&rig, "web")));
        rig.until_ready("web");
        Some(Self { rig, kubectl })
    }

    /// A kubectl whose output nobody reads yet.
    fn start(&self, arguments: &[&str]) -> Child {
        let cluster = &self.rig.cluster;
        let mut command = self.kubectl.command(&cluster.kubeconfig(), &cluster.home(), arguments.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until as much has come as the pipe holds, and lets the cluster do other things meanwhile; then reads until so
    /// many bytes have come. Says how much the parts on the way have grown.
    fn read_late(&self, child: &mut Child, bytes: usize) -> Vec<(Part, u64)> {
        let parts = [Part::Kubelet, Part::ControlPlane];
        let pids = parts.map(|part| self.rig.pids(part)[0]);
        let before = pids.map(|pid| {
            // The peak is counted from here on (proc_pid_clear_refs(5)).
            std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
            peak(pid)
        });
        let mut output = child.stdout.take().unwrap();
        let full = rustix::pipe::fcntl_getpipe_size(&output).unwrap() as u64;
        // Whoever fills it does so in whole pages, and not always all of them.
        while rustix::io::ioctl_fionread(&output).unwrap() < full / 2 {
            assert!(child.try_wait().unwrap().is_none(), "it has ended\n{}", self.rig.cluster.logs());
            poll(&mut [PollFd::new(&output, PollFlags::IN)], None).unwrap();
        }
        for _ in 0..100 {
            self.rig.until_ready("web");
        }
        let (mut read, mut piece) = (0, vec![0; 64 * 1024]);
        while read < bytes {
            let count = output.read(&mut piece).unwrap();
            assert_ne!(count, 0, "{read} of {bytes} bytes have come\n{}", self.rig.cluster.logs());
            read += count;
        }
        let grown = std::iter::zip(pids, before).map(|(pid, before)| peak(pid).saturating_sub(before));
        parts.into_iter().zip(grown).collect()
    }
}

/// The most memory that a process had at a time, in KiB.
fn peak(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[track_caller]
fn assert_small(grown: &[(Part, u64)]) {
    assert!(grown.iter().all(|(_, grown)| *grown < ROOM), "grown by KiB: {grown:?}");
}

#[test]
fn an_exec_that_nobody_reads_costs_no_memory() {
    let Some(stage) = Stage::new() else { return };
    stage.rig.cluster.kubectl(&stage.kubectl, ["exec", "web", "--", "true"]).success();
    let command = format!("head -c {BYTES} /dev/zero");
    let mut exec = stage.start(&["exec", "web", "--", "sh", "-c", &command]);
    assert_small(&stage.read_late(&mut exec, BYTES));
    assert!(exec.wait().unwrap().success());
    stage.rig.cluster.stop();
}

#[test]
fn a_followed_log_that_nobody_reads_costs_no_memory() {
    const LINES: usize = 20;
    let Some(stage) = Stage::new() else { return };
    let mut logs = stage.start(&["logs", "--follow", "web"]);
    let line = format!("head -c {MEBIBYTE} /dev/zero | tr '\\0' x; echo");
    let command = format!("n=0; while [ $n -lt {LINES} ]; do {line}; n=$((n+1)); done > /proc/1/fd/1");
    stage.rig.cluster.kubectl(&stage.kubectl, ["exec", "web", "--", "sh", "-c", &command]).success();
    assert_small(&stage.read_late(&mut logs, LINES * (MEBIBYTE + 1)));
    logs.kill().unwrap();
    logs.wait().unwrap();
    stage.rig.cluster.stop();
}
