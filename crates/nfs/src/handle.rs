//! File handles: what a client keeps of a file instead of its name.

use crate::xdr::{Decoder, Encoder, Malformed};

/// The longest handle of version 3.
const LONGEST: usize = 64;
/// Ours begin with this, so that another server's are told from a file that is gone.
const MARK: u32 = u32::from_be_bytes(*b"plab");

/// A file, whatever it is called: its inode, and when that was made, since numbers are used again.
///
/// There is nothing secret in it: who invents one finds a file of the exported directory, which is open to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileHandle {
    pub(crate) inode: u64,
    /// Seconds and nanoseconds; 0 on file systems that do not know.
    pub(crate) born: (i64, u32),
}

impl FileHandle {
    pub(crate) fn write(self, encoder: &mut Encoder) {
        let mut handle = Encoder::new();
        handle.u32(MARK).u64(self.inode).u64(self.born.0.cast_unsigned()).u32(self.born.1);
        encoder.opaque(&handle.into_bytes());
    }

    /// A handle, or `None` for one that is not ours.
    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Option<Self>, Malformed> {
        let bytes = decoder.opaque(LONGEST)?;
        let mut handle = Decoder::new(bytes);
        let mut fields = || -> Result<Option<Self>, Malformed> {
            let ours = handle.u32()? == MARK;
            let handle_of = FileHandle { inode: handle.u64()?, born: (handle.u64()?.cast_signed(), handle.u32()?) };
            Ok((ours && handle.rest().is_empty()).then_some(handle_of))
        };
        Ok(fields().unwrap_or(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_handles_are_told_from_ours() {
        let handle = FileHandle { inode: u64::MAX, born: (-1, 7) };
        let mut encoder = Encoder::new();
        handle.write(&mut encoder);
        let mut bytes = encoder.into_bytes();
        assert_eq!(FileHandle::read(&mut Decoder::new(&bytes)), Ok(Some(handle)));
        bytes[5] ^= 1;
        assert_eq!(FileHandle::read(&mut Decoder::new(&bytes)), Ok(None));
        assert_eq!(FileHandle::read(&mut Decoder::new(&[0, 0, 0, 0])), Ok(None));
        let too_long = [vec![0, 0, 0, 65], vec![0; 68]].concat();
        assert_eq!(FileHandle::read(&mut Decoder::new(&too_long)), Err(Malformed));
    }
}
