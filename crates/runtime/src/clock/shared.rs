//! The clock of a cluster, in each of its processes.
//!
//! All of them see one file ([`Hand`](super::Hand)) and the same `CLOCK_MONOTONIC`, so they agree about the time without
//! asking each other. A thread waits for the file to change and wakes whoever sleeps.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::inotify;
use tokio::sync::watch;

use super::Clock;
use super::hand::{ClockError, FILE, Lines};
use super::line::{Line, Moment};

/// How often the file is looked at where the kernel does not tell of its changes.
const LOOK: Duration = Duration::from_millis(50);

/// The cluster's clock. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Shared {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    state: Mutex<State>,
    /// Counts the changes of the lines, so that sleepers look at their deadlines again.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    lines: Lines,
    line: Line,
    /// What was shown last: no new line, and nobody who sets the wall clock back, makes time go back.
    shown: (Timestamp, Duration),
}

impl Shared {
    /// The clock whose file is in this directory; without one it is the wall clock until there is one.
    ///
    /// # Errors
    ///
    /// When the file is there, but cannot be read.
    pub fn open(directory: &Path) -> Result<Self, ClockError> {
        // Watching begins before reading, so that no change falls between.
        let told = watch_directory(directory);
        let lines = Lines::read(directory)?.unwrap_or_default();
        let now = Moment::now();
        let line = lines.lines.last().cloned().unwrap_or_else(|| Line::behind(now, Duration::ZERO));
        let shown = (line.now(now), line.elapsed(now));
        let state = Mutex::new(State { lines, line, shown });
        let inner = Arc::new(Inner { directory: directory.to_owned(), state, changes: watch::Sender::new(0) });
        let follower = Arc::downgrade(&inner);
        std::thread::spawn(move || match told {
            Ok(told) => follow(&follower, told),
            Err(error) => {
                tracing::warn!(%error, "the kernel does not tell of changes of the clock; it is looked at instead");
                look(&follower);
            }
        });
        Ok(Shared { inner })
    }

    /// What this clock showed when the wall clock showed `wall`; never more than it shows now.
    #[must_use]
    pub fn at_wall(&self, wall: Timestamp) -> Timestamp {
        let now = self.now();
        self.state().lines.at_wall(wall).unwrap_or(wall).min(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) -> (Timestamp, Duration) {
        self.state().show(Moment::now())
    }
}

impl State {
    fn show(&mut self, now: Moment) -> (Timestamp, Duration) {
        let elapsed = self.line.elapsed(now).max(self.shown.1);
        let passed = SignedDuration::try_from(elapsed - self.shown.1).unwrap_or(SignedDuration::MAX);
        let onward = self.shown.0.checked_add(passed).unwrap_or(Timestamp::MAX);
        self.shown = (self.line.now(now).max(onward), elapsed);
        self.shown
    }
}

impl Inner {
    fn read(&self) {
        let lines = match Lines::read(&self.directory) {
            Ok(Some(lines)) => lines,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the clock goes on as before"),
        };
        let Some(line) = lines.lines.last().cloned() else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.line != line {
            (state.lines, state.line) = (lines, line);
            drop(state);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }
}

fn watch_directory(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let descriptor = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&descriptor, directory, inotify::WatchFlags::MOVED_TO)?;
    Ok(descriptor)
}

/// Ends when the clock is gone, at the next change of the directory.
fn follow(inner: &Weak<Inner>, told: OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(told, &mut buffer);
    loop {
        match events.next() {
            Ok(event) if event.file_name().map(CStr::to_bytes) != Some(FILE.as_bytes()) => continue,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::warn!(%error, "the kernel stopped to tell of changes of the clock");
                return look(inner);
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        inner.read();
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, where there is no event to wait for")]
fn look(inner: &Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        inner.read();
        drop(inner);
        std::thread::sleep(LOOK);
    }
}

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        self.show().0
    }

    fn elapsed(&self) -> Duration {
        self.show().1
    }

    async fn sleep_until(&self, deadline: Duration) {
        let mut changes = self.inner.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if self.elapsed() >= deadline {
                return;
            }
            let wait = self.state().line.wait(Moment::now(), deadline);
            // The clock itself keeps the sender alive, so waiting for a change cannot fail.
            match wait {
                // A microsecond more than computed, so that rounding cannot wake us for nothing.
                Some(wait) => {
                    let wait = wait.saturating_add(Duration::from_micros(1));
                    let _ = tokio::time::timeout(wait, changes.changed()).await;
                }
                None => drop(changes.changed().await),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hand;
    use super::*;

    #[tokio::test]
    async fn processes_share_one_clock() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("run")).unwrap();
        let hand = Hand::of(place.path());
        hand.begin(Some(Duration::from_secs(3600))).unwrap();
        let run = place.path().join("run");
        let (one, other) = (Shared::open(&run).unwrap(), Shared::open(&run).unwrap());
        hand.pause().unwrap();
        // A day of this clock, were it not for the hand.
        let deadline = one.elapsed() + Duration::from_secs(40);
        let sleeper = tokio::spawn(async move { other.sleep_until(deadline).await });
        let stepping = tokio::task::spawn_blocking(move || hand.step(Duration::from_secs(60)));
        tokio::time::timeout(Duration::from_secs(60), sleeper).await.expect("the step wakes it").unwrap();
        stepping.await.unwrap().unwrap();
        assert!(one.elapsed() >= deadline && one.now() < Timestamp::now());
    }

    #[test]
    fn a_wall_clock_that_is_set_back_is_waited_for() {
        let at = |monotonic: u64, wall: i64| Moment {
            monotonic: monotonic * 1_000_000_000,
            wall: Timestamp::from_second(wall).unwrap(),
        };
        let line = Line::behind(at(0, 9000), Duration::ZERO);
        let mut state = State { lines: Lines::default(), line, shown: (at(0, 9000).wall, Duration::ZERO) };
        assert_eq!(state.show(at(1, 9001)).0, at(1, 9001).wall);
        for passed in 2..100 {
            let shown = state.show(at(passed, 9000 - 3600)).0;
            assert_eq!(shown, at(0, 9000 + passed.cast_signed()).wall, "a second is a second, whatever the wall says");
        }
        let (shown, elapsed) = state.show(at(100, 9000 + 3600));
        assert_eq!(shown, at(0, 9000 + 3600).wall, "set forward, or the machine slept");
        assert_eq!(elapsed, Duration::from_secs(100));
    }

    #[test]
    fn what_the_wall_wrote_down_is_told_in_the_clusters_time() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("run")).unwrap();
        let clock = Shared::open(&place.path().join("run")).unwrap();
        let before = Timestamp::now();
        assert_eq!(clock.at_wall(before), before, "nobody held it");
        let future = before.checked_add(Duration::from_secs(3600)).unwrap();
        assert!(clock.at_wall(future) <= clock.now(), "from before the clock was set back: it happened now");
        Hand::of(place.path()).begin(Some(Duration::from_secs(7200))).unwrap();
        let clock = Shared::open(&place.path().join("run")).unwrap();
        let wall = Timestamp::now();
        let lag = wall.duration_since(clock.at_wall(wall));
        assert!((7199..=7201).contains(&lag.as_secs()), "{lag}");
    }
}
