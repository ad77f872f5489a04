//! How the long-running parts wait: a function, so that a simulated cluster can wait in its own time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for a while.
#[derive(Clone)]
pub struct Sleeper(Arc<dyn Fn(Duration) -> Sleep + Send + Sync>);

impl Sleeper {
    /// Waits by `sleep`, typically the `sleep_until` of a Clock.
    pub fn new<F, S>(sleep: S) -> Self
    where
        S: Fn(Duration) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Sleeper(Arc::new(move |duration| Box::pin(sleep(duration))))
    }

    /// Waits by the wall. For clients outside a cluster, such as the lab runner.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place where a client waits for a server")]
    pub fn wall() -> Self {
        Sleeper::new(tokio::time::sleep)
    }

    /// Returns after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        (self.0)(duration).await;
    }
}

impl std::fmt::Debug for Sleeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sleeper")
    }
}

/// The wait between attempts: doubles from `first` to `last`, and starts over after a success.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    /// A ladder of waits.
    #[must_use]
    pub fn new(first: Duration, last: Duration) -> Self {
        Backoff { first, last, next: first }
    }

    /// How long to wait now.
    pub fn step(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.last);
        now
    }

    /// It worked: the next wait is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}
