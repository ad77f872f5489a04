//! Events: what a part tells the people who look at an object.
//!
//! There are two ways of counting repeats, and a real cluster uses both. Kubelet and controllers use core/v1's: one
//! object with a `count` and a `lastTimestamp` ([`Recorder::new`]). The scheduler uses that of events.k8s.io: a
//! `series` beside the first occurrence ([`Recorder::new_series`]). `kubectl describe` prints either as
//! `33s (x2 over 35s)`.
//!
//! Recording never waits. Events go through a bounded queue; what does not fit is lost, as in the real recorder
//! (k8s.io/client-go/tools/record/event.go).

mod counted;
mod series;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::Error;
use crate::params::Patch;
use crate::sleeper::{Backoff, Sleeper};
use crate::typed::Object;

/// How many events may wait to be written.
const MAX_QUEUE: usize = 1000;
/// How often writing one event is tried.
const MAX_TRIES: u32 = 12;

/// The time that is stamped into events.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Whether an event is part of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    /// The value of the event's `type` field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    pub object: ObjectReference,
    /// A second object that plays a part.
    pub related: Option<ObjectReference>,
    pub event_type: EventType,
    /// One CamelCase word: `Scheduled`.
    pub reason: String,
    /// What was being done: `Binding`. Only the series style keeps it.
    pub action: String,
    pub message: String,
}

/// What is to be sent to the server for an occurrence.
#[derive(Clone, Debug)]
enum Write {
    Create(Box<Event>),
    /// The event is there already: its count goes up. Should it be gone, it is created anew.
    Update {
        patch: serde_json::Value,
        event: Box<Event>,
    },
}

/// Decides what an occurrence adds to those before it.
trait Correlate: Send {
    fn observe(&mut self, occurrence: Occurrence, stamp: Stamp) -> Option<Write>;
}

/// When an event happened; the nanoseconds differ from those of every event before, as they become its name.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    time: Timestamp,
    nanoseconds: i128,
}

/// Writes events in the name of one part. Clones share its memory of what was already said.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Mutex<State>>,
    queue: mpsc::Sender<Write>,
    now: Now,
}

struct State {
    correlate: Box<dyn Correlate>,
    last_nanoseconds: i128,
}

impl Recorder {
    /// A recorder that counts repeats, and the future that writes its events for as long as it is polled.
    ///
    /// `component` and `host` are the event's source: `kubelet` on `node1`, or a controller and nothing.
    pub fn new(
        client: Client,
        component: &str,
        host: &str,
        now: Now,
        sleeper: Sleeper,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let source = EventSource {
            component: Some(component.to_owned()),
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
        };
        Self::with(Box::new(counted::Counted::new(source)), client, now, sleeper)
    }

    /// The same, with repeats as a series; `instance` is the part's name and host: `default-scheduler-vm`.
    pub fn new_series(
        client: Client,
        component: &str,
        instance: &str,
        now: Now,
        sleeper: Sleeper,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        Self::with(Box::new(series::Series::new(component, instance)), client, now, sleeper)
    }

    /// A counting recorder whose events a task of its own writes.
    #[must_use]
    pub fn spawn(client: Client, component: &str, host: &str, now: Now, sleeper: Sleeper) -> Self {
        let (recorder, write) = Self::new(client, component, host, now, sleeper);
        tokio::spawn(write);
        recorder
    }

    fn with(
        correlate: Box<dyn Correlate>,
        client: Client,
        now: Now,
        sleeper: Sleeper,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, mut waiting) = mpsc::channel(MAX_QUEUE);
        let shared = Arc::new(Mutex::new(State { correlate, last_nanoseconds: 0 }));
        let write_all = async move {
            while let Some(write) = waiting.recv().await {
                if let Err(error) = send(&client, write, &sleeper).await {
                    tracing::debug!(%error, "an event was not written");
                }
            }
        };
        (Recorder { shared, queue, now }, write_all)
    }

    /// Records that something happened to `object`.
    pub fn event(&self, object: &ObjectReference, event_type: EventType, reason: &str, message: &str) {
        self.record(Occurrence {
            object: object.clone(),
            related: None,
            event_type,
            reason: reason.to_owned(),
            action: String::new(),
            message: message.to_owned(),
        });
    }

    /// Records an occurrence with all it may carry.
    pub fn record(&self, occurrence: Occurrence) {
        self.record_of((self.now)(), occurrence);
    }

    /// The time that is stamped into an event now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Records what happened at `time`, which was only seen to have happened later.
    pub fn record_of(&self, time: Timestamp, occurrence: Occurrence) {
        let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let nanoseconds = time.as_nanosecond().max(state.last_nanoseconds + 1);
        state.last_nanoseconds = nanoseconds;
        let write = state.correlate.observe(occurrence, Stamp { time, nanoseconds });
        drop(state);
        if let Some(write) = write
            && self.queue.try_send(write).is_err()
        {
            tracing::warn!("more than {MAX_QUEUE} events wait to be written; one is lost");
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

/// The reference to an object that its events carry.
#[must_use]
pub fn reference<K: Object>(object: &K) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

/// The metadata of a new event: it lies in the object's namespace, or in `default` for objects that have none.
fn metadata(object: &ObjectReference, stamp: Stamp) -> ObjectMeta {
    let namespace = object.namespace.clone().filter(|namespace| !namespace.is_empty());
    ObjectMeta {
        name: Some(format!("{}.{:x}", object.name.as_deref().unwrap_or_default(), stamp.nanoseconds)),
        namespace: Some(namespace.unwrap_or_else(|| "default".to_owned())),
        ..ObjectMeta::default()
    }
}

async fn send(client: &Client, write: Write, sleeper: &Sleeper) -> Result<(), Error> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    let mut tries = 1;
    loop {
        match try_send(client, &write).await {
            Err(error) if error.is_retryable() && tries < MAX_TRIES => {
                tries += 1;
                sleeper.sleep(backoff.step()).await;
            }
            other => return other,
        }
    }
}

async fn try_send(client: &Client, write: &Write) -> Result<(), Error> {
    let event = match write {
        Write::Create(event) => event,
        Write::Update { patch, event } => {
            let patch = Patch::Strategic(patch.clone());
            match client.patch::<Event>(event.namespace(), event.name(), &patch, None).await {
                Err(error) if error.is_not_found() => event,
                other => return other.map(drop),
            }
        }
    };
    match client.create(event.as_ref()).await {
        // A try whose answer was lost did arrive.
        Err(error) if error.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}
