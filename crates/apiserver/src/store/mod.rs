//! Where objects live: compact JSON in memory, the same bytes in a file, and a window of recent changes for watches.
//!
//! One writer decides every write, one after another, so each has its own *revision*: the number that clients see as
//! `resourceVersion`. Writes that wait while a commit is under way go into the next commit together (group commit). A
//! write becomes visible, to readers and to watches, only when it is durable; nobody ever sees what a crash could undo.
//!
//! Watches have no queues. A watch is a position in the window of changes ([`Watch`]); whoever is slower than the window
//! is told that its position is gone and lists again, so a reader that never reads costs nothing.

mod file;
mod history;
mod key;
mod object;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{mpsc, oneshot};

use history::History;
pub use history::{Change, ChangeKind, Watch, WindowLost};
pub use key::{GroupResource, Key, ObjectName};
pub use object::{Draft, Object};
use writer::{Operation, Write, Writer};

/// Writes that may wait for the writer; more of them wait outside, in their own tasks.
const QUEUE: usize = 1024;

/// The revision of an empty store; the first write gets the next one, as with etcd.
const FIRST_REVISION: u64 = 1;

/// Bytes of one object at most: etcd's default for a request. Patches could otherwise make an object grow without end.
pub(crate) const LARGEST_OBJECT: usize = 3 * 512 * 1024;

/// Why a write was refused or did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("the object exists already")]
    Exists,
    #[error("there is no such object")]
    NotFound,
    /// Somebody else wrote in between; carries the revision that is there now.
    #[error("the object has changed: it is at revision {current}")]
    Conflict { current: u64 },
    #[error("the object is too large: limit is {LARGEST_OBJECT}")]
    TooLarge,
    /// The file could not be written (a full disk, say). Nothing has changed.
    #[error("the store cannot be written: {0}")]
    Unwritable(String),
    #[error("the store is closed")]
    Closed,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the store {path}: {source}")]
    Open { path: String, source: redb::Error },
    #[error("cannot start the store's writer: {0}")]
    Thread(std::io::Error),
}

/// The store. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    visible: Arc<RwLock<Visible>>,
    path: WritePath,
}

/// How writes reach the writer.
#[derive(Clone)]
enum WritePath {
    /// In memory there is nothing to wait for: the caller's own thread does it.
    Direct(Arc<Mutex<Writer>>),
    /// A thread of its own, because a commit blocks.
    Thread(mpsc::Sender<Write>, Arc<Mutex<Option<std::thread::JoinHandle<()>>>>),
}

/// What readers see: all that is durable.
pub(crate) struct Visible {
    revision: u64,
    kinds: HashMap<GroupResource, Kind>,
}

/// The objects of one resource and their recent changes.
struct Kind {
    objects: BTreeMap<ObjectName, Arc<Object>>,
    history: History,
}

/// Objects of one resource, as they were at one revision.
pub struct Snapshot {
    pub revision: u64,
    pub objects: Vec<Arc<Object>>,
    /// How many objects lie behind the last one (only with a limit).
    pub remaining: usize,
}

/// Which part of a resource to list.
#[derive(Clone, Debug, Default)]
pub struct Range<'a> {
    /// None: all namespaces (and what has none).
    pub namespace: Option<&'a str>,
    /// Begin behind this object.
    pub after: Option<ObjectName>,
    /// Take at most this many; 0 takes all.
    pub limit: usize,
}

impl Store {
    /// An empty store in memory, for the given resources.
    pub fn in_memory(resources: &[GroupResource]) -> Self {
        let visible = Arc::new(RwLock::new(Visible::empty(resources)));
        let writer = Writer::new(visible.clone(), None);
        Self { visible, path: WritePath::Direct(Arc::new(Mutex::new(writer))) }
    }

    /// The store in `path`, made when missing. What it holds of other resources stays in it, unseen.
    ///
    /// # Errors
    /// When the file is not a store, is in use by another process, or cannot be made.
    pub fn open(path: &Path, resources: &[GroupResource]) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.display().to_string(), source };
        let mut visible = Visible::empty(resources);
        let file = file::File::open(path).map_err(failed)?;
        visible.revision =
            file.load(|resource, name, object| visible.restore(resource, name, object)).map_err(failed)?;
        visible.forget_history();
        let visible = Arc::new(RwLock::new(visible));
        let writer = Writer::new(visible.clone(), Some(file));
        let (sender, receiver) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(receiver))
            .map_err(OpenError::Thread)?;
        Ok(Self { visible, path: WritePath::Thread(sender, Arc::new(Mutex::new(Some(thread)))) })
    }

    /// The revision of the last write.
    pub fn revision(&self) -> u64 {
        self.read().revision
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.read().get(key).cloned()
    }

    /// A consistent view of a range; objects are shared, not copied.
    pub fn list(&self, resource: GroupResource, range: &Range<'_>) -> Snapshot {
        let visible = self.read();
        let Some(kind) = visible.kinds.get(&resource) else {
            return Snapshot { revision: visible.revision, objects: Vec::new(), remaining: 0 };
        };
        let start = match (&range.after, range.namespace) {
            (Some(after), _) => Bound::Excluded(after.clone()),
            (None, Some(namespace)) => Bound::Included(ObjectName::new(namespace, "")),
            (None, None) => Bound::Unbounded,
        };
        let inside = |name: &ObjectName| range.namespace.is_none_or(|namespace| name.namespace() == namespace);
        let mut rest = kind.objects.range((start, Bound::Unbounded)).take_while(|(name, _)| inside(name));
        let taken = if range.limit == 0 { usize::MAX } else { range.limit };
        let objects = rest.by_ref().take(taken).map(|(_, object)| object.clone()).collect();
        Snapshot { revision: visible.revision, objects, remaining: rest.count() }
    }

    /// How many objects of a resource there are.
    pub fn count(&self, resource: GroupResource) -> usize {
        self.read().kinds.get(&resource).map_or(0, |kind| kind.objects.len())
    }

    /// The changes of a resource after `revision`.
    ///
    /// # Errors
    /// When changes after `revision` have left the window already.
    pub fn watch(&self, resource: GroupResource, revision: u64) -> Result<Watch, WindowLost> {
        let visible = self.read();
        let changed = visible.kinds.get(&resource).map(|kind| kind.history.subscribe());
        if let Some(kind) = visible.kinds.get(&resource) {
            kind.history.check(revision)?;
        }
        Ok(Watch::new(self.visible.clone(), resource, revision, changed))
    }

    /// Adds an object.
    ///
    /// # Errors
    /// [`WriteError::Exists`], or when nothing can be written.
    pub async fn create(&self, key: Key, draft: Draft) -> Result<Arc<Object>, WriteError> {
        self.write(Operation::Create { key, draft }).await
    }

    /// Replaces an object that is still at revision `expected`.
    ///
    /// # Errors
    /// [`WriteError::NotFound`], [`WriteError::Conflict`], or when nothing can be written.
    pub async fn update(&self, key: Key, expected: u64, draft: Draft) -> Result<Arc<Object>, WriteError> {
        self.write(Operation::Update { key, expected, draft }).await
    }

    /// Removes an object that is still at revision `expected`; returns it with the revision of its removal.
    ///
    /// # Errors
    /// [`WriteError::NotFound`], [`WriteError::Conflict`], or when nothing can be written.
    pub async fn delete(&self, key: Key, expected: u64) -> Result<Arc<Object>, WriteError> {
        self.write(Operation::Delete { key, expected, draft: None }).await
    }

    /// Like [`Store::delete`]; the object is told as `draft` has it, one last time.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub async fn delete_as(&self, key: Key, expected: u64, draft: Draft) -> Result<Arc<Object>, WriteError> {
        self.write(Operation::Delete { key, expected, draft: Some(draft) }).await
    }

    /// Waits for what was queued, then ends the writer. Later writes fail with [`WriteError::Closed`].
    pub async fn close(&self) {
        if let WritePath::Thread(sender, thread) = &self.path {
            let (reply, done) = oneshot::channel();
            if sender.send(Write::Close(reply)).await.is_ok() {
                let _ = done.await;
            }
            let handle = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(handle) = handle {
                // The writer has answered: it is returning.
                let _ = handle.join();
            }
        }
    }

    async fn write(&self, operation: Operation) -> Result<Arc<Object>, WriteError> {
        if operation.draft().is_some_and(|draft| draft.bytes() > LARGEST_OBJECT) {
            return Err(WriteError::TooLarge);
        }
        match &self.path {
            WritePath::Direct(writer) => writer.lock().unwrap_or_else(PoisonError::into_inner).write_one(operation),
            WritePath::Thread(sender, _) => {
                let (reply, answer) = oneshot::channel();
                sender.send(Write::Operation(operation, reply)).await.map_err(|_| WriteError::Closed)?;
                answer.await.map_err(|_| WriteError::Closed)?
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Visible> {
        self.visible.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visible {
    fn empty(resources: &[GroupResource]) -> Self {
        let kinds = resources.iter().map(|resource| (*resource, Kind::empty(FIRST_REVISION))).collect();
        Self { revision: FIRST_REVISION, kinds }
    }

    fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.kinds.get(&key.resource)?.objects.get(&key.name)
    }

    /// Puts back what the file holds; false when the resource is not one of ours.
    fn restore(&mut self, resource: (&str, &str), name: ObjectName, object: Object) {
        let known = self.kinds.iter_mut().find(|(known, _)| (known.group, known.resource) == resource);
        if let Some((_, kind)) = known {
            kind.objects.insert(name, Arc::new(object));
        }
    }

    /// The window begins at the present: what happened before is not known any more.
    fn forget_history(&mut self) {
        for kind in self.kinds.values_mut() {
            kind.history = History::starting_at(self.revision);
        }
    }

    /// Makes durable changes visible, then wakes the watches.
    fn apply(&mut self, changes: Vec<(Key, Change)>) {
        for (key, change) in changes {
            self.revision = change.revision;
            let Some(kind) = self.kinds.get_mut(&key.resource) else { continue };
            match change.kind {
                ChangeKind::Deleted => kind.objects.remove(&key.name),
                _ => kind.objects.insert(key.name, change.object.clone()),
            };
            kind.history.push(change);
        }
    }
}

impl Kind {
    fn empty(revision: u64) -> Self {
        Self { objects: BTreeMap::new(), history: History::starting_at(revision) }
    }
}

#[cfg(test)]
mod tests;
