//! When a probe is tried, and how many answers in a row turn its verdict.
//!
//! The rules of the kubelet's prober (pkg/kubelet/prober/worker.go): attempts lie on a grid of `periodSeconds` that
//! begins when the container is seen to run ([`SEEN`]); those before `initialDelaySeconds` are left out. So a probe with a delay of 5 s and a
//! period of 10 s is tried at 10 s, 20 s, 30 s. The first point of the grid finds no container that runs yet, and is
//! left out too; but whether a container is ready is asked at once.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Probe;

use super::Kind;
use crate::kubelet::restart::later;

/// When a container that was started is seen to run. (A real kubelet looks once a second; most programs listen by then.)
const SEEN: Duration = Duration::from_millis(250);

/// The numbers of a probe, with the defaults of the API filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub initial_delay: Duration,
    pub period: Duration,
    /// How long an attempt may take. Given to real processes, so it counts wall time.
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
}

impl From<&Probe> for Timing {
    fn from(probe: &Probe) -> Self {
        let count = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(default)
        };
        let seconds = |value: Option<i32>, default: u32| Duration::from_secs(count(value, default).into());
        Timing {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
        }
    }
}

/// What the attempts so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough answers yet.
    Unknown,
    Success,
    Failure,
}

/// One probe of one run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prober {
    timing: Timing,
    /// When the container was seen to run: the origin of the grid.
    started: Timestamp,
    next: Timestamp,
    /// The last answer and how often in a row it came.
    streak: Option<(bool, u32)>,
    verdict: Verdict,
}

impl Prober {
    /// The prober of a container that started at `started`.
    #[must_use]
    pub fn new(kind: Kind, timing: Timing, started: Timestamp) -> Self {
        let started = later(started, SEEN);
        let mut prober = Prober { timing, started, next: started, streak: None, verdict: Verdict::Unknown };
        if kind != Kind::Readiness || !timing.initial_delay.is_zero() {
            prober.next = prober.grid(timing.initial_delay.max(Duration::from_nanos(1)));
        }
        prober
    }

    /// Whether nothing has been asked yet of a container that was just started.
    #[must_use]
    pub fn looks_first(&self) -> bool {
        self.streak.is_none() && self.next == self.started
    }

    /// The time of the next attempt. May lie in the past when the probe was held back.
    #[must_use]
    pub fn next(&self) -> Timestamp {
        self.next
    }

    /// What the attempts amount to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The numbers of the probe.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// An attempt that began at `begun` has ended, successfully or not.
    pub fn record(&mut self, success: bool, begun: Timestamp) {
        let run = match self.streak {
            Some((last, run)) if last == success => run.saturating_add(1),
            _ => 1,
        };
        self.streak = Some((success, run));
        let threshold = if success { self.timing.success_threshold } else { self.timing.failure_threshold };
        if run >= threshold {
            self.verdict = if success { Verdict::Success } else { Verdict::Failure };
        }
        let age = Duration::try_from(begun.duration_since(self.started)).unwrap_or_default();
        self.next = self.grid(age + Duration::from_nanos(1));
    }

    /// The first point of the grid that is not before `age`.
    fn grid(&self, age: Duration) -> Timestamp {
        let period = self.timing.period.as_nanos().max(1);
        let points = age.as_nanos().div_ceil(period);
        let nanoseconds = u64::try_from(points * period).unwrap_or(u64::MAX);
        later(self.started, Duration::from_nanos(nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn timing(delay: i32, period: i32, success: i32, failure: i32) -> Timing {
        Timing::from(&Probe {
            initial_delay_seconds: Some(delay),
            period_seconds: Some(period),
            success_threshold: Some(success),
            failure_threshold: Some(failure),
            ..Probe::default()
        })
    }

    #[test]
    fn an_empty_probe_has_the_defaults_of_the_api() {
        let timing = Timing::from(&Probe::default());
        assert_eq!(timing.period, Duration::from_secs(10));
        assert_eq!(timing.timeout, Duration::from_secs(1));
        assert_eq!((timing.success_threshold, timing.failure_threshold), (1, 3));
        assert_eq!(Prober::new(Kind::Liveness, timing, at(100)).next(), later(at(110), SEEN));
        assert_eq!(Prober::new(Kind::Readiness, timing, at(100)).next(), later(at(100), SEEN));
    }

    /// golden 463: delay 5, period 10, threshold 3, failing from the start; restarted 30 s after its start.
    #[test]
    fn attempts_lie_on_the_grid_of_the_period() {
        let mut prober = Prober::new(Kind::Liveness, timing(5, 10, 1, 3), at(0));
        let mut tries = Vec::new();
        while prober.verdict() != Verdict::Failure {
            let now = prober.next();
            tries.push(now.as_second());
            prober.record(false, now);
        }
        assert_eq!(tries, [10, 20, 30]);
    }

    #[test]
    fn only_answers_in_a_row_turn_the_verdict() {
        let mut prober = Prober::new(Kind::Readiness, timing(0, 1, 2, 2), at(0));
        let verdicts: Vec<_> = [true, true, false, true, false, false, true, true]
            .into_iter()
            .map(|success| {
                prober.record(success, prober.next());
                prober.verdict()
            })
            .collect();
        use Verdict::{Failure, Success, Unknown};
        assert_eq!(verdicts, [Unknown, Success, Success, Success, Success, Failure, Failure, Success]);
    }

    #[test]
    fn an_attempt_that_was_held_back_does_not_pile_up() {
        let mut prober = Prober::new(Kind::Startup, timing(0, 5, 1, 3), at(0));
        prober.record(true, at(12));
        assert_eq!(prober.next(), later(at(15), SEEN));
    }
}
