//! The clock of the machine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Clock;

/// The machine's own time: stamps from the wall clock, waits by the monotonic one. Clones are the same clock.
///
/// Somebody may set the wall clock back. Decisions compare stamps ("restart it ten seconds after it ended"), so they
/// would wait for as long as the clock was set back. This clock goes on instead, at its own pace, until the wall clock
/// has come up with it.
#[derive(Clone, Debug)]
pub struct Real {
    made: Instant,
    /// What was shown last, and when by the monotonic clock.
    shown: Arc<Mutex<(Timestamp, Duration)>>,
}

impl Real {
    /// A clock whose [`elapsed`](Clock::elapsed) starts now.
    #[must_use]
    pub fn new() -> Self {
        Real { made: Instant::now(), shown: Arc::new(Mutex::new((Timestamp::now(), Duration::ZERO))) }
    }
}

impl Default for Real {
    fn default() -> Self {
        Real::new()
    }
}

/// What to show when the wall clock says `wall`, `passed` after `shown` was.
fn onward(shown: Timestamp, passed: Duration, wall: Timestamp) -> Timestamp {
    wall.max(shown.saturating_add(passed).unwrap_or(Timestamp::MAX))
}

impl Clock for Real {
    fn now(&self) -> Timestamp {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.elapsed();
        let now = onward(shown.0, elapsed.saturating_sub(shown.1), Timestamp::now());
        *shown = (now, elapsed);
        now
    }

    fn elapsed(&self) -> Duration {
        self.made.elapsed()
    }

    async fn sleep_until(&self, deadline: Duration) {
        match self.made.checked_add(deadline) {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            // Further away than the machine can count.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_wall_clock_that_is_set_back_is_waited_for() {
        const HOUR: i64 = 3600;
        let second = Duration::from_secs(1);
        assert_eq!(onward(at(9000), second, at(9001)), at(9001));
        assert_eq!(onward(at(9000), second, at(9000 + HOUR)), at(9000 + HOUR), "set forward, or the machine slept");
        let mut shown = at(9000);
        for passed in 1..=2 * HOUR {
            let wall = at(9000 - HOUR + passed);
            shown = onward(shown, second, wall);
            assert_eq!(shown, at(9000 + passed), "a second is a second, whatever the wall clock says");
        }
    }

    #[test]
    fn a_wait_that_was_decided_before_ends_in_its_time() {
        // Ten seconds after 9000 something is due, and then the wall clock is set back by an hour.
        let due = at(9010);
        let now = onward(at(9000), Duration::from_secs(10), at(9010 - 3600));
        assert!(now >= due);
    }

    #[test]
    fn it_never_goes_back() {
        let clock = Real::new();
        // As if the wall clock had been an hour ahead until now.
        clock.shown.lock().unwrap().0 = Timestamp::now().saturating_add(Duration::from_secs(3600)).unwrap();
        let (one, other) = (clock.now(), clock.now());
        assert!(one <= other && one > Timestamp::now());
    }
}
