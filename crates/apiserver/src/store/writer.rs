//! The one writer: it decides writes in order, commits what has gathered, and only then shows it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};

use super::file::File;
use super::{Change, ChangeKind, Draft, Key, Object, Visible, WriteError};

/// Writes in one commit at most.
const BATCH: usize = 256;

/// What to do to one object.
pub(super) enum Operation {
    Create { key: Key, draft: Draft },
    Update { key: Key, expected: u64, draft: Draft },
    Delete { key: Key, expected: u64, draft: Option<Draft> },
}

type Answer = Result<Arc<Object>, WriteError>;

/// What is sent to the writer's thread.
pub(super) enum Write {
    Operation(Operation, oneshot::Sender<Answer>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Writer {
    visible: Arc<RwLock<Visible>>,
    file: Option<File>,
    revision: u64,
    closed: bool,
}

impl Writer {
    pub(super) fn new(visible: Arc<RwLock<Visible>>, file: Option<File>) -> Self {
        let revision = visible.read().unwrap_or_else(PoisonError::into_inner).revision;
        Self { visible, file, revision, closed: false }
    }

    /// The writer's thread: until it is told to close, or nobody is left who could write.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Write>) {
        let mut waiting = Vec::new();
        while !self.closed && queue.blocking_recv_many(&mut waiting, BATCH) > 0 {
            let mut operations = Vec::new();
            let mut replies = Vec::new();
            let mut closing = Vec::new();
            for write in waiting.drain(..) {
                match write {
                    Write::Operation(operation, reply) => {
                        operations.push(operation);
                        replies.push(reply);
                    }
                    Write::Close(reply) => closing.push(reply),
                }
            }
            for (reply, answer) in replies.into_iter().zip(self.write(operations)) {
                // Whoever asked may have gone; what is written stays written.
                let _ = reply.send(answer);
            }
            self.closed = !closing.is_empty();
            for reply in closing {
                let _ = reply.send(());
            }
        }
    }

    pub(super) fn write_one(&mut self, operation: Operation) -> Answer {
        self.write(vec![operation]).pop().unwrap_or(Err(WriteError::Closed))
    }

    /// Decides the operations in order, commits those that pass, shows them. One answer an operation.
    fn write(&mut self, operations: Vec<Operation>) -> Vec<Answer> {
        let before = self.revision;
        let mut changes: Vec<(Key, Change)> = Vec::with_capacity(operations.len());
        let answers: Vec<Answer> = {
            let visible = self.visible.read().unwrap_or_else(PoisonError::into_inner);
            // What earlier operations of this batch left behind.
            let mut staged: HashMap<Key, Option<Arc<Object>>> = HashMap::new();
            let mut decide = |operation: Operation| {
                let key = operation.key().clone();
                let current = match staged.get(&key) {
                    Some(staged) => staged.clone(),
                    None => visible.get(&key).cloned(),
                };
                let change = operation.decide(current, self.revision + 1)?;
                self.revision = change.revision;
                let object = change.object.clone();
                let left = (change.kind != ChangeKind::Deleted).then(|| object.clone());
                staged.insert(key.clone(), left);
                changes.push((key, change));
                Ok(object)
            };
            operations.into_iter().map(&mut decide).collect()
        };
        if changes.is_empty() {
            return answers;
        }
        if let Some(file) = &mut self.file
            && let Err(error) = file.commit(self.revision, &changes)
        {
            self.revision = before;
            let error = WriteError::Unwritable(error.to_string());
            return answers.into_iter().map(|answer| answer.and(Err(error.clone()))).collect();
        }
        self.visible.write().unwrap_or_else(PoisonError::into_inner).apply(changes);
        answers
    }
}

impl Operation {
    /// What it would store.
    pub(super) fn draft(&self) -> Option<&Draft> {
        match self {
            Self::Create { draft, .. } | Self::Update { draft, .. } => Some(draft),
            Self::Delete { draft, .. } => draft.as_ref(),
        }
    }

    fn key(&self) -> &Key {
        match self {
            Self::Create { key, .. } | Self::Update { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// The change this operation makes to `current`, if it may.
    fn decide(self, current: Option<Arc<Object>>, revision: u64) -> Result<Change, WriteError> {
        let namespace = self.key().name.namespace().into();
        let at = |current: Option<Arc<Object>>, expected| {
            let current = current.ok_or(WriteError::NotFound)?;
            if current.revision != expected {
                return Err(WriteError::Conflict { current: current.revision });
            }
            Ok(current)
        };
        let (kind, object, previous) = match self {
            Self::Create { .. } if current.is_some() => return Err(WriteError::Exists),
            Self::Create { draft, .. } => (ChangeKind::Added, draft.at(revision), None),
            Self::Update { expected, draft, .. } => {
                (ChangeKind::Modified, draft.at(revision), Some(at(current, expected)?))
            }
            Self::Delete { expected, draft, .. } => {
                let current = at(current, expected)?;
                let last = draft.map_or_else(|| current.moved_to(revision), |draft| draft.at(revision));
                (ChangeKind::Deleted, last, Some(current))
            }
        };
        Ok(Change { revision, kind, namespace, object: Arc::new(object), previous })
    }
}
