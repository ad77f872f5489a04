//! How calls follow each other on a connection: *record marking*, RFC 5531, 11.
//!
//! A record is one or more fragments. Each begins with four bytes: the highest bit says that it is the last one, the others
//! how long it is.

use std::io::{self, Read, Write};

use crate::procedures::LARGEST_TRANSFER;

/// The longest record that is taken: the largest write there is, and what is said around it.
pub const LIMIT: usize = LARGEST_TRANSFER as usize + 4096;

/// More pieces than any client cuts a call into; a piece may be empty, so the length alone is no limit.
const MOST_FRAGMENTS: usize = 64;

const LAST: u32 = 1 << 31;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is longer than [`LIMIT`], or cut into too many pieces.
    #[error("a record is too long")]
    TooLong,
}

/// Reads one record into `record`, whatever was there. False: the connection has ended, where a record could begin.
///
/// Memory is taken as bytes arrive, not as they are announced.
pub fn read(connection: &mut impl Read, record: &mut Vec<u8>) -> Result<bool, RecordError> {
    record.clear();
    for fragment in 0..MOST_FRAGMENTS {
        let mut mark = [0; 4];
        if fragment == 0 && !began(connection, &mut mark)? {
            return Ok(false);
        } else if fragment > 0 {
            connection.read_exact(&mut mark)?;
        }
        let mark = u32::from_be_bytes(mark);
        let length = (mark & !LAST) as usize;
        if record.len() + length > LIMIT {
            return Err(RecordError::TooLong);
        }
        if connection.take(length as u64).read_to_end(record)? < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if mark & LAST != 0 {
            return Ok(true);
        }
    }
    Err(RecordError::TooLong)
}

/// Reads the first mark. False: there is nothing more.
fn began(connection: &mut impl Read, mark: &mut [u8; 4]) -> io::Result<bool> {
    loop {
        match connection.read(&mut mark[..1]) {
            Ok(0) => return Ok(false),
            Ok(_) => return connection.read_exact(&mut mark[1..]).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes a record in one piece.
pub fn write(connection: &mut impl Write, record: &[u8]) -> io::Result<()> {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX) | LAST;
    // One write: a mark of its own would wait for the acknowledgement of the reply before it.
    connection.write_all(&[&length.to_be_bytes(), record].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(last: bool, bytes: &[u8]) -> Vec<u8> {
        let mark = u32::try_from(bytes.len()).unwrap() | if last { LAST } else { 0 };
        [&mark.to_be_bytes(), bytes].concat()
    }

    #[test]
    fn fragments_make_a_record() {
        let stream = [fragment(false, b"one"), fragment(false, b""), fragment(true, b"two"), fragment(true, b"x")];
        let (mut stream, mut record) = (io::Cursor::new(stream.concat()), Vec::new());
        assert!(read(&mut stream, &mut record).unwrap());
        assert_eq!(record, b"onetwo");
        assert!(read(&mut stream, &mut record).unwrap());
        assert_eq!(record, b"x");
        assert!(!read(&mut stream, &mut record).unwrap());
        write(&mut stream, b"again").unwrap();
        stream.set_position(stream.position() - 9);
        assert!(read(&mut stream, &mut record).unwrap());
        assert_eq!(record, b"again");
    }

    #[test]
    fn what_is_announced_is_no_memory_and_what_is_too_long_is_refused() {
        let mut record = Vec::new();
        let announced = (u32::MAX).to_be_bytes();
        assert!(matches!(read(&mut &announced[..], &mut record), Err(RecordError::TooLong)));
        let half = (u32::try_from(LIMIT).unwrap() | LAST).to_be_bytes();
        assert!(matches!(read(&mut &half[..], &mut record), Err(RecordError::Io(_))));
        assert!(record.capacity() < 4096, "{}", record.capacity());
        let pieces = [fragment(false, &vec![0; LIMIT]), fragment(true, b"x")].concat();
        assert!(matches!(read(&mut &pieces[..], &mut record), Err(RecordError::TooLong)));
        let endless = fragment(false, b"").repeat(MOST_FRAGMENTS + 1);
        assert!(matches!(read(&mut &endless[..], &mut record), Err(RecordError::TooLong)));
        assert!(matches!(read(&mut &b"\x80\0"[..], &mut record), Err(RecordError::Io(_))), "half a mark");
    }
}
