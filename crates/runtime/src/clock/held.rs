//! A clock that can be held: paused, stepped, sped up; and driven by tests.
//!
//! It maps the machine's monotonic time onto its own by a line: `own = base + (real - anchor) * speed`. Changing the
//! speed starts a new line where the old one stands, so the clock never jumps back. At speed 0 it is paused and moves
//! only by [`Held::step`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::Clock;

/// A clock in somebody's hand. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Held {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    line: Mutex<Line>,
    /// Counts the changes of the line, so that sleepers look at their deadlines again.
    changes: watch::Sender<u64>,
    /// The earliest deadline that somebody sleeps for, per sleeper: what [`Held::next_deadline`] reads.
    sleepers: Mutex<Sleepers>,
}

#[derive(Debug, Default)]
struct Sleepers {
    next_id: u64,
    deadlines: std::collections::BTreeMap<(Duration, u64), ()>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    epoch: Timestamp,
    base: Duration,
    anchor: Instant,
    speed: f64,
}

impl Line {
    fn elapsed(&self) -> Duration {
        self.base.saturating_add(self.anchor.elapsed().mul_f64(self.speed))
    }

    /// The same place in time, from here on at `speed`.
    fn turn(&mut self, step: Duration, speed: f64) {
        self.base = self.elapsed().saturating_add(step);
        self.anchor = Instant::now();
        self.speed = speed;
    }
}

impl Held {
    /// A paused clock that shows `epoch`. It moves only when it is told to: what tests use.
    #[must_use]
    pub fn at(epoch: Timestamp) -> Self {
        Held::with(epoch, 0.0)
    }

    /// A clock at the pace of the machine, that can later be held. `headroom` is how far in the past it begins: as much
    /// as it will ever be stepped or sped up ahead of the wall.
    #[must_use]
    pub fn behind(headroom: Duration) -> Self {
        let headroom = SignedDuration::try_from(headroom).unwrap_or(SignedDuration::ZERO);
        Held::with(Timestamp::now().saturating_sub(headroom).unwrap_or(Timestamp::UNIX_EPOCH), 1.0)
    }

    fn with(epoch: Timestamp, speed: f64) -> Self {
        let line = Line { epoch, base: Duration::ZERO, anchor: Instant::now(), speed };
        let shared = Shared { line: Mutex::new(line), changes: watch::Sender::new(0), sleepers: Mutex::default() };
        Held { shared: Arc::new(shared) }
    }

    /// Stands still.
    pub fn pause(&self) {
        self.turn(Duration::ZERO, 0.0);
    }

    /// Runs at the machine's pace again.
    pub fn resume(&self) {
        self.turn(Duration::ZERO, 1.0);
    }

    /// Runs `factor` times as fast as the machine; 0 pauses. Anything that is no factor (negative, not a number) counts
    /// as 0.
    pub fn speed(&self, factor: f64) {
        self.turn(Duration::ZERO, if factor.is_finite() { factor.max(0.0) } else { 0.0 });
    }

    /// Jumps ahead. Whatever was to happen in between happens at once.
    pub fn step(&self, duration: Duration) {
        let speed = self.line().speed;
        self.turn(duration, speed);
    }

    /// The earliest deadline anybody sleeps for, as [`elapsed`](Clock::elapsed) counts.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let sleepers = self.shared.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        sleepers.deadlines.first_key_value().map(|((deadline, _), ())| *deadline)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.shared.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, step: Duration, speed: f64) {
        self.line().turn(step, speed);
        self.shared.changes.send_modify(|changes| *changes += 1);
    }
}

impl Clock for Held {
    fn now(&self) -> Timestamp {
        let line = *self.line();
        let elapsed = SignedDuration::try_from(line.elapsed()).unwrap_or(SignedDuration::MAX);
        line.epoch.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.line().elapsed()
    }

    async fn sleep_until(&self, deadline: Duration) {
        let mut changes = self.shared.changes.subscribe();
        let _asleep = Asleep::new(&self.shared, deadline);
        loop {
            changes.mark_unchanged();
            let line = *self.line();
            let left = deadline.saturating_sub(line.elapsed());
            if left.is_zero() {
                return;
            }
            let real = left.as_secs_f64() / line.speed;
            // The clock itself keeps the sender alive, so waiting for a change cannot fail.
            match Duration::try_from_secs_f64(real) {
                // A nanosecond more than computed, so that rounding cannot wake us for nothing.
                Ok(real) => {
                    let _ = tokio::time::timeout(real + Duration::from_nanos(1), changes.changed()).await;
                }
                // Paused, or further away than the machine can count.
                Err(_) => drop(changes.changed().await),
            }
        }
    }
}

/// A sleeper's entry, for as long as it sleeps.
struct Asleep<'a> {
    shared: &'a Shared,
    key: (Duration, u64),
}

impl<'a> Asleep<'a> {
    fn new(shared: &'a Shared, deadline: Duration) -> Self {
        let mut sleepers = shared.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        sleepers.next_id += 1;
        let key = (deadline, sleepers.next_id);
        sleepers.deadlines.insert(key, ());
        Asleep { shared, key }
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.shared.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        sleepers.deadlines.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_paused_clock_moves_by_steps_only() {
        let clock = Held::at(Timestamp::UNIX_EPOCH);
        clock.step(Duration::from_secs(90));
        assert_eq!(clock.now(), Timestamp::from_second(90).unwrap());
        assert_eq!(clock.elapsed(), Duration::from_secs(90));
    }

    #[tokio::test]
    async fn a_step_wakes_whoever_it_reaches_and_nobody_else() {
        let clock = Held::at(Timestamp::UNIX_EPOCH);
        let short = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        let long = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(11)).await }
        });
        while clock.shared.sleepers.lock().unwrap().deadlines.len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(clock.next_deadline(), Some(Duration::from_secs(10)));
        clock.step(Duration::from_secs(10));
        short.await.unwrap();
        assert!(!long.is_finished());
        clock.step(Duration::from_secs(1));
        long.await.unwrap();
        assert_eq!(clock.next_deadline(), None);
    }

    #[tokio::test]
    async fn a_fast_clock_stays_behind_the_wall_within_its_headroom() {
        let clock = Held::behind(Duration::from_secs(3600));
        clock.speed(1000.0);
        clock.sleep(Duration::from_secs(20)).await;
        clock.pause();
        assert!(clock.elapsed() >= Duration::from_secs(20));
        assert!(clock.now() < Timestamp::now());
        let stood = clock.elapsed();
        clock.speed(f64::NAN);
        assert_eq!(clock.elapsed(), stood);
    }
}
