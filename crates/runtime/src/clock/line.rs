//! How a cluster's time runs beside the machine's: a line of stretches, each with a speed. Pure.
//!
//! A line begins where the one before it stood, so time never jumps back; a change of speed is a new line. A step is no
//! jump either: it is a stretch at [`PACE`], so that whatever happens every ten seconds (a node's Lease, a probe) happens
//! as often as it should. Where a fast line meets the wall clock it goes on at the wall's pace, because kubectl computes
//! ages from the wall clock, and what was stamped ahead of it would have no age at all.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How many times as fast as the machine a step goes: five minutes in ten seconds. Faster, a loaded machine's nodes
/// would count as silent before they had a chance to be heard.
pub const PACE: f64 = 30.0;

/// A moment by the machine's two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// `CLOCK_MONOTONIC`, which all processes of a machine share; in nanoseconds since it booted.
    pub monotonic: u64,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let monotonic = seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default();
        Moment { monotonic, wall: Timestamp::now() }
    }
}

/// A speed that is kept for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// How much of the cluster's time it is.
    pub gains: Duration,
    /// More than 0; 1 is the machine's pace.
    pub speed: f64,
    /// Whether it is a step, after which the clock is to run as before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub step: bool,
}

impl Stretch {
    /// How much of the machine's time it takes.
    fn lasts(&self) -> Duration {
        self.gains.div_f64(self.speed)
    }
}

/// The cluster's time from a moment on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When it begins.
    pub from: Moment,
    /// What the cluster's clock shows then.
    pub time: Timestamp,
    /// How much time has passed for the cluster by then.
    pub passed: Duration,
    /// What comes first.
    pub stretches: Vec<Stretch>,
    /// What comes then, for good.
    pub speed: f64,
}

/// The clock would have run ahead of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// How far it can go.
    pub room: Duration,
}

impl Line {
    /// The time of the machine, or as far `behind` it.
    #[must_use]
    pub fn behind(now: Moment, behind: Duration) -> Self {
        let time = now.wall.checked_sub(behind).unwrap_or(Timestamp::UNIX_EPOCH);
        Line { from: now, time, passed: Duration::ZERO, stretches: Vec::new(), speed: 1.0 }
    }

    /// A reboot: on from where it stands, at the machine's pace. The monotonic clock may be another one by now.
    #[must_use]
    pub fn rebooted(&self, now: Moment) -> Self {
        let real = positive(now.wall.duration_since(self.from.wall));
        let time = later(self.time, self.advance(real)).min(now.wall);
        Line { from: now, time, passed: Duration::ZERO, stretches: Vec::new(), speed: 1.0 }
    }

    /// From here on at another speed, after a step.
    ///
    /// # Errors
    ///
    /// When the step goes ahead of the wall clock.
    pub fn turn(&self, now: Moment, step: Duration, speed: f64) -> Result<Self, Ahead> {
        let time = self.now(now).min(now.wall);
        let room = positive(now.wall.duration_since(time));
        let mut stretches = Vec::new();
        let mut lag = room;
        if !step.is_zero() {
            let stretch = Stretch { gains: step, speed: PACE, step: true };
            lag = (room + stretch.lasts()).checked_sub(step).ok_or(Ahead { room })?;
            stretches.push(stretch);
        }
        let mut last = speed;
        if speed > 1.0 {
            stretches.push(Stretch { gains: lag.mul_f64(speed / (speed - 1.0)), speed, step: false });
            last = 1.0;
        }
        Ok(Line { from: now, time, passed: self.elapsed(now), stretches, speed: last })
    }

    /// How far the cluster's time has come `real` after the line began.
    fn advance(&self, real: Duration) -> Duration {
        let (mut left, mut sum) = (real, Duration::ZERO);
        for stretch in &self.stretches {
            let Some(rest) = left.checked_sub(stretch.lasts()) else {
                return sum.saturating_add(left.mul_f64(stretch.speed).min(stretch.gains));
            };
            sum += stretch.gains;
            left = rest;
        }
        sum.saturating_add(left.mul_f64(self.speed))
    }

    fn real(&self, now: Moment) -> Duration {
        Duration::from_nanos(now.monotonic.saturating_sub(self.from.monotonic))
    }

    /// How much time has passed for the cluster. It is the same in all its processes, and never goes back.
    #[must_use]
    pub fn elapsed(&self, now: Moment) -> Duration {
        self.passed.saturating_add(self.advance(self.real(now)))
    }

    /// What the cluster's clock shows. At the machine's pace it follows the wall clock, which somebody may set.
    #[must_use]
    pub fn now(&self, now: Moment) -> Timestamp {
        let real = self.real(now);
        let time = later(self.time, self.advance(real));
        if self.speed_after(real) == 1.0 && self.speed == 1.0 {
            let lag = later(self.from.wall, real).duration_since(time);
            return now.wall.checked_sub(lag).unwrap_or(time);
        }
        time
    }

    /// What it showed when the wall clock showed `wall`, for what others wrote down by that.
    #[must_use]
    pub fn at_wall(&self, wall: Timestamp) -> Timestamp {
        let after = wall.duration_since(self.from.wall);
        if after.is_negative() {
            return self.time.checked_add(after).unwrap_or(Timestamp::UNIX_EPOCH);
        }
        later(self.time, self.advance(positive(after)))
    }

    /// How fast it runs.
    #[must_use]
    pub fn speed_at(&self, now: Moment) -> f64 {
        self.speed_after(self.real(now))
    }

    /// How fast it runs apart from a step that is under way.
    #[must_use]
    pub fn steady_speed_at(&self, now: Moment) -> f64 {
        let mut left = self.real(now);
        for stretch in &self.stretches {
            match left.checked_sub(stretch.lasts()) {
                Some(rest) => left = rest,
                None if stretch.step => left = Duration::ZERO,
                None => return stretch.speed,
            }
        }
        self.speed
    }

    fn speed_after(&self, real: Duration) -> f64 {
        let mut left = real;
        for stretch in &self.stretches {
            match left.checked_sub(stretch.lasts()) {
                Some(rest) => left = rest,
                None => return stretch.speed,
            }
        }
        self.speed
    }

    /// How long the machine has to wait until `deadline` of [`elapsed`](Line::elapsed); `None` when this line never
    /// gets there.
    #[must_use]
    pub fn wait(&self, now: Moment, deadline: Duration) -> Option<Duration> {
        let mut missing = deadline.saturating_sub(self.passed);
        let mut real = Duration::ZERO;
        for stretch in &self.stretches {
            if missing <= stretch.gains {
                real += missing.div_f64(stretch.speed);
                return Some(real.saturating_sub(self.real(now)));
            }
            missing -= stretch.gains;
            real += stretch.lasts();
        }
        if !missing.is_zero() {
            let rest = Duration::try_from_secs_f64(missing.as_secs_f64() / self.speed).ok()?;
            real = real.checked_add(rest)?;
        }
        Some(real.saturating_sub(self.real(now)))
    }
}

fn positive(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// `seconds` after the machine booted, at noon.
    fn moment(seconds: u64) -> Moment {
        let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        Moment { monotonic: seconds * 1_000_000_000, wall: later(noon, Duration::from_secs(seconds)) }
    }

    fn lag(line: &Line, at: u64) -> i64 {
        moment(at).wall.duration_since(line.now(moment(at))).as_secs()
    }

    #[test]
    fn a_line_that_nobody_held_is_the_wall_clock() {
        let line = Line::behind(moment(0), Duration::ZERO);
        assert_eq!(line.now(moment(70)), moment(70).wall);
        assert_eq!(line.elapsed(moment(70)), 70 * SECOND);
        let set = Moment { wall: moment(3670).wall, ..moment(70) };
        assert_eq!(line.now(set), set.wall, "set forward");
        assert_eq!(line.elapsed(set), 70 * SECOND, "but no more time has passed");
        assert_eq!(line.wait(moment(70), 75 * SECOND), Some(5 * SECOND));
    }

    #[test]
    fn a_pause_is_room_and_a_step_uses_it() {
        let line = Line::behind(moment(0), Duration::ZERO);
        assert_eq!(line.turn(moment(10), SECOND, 0.0), Err(Ahead { room: Duration::ZERO }));
        let paused = line.turn(moment(10), Duration::ZERO, 0.0).unwrap();
        assert_eq!(paused.elapsed(moment(40)), 10 * SECOND);
        assert_eq!(paused.wait(moment(40), 11 * SECOND), None);
        assert_eq!(lag(&paused, 40), 30);
        // 30 s at thirty times the machine's pace take one, in which the wall goes on as well.
        let stepped = paused.turn(moment(40), 30 * SECOND, 0.0).unwrap();
        assert_eq!(stepped.wait(moment(40), 25 * SECOND), Some(Duration::from_millis(500)));
        assert_eq!(stepped.elapsed(moment(41)), 40 * SECOND);
        assert_eq!(stepped.elapsed(moment(99)), 40 * SECOND, "and stands again");
        let fast = stepped.turn(moment(50), SECOND, 2.0).unwrap();
        assert_eq!((stepped.steady_speed_at(moment(40)), fast.steady_speed_at(moment(50))), (0.0, 2.0));
        assert_eq!(paused.turn(moment(40), 40 * SECOND, 0.0), Err(Ahead { room: 30 * SECOND }));
    }

    #[test]
    fn a_fast_line_meets_the_wall_and_stays_with_it() {
        let line = Line::behind(moment(0), 190 * SECOND).turn(moment(0), Duration::ZERO, 20.0).unwrap();
        assert_eq!((lag(&line, 0), lag(&line, 5), lag(&line, 10), lag(&line, 1000)), (190, 95, 0, 0));
        assert_eq!((line.speed_at(moment(9)), line.speed_at(moment(10))), (20.0, 1.0));
        assert_eq!(line.wait(moment(0), 200 * SECOND), Some(10 * SECOND));
        assert_eq!(line.wait(moment(0), 201 * SECOND), Some(11 * SECOND));
    }

    #[test]
    fn what_was_written_down_by_the_wall_finds_its_place() {
        let line = Line::behind(moment(0), 100 * SECOND).turn(moment(0), Duration::ZERO, 11.0).unwrap();
        assert_eq!(line.at_wall(moment(4).wall), line.now(moment(4)));
        assert_eq!(line.at_wall(moment(40).wall), line.now(moment(40)));
    }

    #[test]
    fn after_a_reboot_it_goes_on_where_it_stood_and_never_ahead() {
        let fast = Line::behind(moment(0), 50 * SECOND).turn(moment(0), Duration::ZERO, 6.0).unwrap();
        let again = Moment { monotonic: 3, ..moment(500) };
        assert_eq!(fast.rebooted(again).time, again.wall);
        let paused = fast.turn(moment(5), Duration::ZERO, 0.0).unwrap();
        let rebooted = paused.rebooted(again);
        assert_eq!((rebooted.time, rebooted.speed), (paused.time, 1.0));
        let earlier = Moment { wall: moment(0).wall, ..again };
        assert_eq!(
            Line::behind(moment(9), Duration::ZERO).rebooted(earlier).time,
            earlier.wall,
            "the wall was set back"
        );
    }
}
