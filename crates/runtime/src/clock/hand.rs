//! The hand on a cluster's clock: `podlab clock`, and whoever else wants time to stand still or to go by.
//!
//! The clock is a file in the directory that the control plane and every node see. A [`Hand`] writes it, the
//! [`Shared`](super::Shared) clock of each process reads it, and no process has to be asked: a cluster whose control
//! plane was killed has its time all the same.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::line::{Line, Moment};

/// The clock's file.
pub(super) const FILE: &str = "clock.json";
/// How many lines are remembered: by those of the past, what happened then is told in the cluster's time.
const MAX_LINES: usize = 128;
/// The fastest that can be asked for. Beyond it, nodes are not heard in time on a loaded machine.
pub const FASTEST: f64 = 100.0;

/// What the file holds: the lines so far, the newest last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
}

impl Lines {
    /// `None` when there is no such file, which is the time of the wall.
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, ClockError> {
        let path = directory.join(FILE);
        match fs::read(&path) {
            Ok(text) => {
                let lines = serde_json::from_slice(&text).map_err(|error| io::Error::other(error.to_string()));
                lines.map(Some).map_err(|error| ClockError::File { path, error })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ClockError::File { path, error }),
        }
    }

    /// The cluster's time of something that was written down by the wall clock.
    pub(super) fn at_wall(&self, wall: Timestamp) -> Option<Timestamp> {
        let line = self.lines.iter().rev().find(|line| line.from.wall <= wall).or(self.lines.first())?;
        Some(line.at_wall(wall))
    }
}

/// Why a clock does not do what it is told.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error("{}: {error}", .path.display())]
    File { path: PathBuf, error: io::Error },
    #[error(
        "the clock can go ahead by {room:#} at most: kubectl computes ages from the wall clock, so the cluster's never \
         shows more\nroom comes from pausing, and a new cluster that starts in the past has it at once: podlab start \
         --behind 1d"
    )]
    Ahead { room: SignedDuration },
    #[error("{0} is no speed: 0 stands still, 1 is the wall clock's, {FASTEST} the fastest")]
    Speed(f64),
}

/// What a clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// The cluster's time.
    pub now: Timestamp,
    /// The wall clock.
    pub wall: Timestamp,
    /// How many times as fast as the wall clock it runs; 0 when it stands.
    pub speed: f64,
}

impl Shown {
    /// How far it can be stepped.
    #[must_use]
    pub fn room(&self) -> SignedDuration {
        SignedDuration::from_secs(self.wall.duration_since(self.now).as_secs())
    }
}

/// The hand on the clock of one cluster.
#[derive(Clone, Debug)]
pub struct Hand {
    directory: PathBuf,
}

impl Hand {
    /// For the cluster in this state directory.
    #[must_use]
    pub fn of(state_directory: &Path) -> Self {
        Hand { directory: state_directory.join("run") }
    }

    /// A machine starts: time goes on where it stood, or begins `behind` the wall.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn begin(&self, behind: Option<Duration>) -> Result<(), ClockError> {
        let _lock = self.lock()?;
        let mut lines = self.read()?;
        let now = Moment::now();
        let line = match (behind, lines.lines.last()) {
            (None, Some(last)) => last.rebooted(now),
            (behind, _) => Line::behind(now, behind.unwrap_or_default()),
        };
        self.write(&mut lines, line)
    }

    /// What it shows.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn show(&self) -> Result<Shown, ClockError> {
        let (line, now) = (self.line()?, Moment::now());
        Ok(Shown { now: line.now(now), wall: now.wall, speed: line.speed_at(now) })
    }

    /// Stands still.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn pause(&self) -> Result<(), ClockError> {
        self.speed(0.0)
    }

    /// Runs as fast as the wall clock.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn resume(&self) -> Result<(), ClockError> {
        self.speed(1.0)
    }

    /// Runs `factor` times as fast as the wall clock, until it has come up with it.
    ///
    /// # Errors
    ///
    /// When the factor is none, or there is no room for more than the wall's pace.
    pub fn speed(&self, factor: f64) -> Result<(), ClockError> {
        if !(0.0..=FASTEST).contains(&factor) {
            return Err(ClockError::Speed(factor));
        }
        let _lock = self.lock()?;
        if factor > 1.0 && self.show()?.room() < SignedDuration::from_secs(1) {
            return Err(ClockError::Ahead { room: SignedDuration::ZERO });
        }
        self.turn(Duration::ZERO, factor).map(drop)
    }

    /// Lets time go by, [`PACE`](super::PACE) times as fast as it does, and returns when it has: blocks for a second for
    /// each half minute. Then it runs, or stands, as before.
    ///
    /// # Errors
    ///
    /// When there is less room than that.
    #[expect(clippy::disallowed_methods, reason = "the machine's time is what a step takes")]
    pub fn step(&self, duration: Duration) -> Result<(), ClockError> {
        let _lock = self.lock()?;
        let before = self.line()?;
        let line = self.turn(duration, before.steady_speed_at(Moment::now()))?;
        let end = line.passed.saturating_add(duration);
        let mut now = Moment::now();
        while line.elapsed(now) < end {
            // A microsecond more than computed, so that rounding cannot make this turn often.
            std::thread::sleep(line.wait(now, end).unwrap_or_default() + Duration::from_micros(1));
            now = Moment::now();
        }
        Ok(())
    }

    /// Stands still until the guard goes, and then runs as before.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn hold(&self) -> Result<Held, ClockError> {
        let speed = self.line()?.steady_speed_at(Moment::now());
        self.pause()?;
        Ok(Held { hand: self.clone(), speed })
    }

    fn turn(&self, step: Duration, speed: f64) -> Result<Line, ClockError> {
        let mut lines = self.read()?;
        let now = Moment::now();
        let last = lines.lines.last().cloned().unwrap_or_else(|| Line::behind(now, Duration::ZERO));
        let line = last.turn(now, step, speed).map_err(|ahead| {
            let room = i64::try_from(ahead.room.as_secs()).unwrap_or(i64::MAX);
            ClockError::Ahead { room: SignedDuration::from_secs(room) }
        })?;
        self.write(&mut lines, line.clone())?;
        Ok(line)
    }

    fn line(&self) -> Result<Line, ClockError> {
        let last = self.read()?.lines.pop();
        Ok(last.unwrap_or_else(|| Line::behind(Moment::now(), Duration::ZERO)))
    }

    fn read(&self) -> Result<Lines, ClockError> {
        Lines::read(&self.directory).map(Option::unwrap_or_default)
    }

    /// In one step: a reader sees the old lines or the new.
    fn write(&self, lines: &mut Lines, line: Line) -> Result<(), ClockError> {
        lines.lines.push(line);
        let surplus = lines.lines.len().saturating_sub(MAX_LINES);
        lines.lines.drain(..surplus);
        let next = self.directory.join("clock.next");
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            file.write_all(&serde_json::to_vec(lines)?)?;
            fs::rename(&next, self.directory.join(FILE))
        };
        write().map_err(|error| ClockError::File { path: next.clone(), error })
    }

    /// One hand at a time. Held as long as the file is open.
    fn lock(&self) -> Result<fs::File, ClockError> {
        let path = self.directory.join("clock.lock");
        let open = || {
            let file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        };
        open().map_err(|error| ClockError::File { path: path.clone(), error })
    }
}

/// A clock that stands as long as this is kept.
#[derive(Debug)]
#[must_use = "time goes on as soon as it is dropped"]
pub struct Held {
    hand: Hand,
    speed: f64,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Room does not shrink while it stands, so only an unwritable file is left, and nobody to tell.
        let _ = self.hand.speed(self.speed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hand() -> (tempfile::TempDir, Hand) {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("run")).unwrap();
        let hand = Hand::of(place.path());
        (place, hand)
    }

    #[test]
    fn a_hand_on_the_clock() {
        let (_place, hand) = hand();
        hand.begin(Some(Duration::from_secs(3600))).unwrap();
        let shown = hand.show().unwrap();
        assert_eq!((shown.speed, shown.room().as_mins()), (1.0, 60));
        hand.pause().unwrap();
        let stood = hand.show().unwrap().now;
        hand.step(Duration::from_secs(3)).unwrap();
        assert_eq!(hand.show().unwrap().now, stood.checked_add(Duration::from_secs(3)).unwrap());
        {
            hand.resume().unwrap();
            let held = hand.hold().unwrap();
            assert_eq!(hand.show().unwrap().speed, 0.0);
            drop(held);
        }
        assert_eq!(hand.show().unwrap().speed, 1.0);
        hand.begin(None).unwrap();
        assert!(hand.show().unwrap().now > stood, "a reboot goes on");
    }

    #[test]
    fn never_ahead_of_the_wall() {
        let (_place, hand) = hand();
        hand.begin(None).unwrap();
        let refused = hand.step(Duration::from_secs(30)).unwrap_err().to_string();
        assert!(refused.contains("by 0s at most") && refused.contains("--behind 1d"), "{refused}");
        assert!(matches!(hand.speed(2.0), Err(ClockError::Ahead { .. })));
        for none in [-1.0, f64::NAN, f64::INFINITY, 101.0] {
            assert!(matches!(hand.speed(none), Err(ClockError::Speed(_))));
        }
    }

    #[test]
    fn only_so_many_lines_are_remembered() {
        let (_place, hand) = hand();
        for _ in 0..MAX_LINES + 5 {
            hand.pause().unwrap();
        }
        assert_eq!(hand.read().unwrap().lines.len(), MAX_LINES);
    }
}
