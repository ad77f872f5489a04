//! The events a kubelet writes about Pods, word for word (golden 047, 084, 230, 520; pkg/kubelet/events/event.go).

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::decide::StopReason;
use super::go;
use crate::probes::Kind;

/// An event, and which container of the Pod it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `spec.containers{kuard}`; `None` when it is about the whole Pod.
    pub field_path: Option<String>,
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Not part of the plan.
    pub warning: bool,
    pub reason: &'static str,
    pub message: String,
}

fn normal(reason: &'static str, message: impl Into<String>) -> Event {
    Event { warning: false, reason, message: message.into() }
}

fn warning(reason: &'static str, message: impl Into<String>) -> Event {
    Event { warning: true, reason, message: message.into() }
}

pub(super) fn pulling(image: &str) -> Event {
    normal("Pulling", format!("Pulling image \"{image}\""))
}

pub(super) fn pulled(image: &str, took: Duration, size: u64) -> Event {
    let took = go::duration(Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
    let text = format!("Successfully pulled image \"{image}\" in {took} ({took} including waiting).");
    normal("Pulled", format!("{text} Image size: {size} bytes."))
}

pub(super) fn already_present(image: &str) -> Event {
    normal("Pulled", format!("Container image \"{image}\" already present on machine"))
}

pub(super) fn pull_failed(image: &str, message: &str) -> Event {
    warning("Failed", format!("Failed to pull image \"{image}\": {message}"))
}

pub(super) fn inspect_failed(image: &str, message: &str) -> Event {
    warning("InspectFailed", format!("Failed to apply default image tag \"{image}\": {message}"))
}

pub(super) fn never_pull(image: &str) -> String {
    format!("Container image \"{image}\" is not present with pull policy of Never")
}

pub(super) fn never_pulled(message: &str) -> Event {
    warning("ErrImageNeverPull", message)
}

pub(super) fn back_off_pulling_text(image: &str) -> String {
    format!("Back-off pulling image \"{image}\"")
}

pub(super) fn back_off_pulling(image: &str) -> Event {
    normal("BackOff", back_off_pulling_text(image))
}

pub(super) fn failed(message: &str) -> Event {
    warning("Failed", format!("Error: {message}"))
}

pub(super) fn created(container: &str) -> Event {
    normal("Created", format!("Created container: {container}"))
}

pub(super) fn started(container: &str) -> Event {
    normal("Started", format!("Started container {container}"))
}

pub(super) fn killing(container: &str, reason: StopReason) -> Event {
    let message = match reason {
        StopReason::Ending => format!("Stopping container {container}"),
        StopReason::Liveness => format!("Container {container} failed liveness probe, will be restarted"),
        StopReason::Startup => format!("Container {container} failed startup probe, will be restarted"),
        StopReason::PostStart => "FailedPostStartHook".to_owned(),
        StopReason::Changed => format!("Container {container} definition changed, will be restarted"),
    };
    normal("Killing", message)
}

pub(super) fn post_start_failed() -> Event {
    warning("FailedPostStartHook", "PostStartHook failed")
}

pub(super) fn pre_stop_failed() -> Event {
    warning("FailedPreStopHook", "PreStopHook failed")
}

pub(super) fn unhealthy(kind: Kind, text: &str) -> Event {
    warning("Unhealthy", format!("{} probe failed: {text}", kind.title()))
}

pub(super) fn back_off(pod: &Pod, container: &str) -> Event {
    warning("BackOff", format!("Back-off restarting failed container {container} in pod {}", full_name(pod)))
}

pub(super) fn failed_mount(volume: &str, message: &str) -> Event {
    warning("FailedMount", format!("MountVolume.SetUp failed for volume \"{volume}\" : {message}"))
}

pub(super) fn sandbox_failed(message: &str) -> Event {
    warning("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {message}"))
}

pub(super) fn sandbox_changed() -> Event {
    normal("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
}

pub(super) fn deadline_exceeded(message: &str) -> Event {
    normal("DeadlineExceeded", message)
}

pub(super) fn evicted(message: &str) -> Event {
    warning("Evicted", message)
}

pub(super) fn rejected(reason: &'static str, message: &str) -> Event {
    warning(reason, message)
}

/// What the status of a container in back-off says.
pub(super) fn back_off_text(pod: &Pod, container: &str, wait: Duration) -> String {
    format!("back-off {} restarting failed container={container} pod={}", go::duration(wait), full_name(pod))
}

/// A Pod as the kubelet's messages name it: `crash_default(cc430cfd-…)`.
#[must_use]
pub fn full_name(pod: &Pod) -> String {
    let metadata = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}_{}({})", text(&metadata.name), text(&metadata.namespace), text(&metadata.uid))
}
