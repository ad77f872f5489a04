//! A collection of objects, kept up to date: a list, then a watch, over and over.
//!
//! Readers see whole objects behind [`Arc`]s and never wait. What changed is told through [`Changes`], which keeps one
//! entry an object however often it changed: a slow reader costs memory by the number of objects, never by that of
//! events.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use crate::client::Client;
use crate::error::Error;
use crate::params::ListOptions;
use crate::sleeper::{Backoff, Sleeper};
use crate::typed::Object;
use crate::watch::WatchEvent;

/// The first and the longest wait before the server is asked again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Namespace (empty for kinds that have none) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub namespace: String,
    pub name: String,
}

impl Key {
    /// The key of a name in a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Key { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object.
    pub fn of<K: Object>(object: &K) -> Self {
        Key::new(object.namespace().unwrap_or_default(), object.name())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// What became of an object since it was last looked at: `old` as it was then, `new` as it is now.
#[derive(Clone, Debug)]
pub struct Change<K> {
    pub key: Key,
    pub old: Option<Arc<K>>,
    pub new: Option<Arc<K>>,
}

/// The copy. Clones share it.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
    /// Closed with the last clone, which ends the task that fills the copy.
    alive: Option<Arc<oneshot::Sender<()>>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache { shared: self.shared.clone(), alive: self.alive.clone() }
    }
}

struct Shared<K> {
    objects: RwLock<BTreeMap<Key, Arc<K>>>,
    /// Counts the changes; 0 until the first list is in.
    version: watch::Sender<u64>,
    readers: Mutex<Vec<Weak<Reader<K>>>>,
    /// The newest revision that the server has told of.
    watched: AtomicU64,
}

struct Reader<K> {
    pending: Mutex<Pending<K>>,
    wake: Notify,
}

/// Changes in the order in which the objects first changed.
struct Pending<K> {
    order: Vec<Change<K>>,
    index: HashMap<Key, usize>,
}

/// One reader's unread changes. Everything that was there when it began counts as a change.
pub struct Changes<K> {
    reader: Arc<Reader<K>>,
}

impl<K: Object> Cache<K> {
    /// A copy that the returned future fills and keeps up to date for as long as it is polled.
    pub fn new(
        client: Client,
        namespace: Option<String>,
        options: ListOptions,
        sleeper: Sleeper,
    ) -> (Self, impl Future<Output = ()> + Send + use<K>) {
        let cache = Self::detached();
        let shared = cache.shared.clone();
        (cache, async move { reflect(&client, namespace.as_deref(), &options, &sleeper, &shared).await })
    }

    /// A copy that a task of its own keeps up to date; the task ends when the last clone of the cache is dropped.
    #[must_use]
    pub fn spawn(client: Client, namespace: Option<String>, options: ListOptions, sleeper: Sleeper) -> Self {
        let (alive, dropped) = oneshot::channel();
        let (cache, reflect) = Self::new(client, namespace, options, sleeper);
        tokio::spawn(async move {
            tokio::select! {
                () = reflect => {}
                _ = dropped => {}
            }
        });
        Cache { alive: Some(Arc::new(alive)), ..cache }
    }

    /// A copy that nothing fills but [`insert`](Cache::insert) and [`remove`](Cache::remove): for tests and simulations.
    #[must_use]
    pub fn detached() -> Self {
        Cache {
            shared: Arc::new(Shared {
                objects: RwLock::default(),
                version: watch::Sender::new(0),
                readers: Mutex::default(),
                watched: AtomicU64::new(0),
            }),
            alive: None,
        }
    }

    /// Waits until the first list is in.
    pub async fn synced(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.shared.version.subscribe().wait_for(|version| *version > 0).await;
    }

    /// Whether the first list is in.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.shared.version.borrow() > 0
    }

    /// A counter that goes up with each change; wait on it with `changed().await`.
    #[must_use]
    pub fn version(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// An object.
    #[must_use]
    pub fn get<'a>(&self, namespace: impl Into<Option<&'a str>>, name: &str) -> Option<Arc<K>> {
        self.get_key(&Key::new(namespace.into().unwrap_or_default(), name))
    }

    /// An object by its key.
    #[must_use]
    pub fn get_key(&self, key: &Key) -> Option<Arc<K>> {
        self.shared.objects().get(key).cloned()
    }

    /// All objects, by namespace and name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.shared.objects().values().cloned().collect()
    }

    /// The objects of a namespace, by name.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.shared
            .objects()
            .range(Key::new(namespace, "")..)
            .take_while(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.objects().len()
    }

    /// Whether there are no objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Follows the changes from now on; what is there already is told first.
    #[must_use]
    pub fn changes(&self) -> Changes<K> {
        let objects = self.shared.objects();
        let mut pending = Pending { order: Vec::new(), index: HashMap::new() };
        for (key, object) in objects.iter() {
            pending.add(Change { key: key.clone(), old: None, new: Some(object.clone()) });
        }
        let reader = Arc::new(Reader { pending: Mutex::new(pending), wake: Notify::new() });
        // Still under the lock of the objects: no change can fall between the two.
        lock(&self.shared.readers).push(Arc::downgrade(&reader));
        drop(objects);
        reader.wake.notify_one();
        Changes { reader }
    }

    /// Puts an object in that the server answered with, so that a writer sees its own writes at once. What the watch
    /// has already gone past is left out: if such an object is not there, it was deleted meanwhile.
    pub fn insert(&self, object: K) {
        let passed = number(object.metadata().resource_version.as_deref())
            .is_some_and(|revision| revision <= self.shared.watched.load(Ordering::Acquire));
        if !passed {
            self.shared.apply(WatchEvent::Modified(object));
        }
    }

    /// Takes an object out.
    pub fn remove(&self, key: &Key) {
        self.shared.set(key.clone(), None);
    }

    /// Replaces all objects.
    pub fn reset(&self, objects: Vec<K>) {
        self.shared.reset(objects);
    }
}

impl<K> fmt::Debug for Cache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("objects", &self.shared.objects().len()).finish()
    }
}

impl<K> Changes<K> {
    /// The unread changes; waits until there is one.
    pub async fn next(&mut self) -> Vec<Change<K>> {
        loop {
            let changes = self.take();
            if !changes.is_empty() {
                return changes;
            }
            self.reader.wake.notified().await;
        }
    }

    /// The unread changes, possibly none.
    pub fn take(&mut self) -> Vec<Change<K>> {
        let mut pending = lock(&self.reader.pending);
        pending.index.clear();
        std::mem::take(&mut pending.order)
    }
}

impl<K> Pending<K> {
    fn add(&mut self, change: Change<K>) {
        match self.index.get(&change.key) {
            Some(&at) => self.order[at].new = change.new,
            None => {
                self.index.insert(change.key.clone(), self.order.len());
                self.order.push(change);
            }
        }
    }
}

impl<K> Shared<K> {
    fn objects(&self) -> RwLockReadGuard<'_, BTreeMap<Key, Arc<K>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn passed(&self, revision: Option<&str>) {
        self.watched.fetch_max(number(revision).unwrap_or_default(), Ordering::AcqRel);
    }

    fn tell(&self, change: &Change<K>) {
        lock(&self.readers).retain(|reader| {
            let Some(reader) = reader.upgrade() else { return false };
            lock(&reader.pending).add(Change {
                key: change.key.clone(),
                old: change.old.clone(),
                new: change.new.clone(),
            });
            reader.wake.notify_one();
            true
        });
    }
}

impl<K: Object> Shared<K> {
    fn apply(&self, event: WatchEvent<K>) {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let key = Key::of(&object);
                let stale = self.objects().get(&key).is_some_and(|known| is_older(&object, known));
                if !stale {
                    self.set(key, Some(Arc::new(object)));
                }
            }
            WatchEvent::Deleted(object) => self.set(Key::of(&object), None),
            WatchEvent::Bookmark { .. } => {}
        }
    }

    fn set(&self, key: Key, new: Option<Arc<K>>) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let old = match &new {
            Some(object) => objects.insert(key.clone(), object.clone()),
            None => objects.remove(&key),
        };
        if old.is_none() && new.is_none() {
            return;
        }
        // Told under the lock, so that readers hear of changes in their order.
        self.tell(&Change { key, old, new });
        drop(objects);
        self.version.send_modify(|version| *version += 1);
    }

    /// Makes the copy equal to a list; what is unchanged is not told.
    fn reset(&self, list: Vec<K>) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let mut fresh: BTreeMap<Key, Arc<K>> =
            list.into_iter().map(|object| (Key::of(&object), Arc::new(object))).collect();
        for (key, old) in objects.iter() {
            if !fresh.contains_key(key) {
                self.tell(&Change { key: key.clone(), old: Some(old.clone()), new: None });
            }
        }
        for (key, new) in &mut fresh {
            match objects.get(key) {
                Some(old) if same_revision(old.as_ref(), new) => *new = old.clone(),
                old => self.tell(&Change { key: key.clone(), old: old.cloned(), new: Some(new.clone()) }),
            }
        }
        *objects = fresh;
        drop(objects);
        self.version.send_modify(|version| *version += 1);
    }
}

/// List, watch, and again.
async fn reflect<K: Object>(
    client: &Client,
    namespace: Option<&str>,
    options: &ListOptions,
    sleeper: &Sleeper,
    shared: &Shared<K>,
) {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let mut revision: Option<String> = None;
    loop {
        let before = revision.clone();
        let result = turn(client, namespace, options, shared, &mut revision, &mut backoff).await;
        let advanced = revision != before;
        match result {
            Ok(()) if advanced => continue,
            Err(error) if error.is_gone() => {
                revision = None;
                // A gap is closed at once, unless it comes again right after the list that closed the last.
                if before.is_some() {
                    continue;
                }
            }
            // Also a watch that brought nothing: a server that is stopping closes every one at once, and in the same
            // process nothing else would ever make us wait.
            Ok(()) => {}
            Err(error) => tracing::debug!(kind = K::KIND, %error, "watching failed, trying again"),
        }
        sleeper.sleep(backoff.step()).await;
    }
}

/// One watch, after a list when there is no revision to go on from. `Ok` when the server closed it in peace.
async fn turn<K: Object>(
    client: &Client,
    namespace: Option<&str>,
    options: &ListOptions,
    shared: &Shared<K>,
    revision: &mut Option<String>,
    backoff: &mut Backoff,
) -> Result<(), Error> {
    let from = match revision.clone() {
        Some(known) => known,
        None => {
            let list = client.list::<K>(namespace, options).await?;
            let revision = list.metadata.resource_version.unwrap_or_default();
            shared.passed(Some(&revision));
            shared.reset(list.items);
            revision
        }
    };
    *revision = Some(from.clone());
    let mut options = options.clone();
    options.resource_version = Some(from);
    let mut watch = client.watch::<K>(namespace, &options).await?;
    while let Some(event) = watch.next().await? {
        backoff.reset();
        match &event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
                revision.clone_from(&object.metadata().resource_version);
            }
            WatchEvent::Bookmark { resource_version } => *revision = Some(resource_version.clone()),
        }
        shared.passed(revision.as_deref());
        shared.apply(event);
    }
    Ok(())
}

fn same_revision<K: Object>(one: &K, other: &K) -> bool {
    one.metadata().resource_version.is_some()
        && one.metadata().resource_version == other.metadata().resource_version
        && one.uid() == other.uid()
}

/// Revisions count up: they are those of the store.
fn number(revision: Option<&str>) -> Option<u64> {
    revision?.parse().ok()
}

fn is_older<K: Object>(one: &K, other: &K) -> bool {
    let revision = |object: &K| number(object.metadata().resource_version.as_deref());
    matches!((revision(one), revision(other)), (Some(one), Some(other)) if one < other)
}

/// The data behind a lock are whole even if a thread panicked with it: each holder changes them in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
