//! The effects: what each action does, through the backend and the API, and what came of it.
//!
//! A task owns what it needs and changes nothing of the worker; its [`Outcome`] is how the worker learns.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Service};
use podlab_client::events::{EventType, reference};

use super::environment::Source;
use super::observed::FailedStart;
use super::{Shared, configure, spec};
use crate::backend::{
    Backend, BackendError, ContainerId, ContainerState, Image, ImageError, PodState, ProbeOutcome, StartFailure,
    container_id,
};
use crate::clock::Clock;
use crate::probes::{self, Kind};
use crate::volumes;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// How long a `postStart` hook may take before its container is given up on.
const HOOK_PATIENCE: Duration = Duration::from_secs(600);

/// What came of a task.
pub(super) enum Outcome {
    /// There is nothing to remember; an event of the backend tells what follows.
    Done,
    VolumesReady,
    VolumesFailed(String),
    SandboxReady(PodState),
    SandboxFailed(String),
    SandboxStopped,
    SandboxRemoved,
    Started {
        image: Image,
        state: ContainerState,
    },
    /// The start was not even tried.
    HeldUp {
        container: String,
        reason: String,
        message: String,
    },
    StartFailed {
        failed: FailedStart,
        image: Image,
    },
    PostStarted(ContainerId, bool),
    Probed {
        container: String,
        id: ContainerId,
        kind: Kind,
        outcome: ProbeOutcome,
    },
    Confirmed(Result<(), podlab_client::Error>),
}

type Parts<B, C> = Arc<Shared<B, C>>;

impl<B: Backend, C: Clock> Shared<B, C> {
    fn event(&self, pod: &Pod, container: Option<&str>, event_type: EventType, reason: &str, text: &str) {
        let mut object = reference(pod);
        object.field_path = container.map(|container| configure::field_path(pod, container));
        self.recorder.event(&object, event_type, reason, text);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(super) async fn set_up_volumes<B: Backend, C: Clock>(
    shared: Parts<B, C>,
    pod: Arc<Pod>,
    address: String,
) -> Outcome {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let lookup = volumes::Lookup { client: &shared.client, pod: &pod, address: &address, node: &shared.facts };
    for wanted in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let volume = match volumes::resolve(&lookup, wanted).await {
            Ok(volume) => volume,
            Err(error) => {
                let text = format!("MountVolume.SetUp failed for volume \"{}\" : {error}", wanted.name);
                return Outcome::VolumesFailed(text);
            }
        };
        if let Err(error) = shared.backend.set_up_volume(&uid, &volume).await {
            return Outcome::VolumesFailed(error.to_string());
        }
    }
    Outcome::VolumesReady
}

pub(super) async fn create_sandbox<B: Backend, C: Clock>(shared: Parts<B, C>, pod: Arc<Pod>) -> Outcome {
    let config = configure::pod_config(&pod, &shared.resolv_conf);
    match shared.backend.create_pod(&config).await {
        Ok(state) => Outcome::SandboxReady(state),
        Err(error) => Outcome::SandboxFailed(error.to_string()),
    }
}

pub(super) async fn stop_sandbox<B: Backend, C: Clock>(shared: Parts<B, C>, uid: String) -> Outcome {
    match shared.backend.stop_pod(&uid).await {
        Ok(()) => Outcome::SandboxStopped,
        Err(error) => {
            tracing::warn!(%error, pod = %uid, "the Pod's namespaces could not be ended");
            Outcome::SandboxFailed(error.to_string())
        }
    }
}

pub(super) async fn remove_sandbox<B: Backend, C: Clock>(shared: Parts<B, C>, uid: String) -> Outcome {
    match shared.backend.remove_pod(&uid).await {
        Ok(()) => Outcome::SandboxRemoved,
        Err(error) => {
            tracing::warn!(%error, pod = %uid, "what is left of the Pod could not be removed");
            Outcome::SandboxFailed(error.to_string())
        }
    }
}

/// Image, configuration, start: with the events that tell of each.
pub(super) async fn start<B: Backend, C: Clock>(
    shared: Parts<B, C>,
    pod: Arc<Pod>,
    address: String,
    name: String,
    attempt: u32,
) -> Outcome {
    let Some((_, container)) = spec::container(&pod, &name) else { return Outcome::Done };
    let held_up =
        |reason: &str, message: String| Outcome::HeldUp { container: name.clone(), reason: reason.to_owned(), message };
    let event = |event_type, reason: &str, text: &str| shared.event(&pod, Some(&name), event_type, reason, text);
    let image = match image(&shared, &pod, container).await {
        Ok(image) => image,
        Err((reason, message)) => return held_up(reason, message),
    };
    let services = services(&shared, &pod);
    let source =
        Source { client: &shared.client, pod: &pod, address: &address, node: &shared.facts, services: &services };
    let config = match configure::container_config(&source, container, attempt, &image).await {
        Ok(config) => config,
        Err(error) => {
            event(EventType::Warning, "Failed", &format!("Error: {error}"));
            return held_up("CreateContainerConfigError", error.to_string());
        }
    };
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let before = shared.now();
    match shared.backend.start_container(&uid, &config).await {
        Ok(id) => {
            event(EventType::Normal, "Created", &format!("Created container: {name}"));
            event(EventType::Normal, "Started", &format!("Started container {name}"));
            let image_id = image.id.clone();
            let state = ContainerState { id, name, attempt, image_id, started_at: shared.now(), exit: None };
            Outcome::Started { image, state: known(&shared, &uid, state).await }
        }
        Err(BackendError::Start { reason: StartFailure::Config, message }) => {
            event(EventType::Warning, "Failed", &format!("Error: {message}"));
            held_up("CreateContainerConfigError", message)
        }
        Err(error) => {
            let (waiting, reason, message) = match error {
                BackendError::Start { reason: StartFailure::Create, message } => {
                    ("CreateContainerError", "ContainerCannotRun", message)
                }
                BackendError::Start { message, .. } => ("RunContainerError", "StartError", message),
                other => ("RunContainerError", "StartError", other.to_string()),
            };
            if waiting == "RunContainerError" {
                event(EventType::Normal, "Created", &format!("Created container: {name}"));
            }
            event(EventType::Warning, "Failed", &format!("Error: {message}"));
            let id = container_id(&uid, &name, attempt);
            let (waiting, reason) = (waiting.to_owned(), reason.to_owned());
            let failed = FailedStart { container: name, attempt, id, waiting, reason, message, at: before };
            Outcome::StartFailed { failed, image }
        }
    }
}

/// What the backend says of a container that was just started: its own time of the start, and its end if it has ended
/// already. The event of that end may have come before the worker knew the container.
async fn known<B: Backend, C: Clock>(shared: &Shared<B, C>, uid: &String, state: ContainerState) -> ContainerState {
    let Ok(pods) = shared.backend.pods().await else { return state };
    pods.into_iter()
        .filter(|pod| pod.uid == *uid)
        .flat_map(|pod| pod.containers)
        .find(|container| container.id == state.id)
        .unwrap_or(state)
}

/// The services whose variables a new container gets.
fn services<B, C>(shared: &Shared<B, C>, pod: &Pod) -> Vec<Service> {
    let namespace = pod.metadata.namespace.as_deref();
    let all = shared.services.all();
    let wanted = |service: &&Arc<Service>| {
        let of = service.metadata.namespace.as_deref();
        of == namespace || of == Some("default")
    };
    all.iter().filter(wanted).map(|service| (**service).clone()).collect()
}

/// The image by the container's pull policy; else the reason and the message of the waiting state.
async fn image<B: Backend, C: Clock>(
    shared: &Shared<B, C>,
    pod: &Pod,
    container: &Container,
) -> Result<Image, (&'static str, String)> {
    let name = container.name.as_str();
    let reference = container.image.as_deref().unwrap_or_default();
    let event = |event_type, reason: &str, text: &str| shared.event(pod, Some(name), event_type, reason, text);
    let failed = |reason: &'static str, message: String| {
        event(EventType::Warning, "Failed", &format!("Error: {reason}"));
        (reason, message)
    };
    let policy = container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
    if policy != "Always" {
        match shared.backend.image(reference).await {
            Ok(Some(image)) => {
                let text = format!("Container image \"{reference}\" already present on machine");
                event(EventType::Normal, "Pulled", &text);
                return Ok(image);
            }
            Ok(None) if policy == "Never" => {
                let text = format!("Container image \"{reference}\" is not present with pull policy of Never");
                event(EventType::Warning, "ErrImageNeverPull", &text);
                return Err(failed("ErrImageNeverPull", text));
            }
            Ok(None) => {}
            Err(BackendError::Image(ImageError::InvalidName(_))) => return Err(invalid_name(&event, reference)),
            Err(error) => return Err(failed("ErrImagePull", error.to_string())),
        }
    }
    event(EventType::Normal, "Pulling", &format!("Pulling image \"{reference}\""));
    let begun = shared.clock.elapsed();
    match shared.backend.pull(reference).await {
        Ok(image) => {
            let took = shared.clock.elapsed().saturating_sub(begun).as_millis();
            let text = format!(
                "Successfully pulled image \"{reference}\" in {took}ms ({took}ms including waiting). Image size: {} bytes.",
                image.size
            );
            event(EventType::Normal, "Pulled", &text);
            Ok(image)
        }
        Err(BackendError::Image(ImageError::InvalidName(_))) => Err(invalid_name(&event, reference)),
        Err(error) => {
            event(EventType::Warning, "Failed", &format!("Failed to pull image \"{reference}\": {error}"));
            Err(failed("ErrImagePull", error.to_string()))
        }
    }
}

fn invalid_name(event: &impl Fn(EventType, &str, &str), reference: &str) -> (&'static str, String) {
    let reason = format!("couldn't parse image name \"{reference}\": invalid reference format");
    event(EventType::Warning, "InspectFailed", &format!("Failed to apply default image tag \"{reference}\": {reason}"));
    event(EventType::Warning, "Failed", "Error: InvalidImageName");
    ("InvalidImageName", format!("Failed to apply default image tag \"{reference}\": {reason}"))
}

pub(super) async fn post_start<B: Backend, C: Clock>(
    shared: Parts<B, C>,
    pod: Arc<Pod>,
    name: String,
    id: ContainerId,
) -> Outcome {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let found = spec::container(&pod, &name).map(|(_, container)| container);
    let Some((container, hook)) = found.and_then(|container| Some((container, spec::post_start(container)?))) else {
        return Outcome::PostStarted(id, true);
    };
    if let Some(sleep) = &hook.sleep {
        shared.clock.sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
        return Outcome::PostStarted(id, true);
    }
    match probes::run_hook(&*shared.backend, &uid, &id, container, hook, HOOK_PATIENCE).await {
        Ok(()) => Outcome::PostStarted(id, true),
        Err(text) => {
            // The details stay on the node: a hook's output may hold what an event should not.
            tracing::info!(container = %name, %text, "a postStart hook has failed");
            shared.event(&pod, Some(&name), EventType::Warning, "FailedPostStartHook", "PostStartHook failed");
            shared.event(&pod, Some(&name), EventType::Normal, "Killing", "FailedPostStartHook");
            Outcome::PostStarted(id, false)
        }
    }
}

/// The `preStop` hook, within the grace period; then the signal.
pub(super) async fn stop<B: Backend, C: Clock>(
    shared: Parts<B, C>,
    pod: Arc<Pod>,
    container: Option<Container>,
    id: ContainerId,
    grace: Duration,
    signal: Option<i32>,
) -> Outcome {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let hook = container.as_ref().and_then(|container| Some((container, spec::pre_stop(container)?)));
    if let Some((container, hook)) = hook.filter(|_| !grace.is_zero()) {
        if let Some(sleep) = &hook.sleep {
            let wanted = Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0));
            shared.clock.sleep(wanted.min(grace)).await;
        } else if let Err(text) = probes::run_hook(&*shared.backend, &uid, &id, container, hook, grace).await {
            tracing::info!(container = %container.name, %text, "a preStop hook has failed");
            shared.event(&pod, Some(&container.name), EventType::Warning, "FailedPreStopHook", "PreStopHook failed");
        }
    }
    send(&shared, &uid, &id, signal.unwrap_or(SIGTERM)).await
}

pub(super) async fn kill<B: Backend, C: Clock>(shared: Parts<B, C>, uid: String, id: ContainerId) -> Outcome {
    send(&shared, &uid, &id, SIGKILL).await
}

async fn send<B: Backend, C: Clock>(shared: &Shared<B, C>, uid: &String, id: &ContainerId, signal: i32) -> Outcome {
    if let Err(error) = shared.backend.signal(uid, id, signal).await {
        tracing::warn!(%error, signal, container = %id, "a signal could not be sent");
    }
    Outcome::Done
}

pub(super) async fn probe<B: Backend, C: Clock>(
    shared: Parts<B, C>,
    pod: Arc<Pod>,
    name: String,
    id: ContainerId,
    kind: Kind,
) -> Outcome {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let found = spec::container(&pod, &name).map(|(_, container)| container);
    let Some((container, wanted)) = found.and_then(|container| Some((container, kind.of(container)?))) else {
        return Outcome::Done;
    };
    let outcome = probes::attempt(&*shared.backend, &uid, &id, container, wanted).await;
    Outcome::Probed { container: name, id, kind, outcome }
}
