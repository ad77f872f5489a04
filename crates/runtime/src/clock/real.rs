//! The clock of the machine.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Clock;

/// The machine's own time: stamps from the wall clock, waits by the monotonic one.
#[derive(Clone, Copy, Debug)]
pub struct Real {
    made: Instant,
}

impl Real {
    /// A clock whose [`elapsed`](Clock::elapsed) starts now.
    #[must_use]
    pub fn new() -> Self {
        Real { made: Instant::now() }
    }
}

impl Default for Real {
    fn default() -> Self {
        Real::new()
    }
}

impl Clock for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
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
