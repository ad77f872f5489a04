//! An API server in memory, the control loops on it, and a clock that stands still until it is told to go on.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use podlab_apiserver::{Identity, Pki, Server, ServerConfig, Storage, UnixNodes};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions, Object};
use podlab_controllers::Config;
use podlab_runtime::clock::Clock;
use serde_json::Value;
use tokio::sync::watch;

/// A test that has not seen what it waits for by then has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that only [`Stepped::advance`] moves.
pub(crate) struct Stepped {
    elapsed: watch::Sender<Duration>,
}

impl Stepped {
    pub(crate) fn advance(&self, by: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += by);
    }
}

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-20T10:00:00Z".parse().expect("a time");
        start + SignedDuration::try_from(self.elapsed()).expect("a short time")
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + Send {
        let mut receiver = self.elapsed.subscribe();
        async move {
            // The sender lives as long as the clock, which outlives its sleepers.
            let _ = receiver.wait_for(|elapsed| *elapsed >= deadline).await;
        }
    }
}

/// A cluster without nodes.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) clock: Arc<Stepped>,
    pub(crate) server: Server,
    loops: tokio::task::JoinHandle<()>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let clock = Arc::new(Stepped { elapsed: watch::Sender::new(Duration::ZERO) });
        let stamps = clock.clone();
        let server = Server::start(ServerConfig {
            storage: Storage::Memory,
            pki: Pki::ephemeral().expect("credentials"),
            now: Arc::new(move || stamps.now()),
            nodes: Arc::new(UnixNodes { nodes: "/nonexistent".into() }),
        })
        .await
        .expect("a server");
        let client = Client::from_service(server.service(Identity::admin()));
        let loops = start_loops(&server, clock.clone());
        Cluster { client, clock, server, loops }
    }

    /// Kills the control loops where they stand, and starts them again.
    #[allow(dead_code, reason = "not every test does")]
    pub(crate) fn restart_loops(&mut self) {
        self.loops.abort();
        self.loops = start_loops(&self.server, self.clock.clone());
    }

    /// A copy of a collection, to wait on.
    pub(crate) fn watch<K: Object>(&self) -> Cache<K> {
        Cache::spawn(self.client.clone(), None, ListOptions::default(), Sleeper::wall())
    }

    pub(crate) async fn create<K: Object>(&self, object: Value) -> K {
        let object: K = serde_json::from_value(object).expect("an object of its kind");
        self.client.create(&object).await.expect("created")
    }

    /// The message of the event about `object` with this reason; waits for it.
    pub(crate) async fn event(&self, object: &str, reason: &str) -> Event {
        let about = |event: &Event| {
            event.involved_object.name.as_deref() == Some(object) && event.reason.as_deref() == Some(reason)
        };
        until(&self.watch::<Event>(), |events| events.iter().find(|event| about(event)).map(|event| (**event).clone()))
            .await
    }

    /// A node that is Ready.
    pub(crate) async fn node(&self, name: &str, cpu: &str) {
        let node = serde_json::json!({
            "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
            "status": {
                "capacity": { "cpu": cpu, "memory": "8Gi", "pods": "110" },
                "allocatable": { "cpu": cpu, "memory": "8Gi", "pods": "110" },
                "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady",
                    "lastHeartbeatTime": "2026-11-20T10:00:00Z", "lastTransitionTime": "2026-11-20T10:00:00Z" }],
            },
        });
        self.create::<k8s_openapi::api::core::v1::Node>(node).await;
    }

    /// Waits until Pods can be created: until then there is no service account for them.
    pub(crate) async fn usable(&self) {
        let accounts = self.watch::<k8s_openapi::api::core::v1::ServiceAccount>();
        until(&accounts, |all| all.iter().any(|account| account.namespace() == Some("default")).then_some(())).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.loops.abort();
    }
}

fn start_loops(server: &Server, clock: Arc<Stepped>) -> tokio::task::JoinHandle<()> {
    let config = Config {
        scheduler: Client::from_service(server.service(Identity::scheduler())),
        controllers: Client::from_service(server.service(Identity::controller_manager())),
        host: "vm".to_owned(),
        ca_certificate: "PEM".to_owned(),
    };
    tokio::spawn(podlab_controllers::run(config, clock))
}

/// Waits until `find` finds something among the objects.
pub(crate) async fn until<K: Object, T>(cache: &Cache<K>, find: impl Fn(&[Arc<K>]) -> Option<T>) -> T {
    let mut version = cache.version();
    let wait = async {
        loop {
            version.mark_unchanged();
            if let Some(found) = find(&cache.all()) {
                return found;
            }
            version.changed().await.expect("the cache lives");
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(found) => found,
        Err(_) => {
            let all: Vec<String> =
                cache.all().iter().map(|one| serde_json::to_string(one.as_ref()).expect("JSON")).collect();
            panic!("not seen in {PATIENCE:?}; there is:\n{}", all.join("\n"))
        }
    }
}
