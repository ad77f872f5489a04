//! Quantities as whole numbers: all that comparing requests needs.

/// A quantity such as `100m`, `64Mi` or `1e3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    /// Billionths.
    nanos: i128,
}

impl Amount {
    /// Reads a quantity that the server has accepted; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (base, power) = match suffix {
            "n" => (10_i128, 0),
            "u" => (10, 3),
            "m" => (10, 6),
            "" => (10, 9),
            "k" => (10, 12),
            "M" => (10, 15),
            "G" => (10, 18),
            "T" => (10, 21),
            "P" => (10, 24),
            "E" => (10, 27),
            "Ki" => (1024, 1),
            "Mi" => (1024, 2),
            "Gi" => (1024, 3),
            "Ti" => (1024, 4),
            "Pi" => (1024, 5),
            "Ei" => (1024, 6),
            other => (10, 9_u32.checked_add_signed(other.strip_prefix(['e', 'E'])?.parse().ok()?)?),
        };
        let unit = base.checked_pow(power)?.checked_mul(if base == 1024 { 1_000_000_000 } else { 1 })?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        Some(Amount { nanos: digits.checked_mul(unit)? / scale })
    }

    /// In whole units, rounded up.
    pub(super) fn value(self) -> i64 {
        self.in_units_of(1_000_000_000)
    }

    /// In thousandths, rounded up.
    pub(super) fn milli_value(self) -> i64 {
        self.in_units_of(1_000_000)
    }

    fn in_units_of(self, nanos: i128) -> i64 {
        let whole = self.nanos.div_euclid(nanos) + i128::from(self.nanos.rem_euclid(nanos) != 0);
        i64::try_from(whole).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_rounded_up() {
        let table = [
            ("100m", 1, 100),
            ("1", 1, 1000),
            ("0.5", 1, 500),
            ("64Mi", 64 << 20, 64_000 << 20),
            ("1Ti", 1 << 40, 1000 << 40),
            ("1.5Gi", 3 << 29, 3000 << 29),
            ("1e3", 1000, 1_000_000),
            ("100u", 1, 1),
            ("0", 0, 0),
        ];
        for (text, value, milli) in table {
            let amount = Amount::parse(text).expect(text);
            assert_eq!((amount.value(), amount.milli_value()), (value, milli), "{text}");
        }
        for text in ["", "one", "1Qi", "1e99", "1.2.3"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }
}
