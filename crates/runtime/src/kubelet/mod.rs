//! The kubelet: keeps the Pods of one node as the API says they should be.
//!
//! Read [`decide`] first: it is the heart, and pure. Around it: [`observed`] is what it looks at, [`status`] what it
//! reports, and the worker (one task a Pod) what carries its actions out. Nothing polls: a worker wakes for a change of
//! its Pod, an event of the backend, the end of something it began, or a time that the decision named.
//!
//! A kubelet may be killed at any moment. The next one starts from what the backend has and what the API server was
//! told; an action that was under way is decided again, and doing it twice does no harm.

mod board;
pub mod configure;
mod containers;
pub mod decide;
pub mod environment;
pub mod fields;
mod node;
pub mod observed;
pub mod resources;
pub mod spec;
pub mod status;
mod tasks;
mod termination;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Service};
use podlab_client::cache::{Cache, Change};
use podlab_client::events::Recorder;
use podlab_client::sleeper::Sleeper;
use podlab_client::{Client, ListOptions};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use crate::backend::{Backend, BackendError, Event, NodeFacts, PodState, PodUid};
use crate::clock::Clock;
use crate::server;
use board::Board;
use worker::{News, Worker};

/// How many messages may wait for a Pod's worker.
const MAILBOX: usize = 64;

/// What a kubelet is started with.
pub struct KubeletConfig {
    /// Where the node's HTTP is answered.
    pub listener: UnixListener,
    /// The text of the node's own `/etc/resolv.conf`.
    pub resolv_conf: String,
}

/// Why a kubelet has ended.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    #[error("the node's HTTP: {0}")]
    Server(#[source] io::Error),
    #[error("the node cannot be asked what runs on it: {0}")]
    Backend(#[from] BackendError),
}

/// What all workers share.
pub(crate) struct Shared<B, C> {
    backend: Arc<B>,
    clock: Arc<C>,
    client: Client,
    recorder: Recorder,
    services: Cache<Service>,
    board: Arc<Board>,
    facts: NodeFacts,
    resolv_conf: String,
}

/// Runs the node until the future is dropped.
///
/// # Errors
/// [`KubeletError`]; whoever started the kubelet starts it again.
pub async fn run<B: Backend, C: Clock>(
    config: KubeletConfig,
    backend: Arc<B>,
    clock: Arc<C>,
    client: Client,
) -> Result<(), KubeletError> {
    let facts = backend.facts();
    let sleeper = sleeper(&clock);
    let now = Arc::clone(&clock);
    let recorder =
        Recorder::spawn(client.clone(), "kubelet", &facts.name, Arc::new(move || now.now()), sleeper.clone());
    let board = Arc::new(Board::new());
    let mine = ListOptions::default().fields(format!("spec.nodeName={}", facts.name));
    let pods: Cache<Pod> = Cache::spawn(client.clone(), None, mine, sleeper.clone());
    let services = Cache::spawn(client.clone(), None, ListOptions::default(), sleeper);
    let shared = Arc::new(Shared {
        backend: Arc::clone(&backend),
        clock: Arc::clone(&clock),
        client: client.clone(),
        recorder,
        services,
        board: Arc::clone(&board),
        facts: facts.clone(),
        resolv_conf: config.resolv_conf,
    });
    tokio::select! {
        served = server::serve(config.listener, backend, Arc::clone(&clock), board) => {
            served.map_err(KubeletError::Server)
        }
        () = node::keep_registered(&client, &clock, &facts) => Ok(()),
        ended = keep_pods(shared, pods) => ended,
    }
}

/// A sleep of the clock, for the parts that do not know the clock's type.
fn sleeper<C: Clock>(clock: &Arc<C>) -> Sleeper {
    let clock = Arc::clone(clock);
    Sleeper::new(move |duration| {
        let clock = Arc::clone(&clock);
        async move { clock.sleep(duration).await }
    })
}

/// Hands news to the workers, one of which there is for each Pod.
async fn keep_pods<B: Backend, C: Clock>(shared: Arc<Shared<B, C>>, pods: Cache<Pod>) -> Result<(), KubeletError> {
    let mut events = shared.backend.events();
    let mut found: BTreeMap<PodUid, PodState> = list(&*shared.backend).await?;
    pods.synced().await;
    // Their values are what a new container's environment is made from.
    shared.services.synced().await;
    let mut changes = pods.changes();
    let mut workers = Workers { shared: Arc::clone(&shared), mailboxes: BTreeMap::new() };
    for change in changes.take() {
        workers.apply(change, &mut found).await;
    }
    // What is left runs here and is wanted by nobody any more.
    for (_, state) in std::mem::take(&mut found) {
        workers.adopt_orphan(state);
    }
    loop {
        tokio::select! {
            changed = changes.next() => {
                for change in changed {
                    workers.apply(change, &mut found).await;
                }
            }
            event = events.recv() => match event {
                Some(event) => workers.tell(event).await,
                None => {
                    events = shared.backend.events();
                    for (uid, state) in list(&*shared.backend).await? {
                        workers.send(&uid, News::Found(state)).await;
                    }
                }
            },
        }
    }
}

async fn list<B: Backend>(backend: &B) -> Result<BTreeMap<PodUid, PodState>, BackendError> {
    Ok(backend.pods().await?.into_iter().map(|state| (state.uid.clone(), state)).collect())
}

struct Workers<B, C> {
    shared: Arc<Shared<B, C>>,
    mailboxes: BTreeMap<PodUid, mpsc::Sender<News>>,
}

impl<B: Backend, C: Clock> Workers<B, C> {
    async fn apply(&mut self, change: Change<Pod>, found: &mut BTreeMap<PodUid, PodState>) {
        let uid = |pod: &Option<Arc<Pod>>| pod.as_ref().and_then(|pod| pod.metadata.uid.clone());
        let (old, new) = (uid(&change.old), uid(&change.new));
        // A Pod that was deleted and made anew under its name is another Pod.
        if let Some(old) = old.filter(|old| Some(old) != new.as_ref()) {
            // Its worker goes on until nothing is left, and hears of it: the mailbox stays.
            self.send(&old, News::Gone).await;
        }
        let (Some(uid), Some(pod)) = (new, change.new) else { return };
        if self.mailboxes.contains_key(&uid) {
            self.send(&uid, News::Changed(pod)).await;
        } else {
            let state = found.remove(&uid);
            self.start(uid, pod, state, false);
        }
    }

    /// Ends what runs here though the API knows nothing of it.
    fn adopt_orphan(&mut self, state: PodState) {
        let mut pod = Pod::default();
        pod.metadata.uid = Some(state.uid.clone());
        pod.metadata.name = Some(state.name.clone());
        pod.metadata.namespace = Some(state.namespace.clone());
        self.start(state.uid.clone(), Arc::new(pod), Some(state), true);
    }

    fn start(&mut self, uid: PodUid, pod: Arc<Pod>, state: Option<PodState>, gone: bool) {
        let (mailbox, news) = mpsc::channel(MAILBOX);
        let worker = Worker::new(Arc::clone(&self.shared), pod, state, gone);
        tokio::spawn(worker.run(news));
        self.mailboxes.insert(uid, mailbox);
    }

    async fn tell(&mut self, event: Event) {
        match event {
            Event::Exited { pod, container, exit } => self.send(&pod, News::Exited(container, exit)).await,
            Event::PodDied { pod } => self.send(&pod, News::Died).await,
        }
    }

    async fn send(&mut self, uid: &PodUid, news: News) {
        if let Some(mailbox) = self.mailboxes.get(uid)
            && mailbox.send(news).await.is_err()
        {
            // The worker has ended: its Pod is gone.
            self.mailboxes.remove(uid);
        }
    }
}
