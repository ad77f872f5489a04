//! The window of recent changes of one resource, and the positions in it that watches are.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::{GroupResource, Object, Visible};

/// Changes kept of one resource.
const CHANGES: usize = 4096;
/// Bytes of JSON that those changes may hold on to.
const BYTES: usize = 8 << 20;
/// Changes that a watch takes at a time: it never holds the lock for long.
const BATCH: usize = 256;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: u64,
    pub kind: ChangeKind,
    /// The namespace of the object, for watches of one namespace.
    pub namespace: Box<str>,
    /// As it is now; for a deletion, as it was last, at the revision of the deletion.
    pub object: Arc<Object>,
    /// As it was before: it tells whether a watch with a selector had seen it.
    pub previous: Option<Arc<Object>>,
}

/// The position of a watch is older than the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLost {
    pub requested: u64,
    /// The oldest revision that could be asked for.
    pub oldest: u64,
}

pub(super) struct History {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// Every change after this revision is in `changes`.
    complete_after: u64,
    /// Says that there is something new; the value is the revision of the last change.
    changed: watch::Sender<u64>,
}

impl History {
    pub(super) fn starting_at(revision: u64) -> Self {
        Self { changes: VecDeque::new(), bytes: 0, complete_after: revision, changed: watch::Sender::new(revision) }
    }

    pub(super) fn push(&mut self, change: Change) {
        let revision = change.revision;
        self.bytes += size(&change);
        self.changes.push_back(Arc::new(change));
        while self.changes.len() > CHANGES || self.bytes > BYTES {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= size(&oldest);
            self.complete_after = oldest.revision;
        }
        self.changed.send_replace(revision);
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn check(&self, revision: u64) -> Result<(), WindowLost> {
        if revision < self.complete_after {
            return Err(WindowLost { requested: revision, oldest: self.complete_after });
        }
        Ok(())
    }

    fn after(&self, revision: u64) -> Result<Vec<Arc<Change>>, WindowLost> {
        self.check(revision)?;
        let start = self.changes.partition_point(|change| change.revision <= revision);
        Ok(self.changes.range(start..).take(BATCH).cloned().collect())
    }
}

/// What a change keeps in memory beyond the objects that live anyway.
fn size(change: &Change) -> usize {
    change.object.json().len() + 64
}

/// A position among the changes of one resource.
pub struct Watch {
    visible: Arc<RwLock<Visible>>,
    resource: GroupResource,
    position: u64,
    /// None for a resource that the store does not hold: it never changes.
    changed: Option<watch::Receiver<u64>>,
}

impl Watch {
    pub(super) fn new(
        visible: Arc<RwLock<Visible>>,
        resource: GroupResource,
        position: u64,
        changed: Option<watch::Receiver<u64>>,
    ) -> Self {
        Self { visible, resource, position, changed }
    }

    /// The next changes, at least one. Waits for them; dropping the future loses nothing.
    ///
    /// # Errors
    /// When the window has moved past this position: the watcher was too slow and has to list again.
    pub async fn next(&mut self) -> Result<Vec<Arc<Change>>, WindowLost> {
        loop {
            // Seen before looking, so that a change in between wakes us at once.
            if let Some(changed) = &mut self.changed {
                changed.borrow_and_update();
            }
            let changes = self.take()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            let waited = match &mut self.changed {
                Some(changed) => changed.changed().await.is_ok(),
                None => false,
            };
            if !waited {
                // The store is gone, or never had this resource.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The revision up to which everything has been told. With nothing pending, this is the store's own.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Moves to the present when there is nothing to tell; the revision is what a bookmark carries.
    pub fn catch_up(&mut self) -> u64 {
        let visible = self.visible.read().unwrap_or_else(PoisonError::into_inner);
        let pending = visible.kinds.get(&self.resource).map(|kind| kind.history.after(self.position));
        if pending.is_none_or(|changes| changes.is_ok_and(|changes| changes.is_empty())) {
            self.position = self.position.max(visible.revision);
        }
        self.position
    }

    fn take(&mut self) -> Result<Vec<Arc<Change>>, WindowLost> {
        let visible = self.visible.read().unwrap_or_else(PoisonError::into_inner);
        let Some(kind) = visible.kinds.get(&self.resource) else { return Ok(Vec::new()) };
        let changes = kind.history.after(self.position)?;
        if let Some(last) = changes.last() {
            self.position = last.revision;
        }
        Ok(changes)
    }
}
