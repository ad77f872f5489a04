//! `podlab clock …`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use jiff::{Span, SpanRelativeTo, Timestamp};
use podlab_runtime::clock::{Hand, Shown};
use serde_json::json;

use super::{Context, Format};

/// What belongs to the command and not to one of its verbs.
pub(crate) const HELP: &str = "\
All parts of the cluster share one clock: probes, back-offs, grace periods, the delays of nodes and the ages that
`kubectl get` shows go by it. Processes in containers run as ever, and so do timeouts that are given to them.
It never runs ahead of the wall clock, from which kubectl computes the other ages: pause it first, or start a new
cluster in the past.

Examples:
  podlab start --behind 1d       a new cluster, with a day to go ahead
  podlab clock pause             nothing is due any more
  podlab clock step 30s          30 seconds go by, in one
  podlab clock speed 20
  podlab clock resume            as fast as the wall clock
  podlab clock show";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ClockCommand {
    /// Let the clock stand: nothing becomes due, and nothing ages
    #[command(after_help = "Examples:\n  podlab clock pause")]
    Pause,
    /// Let it run as fast as the wall clock
    #[command(after_help = "Examples:\n  podlab clock resume")]
    Resume,
    /// Let time go by, thirty times as fast as it does; then the clock stands or runs as before
    #[command(after_help = "Examples:\n  podlab clock step 30s\n  podlab clock step 1h30m")]
    Step {
        /// How much: 30s, 5m, 1h30m
        #[arg(value_parser = duration)]
        duration: Duration,
    },
    /// Let it run this many times as fast as the wall clock, until it has come up with that
    #[command(after_help = "Examples:\n  podlab clock speed 20\n  podlab clock speed 0.5")]
    Speed {
        /// 20 is twenty times as fast; 100 at most
        factor: f64,
    },
    /// Show the cluster's time, and how it runs
    #[command(after_help = "Examples:\n  podlab clock show\n  podlab clock show --output json")]
    Show {
        /// How to print it
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
}

/// A duration as people write it: `30s`, `1h30m`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let example = || format!("'{text}' is no duration: write 30s, 5m, 1h30m or 1d");
    let span: Span = text.parse().map_err(|_| example())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| example())?;
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() && duration <= LONGEST => Ok(duration),
        Ok(duration) if !duration.is_zero() => Err("more than ten years".to_owned()),
        _ => Err("must be more than zero".to_owned()),
    }
}

/// A limit, as for everything that comes from outside.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// # Errors
///
/// When no cluster runs, or its clock cannot do that.
pub(crate) fn run(context: &Context, command: &ClockCommand) -> anyhow::Result<ExitCode> {
    let hand = Hand::of(context.running()?.path());
    match command {
        ClockCommand::Pause => hand.pause()?,
        ClockCommand::Resume => hand.resume()?,
        ClockCommand::Step { duration } => hand.step(*duration)?,
        ClockCommand::Speed { factor: 0.0 } => bail!("a clock of speed 0 stands: podlab clock pause"),
        ClockCommand::Speed { factor } => hand.speed(*factor)?,
        ClockCommand::Show { output: Format::Json } => {
            let Shown { now, wall, speed } = hand.show()?;
            let room = hand.show()?.room().as_secs();
            println!("{:#}", json!({"now": now, "wall": wall, "speed": speed, "roomSeconds": room}));
            return Ok(ExitCode::SUCCESS);
        }
        ClockCommand::Show { output: Format::Text } => {}
    }
    print(&hand.show()?);
    Ok(ExitCode::SUCCESS)
}

fn print(shown: &Shown) {
    let second = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let (now, room) = (second(shown.now), shown.room());
    let how = match shown.speed {
        0.0 => "stands".to_owned(),
        1.0 => "runs as fast as the wall clock".to_owned(),
        speed => format!("runs {speed} times as fast as the wall clock"),
    };
    anstream::println!("The cluster's clock {how}, at {now}; containers run as ever.");
    if room.is_zero() {
        anstream::println!("It shows the time of the wall clock.");
    } else {
        anstream::println!("It is {room:#} behind the wall clock: that much it can go ahead.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "30", "0s", "-5s", "1mo", "20y", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
