//! Doing what was decided: every [`Action`] becomes calls of the [`Backend`] and of the API server.

mod probes;
mod volumes;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, Pod, Secret, Service};
use podlab_client::{Cache, Client, DeleteOptions, Object};
use podlab_linux::fail_point;
use tokio::sync::watch;

use super::config::{self, Names};
use super::decide::Action;
use super::fields::Around;
use super::observed::{Done, ImageRecord, Observed};
use super::sources::Sources;
use super::{members, pull_secrets};
use crate::backend::{Backend, BackendError, ContainerId, Image, ImageError, NodeFacts, PodUid, StartFailure};
use crate::clock::Clock;

/// SIGTERM and SIGKILL; the numbers are the same on every Linux.
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// What actions are done with.
pub struct Effects<B, C> {
    pub backend: Arc<B>,
    pub clock: Arc<C>,
    pub client: Client,
    pub services: Cache<Service>,
    pub names: Names,
    pub facts: NodeFacts,
}

/// What is said of a pull that nobody waits for any more.
const CANCELED: &str = "rpc error: code = Canceled desc = failed to pull and unpack image: context canceled";

/// What an action needs to know of the Pod, as it was when the action began.
#[derive(Clone, Debug)]
pub struct Context {
    pub pod: Arc<Pod>,
    pub observed: Arc<Observed>,
    /// True once the Pod is on its way out: nobody waits for its images any more.
    pub ending: watch::Receiver<bool>,
}

impl<B: Backend, C: Clock> Effects<B, C> {
    /// Does an action to its end.
    pub async fn perform(&self, context: &Context, action: &Action) -> Done {
        let done = self.perform_to_its_end(context, action).await;
        if let Some(point) = fail_point_after(action).filter(|_| cfg!(debug_assertions)) {
            // On a thread of its own: a test may hold who comes there.
            let _ = tokio::task::spawn_blocking(move || fail_point::reached(point)).await;
        }
        done
    }

    async fn perform_to_its_end(&self, context: &Context, action: &Action) -> Done {
        let uid = context.pod.metadata.uid.clone().unwrap_or_default();
        match action {
            Action::SetUpVolume { volume } => match self.set_up_volume(context, &uid, volume).await {
                Ok(renew_at) => Done::Volume { renew_at },
                Err(error) => Done::Failed(error),
            },
            Action::CreatePod => match self.backend.create_pod(&config::pod(&context.pod, &self.names)).await {
                Ok(state) => Done::Pod(state),
                Err(error) => Done::Failed(error.to_string()),
            },
            Action::FindImage { container } => match self.backend.image(&image_of(context, container)).await {
                Ok(image) => Done::Image(image),
                Err(error @ BackendError::Image(ImageError::InvalidName(_))) => {
                    Done::NotStarted("InvalidImageName", error.to_string())
                }
                Err(error) => Done::NotStarted("ImageInspectError", error.to_string()),
            },
            Action::PullImage { container } => {
                let begun = self.clock.elapsed();
                match self.pull(context, &image_of(context, container)).await {
                    Ok(image) => Done::Pulled(image, self.clock.elapsed().saturating_sub(begun)),
                    Err(error) => Done::Failed(error),
                }
            }
            Action::Start { container, attempt } => self.start(context, &uid, container, *attempt).await,
            Action::PostStart { container } => {
                let hook = |container: &Container| container.lifecycle.as_ref()?.post_start.clone();
                result(self.hook(context, &uid, container, hook).await)
            }
            Action::PreStop { container } => {
                let hook = |container: &Container| container.lifecycle.as_ref()?.pre_stop.clone();
                result(self.hook(context, &uid, container, hook).await)
            }
            Action::Probe { container, kind } => Done::Probed(self.probe(context, &uid, container, *kind).await),
            Action::Ask { container } => {
                let signal = match &self.backend.image(&image_of(context, container)).await {
                    Ok(Some(image)) => image.stop_signal.unwrap_or(SIGTERM),
                    _ => SIGTERM,
                };
                self.signal(context, &uid, container, signal).await
            }
            Action::Kill { container } => self.signal(context, &uid, container, SIGKILL).await,
            Action::Forget { container, attempt } => {
                let id = crate::backend::container_id(&uid, container, *attempt);
                result(self.backend.remove_container(&uid, &id).await.map_err(|error| error.to_string()))
            }
            Action::StopPod => result(self.backend.stop_pod(&uid).await.map_err(|error| error.to_string())),
            Action::RemovePod => result(self.backend.remove_pod(&uid).await.map_err(|error| error.to_string())),
            Action::DeleteObject => result(self.delete(&context.pod, uid).await),
            // These are only noted.
            Action::End(_) | Action::WaitForImage { .. } | Action::WaitForRestart { .. } | Action::Stop { .. } => {
                Done::Ok
            }
        }
    }

    async fn delete(&self, pod: &Pod, uid: PodUid) -> Result<(), String> {
        let options = DeleteOptions::of_uid(uid).grace(0);
        match self.client.delete::<Pod>(pod.namespace(), pod.name(), &options).await {
            Ok(_) => Ok(()),
            // Gone already, or another object of that name by now.
            Err(error) if error.is_not_found() || error.is_another_object() => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Pulls an image, for as long as the Pod is to stay.
    async fn pull(&self, context: &Context, image: &str) -> Result<Image, String> {
        let mut ending = context.ending.clone();
        tokio::select! {
            pulled = self.pull_as(&context.pod, image) => pulled,
            _ = ending.wait_for(|ending| *ending) => Err(CANCELED.to_owned()),
        }
    }

    /// Pulls an image as who the Pod says it is. A Secret that is not there is no reason not to try.
    async fn pull_as(&self, pod: &Pod, image: &str) -> Result<Image, String> {
        let mut secrets = Vec::new();
        for name in pull_secrets::names(pod) {
            secrets.extend(self.find::<Secret>(pod.namespace(), name).await?);
        }
        let credentials = pull_secrets::credentials(&secrets, image);
        self.backend.pull(image, credentials).await.map_err(|error| error.to_string())
    }

    /// An object, or `None` when there is none of that name.
    async fn find<K: Object>(&self, namespace: impl Into<Option<&str>>, name: &str) -> Result<Option<K>, String> {
        match self.client.get::<K>(namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn start(&self, context: &Context, uid: &PodUid, name: &str, attempt: u32) -> Done {
        let config_error = |message: String| Done::NotStarted("CreateContainerConfigError", message);
        let Some(member) = members::find(&context.pod, name) else {
            return config_error(format!("no container of the name {name}"));
        };
        let ImageRecord::Ready(image) = &context.observed.container(name).image else {
            return config_error(format!("the image of {name} is not there"));
        };
        let sources = match self.environment_sources(&context.pod, &member.spec).await {
            Ok(sources) => sources,
            Err(message) => return config_error(message),
        };
        let mut config = match config::container(&context.pod, &member, attempt, image, &sources, &self.around(context))
        {
            Ok(config) => config,
            Err(message) => return config_error(message),
        };
        if let Some(target) = members::target(&context.pod, name) {
            let Some((_, id)) = running(context, target) else {
                return config_error(format!("unable to find target container {target}"));
            };
            config.target = Some(id);
        }
        match self.backend.start_container(uid, &config).await {
            Ok(_) => Done::Ok,
            Err(BackendError::Start { reason, message }) => Done::NotStarted(
                match reason {
                    StartFailure::Start | StartFailure::Run => "RunContainerError",
                    StartFailure::Config => "CreateContainerConfigError",
                    StartFailure::Create => "CreateContainerError",
                },
                message,
            ),
            Err(error) => Done::NotStarted("CreateContainerError", error.to_string()),
        }
    }

    /// The objects that a container's environment refers to.
    async fn environment_sources(&self, pod: &Pod, container: &Container) -> Result<Sources, String> {
        let namespace = pod.namespace().unwrap_or_default();
        let mut sources = Sources { services: self.services.in_namespace(namespace), ..Sources::default() };
        if namespace != "default" {
            sources.services.extend(self.services.get("default", "kubernetes"));
        }
        let from = container.env_from.iter().flatten();
        let values = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
        let maps = from.clone().filter_map(|from| Some(from.config_map_ref.as_ref()?.name.clone()));
        let map_keys = values.clone().filter_map(|value| Some(value.config_map_key_ref.as_ref()?.name.clone()));
        for name in maps.chain(map_keys) {
            let found = self.find(namespace, &name).await?;
            sources.config_maps.insert(name, found);
        }
        let secrets = from.filter_map(|from| Some(from.secret_ref.as_ref()?.name.clone()));
        let secret_keys = values.filter_map(|value| Some(value.secret_key_ref.as_ref()?.name.clone()));
        for name in secrets.chain(secret_keys) {
            let found = self.find(namespace, &name).await?;
            sources.secrets.insert(name, found);
        }
        Ok(sources)
    }

    fn around(&self, context: &Context) -> Around {
        let host_network = context.pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false);
        let own = context.observed.sandbox.as_ref().map(|sandbox| sandbox.ip.clone()).unwrap_or_default();
        Around {
            pod_ip: if host_network { self.facts.internal_ip.clone() } else { own },
            host_ip: self.facts.internal_ip.clone(),
            node_cpu_millis: self.facts.cpu_millis,
            node_memory: self.facts.memory,
            node_storage: self.facts.ephemeral_storage,
        }
    }

    async fn signal(&self, context: &Context, uid: &PodUid, name: &str, signal: i32) -> Done {
        let Some((_, id)) = running(context, name) else { return Done::Ok };
        result(self.backend.signal(uid, &id, signal).await.map_err(|error| error.to_string()))
    }
}

/// Where a test can have the kubelet end, with the action done and nobody told.
fn fail_point_after(action: &Action) -> Option<&'static str> {
    Some(match action {
        Action::SetUpVolume { .. } => "kubelet-volume-set-up",
        Action::CreatePod => "kubelet-pod-created",
        Action::FindImage { .. } => "kubelet-image-found",
        Action::Start { .. } => "kubelet-container-started",
        Action::PostStart { .. } => "kubelet-post-start-done",
        Action::Probe { .. } => "kubelet-probed",
        Action::PreStop { .. } => "kubelet-pre-stop-done",
        Action::Ask { .. } => "kubelet-container-asked",
        Action::StopPod => "kubelet-pod-stopped",
        Action::RemovePod => "kubelet-pod-removed",
        Action::DeleteObject => "kubelet-object-deleted",
        _ => return None,
    })
}

fn result(result: Result<(), String>) -> Done {
    result.map_or_else(Done::Failed, |()| Done::Ok)
}

fn image_of(context: &Context, container: &str) -> String {
    members::find(&context.pod, container).and_then(|member| member.spec.image.clone()).unwrap_or_default()
}

/// A running container, with the id of its run.
fn running<'a>(context: &'a Context, name: &str) -> Option<(members::Member<'a>, ContainerId)> {
    let run = context.observed.container(name).run.as_ref().filter(|run| run.is_running())?;
    Some((members::find(&context.pod, name)?, run.id.clone()))
}
