//! What all controllers share: the client, the time, and the copies of the collections they look at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use podlab_client::Object;
use podlab_client::events::Recorder;
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, ListOptions};
use podlab_runtime::clock::Clock;

/// The cluster's time, without the type of its clock.
///
/// What is decided waits by it. What waits for another process (a watch that broke, a write that failed) waits by the wall:
/// a clock that stands must not keep the parts of a cluster from each other.
#[derive(Clone)]
pub struct Time {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    sleeper: Sleeper,
}

impl Time {
    /// The time of a clock.
    pub fn of<C: Clock>(clock: Arc<C>) -> Self {
        let (now, elapsed) = (clock.clone(), clock.clone());
        Time {
            now: Arc::new(move || now.now()),
            elapsed: Arc::new(move || elapsed.elapsed()),
            sleeper: Sleeper::new(move |duration| {
                let clock = clock.clone();
                async move { clock.sleep_until(clock.elapsed() + duration).await }
            }),
        }
    }

    /// The time for stamps.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The time for waits; it never goes back.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        (self.elapsed)()
    }

    /// Resolves at `deadline`, or never without one.
    pub async fn sleep_until(&self, deadline: Option<Duration>) {
        match deadline {
            Some(deadline) => self.sleeper.sleep(deadline.saturating_sub(self.elapsed())).await,
            None => std::future::pending().await,
        }
    }

    /// How recorders tell the time.
    #[must_use]
    pub fn stamps(&self) -> podlab_client::events::Now {
        self.now.clone()
    }
}

/// Shared by all controllers. Clones are cheap and the same.
#[derive(Clone)]
pub struct Context {
    pub client: Client,
    pub time: Time,
    caches: Arc<Mutex<Vec<Box<dyn std::any::Any + Send>>>>,
}

impl Context {
    /// A context without any copies yet.
    #[must_use]
    pub fn new(client: Client, time: Time) -> Self {
        Context { client, time, caches: Arc::default() }
    }

    /// The copy of a collection over all namespaces. It is made when it is first asked for, and then shared: however
    /// many controllers look at Pods, there is one watch.
    #[must_use]
    pub fn cache<K: Object>(&self) -> Cache<K> {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = caches.iter().find_map(|cache| cache.downcast_ref::<Cache<K>>()) {
            return cache.clone();
        }
        let cache = Cache::spawn(self.client.clone(), None, ListOptions::default(), Sleeper::wall());
        caches.push(Box::new(cache.clone()));
        cache
    }

    /// A recorder of events in the name of a controller.
    #[must_use]
    pub fn recorder(&self, component: &str) -> Recorder {
        Recorder::spawn(self.client.clone(), component, "", self.time.stamps(), Sleeper::wall())
    }
}
