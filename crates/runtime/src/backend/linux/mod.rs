//! The real node: namespaces, cgroups and processes, by way of the node's init and the Pods' supervisors.
//!
//! This adapter holds nothing that a killed kubelet would miss. What there is, is asked of the supervisors; what there
//! was, is read from the Pods' directories.

mod containers;
mod conversation;
mod disk;
mod events;
mod exec;
mod facts;
mod logs;
mod network;
mod pods;
mod probe;
mod projection;
mod pull;
mod qos;
mod streams;
mod usage;
mod volumes;
mod xray;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use podlab_images::Store;
use podlab_images::registry::Credentials;
use podlab_linux::network::{Balancer, Block, Pool};
use podlab_linux::node::KubeletConfig;
use podlab_linux::paths::PodDirectory;
use podlab_linux::xray::Xray;
use tokio::sync::mpsc;

use crate::clock::Shared;

use super::{
    Backend, BackendError, Collected, ContainerConfig, ContainerId, Event, ExecConfig, Image, ImageError, NamedImage,
    NetworkCheck, NodeFacts, NodeUsage, PodConfig, PodDisk, PodState, PodUid, ProbeOutcome, Qos, Stream, Streams,
    Volume, VolumeSource,
};

/// A node of real Linux. Cheap to clone.
#[derive(Clone)]
pub struct Linux {
    inner: Arc<Inner>,
}

struct Inner {
    config: KubeletConfig,
    /// What supervisors wrote down by the wall clock is told in its time.
    clock: Shared,
    store: Store,
    facts: NodeFacts,
    /// The Burstable Pods and what they request of the processor, in thousandths of a core.
    burstable: Mutex<BTreeMap<PodUid, u64>>,
    /// Where events go: the receiver of the latest call of [`Backend::events`].
    events: Mutex<Option<mpsc::Sender<Event>>>,
    /// Opened when it is needed first.
    balancer: Mutex<Option<Balancer>>,
}

impl Linux {
    /// The node that this process (a kubelet) is on. To be called in the node's namespaces.
    pub fn new(config: KubeletConfig, clock: Shared) -> Result<Self, podlab_images::ImageError> {
        let store = Store::open(&config.images, Path::new("/proc/self/exe"))?;
        let facts = facts::read(&config);
        qos::set_up(&config);
        let (events, burstable) = (Mutex::new(None), Mutex::default());
        Ok(Self {
            inner: Arc::new(Inner { config, clock, store, facts, burstable, events, balancer: Mutex::default() }),
        })
    }

    fn directory(&self, uid: &PodUid) -> PodDirectory {
        PodDirectory::new(&self.inner.config.pods, uid)
    }
}

/// Runs what waits for the disk away from the threads that must not wait.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // It was not cancelled (nobody can), so it panicked: so do we.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Backend for Linux {
    fn facts(&self) -> NodeFacts {
        self.inner.facts.clone()
    }

    async fn pods(&self) -> Result<Vec<PodState>, BackendError> {
        self.list_pods().await
    }

    async fn remains(&self) -> Result<Vec<PodUid>, BackendError> {
        self.list_remains().await
    }

    fn events(&self) -> mpsc::Receiver<Event> {
        self.watch_everything()
    }

    async fn create_pod(&self, pod: &PodConfig) -> Result<PodState, BackendError> {
        let made = self.make_pod(pod).await?;
        if pod.qos == Qos::Burstable {
            self.weigh(&pod.uid, pod.resources.cpu_request_millis);
        }
        Ok(made)
    }

    async fn stop_pod(&self, uid: &PodUid) -> Result<(), BackendError> {
        self.kill_pod(uid).await?;
        self.weigh(uid, None);
        Ok(())
    }

    async fn remove_pod(&self, uid: &PodUid) -> Result<(), BackendError> {
        self.kill_pod(uid).await?;
        let (directory, pod) = (self.directory(uid), uid.clone());
        let removed = async {
            network::unmount_below(&directory).await?;
            on_disk(move || pods::remove_directory(&directory)).await
        };
        removed.await.map_err(|source| BackendError::Io { pod, what: "removing the directory", source })
    }

    async fn set_up_volume(&self, uid: &PodUid, volume: &Volume) -> Result<(), BackendError> {
        let (directory, volume, store) = (self.directory(uid), volume.clone(), self.inner.store.clone());
        if let VolumeSource::Nfs { server, path, read_only } = &volume.source {
            let mounted = network::mount(&network::place(&directory, &volume.name), server, path, *read_only).await;
            mounted.map_err(|message| BackendError::Volume { volume: volume.name.clone(), message })?;
        }
        on_disk(move || volumes::set_up(&directory, &volume, &store)).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, BackendError> {
        let found = self.inner.store.resolve(reference);
        Ok(found.map_err(|error| image_error(reference, &error))?.map(|record| containers::describe_image(&record)))
    }

    async fn images(&self) -> Result<Vec<NamedImage>, BackendError> {
        let store = self.inner.store.clone();
        let records = on_disk(move || store.list()).await.map_err(|error| image_error("", &error))?;
        Ok(records.into_iter().map(containers::name_image).collect())
    }

    async fn pull(&self, reference: &str, credentials: Option<Credentials>) -> Result<Image, BackendError> {
        self.pull_image(reference, credentials).await
    }

    async fn start_container(&self, uid: &PodUid, container: &ContainerConfig) -> Result<ContainerId, BackendError> {
        self.start(uid, container).await
    }

    async fn signal(&self, uid: &PodUid, container: &ContainerId, signal: i32) -> Result<(), BackendError> {
        self.send_signal(uid, container, signal).await
    }

    async fn remove_container(&self, uid: &PodUid, container: &ContainerId) -> Result<(), BackendError> {
        self.forget_container(uid, container).await
    }

    async fn exec_collect(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        command: &[String],
        timeout: Duration,
        limit: usize,
    ) -> Result<Collected, BackendError> {
        self.collect(uid, container, command, timeout, limit).await
    }

    async fn exec(
        &self,
        uid: &PodUid,
        container: &ContainerId,
        exec: ExecConfig,
        streams: Streams,
    ) -> Result<i32, BackendError> {
        self.run_exec(uid, container, exec, streams).await
    }

    async fn attach(&self, uid: &PodUid, container: &ContainerId, streams: Streams) -> Result<(), BackendError> {
        self.run_attach(uid, container, streams).await
    }

    async fn connect(&self, uid: &PodUid, port: u16) -> Result<Box<dyn Stream>, BackendError> {
        self.connect_inside(uid, port).await
    }

    async fn probe(&self, uid: &PodUid, check: &NetworkCheck, timeout: Duration) -> ProbeOutcome {
        match podlab_linux::supervisor::record::PodRecord::read(&self.directory(uid)) {
            Some(record) => probe::attempt(&self.address_of(&record), check, timeout).await,
            None => ProbeOutcome::Failure(format!("pod {uid} is not on this node")),
        }
    }

    async fn xray(&self, uid: &PodUid) -> Result<Xray, BackendError> {
        self.look_at(uid).await
    }

    async fn balance(&self, range: Block, pools: &[Pool]) -> Result<(), BackendError> {
        let refused = |refusal: podlab_linux::Refusal| BackendError::Refused {
            what: "packet rules".to_owned(),
            why: refusal.to_string(),
        };
        let (inner, pools) = (self.inner.clone(), pools.to_vec());
        // One at a time, and the kernel may take a while to replace many.
        on_disk(move || {
            let mut balancer = inner.balancer.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = match balancer.take() {
                Some(balancer) => balancer,
                None => Balancer::open().map_err(refused)?,
            };
            balancer.insert(kept).apply(range, &pools).map_err(refused)
        })
        .await
    }

    async fn memory(&self) -> Result<u64, BackendError> {
        let inner = self.inner.clone();
        Ok(on_disk(move || inner.config.cgroups.cgroup("").usage().memory).await)
    }

    async fn usage(&self) -> Result<NodeUsage, BackendError> {
        let inner = self.inner.clone();
        Ok(on_disk(move || usage::read(&inner.config, &inner.clock)).await)
    }

    async fn disk(&self, uid: &PodUid) -> Result<PodDisk, BackendError> {
        let directory = self.directory(uid);
        Ok(on_disk(move || disk::read(&directory)).await)
    }

    async fn log(&self, uid: &PodUid, container: &str, attempt: u32) -> Result<tokio::fs::File, BackendError> {
        logs::open(uid, container, &self.directory(uid).log(container, attempt)).await
    }

    async fn next_log(
        &self,
        uid: &PodUid,
        container: &str,
        attempt: u32,
        current: &tokio::fs::File,
    ) -> Result<Option<tokio::fs::File>, BackendError> {
        logs::next(uid, container, &self.directory(uid).log(container, attempt), current).await
    }
}

fn image_error(reference: &str, error: &podlab_images::ImageError) -> BackendError {
    BackendError::Image(match error {
        podlab_images::ImageError::Reference(_) => ImageError::InvalidName(reference.to_owned()),
        other => ImageError::Pull(other.to_string()),
    })
}
