//! Ages as tables print them: `5s`, `3m20s`, `2d3h` (k8s.io/apimachinery/pkg/util/duration/duration.go).

use jiff::Timestamp;
use serde_json::Value;

/// A number of seconds in two units at most.
#[must_use]
pub fn human(seconds: i64) -> String {
    let two = |major: i64, unit: &str, minor: i64, minor_unit: &str| {
        if minor == 0 { format!("{major}{unit}") } else { format!("{major}{unit}{minor}{minor_unit}") }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, year) = (hours / 24, 24 * 365);
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(days, "d", hours % 24, "h"),
        () if hours < year * 2 => format!("{days}d"),
        () if hours < year * 8 => two(hours / year, "y", days % 365, "d"),
        () => format!("{}y", hours / year),
    }
}

/// The age of a time in an object, `<unknown>` where there is none.
#[must_use]
pub fn since(time: &Value, now: Timestamp) -> String {
    match time.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => human(seconds_between(time, now)),
        None => "<unknown>".to_owned(),
    }
}

/// Whole seconds from one time to another, rounded towards zero.
fn seconds_between(from: Timestamp, to: Timestamp) -> i64 {
    to.duration_since(from).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_change_where_upstreams_do() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (599, "9m59s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (8 * 3600, "8h"),
            (48 * 3600, "2d"),
            (51 * 3600, "2d3h"),
            (8 * 24 * 3600, "8d"),
            (800 * 24 * 3600, "2y70d"),
            (9 * 365 * 24 * 3600, "9y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text);
        }
    }
}
