//! How Go prints things: the messages of a kubelet are full of it.

use std::time::Duration;

/// A duration as Go's `time.Duration` prints it: `10s`, `1m20s`, `273ms`, `1.5s`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanoseconds, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanoseconds, 1_000_000)),
        _ => {
            let minutes = duration.as_secs() / 60;
            let seconds = decimal(nanoseconds - u128::from(minutes) * 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// A slice of strings as Go's `%s` prints it: `[a b]`.
#[must_use]
pub fn list(items: &[&str]) -> String {
    format!("[{}]", items.join(" "))
}

/// `value / unit` without trailing zeros.
fn decimal(value: u128, unit: u128) -> String {
    let digits = unit.ilog10() as usize;
    match value % unit {
        0 => (value / unit).to_string(),
        fraction => format!("{}.{fraction:0digits$}", value / unit).trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_as_in_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (273_000_000, "273ms"),
            (10_000_000_000, "10s"),
            (1_050_000_000, "1.05s"),
            (80_000_000_000, "1m20s"),
            (300_000_000_000, "5m0s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
