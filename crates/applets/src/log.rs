//! Log lines, stamped as the programs that are stood in for stamp theirs.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026/11/20 18:46:53`, as Go's `log` package and nginx' error log write it. UTC, as in a container without a zone.
pub(crate) fn stamp(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).strftime("%Y/%m/%d %H:%M:%S").to_string()
}

/// `20/Nov/2026:18:52:37 +0000`, as the common log format of web servers has it.
pub(crate) fn common_log_stamp(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// Prints a stamped line on standard error, where Go's `log` package writes.
pub(crate) fn line(text: &str) {
    eprintln!("{} {text}", stamp(Timestamp::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_the_namesakes_forms() {
        let time: Timestamp = "2026-11-20T08:06:03Z".parse().unwrap();
        assert_eq!(stamp(time), "2026/11/20 08:06:03");
        assert_eq!(common_log_stamp(time), "20/Nov/2026:08:06:03 +0000");
    }
}
