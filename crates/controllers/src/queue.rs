//! Keys that are to be looked at. A key waits once however often it is added, and one that failed waits longer each time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use podlab_client::cache::Key;
use podlab_client::sleeper::Sleeper;
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
    /// By the wall: another process is waited for, not the cluster's time.
    retries: BTreeSet<(Instant, Key)>,
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
    pub fn failed(&self, key: Key, now: Instant) {
        let mut state = self.state();
        let failures = state.failures.entry(key.clone()).or_default();
        let wait = FIRST_BACKOFF.saturating_mul(1 << (*failures).min(20)).min(LAST_BACKOFF);
        *failures = failures.saturating_add(1);
        state.retries.insert((now + wait, key));
        drop(state);
        self.wake.notify_one();
    }

    /// The next key; waits for one.
    pub async fn next(&self, time: &Time) -> Key {
        loop {
            let (due, retry) = match self.pop(time.elapsed(), Instant::now()) {
                Ok(key) => return key,
                Err(due) => due,
            };
            let retry = async {
                match retry {
                    Some(at) => Sleeper::wall().sleep(at.saturating_duration_since(Instant::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = time.sleep_until(due) => {}
                () = retry => {}
            }
        }
    }

    /// The next key, or when there will be one as far as time alone decides: the cluster's, and the wall's.
    fn pop(&self, now: Duration, wall: Instant) -> Result<Key, (Option<Duration>, Option<Instant>)> {
        let mut state = self.state();
        let due = take_due(&mut state.later, now);
        let retries = take_due(&mut state.retries, wall);
        for key in due.into_iter().chain(retries) {
            if state.queued.insert(key.clone()) {
                state.ready.push_back(key);
            }
        }
        match state.ready.pop_front() {
            Some(key) => {
                state.queued.remove(&key);
                Ok(key)
            }
            None => Err((state.later.first().map(|(at, _)| *at), state.retries.first().map(|(at, _)| *at))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the keys whose time has come.
fn take_due<T: Ord>(waiting: &mut BTreeSet<(T, Key)>, now: T) -> Vec<Key> {
    let mut due = Vec::new();
    while waiting.first().is_some_and(|(at, _)| *at <= now) {
        due.extend(waiting.pop_first().map(|(_, key)| key));
    }
    due
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
        let now = Instant::now();
        assert_eq!(queue.pop(Duration::ZERO, now), Ok(key("a")));
        assert_eq!(queue.pop(Duration::ZERO, now), Ok(key("b")));
        assert_eq!(queue.pop(Duration::ZERO, now), Err((None, None)));
    }

    #[test]
    fn failures_wait_longer_each_time_until_one_works() {
        let queue = WorkQueue::default();
        let now = Instant::now();
        let due =
            |queue: &WorkQueue| queue.pop(Duration::MAX, now).expect_err("nothing is ready").1.expect("one waits");
        for milliseconds in [5, 10, 20, 40] {
            queue.failed(key("a"), now);
            let at = due(&queue);
            assert_eq!(at - now, Duration::from_millis(milliseconds));
            assert_eq!(queue.pop(Duration::ZERO, at), Ok(key("a")), "though the cluster's clock stands");
        }
        queue.succeeded(&key("a"));
        queue.failed(key("a"), now);
        assert_eq!(due(&queue) - now, FIRST_BACKOFF);
    }
}
