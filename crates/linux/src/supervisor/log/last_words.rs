//! The end of a log as a container's last words, for `FallbackToLogsOnError`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::PART_LIMIT;

/// At most so many lines, and of these the last bytes (pkg/kubelet/container/runtime.go,
/// MaxContainerTerminationMessageLogLines and -Length).
const LINES: usize = 80;
const BYTES: usize = 2048;

/// What is read of the file: with the longest record cut off at its beginning, it still holds all that counts.
const WINDOW: usize = 2 * PART_LIMIT;

/// The last lines of a log file.
pub(super) fn read(file: &File) -> io::Result<String> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(WINDOW as u64);
    let mut window = vec![0; usize::try_from(size - start).unwrap_or(WINDOW)];
    file.read_exact_at(&mut window, start)?;
    // What begins in the middle of a record is dropped.
    let whole = match start {
        0 => &window[..],
        _ => window.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &window[end + 1..]),
    };
    Ok(of(whole))
}

/// The last lines in the text of a log.
fn of(text: &[u8]) -> String {
    let records: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').filter_map(parse).collect();
    let first = records.len().saturating_sub(LINES);
    let mut words = Vec::new();
    for (whole_line, message) in &records[first..] {
        words.extend_from_slice(message);
        if *whole_line {
            words.push(b'\n');
        }
    }
    let cut = words.len().saturating_sub(BYTES);
    String::from_utf8_lossy(&words[cut..]).into_owned()
}

/// Whether a record ends its line, and its message.
fn parse(record: &[u8]) -> Option<(bool, &[u8])> {
    let mut fields = record.strip_suffix(b"\n")?.splitn(4, |byte| *byte == b' ').skip(2);
    Some((fields.next()? == b"F", fields.next()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_eighty_lines() {
        let log: String = (0..100).map(|number| format!("T stdout F {number}\n")).collect();
        let words = of(log.as_bytes());
        assert!(words.starts_with("20\n21\n") && words.ends_with("\n99\n"), "{words}");
    }

    #[test]
    fn of_long_lines_the_last_bytes() {
        let words = of(format!("T stdout P {}\nT stderr F {}end\n", "a".repeat(3000), "b".repeat(1000)).as_bytes());
        assert_eq!(words.len(), BYTES);
        assert!(words.starts_with('a') && words.ends_with("end\n"));
        assert_eq!(of(b""), "");
    }

    #[test]
    fn a_large_file_is_read_from_its_end() {
        let mut file = tempfile::tempfile().unwrap();
        for _ in 0..10 {
            writeln!(file, "T stdout P {}", "x".repeat(PART_LIMIT)).unwrap();
        }
        file.write_all(b"T stdout F last words\n").unwrap();
        let words = read(&file).unwrap();
        assert!(words.len() == BYTES && words.ends_with("xlast words\n"), "{words}");
    }
}
