//! The loop around a decision: changes become keys, keys are dealt with one by one.

use std::future::Future;
use std::time::Duration;

use podlab_client::Object;
use podlab_client::cache::{Change, Key};
use podlab_client::{Cache, Error};

use crate::context::Time;
use crate::queue::WorkQueue;

/// When to look at a key again though nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Only when something changes.
    No,
    /// After this time.
    After(Duration),
}

/// Puts the keys that a change concerns into a queue, for as long as it is polled.
pub async fn feed<K: Object>(cache: Cache<K>, queue: &WorkQueue, keys: impl Fn(&Change<K>) -> Vec<Key>) {
    let mut changes = cache.changes();
    loop {
        for change in changes.next().await {
            for key in keys(&change) {
                queue.add(key);
            }
        }
    }
}

/// The keys of a controller that looks at the objects themselves.
#[must_use]
pub fn itself<K: Object>(change: &Change<K>) -> Vec<Key> {
    vec![change.key.clone()]
}

/// Deals with the keys of a queue, for as long as it is polled. A failure is tried again, later each time.
pub async fn work<F, R>(name: &'static str, queue: &WorkQueue, time: &Time, mut deal: F)
where
    F: FnMut(Key) -> R,
    R: Future<Output = Result<Again, Error>>,
{
    loop {
        let key = queue.next(time).await;
        match deal(key.clone()).await {
            Ok(again) => {
                queue.succeeded(&key);
                if let Again::After(wait) = again {
                    queue.add_at(key, time.elapsed() + wait);
                }
            }
            Err(error) => {
                // Somebody else was faster; the change will come, or has come, by the watch.
                if error.is_conflict() || error.is_not_found() {
                    tracing::debug!(controller = name, %key, %error, "again");
                } else {
                    tracing::warn!(controller = name, %key, %error, "failed, will be tried again");
                }
                queue.failed(key, std::time::Instant::now());
            }
        }
    }
}

/// Takes "it is so already" for success: what was to be created is there, what was to be deleted is gone.
///
/// # Errors
/// All other errors.
pub fn settled<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_already_exists() || error.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}
