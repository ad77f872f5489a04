//! Time, as decision code sees it.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

/// The only source of time for decisions: probes, back-offs, grace periods, deadlines and the stamps in objects.
///
/// Deadlines that are given to real processes (a probe's timeout, an exec, TLS) are not decisions; they use wall time.
pub trait Clock: Send + Sync + 'static {
    /// The time that is stamped into objects. On a sped-up clock the epoch lies in the past, so that this never runs
    /// ahead of the wall clock, which kubectl computes ages from.
    fn now(&self) -> Timestamp;

    /// Time since the clock was made; it never goes back.
    fn elapsed(&self) -> Duration;

    /// Resolves once [`elapsed`](Clock::elapsed) has reached `deadline`.
    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + Send;
}
