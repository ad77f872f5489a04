//! Pods that wait for a node: the next to try, those that wait out a back-off, and those that wait for a change.
//!
//! A Pod that fitted nowhere is not tried again until something happens that could help it: a node comes or changes, a
//! Pod ends, a volume appears ([`Queue::wake`]), or, as a safety net, five minutes pass. And it is not tried before its
//! back-off is over: one second after the first attempt, doubling to ten
//! (k8s.io/kubernetes/pkg/scheduler/backend/queue/scheduling_queue.go).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use podlab_client::cache::Key;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(10);
/// Nothing waits longer than this without another try.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Higher priority first, then the order of arrival.
type Order = (Reverse<i32>, u64);

/// The waiting Pods. Times are those of the clock's `elapsed`.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<Key, Entry>,
    active: BTreeSet<(Order, Key)>,
    /// Woken, but not before this time.
    backing_off: BTreeSet<(Duration, Key)>,
    /// Tried in vain, with the time by which they are tried again whatever happens.
    unschedulable: BTreeSet<(Duration, Key)>,
    arrivals: u64,
    /// Counts the wakes, so that one which falls between a try and its failure is not lost.
    wakes: u64,
}

#[derive(Debug)]
struct Entry {
    order: Order,
    attempts: u32,
    backoff_until: Duration,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Active,
    BackingOff,
    Unschedulable(Duration),
    /// Being tried, since this many wakes.
    Taken(u64),
}

impl Queue {
    /// A Pod has come, or one that waits was changed: it is to be tried.
    pub fn add(&mut self, key: Key, priority: i32, now: Duration) {
        let Some(entry) = self.waiting.get_mut(&key) else {
            self.arrivals += 1;
            let order = (Reverse(priority), self.arrivals);
            self.active.insert((order, key.clone()));
            self.waiting.insert(key, Entry { order, attempts: 0, backoff_until: now, place: Place::Active });
            return;
        };
        if let Place::Unschedulable(until) = entry.place {
            self.unschedulable.remove(&(until, key.clone()));
            entry.place = Place::BackingOff;
            self.backing_off.insert((entry.backoff_until, key));
        }
    }

    /// A Pod has a node, or is gone.
    pub fn remove(&mut self, key: &Key) {
        let Some(entry) = self.waiting.remove(key) else { return };
        match entry.place {
            Place::Active => drop(self.active.remove(&(entry.order, key.clone()))),
            Place::BackingOff => drop(self.backing_off.remove(&(entry.backoff_until, key.clone()))),
            Place::Unschedulable(until) => drop(self.unschedulable.remove(&(until, key.clone()))),
            Place::Taken(_) => {}
        }
    }

    /// The Pod to try now.
    pub fn pop(&mut self, now: Duration) -> Option<Key> {
        self.advance(now);
        let (_, key) = self.active.pop_first()?;
        let entry = self.waiting.get_mut(&key)?;
        entry.attempts += 1;
        entry.place = Place::Taken(self.wakes);
        Some(key)
    }

    /// The Pod that was popped fitted nowhere.
    pub fn failed(&mut self, key: &Key, now: Duration) {
        let wakes = self.wakes;
        let Some(entry) = self.waiting.get_mut(key) else { return };
        entry.backoff_until = now + backoff(entry.attempts);
        entry.place = if entry.place == Place::Taken(wakes) {
            let until = now + LONGEST_WAIT;
            self.unschedulable.insert((until, key.clone()));
            Place::Unschedulable(until)
        } else {
            self.backing_off.insert((entry.backoff_until, key.clone()));
            Place::BackingOff
        };
    }

    /// The Pod that was popped fitted, but could not be bound: it is tried again after its back-off.
    pub fn retry(&mut self, key: &Key, now: Duration) {
        let Some(entry) = self.waiting.get_mut(key) else { return };
        entry.backoff_until = now + backoff(entry.attempts);
        entry.place = Place::BackingOff;
        self.backing_off.insert((entry.backoff_until, key.clone()));
    }

    /// Something happened that could help: every Pod is tried again, after its back-off.
    pub fn wake(&mut self) {
        self.wakes += 1;
        for (_, key) in std::mem::take(&mut self.unschedulable) {
            if let Some(entry) = self.waiting.get_mut(&key) {
                entry.place = Place::BackingOff;
                self.backing_off.insert((entry.backoff_until, key));
            }
        }
    }

    /// When [`pop`](Queue::pop) may next have something, as far as time alone decides.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        if !self.active.is_empty() {
            return Some(Duration::ZERO);
        }
        let first = |set: &BTreeSet<(Duration, Key)>| set.first().map(|(until, _)| *until);
        [first(&self.backing_off), first(&self.unschedulable)].into_iter().flatten().min()
    }

    /// How many Pods wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn advance(&mut self, now: Duration) {
        while let Some((until, key)) = self.unschedulable.pop_first() {
            if until > now {
                self.unschedulable.insert((until, key));
                break;
            }
            self.activate(key);
        }
        while let Some((until, key)) = self.backing_off.pop_first() {
            if until > now {
                self.backing_off.insert((until, key));
                break;
            }
            self.activate(key);
        }
    }

    fn activate(&mut self, key: Key) {
        if let Some(entry) = self.waiting.get_mut(&key) {
            entry.place = Place::Active;
            self.active.insert((entry.order, key));
        }
    }
}

fn backoff(attempts: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LAST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("default", name)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn priority_goes_first_then_arrival() {
        let mut queue = Queue::default();
        for (name, priority) in [("a", 0), ("b", 10), ("c", 0), ("d", 10)] {
            queue.add(key(name), priority, Duration::ZERO);
        }
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(Duration::ZERO)).map(|key| key.name).collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
    }

    #[test]
    fn a_failure_waits_for_a_wake_and_for_its_back_off() {
        let mut queue = Queue::default();
        queue.add(key("a"), 0, Duration::ZERO);
        let mut now = Duration::ZERO;
        for wait in [1, 2, 4, 8, 10, 10] {
            assert_eq!(queue.pop(now), Some(key("a")));
            queue.failed(&key("a"), now);
            assert_eq!(queue.pop(now + seconds(wait)), None, "nothing woke it");
            queue.wake();
            assert_eq!(queue.due(), Some(now + seconds(wait)));
            assert_eq!(queue.pop(now + seconds(wait) - Duration::from_millis(1)), None);
            now += seconds(wait);
        }
    }

    #[test]
    fn a_wake_during_the_attempt_counts() {
        let mut queue = Queue::default();
        queue.add(key("a"), 0, Duration::ZERO);
        assert!(queue.pop(Duration::ZERO).is_some());
        queue.wake();
        queue.failed(&key("a"), Duration::ZERO);
        assert_eq!(queue.pop(seconds(1)), Some(key("a")));
    }

    #[test]
    fn nothing_waits_for_ever_and_what_is_removed_is_not_tried() {
        let mut queue = Queue::default();
        queue.add(key("a"), 0, Duration::ZERO);
        queue.add(key("b"), 0, Duration::ZERO);
        for _ in 0..2 {
            let popped = queue.pop(Duration::ZERO).expect("two wait");
            queue.failed(&popped, Duration::ZERO);
        }
        queue.remove(&key("b"));
        assert_eq!(queue.due(), Some(LONGEST_WAIT));
        assert_eq!(queue.pop(LONGEST_WAIT), Some(key("a")));
        assert_eq!(queue.pop(LONGEST_WAIT), None);
    }
}
