//! Makes the volumes of the class `local-path`: a directory on a node's own disk each, taken away when it is released
//! (after github.com/rancher/local-path-provisioner, and sigs.k8s.io/sig-storage-lib-external-provisioner).
//!
//! What has to happen on a node, a *helper* does: a Pod on that node that makes or removes the directory. So nothing is
//! lost when we are killed: the Pod is there or it is not, and has ended or has not. Volumes below `/tmp` that were made by
//! hand are removed in the same way, as the real controller removes them on its own machine.

mod decide;
mod helper;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::cache::{Change, Key};
use podlab_client::events::{EventType, Recorder, reference};
use podlab_client::{Cache, DeleteOptions, Error, Object};
use podlab_runtime::scheduler::persistent::class_of;

use crate::context::Context;
use crate::objects::node_ready;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};
use decide::{Seen, Step, decide};
pub use helper::NAMESPACE;

/// Classes name it.
pub const NAME: &str = "podlab/local-path";
/// What failed is tried again this long after it was begun.
const RETRY: SignedDuration = SignedDuration::from_secs(15);

/// The name of the volume that is made for a claim; everything about it has this key.
fn volume_of(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid())
}

/// Runs the controller.
pub async fn run(context: Context) {
    let queue = WorkQueue::default();
    let provisioner = Provisioner {
        claims: context.cache(),
        volumes: context.cache(),
        classes: context.cache(),
        pods: context.cache(),
        nodes: context.cache(),
        recorder: context.recorder(NAME),
        context: context.clone(),
    };
    let Provisioner { claims, volumes, classes, pods, nodes, .. } = &provisioner;
    tokio::join!(claims.synced(), volumes.synced(), classes.synced(), pods.synced(), nodes.synced());
    tokio::join!(
        feed(claims.clone(), &queue, |change: &Change<PersistentVolumeClaim>| {
            change.old.iter().chain(&change.new).map(|claim| Key::new("", volume_of(claim))).collect()
        }),
        feed(volumes.clone(), &queue, itself),
        feed(pods.clone(), &queue, |change: &Change<Pod>| helper::volume_of(&change.key).into_iter().collect()),
        feed(nodes.clone(), &queue, |change: &Change<Node>| {
            // With a node go the directories on it.
            let gone = change.new.is_none();
            let all = if gone { volumes.all() } else { Vec::new() };
            all.iter().map(|volume| Key::of(volume.as_ref())).collect()
        }),
        work("local volumes", &queue, &context.time, async |key: Key| provisioner.turn(&key.name).await),
    );
}

struct Provisioner {
    context: Context,
    recorder: Recorder,
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
    classes: Cache<StorageClass>,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
}

impl Provisioner {
    fn look(&self, name: &str) -> Seen {
        let claim = self.claims.all().into_iter().find(|claim| volume_of(claim) == name);
        let class = claim.as_ref().and_then(|claim| self.classes.get(None, class_of(claim)));
        let ready = self.nodes.all().into_iter().filter(|node| node_ready(node) == "True");
        Seen {
            volume: self.volumes.get(None, name),
            make: self.pods.get(NAMESPACE, &helper::to_make(name)),
            remove: self.pods.get(NAMESPACE, &helper::to_remove(name)),
            a_node: ready.map(|node| node.name().to_owned()).min(),
            nodes: self.nodes.all().iter().map(|node| node.name().to_owned()).collect(),
            now: self.context.time.now(),
            claim,
            class,
        }
    }

    async fn turn(&self, name: &str) -> Result<Again, Error> {
        let seen = self.look(name);
        match decide(&seen) {
            Step::Rest => {}
            Step::Later => return Ok(Again::After(RETRY.unsigned_abs())),
            Step::Refuse(message) => self.failed(seen.claim.as_deref(), &message),
            Step::Make { node } => {
                let Some(claim) = &seen.claim else { return Ok(Again::No) };
                self.start(helper::make(claim, &node)).await?;
                let message = format!(
                    "External provisioner is provisioning volume for claim \"{}/{}\"",
                    claim.namespace().unwrap_or_default(),
                    claim.name()
                );
                self.recorder.event(&reference(claim.as_ref()), EventType::Normal, "Provisioning", &message);
            }
            Step::Publish { node } => {
                let Some(claim) = &seen.claim else { return Ok(Again::No) };
                let volume = helper::volume(claim, seen.class.as_deref(), &node);
                match self.context.client.create(&volume).await {
                    Ok(new) => self.volumes.insert(new),
                    Err(error) if error.is_already_exists() => {}
                    Err(error) => return Err(error),
                }
                let message = format!("Successfully provisioned volume {name}");
                self.recorder.event(&reference(claim.as_ref()), EventType::Normal, "ProvisioningSucceeded", &message);
                self.end(seen.make.as_ref()).await?;
            }
            Step::Remove { node, path } => self.start(helper::remove(name, node.as_deref(), &path)).await?,
            Step::Forget => {
                if let Some(volume) = &seen.volume {
                    settled(
                        self.context
                            .client
                            .delete::<PersistentVolume>(None, volume.name(), &DeleteOptions::default())
                            .await,
                    )?;
                }
                self.end(seen.remove.as_ref()).await?;
            }
            Step::Clean => {
                self.end(seen.make.as_ref()).await?;
                self.end(seen.remove.as_ref()).await?;
            }
            Step::MakeAgain => {
                self.failed(seen.claim.as_deref(), "the helper Pod failed");
                self.end(seen.make.as_ref()).await?;
            }
            Step::RemoveAgain => {
                if let Some(volume) = &seen.volume {
                    let message = "the helper Pod failed";
                    self.recorder.event(&reference(volume.as_ref()), EventType::Warning, "VolumeFailedDelete", message);
                }
                self.end(seen.remove.as_ref()).await?;
            }
        }
        Ok(Again::No)
    }

    fn failed(&self, claim: Option<&PersistentVolumeClaim>, why: &str) {
        let Some(claim) = claim else { return };
        let message = format!("failed to provision volume with StorageClass \"{}\": {why}", class_of(claim));
        self.recorder.event(&reference(claim), EventType::Warning, "ProvisioningFailed", &message);
    }

    async fn start(&self, helper: Pod) -> Result<(), Error> {
        match self.context.client.create(&helper).await {
            Ok(new) => {
                self.pods.insert(new);
                Ok(())
            }
            other => settled(other),
        }
    }

    /// Deletes a helper that has done what it was for.
    async fn end(&self, helper: Option<&Arc<Pod>>) -> Result<(), Error> {
        let Some(helper) = helper else { return Ok(()) };
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        settled(self.context.client.delete::<Pod>(NAMESPACE, helper.name(), &now).await)?;
        self.pods.remove(&Key::of(helper.as_ref()));
        Ok(())
    }
}
