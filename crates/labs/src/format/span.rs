//! Spans of time, written as Kubernetes writes them: `500ms`, `30s`, `2m`.

use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;

/// A span of time, at most an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const LONGEST: Duration = Duration::from_secs(3600);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| format!("{text:?} does not begin with a whole number"))?;
        let span = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            _ => return Err(format!("{text:?} needs a unit: ms, s or m")),
        };
        if span > LONGEST { Err(format!("{text:?} is longer than an hour")) } else { Ok(Span(span)) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            span if span.subsec_millis() != 0 => write!(f, "{}ms", span.as_millis()),
            span => write!(f, "{}s", span.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_a_number_a_unit_and_a_bound() {
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("30s".parse(), Ok(Span(Duration::from_secs(30))));
        assert_eq!("2m".parse(), Ok(Span(Duration::from_secs(120))));
        for wrong in ["", "30", "s", "-1s", "1h", "61m", "18446744073709551615m"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
