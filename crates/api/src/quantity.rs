//! Quantities: `100m` of a CPU, `64Mi` of memory (k8s.io/apimachinery/pkg/api/resource/quantity.go).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// Billionths in one: the smallest amount that counts.
const NANO: i128 = 1_000_000_000;

/// No quantity is larger than 2^63-1; larger ones are capped, as upstream caps them.
const MAX: i128 = (i64::MAX as i128) * NANO;

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    /// `m`, `k`, `M`, `G`.
    DecimalSi,
    /// `Ki`, `Mi`, `Gi`.
    BinarySi,
    /// `1e3`.
    DecimalExponent,
}

/// An amount of something, exact to a billionth.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    notation: Notation,
}

/// A text that is no quantity; the texts are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Number,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// A factor of a quantity: two or ten to a power.
enum Scale {
    Binary(u32),
    Decimal(i32),
}

/// What a suffix means.
fn suffix(text: &str) -> Option<(Scale, Notation)> {
    use Notation::{BinarySi, DecimalExponent, DecimalSi};
    Some(match text {
        "n" => (Scale::Decimal(-9), DecimalSi),
        "u" => (Scale::Decimal(-6), DecimalSi),
        "m" => (Scale::Decimal(-3), DecimalSi),
        "" => (Scale::Decimal(0), DecimalSi),
        "k" => (Scale::Decimal(3), DecimalSi),
        "M" => (Scale::Decimal(6), DecimalSi),
        "G" => (Scale::Decimal(9), DecimalSi),
        "T" => (Scale::Decimal(12), DecimalSi),
        "P" => (Scale::Decimal(15), DecimalSi),
        "E" => (Scale::Decimal(18), DecimalSi),
        "Ki" => (Scale::Binary(10), BinarySi),
        "Mi" => (Scale::Binary(20), BinarySi),
        "Gi" => (Scale::Binary(30), BinarySi),
        "Ti" => (Scale::Binary(40), BinarySi),
        "Pi" => (Scale::Binary(50), BinarySi),
        "Ei" => (Scale::Binary(60), BinarySi),
        _ => {
            let exponent = text.strip_prefix(['e', 'E'])?;
            (Scale::Decimal(exponent.parse::<i32>().ok()?), DecimalExponent)
        }
    })
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, notation: Notation::DecimalSi };

    /// Reads a quantity.
    ///
    /// # Errors
    /// A [`QuantityError`] with the real server's text.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            None => return Err(QuantityError::Format),
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
        };
        let digits_end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let (whole, rest) = unsigned.split_at(digits_end);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let letters = rest.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
        let exponent = letters.strip_prefix(['-', '+']).unwrap_or(letters);
        if !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        let (scale, notation) = suffix(rest).ok_or(QuantityError::Suffix)?;
        if whole.is_empty() && fraction.is_empty() {
            return Err(QuantityError::Number);
        }
        let magnitude = scaled(whole, fraction, scale);
        Ok(Self { nanos: if negative { -magnitude } else { magnitude }, notation })
    }

    /// Reads a quantity out of an object, where it is a string, or a bare number.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text).ok(),
            Value::Number(number) => Self::parse(&number.to_string()).ok(),
            _ => None,
        }
    }

    /// A whole number of units.
    #[must_use]
    pub fn from_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * NANO, notation: Notation::DecimalSi }
    }

    /// Thousandths: of a CPU, usually.
    #[must_use]
    pub fn from_milli(milli: i64) -> Self {
        Self { nanos: i128::from(milli) * (NANO / 1000), notation: Notation::DecimalSi }
    }

    /// Bytes, written with `Ki`, `Mi`.
    #[must_use]
    pub fn from_bytes(bytes: i64) -> Self {
        Self { nanos: i128::from(bytes) * NANO, notation: Notation::BinarySi }
    }

    /// In whole units, rounded away from zero as upstream's `Value()`.
    #[must_use]
    pub fn value(&self) -> i64 {
        clamp(round_up(self.nanos, NANO))
    }

    /// In thousandths, rounded away from zero as upstream's `MilliValue()`.
    #[must_use]
    pub fn milli_value(&self) -> i64 {
        clamp(round_up(self.nanos, NANO / 1000))
    }

    /// Whether there is none of it.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether it is a whole number of units.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// The sum, in the notation of the first; zero takes the notation of what is added.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let notation = if self.is_zero() { other.notation } else { self.notation };
        Self { nanos: (self.nanos + other.nanos).clamp(-MAX, MAX), notation }
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let notation = if self.is_zero() { other.notation } else { self.notation };
        Self { nanos: (self.nanos - other.nanos).clamp(-MAX, MAX), notation }
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Divides and rounds away from zero.
fn round_up(value: i128, divisor: i128) -> i128 {
    let quotient = value / divisor;
    if value % divisor == 0 { quotient } else { quotient + value.signum() }
}

/// The digits times the scale in billionths, rounded up, capped.
fn scaled(whole: &str, fraction: &str, scale: Scale) -> i128 {
    // Digits that decide: more than 28 before the point are capped anyway, more than 28 after it only round up.
    const DIGITS: usize = 28;
    const LAST_DIGITS: i64 = 9;
    const LAST: i128 = 1_000_000_000;
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() {
        return 0;
    }
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    // value = digits * 10^power
    let mut power = -i64::try_from(fraction.len()).unwrap_or(i64::MAX) + 9;
    let (kept, dropped) = digits.split_at(digits.len().min(DIGITS));
    power += i64::try_from(dropped.len()).unwrap_or(i64::MAX);
    let mut amount: i128 = kept.bytes().fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    match scale {
        Scale::Binary(bits) => match amount.checked_mul(1_i128 << bits) {
            Some(product) => amount = product,
            // Too many digits to stay exact: with a positive power it is above the cap, else the last ones cannot matter.
            None if power >= 0 => return MAX,
            None => {
                amount = round_up(amount, LAST).saturating_mul(1_i128 << bits);
                power += LAST_DIGITS;
            }
        },
        Scale::Decimal(exponent) => power += i64::from(exponent),
    }
    match u32::try_from(power.unsigned_abs()).ok().and_then(|power| 10_i128.checked_pow(power)) {
        Some(factor) if power >= 0 => amount.checked_mul(factor).map_or(MAX, |amount| amount.min(MAX)),
        Some(divisor) => round_up(amount, divisor).min(MAX),
        None if power > 0 => MAX,
        // Less than a billionth still is something.
        None => 1,
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// The canonical form: no fraction, the largest suffix that needs none.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // A fraction of a byte, and anything below 1Ki, reads better in decimals.
        let binary = self.notation == Notation::BinarySi && self.is_whole() && self.nanos.abs() >= 1024 * NANO;
        if binary {
            let mut number = self.nanos / NANO;
            let mut power = 0;
            while number % 1024 == 0 && power + 1 < BINARY.len() {
                number /= 1024;
                power += 1;
            }
            return write!(f, "{number}{}", BINARY[power]);
        }
        let mut number = self.nanos;
        let mut power = 0;
        while number % 1000 == 0 && power + 1 < DECIMAL.len() {
            number /= 1000;
            power += 1;
        }
        match self.notation {
            Notation::DecimalExponent => {
                let exponent = i64::try_from(power).unwrap_or_default() * 3 - 9;
                if exponent == 0 { write!(f, "{number}") } else { write!(f, "{number}e{exponent}") }
            }
            Notation::DecimalSi | Notation::BinarySi => write!(f, "{number}{}", DECIMAL[power]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_forms_are_upstreams() {
        let cases = [
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1", "1"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.1Gi", "107374182400m"),
            ("512Ki", "512Ki"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("1e3", "1e3"),
            ("1E", "1E"),
            ("100Ki", "100Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("0", "0"),
            ("0Mi", "0"),
            ("-1500m", "-1500m"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.1n", "1n"),
            ("99999999999999999999", "9223372036854775807"),
            ("10000Ei", "9223372036854775807"),
        ];
        for (text, canonical) in cases {
            assert_eq!(Quantity::parse(text).map(|quantity| quantity.to_string()), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_has_upstreams_text() {
        for text in ["", "lots", "1 Gi", "1.2.3", "0x10", "1Gi!"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Format, "{text}");
        }
        for text in ["1mm", "1kk", "1iK", "1m5", "1e"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Suffix, "{text}");
        }
        assert_eq!(Quantity::parse("m").unwrap_err(), QuantityError::Number);
    }

    #[test]
    fn values_round_up() {
        let quantity = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(quantity("1m").value(), 1);
        assert_eq!(quantity("100m").milli_value(), 100);
        assert_eq!(quantity("1Gi").value(), 1 << 30);
        assert!(quantity("500m") > quantity("0.1"));
        assert_eq!(quantity("1000m"), quantity("1"));
        assert_eq!(quantity("64Mi").plus(quantity("64Mi")).to_string(), "128Mi");
        assert_eq!(Quantity::ZERO.plus(quantity("64Mi")).to_string(), "64Mi");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+]?[0-9.]{0,40}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,12}|.{0,20}") {
            let _ = Quantity::parse(&text);
        }

        #[test]
        fn the_canonical_form_means_the_same(
            number in -1_000_000_000_i64..1_000_000_000,
            suffix in prop::sample::select(vec!["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e2", "E-3"]),
        ) {
            let quantity = Quantity::parse(&format!("{number}{suffix}")).unwrap();
            let again = Quantity::parse(&quantity.to_string()).unwrap();
            prop_assert_eq!(quantity, again);
            prop_assert_eq!(quantity.to_string(), again.to_string());
        }
    }
}
