//! Time, as decision code sees it.
//!
//! | clock | whose |
//! |---|---|
//! | [`Shared`] | a cluster's: one in all its processes, and [`Hand`] is the hand on it (`podlab clock`) |
//! | [`Held`] | a test's |

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

mod hand;
mod held;
mod line;
mod shared;

pub use hand::{ClockError, FASTEST, Hand, Held as Hold, Shown};
pub use held::Held;
pub use line::{Ahead, Line, Moment, PACE, Stretch};
pub use shared::Shared;

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

    /// Resolves after `duration` of this clock's time.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        let deadline = self.elapsed().saturating_add(duration);
        async move { self.sleep_until(deadline).await }
    }

    /// Resolves once [`now`](Clock::now) has reached `time`.
    fn sleep_until_time(&self, time: Timestamp) -> impl Future<Output = ()> + Send {
        let left = Duration::try_from(time.duration_since(self.now())).unwrap_or_default();
        self.sleep(left)
    }
}

impl<C: Clock> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        self.as_ref().now()
    }

    fn elapsed(&self) -> Duration {
        self.as_ref().elapsed()
    }

    fn sleep_until(&self, deadline: Duration) -> impl Future<Output = ()> + Send {
        self.as_ref().sleep_until(deadline)
    }
}
