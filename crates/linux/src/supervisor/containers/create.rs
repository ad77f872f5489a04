//! A container in the making: its files, its cgroup, its streams, and the fork.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::pipe::PipeFlags;

use super::super::log::{Lines, Log, Stream};
use super::super::{ClientId, PodContext};
use super::{Container, Output, Phase};
use crate::container::{self, ContainerSpec, Stdio, Surroundings};
use crate::error::{During, Refusal};
use crate::fail_point;
use crate::namespaces::{Namespaces, Process};
use crate::protocol::ContainerReport;
use crate::rootfs::{BindMount, Propagation};
use crate::wire::Connection;

/// Our ends of a container's streams.
struct Ours {
    stdin: Option<OwnedFd>,
    outputs: Vec<Output>,
    terminal: Option<Connection>,
}

/// Makes what a container needs and forks its first process; with a `target` (and the way back from it) among the
/// processes of that one.
pub(super) fn create(
    pod: &PodContext,
    mut spec: ContainerSpec,
    client: ClientId,
    target: Option<(&Process, &Process)>,
) -> Result<Container, Refusal> {
    let directory = pod.directory.container(&spec.id);
    std::fs::create_dir_all(&directory).during("create directory", directory.display())?;
    let log = Log::create(&pod.directory.log(&spec.name, spec.attempt))?;
    let words = last_words_file(pod, &spec.id);
    std::fs::write(&words, "").during("create", words.display())?;
    spec.mounts.splice(0..0, managed_files(pod, &spec));

    let cgroup = pod.cgroups.cgroup(&format!("{}/{}", pod.spec.cgroup, spec.id));
    cgroup.create()?;
    cgroup.set(&spec.limits)?;

    let (theirs, ours) = make_streams(&spec)?;
    let surroundings = Surroundings {
        directory,
        shared_memory: pod.directory.shared_memory(),
        hierarchies: &pod.cgroups.hierarchies,
        doors: &cgroup.doors()?,
        user_namespace: pod.user_namespace,
        share_processes: pod.spec.share_processes || target.is_some(),
    };
    fail_point::reached("supervisor-container-prepared");
    let starting = match target {
        None => container::start(&spec, &surroundings, &theirs)?,
        // As for an exec: our children are born there for the time of the fork.
        Some((target, own)) => {
            target.enter(Namespaces::PROCESS_ID)?;
            let starting = container::start(&spec, &surroundings, &theirs);
            own.enter(Namespaces::PROCESS_ID)?;
            starting?
        }
    };
    fail_point::reached("supervisor-container-forked");
    Ok(Container {
        cgroup,
        process: starting.process,
        report: ContainerReport {
            id: spec.id.clone(),
            name: spec.name.clone(),
            attempt: spec.attempt,
            image_id: spec.image_id.clone(),
            started_at: 0,
            exit: None,
        },
        phase: Phase::Starting {
            report: Some(starting.report),
            terminal: ours.terminal,
            asked: vec![client],
            ended: None,
        },
        log,
        outputs: ours.outputs,
        stdin: ours.stdin,
        attached: Vec::new(),
        spec,
    })
}

/// The files that every container of a Pod has, unless it mounts something else in their place.
fn managed_files(pod: &PodContext, spec: &ContainerSpec) -> Vec<BindMount> {
    let bind = |source, target: &str| BindMount {
        source,
        sub_path: String::new(),
        target: target.to_owned(),
        read_only: false,
        recursive: false,
        propagation: Propagation::Private,
    };
    let mut files: Vec<_> = ["hosts", "hostname", "resolv.conf"]
        .into_iter()
        .map(|name| bind(pod.directory.small_files().join(name), &format!("/etc/{name}")))
        .collect();
    if !spec.termination_message_path.is_empty() {
        files.push(bind(last_words_file(pod, &spec.id), &spec.termination_message_path));
    }
    files.retain(|file| spec.mounts.iter().all(|mount| mount.target != file.target));
    files
}

/// Where a container leaves its last words.
pub(super) fn last_words_file(pod: &PodContext, id: &str) -> PathBuf {
    pod.directory.small_files().join(format!("termination-{id}"))
}

fn make_streams(spec: &ContainerSpec) -> Result<(Stdio, Ours), Refusal> {
    if spec.terminal {
        let (ours, theirs) = UnixStream::pair().during("make", "socket pair")?;
        let theirs = Stdio::Terminal { master: theirs.into() };
        return Ok((theirs, Ours { stdin: None, outputs: Vec::new(), terminal: Some(Connection::from(ours)) }));
    }
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).during("make", "pipe");
    let ((stdout, their_stdout), (stderr, their_stderr)) = (pipe()?, pipe()?);
    let (their_stdin, stdin) =
        if spec.stdin { pipe().map(|(theirs, ours)| (Some(theirs), Some(ours)))? } else { (None, None) };
    let outputs = [(stdout, Stream::Stdout), (stderr, Stream::Stderr)]
        .into_iter()
        .map(|(source, stream)| {
            rustix::io::ioctl_fionbio(&source, true).during("set up", "pipe")?;
            Ok(Output { source, lines: Lines::of(stream) })
        })
        .collect::<Result<_, Refusal>>()?;
    let theirs = Stdio::Streams { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr };
    Ok((theirs, Ours { stdin, outputs, terminal: None }))
}
