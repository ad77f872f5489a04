//! Keys that are to be looked at. A key waits once however often it is added, and one that failed waits longer each time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podlab_client::cache::Key;
use tokio::sync::Notify;

use crate::context::Time;

/// The first wait after a failure, and the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(5);
const LAST_BACKOFF: Duration = Duration::from_secs(60);

/// A queue with one worker.
#[derive(Debug, Default)]
pub struct WorkQueue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Key>,
    queued: HashSet<Key>,
    later: BTreeSet<(Duration, Key)>,
    failures: HashMap<Key, u32>,
}

impl WorkQueue {
    /// Adds a key.
    pub fn add(&self, key: Key) {
        let mut state = self.state();
        if state.queued.insert(key.clone()) {
            state.ready.push_back(key);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Adds a key at a time of the clock's `elapsed`.
    pub fn add_at(&self, key: Key, at: Duration) {
        self.state().later.insert((at, key));
        self.wake.notify_one();
    }

    /// The key was dealt with: its next failure is the first again.
    pub fn succeeded(&self, key: &Key) {
        self.state().failures.remove(key);
    }

    /// The key has to be tried again.
    pub fn failed(&self, key: Key, now: Duration) {
        let mut state = self.state();
        let failures = state.failures.entry(key.clone()).or_default();
        let wait = FIRST_BACKOFF.saturating_mul(1 << (*failures).min(20)).min(LAST_BACKOFF);
        *failures = failures.saturating_add(1);
        state.later.insert((now + wait, key));
        drop(state);
        self.wake.notify_one();
    }

    /// The next key; waits for one.
    pub async fn next(&self, time: &Time) -> Key {
        loop {
            let due = match self.pop(time.elapsed()) {
                Ok(key) => return key,
                Err(due) => due,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = time.sleep_until(due) => {}
            }
        }
    }

    /// The next key, or when there will be one as far as time alone decides.
    fn pop(&self, now: Duration) -> Result<Key, Option<Duration>> {
        let mut state = self.state();
        while let Some((at, key)) = state.later.pop_first() {
            if at > now {
                state.later.insert((at, key));
                break;
            }
            if state.queued.insert(key.clone()) {
                state.ready.push_back(key);
            }
        }
        match state.ready.pop_front() {
            Some(key) => {
                state.queued.remove(&key);
                Ok(key)
            }
            None => Err(state.later.first().map(|(at, _)| *at)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("", name)
    }

    #[test]
    fn a_key_waits_once_and_keeps_its_place() {
        let queue = WorkQueue::default();
        for name in ["a", "b", "a"] {
            queue.add(key(name));
        }
        assert_eq!(queue.pop(Duration::ZERO), Ok(key("a")));
        assert_eq!(queue.pop(Duration::ZERO), Ok(key("b")));
        assert_eq!(queue.pop(Duration::ZERO), Err(None));
    }

    #[test]
    fn failures_wait_longer_each_time_until_one_works() {
        let queue = WorkQueue::default();
        let due = |queue: &WorkQueue| queue.pop(Duration::ZERO).expect_err("nothing is ready").expect("one waits");
        for milliseconds in [5, 10, 20, 40] {
            queue.failed(key("a"), Duration::ZERO);
            let at = due(&queue);
            assert_eq!(at, Duration::from_millis(milliseconds));
            assert_eq!(queue.pop(at), Ok(key("a")));
        }
        queue.succeeded(&key("a"));
        queue.failed(key("a"), Duration::ZERO);
        assert_eq!(due(&queue), FIRST_BACKOFF);
    }
}
