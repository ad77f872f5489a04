//! How long a container that ended waits before it is started again: 10 s, then twice as long each time, up to 5
//! minutes; from the beginning after it ran well for 10 minutes.
//!
//! The ladder of k8s.io/client-go/util/flowcontrol/backoff.go, as the kubelet uses it for restarts and image pulls.

use std::time::Duration;

use jiff::Timestamp;

/// The first wait.
pub const FIRST: Duration = Duration::from_secs(10);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(300);
/// Without trouble for this long, and the ladder starts over.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// A ladder of waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    /// The wait, and when it was last lengthened.
    rung: Option<(Duration, Timestamp)>,
}

impl BackOff {
    /// The wait that applies to trouble at `since`: `None` when it may be tried again at once.
    #[must_use]
    pub fn wait(&self, since: Timestamp) -> Option<Duration> {
        let (wait, updated) = self.rung?;
        (!forgotten(since, updated)).then_some(wait)
    }

    /// When it may be tried again after trouble at `since`.
    #[must_use]
    pub fn until(&self, since: Timestamp) -> Option<Timestamp> {
        self.wait(since).map(|wait| later(since, wait))
    }

    /// It is being tried again at `now`, after trouble at `since`: the next wait is longer.
    pub fn step(&mut self, since: Timestamp, now: Timestamp) {
        let wait = self.wait(since).map_or(FIRST, |wait| (wait * 2).min(LONGEST));
        self.rung = Some((wait, now));
    }
}

fn forgotten(since: Timestamp, updated: Timestamp) -> bool {
    Duration::try_from(since.duration_since(updated)).is_ok_and(|quiet| quiet > FORGOTTEN_AFTER)
}

/// `duration` after `time`.
pub(crate) fn later(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_ladder_doubles_to_five_minutes() {
        let mut back_off = BackOff::default();
        assert_eq!(back_off.until(at(0)), None, "the first restart is immediate");
        let mut waits = Vec::new();
        let mut now = at(0);
        for _ in 0..7 {
            back_off.step(now, now);
            let wait = back_off.wait(now).unwrap();
            waits.push(wait.as_secs());
            now = later(now, wait);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_good_minutes_are_forgiven() {
        let mut back_off = BackOff::default();
        back_off.step(at(0), at(0));
        back_off.step(at(10), at(10));
        assert_eq!(back_off.wait(at(610)), Some(Duration::from_secs(20)));
        assert_eq!(back_off.wait(at(611)), None);
        back_off.step(at(611), at(611));
        assert_eq!(back_off.wait(at(612)), Some(FIRST));
    }
}
