//! The status of one container.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
    VolumeMountStatus,
};

use crate::backend::Exit;
use crate::kubelet::members::{self, Member, Role};
use crate::kubelet::observed::{ContainerRecord, Hook, Observed, Run};

/// The scheme of container ids.
const RUNTIME: &str = "podlab";

pub(super) fn status(pod: &Pod, observed: &Observed, member: &Member<'_>) -> ContainerStatus {
    let record = observed.container(&member.spec.name);
    let (state, last) = states(pod, record);
    let ready = match member.role {
        Role::Init => record.succeeded(),
        Role::Sidecar | Role::Main => record.is_ready(),
        Role::Ephemeral => false,
    };
    let run = record.run.as_ref();
    ContainerStatus {
        name: member.spec.name.clone(),
        state: Some(state),
        last_state: Some(last),
        ready,
        restart_count: run.map_or(0, |run| i32::try_from(run.attempt).unwrap_or(i32::MAX)),
        image: run
            .map(|run| run.image.clone())
            .filter(|image| !image.is_empty())
            .unwrap_or_else(|| member.spec.image.clone().unwrap_or_default()),
        image_id: run.map(|run| run.image_id.clone()).unwrap_or_default(),
        container_id: run.map(id),
        started: (member.role != Role::Ephemeral).then(|| record.has_started()),
        volume_mounts: mounts(member),
        ..ContainerStatus::default()
    }
}

/// The present and the last state.
fn states(pod: &Pod, record: &ContainerRecord) -> (ContainerState, ContainerState) {
    let previous = record.previous.as_ref().and_then(terminated).unwrap_or_default();
    let Some(run) = &record.run else {
        return (waiting(pod, record), ContainerState::default());
    };
    let Some(ended) = terminated(run) else {
        // It counts as running once its postStart hook is done.
        if record.post_start == Hook::Due && record.stop.is_none() {
            return (waiting(pod, record), previous);
        }
        let running = ContainerStateRunning { started_at: Some(super::seconds(run.started_at)) };
        return (ContainerState { running: Some(running), ..ContainerState::default() }, previous);
    };
    match &record.waiting {
        Some(_) => (waiting(pod, record), ended),
        None => (ended, previous),
    }
}

fn waiting(pod: &Pod, record: &ContainerRecord) -> ContainerState {
    let (reason, message) = match &record.waiting {
        Some(waiting) => (waiting.reason, Some(waiting.message.clone())),
        None if members::init(pod).next().is_some() => ("PodInitializing", None),
        None => ("ContainerCreating", None),
    };
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(run: &Run) -> Option<ContainerState> {
    let exit = run.exit.as_ref()?;
    let terminated = ContainerStateTerminated {
        container_id: Some(id(run)),
        exit_code: exit.code,
        signal: None,
        reason: Some(run.reason.unwrap_or_else(|| reason(exit)).to_owned()),
        message: Some(exit.message.clone()).filter(|message| !message.is_empty()),
        started_at: Some(super::seconds(run.started_at)),
        finished_at: Some(super::seconds(exit.finished_at)),
    };
    Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() })
}

fn reason(exit: &Exit) -> &'static str {
    match exit {
        Exit { oom_killed: true, .. } => "OOMKilled",
        Exit { code: 0, .. } => "Completed",
        _ => "Error",
    }
}

fn id(run: &Run) -> String {
    format!("{RUNTIME}://{}", run.id)
}

fn mounts(member: &Member<'_>) -> Option<Vec<VolumeMountStatus>> {
    let mounts = member.spec.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let status = mounts.iter().map(|mount| {
        let read_only = mount.read_only.filter(|read_only| *read_only);
        // `IfPossible` is possible on the kernels we run on (5.12 and later).
        let recursive = match mount.recursive_read_only.as_deref() {
            Some("Enabled" | "IfPossible") => "Enabled",
            _ => "Disabled",
        };
        VolumeMountStatus {
            mount_path: mount.mount_path.clone(),
            name: mount.name.clone(),
            read_only,
            recursive_read_only: read_only.map(|_| recursive.to_owned()),
        }
    });
    Some(status.collect())
}
