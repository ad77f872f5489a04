//! How fast the node and its Pods use the processor, for `kubectl top`: the difference between two looks at their
//! counters.
//!
//! Nobody looks while nobody asks. The first question waits for a second look; those that follow within a minute are
//! compared with an earlier one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use podlab_client::sleeper::Sleeper;

use crate::backend::{Backend, BackendError, NodeUsage};

/// The least time between two looks that are compared.
const SHORTEST: Duration = Duration::from_secs(1);
/// An earlier look is too old to be compared with.
const OLDEST: Duration = Duration::from_secs(60);

/// The earlier look.
#[derive(Debug, Default)]
pub struct Metrics {
    earlier: Mutex<Option<(Instant, NodeUsage)>>,
}

/// What is used now, and what was used at an earlier time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub now: NodeUsage,
    before: NodeUsage,
    between: Duration,
}

impl Metrics {
    /// Looks now.
    ///
    /// # Errors
    /// When the node does not say what it uses.
    pub async fn look<B: Backend>(&self, backend: &B) -> Result<Measured, BackendError> {
        let before = match self.recent() {
            Some(before) => before,
            None => (Instant::now(), backend.usage().await?),
        };
        // Real time: it is real programs that are measured.
        Sleeper::wall().sleep(SHORTEST.saturating_sub(before.0.elapsed())).await;
        let (at, now) = (Instant::now(), backend.usage().await?);
        self.keep(at, &now);
        Ok(Measured { now, before: before.1, between: at.duration_since(before.0) })
    }

    fn recent(&self) -> Option<(Instant, NodeUsage)> {
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.clone().filter(|(at, _)| at.elapsed() < OLDEST)
    }

    /// Replaces the earlier look, unless it is so young that the next question would have to wait for it.
    fn keep(&self, at: Instant, usage: &NodeUsage) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let young = earlier.as_ref().is_some_and(|(before, _)| at.duration_since(*before) < 10 * SHORTEST);
        if !young {
            *earlier = Some((at, usage.clone()));
        }
    }
}

impl Measured {
    /// The node's use of the processor, in nanoseconds a second.
    #[must_use]
    pub fn node_cpu(&self) -> u64 {
        self.rate(self.now.cpu_nanoseconds, self.before.cpu_nanoseconds)
    }

    /// A container's. One that was started since the earlier look had used nothing then.
    #[must_use]
    pub fn container_cpu(&self, pod: &str, container: &str) -> u64 {
        let find = |usage: &NodeUsage| {
            let pod = usage.pods.iter().find(|known| known.uid == pod)?;
            let container = pod.containers.iter().find(|known| known.name == container)?;
            Some((container.started_at, container.cpu_nanoseconds))
        };
        let Some((started, now)) = find(&self.now) else { return 0 };
        let before = find(&self.before).filter(|(before, _)| *before == started).map_or(0, |(_, used)| used);
        self.rate(now, before)
    }

    fn rate(&self, now: u64, before: u64) -> u64 {
        let nanoseconds = u128::from(now.saturating_sub(before)) * 1_000_000_000;
        u64::try_from(nanoseconds.checked_div(self.between.as_nanos()).unwrap_or_default()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{ContainerUsage, PodUsage};

    fn usage(cpu_nanoseconds: u64, started: i64) -> NodeUsage {
        let started_at = jiff::Timestamp::from_second(started).unwrap();
        let container = ContainerUsage { name: "main".to_owned(), started_at, cpu_nanoseconds, memory: 0 };
        let pod = PodUsage { uid: "uid".to_owned(), containers: vec![container] };
        NodeUsage { cpu_nanoseconds: 2 * cpu_nanoseconds, memory: 0, pods: vec![pod] }
    }

    fn measured(before: NodeUsage, now: NodeUsage) -> Measured {
        Measured { now, before, between: Duration::from_secs(2) }
    }

    #[test]
    fn a_rate_is_what_was_used_in_a_second() {
        let found = measured(usage(1_000_000_000, 1), usage(2_000_000_000, 1));
        assert_eq!((found.container_cpu("uid", "main"), found.node_cpu()), (500_000_000, 1_000_000_000));
        assert_eq!(found.container_cpu("uid", "other"), 0);
    }

    #[test]
    fn a_container_that_was_started_again_begins_at_nothing() {
        let found = measured(usage(9_000_000_000, 1), usage(1_000_000_000, 2));
        assert_eq!(found.container_cpu("uid", "main"), 500_000_000);
        let found = measured(NodeUsage::default(), usage(1_000_000_000, 2));
        assert_eq!(found.container_cpu("uid", "main"), 500_000_000);
    }
}
