//! PAX extension headers: records of `LENGTH KEY=VALUE\n`.
//!
//! Source: pax(1) in POSIX, "pax Extended Header". The length says where a record ends, so a value may hold any byte;
//! the tar crate's own iterator splits at line ends and cannot read a binary attribute that has one.

/// The records of an extension header; `None` when it is not well-formed.
pub(super) fn records(mut data: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let space = data.iter().take(20).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
        let record = data.get(space + 1..length)?;
        let (last, record) = record.split_last()?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        if *last != b'\n' || equals == 0 {
            return None;
        }
        records.push((&record[..equals], &record[equals + 1..]));
        data = &data[length..];
    }
    Some(records)
}

/// A decimal value; a fraction, as times have, is cut off.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_their_length_says() {
        assert_eq!(records(b"").unwrap(), []);
        assert_eq!(records(b"9 path=a\n").unwrap(), [(&b"path"[..], &b"a"[..])]);
        assert_eq!(records(b"7 a=\nb\n8 cd=ef\n").unwrap(), [(&b"a"[..], &b"\nb"[..]), (&b"cd"[..], &b"ef"[..])]);
        for bad in
            [&b"9 path=a"[..], b"8 path=a\n", b"99 path=a\n", b"x path=a\n", b"5 =a\n", b"0 \n", b"6 abc\n", b"\0"]
        {
            assert_eq!(records(bad), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(number(b"12.5"), Some(12));
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = records(&data);
        }
    }
}
