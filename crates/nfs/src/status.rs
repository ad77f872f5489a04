//! How a procedure went: `nfsstat3`, RFC 1813, 2.6.

use rustix::io::Errno;

/// Zero is missing: success is not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Failure {
    Permission = 1,
    NoEntry = 2,
    Io = 5,
    Access = 13,
    Exists = 17,
    NotDirectory = 20,
    IsDirectory = 21,
    Invalid = 22,
    FileTooBig = 27,
    NoSpace = 28,
    ReadOnly = 30,
    TooManyLinks = 31,
    NameTooLong = 63,
    NotEmpty = 66,
    Quota = 69,
    /// The handle's file is gone.
    Stale = 70,
    /// This was never a handle of ours.
    BadHandle = 10001,
    /// A file is not what the client thinks it is.
    NotSync = 10002,
    BadCookie = 10003,
    NotSupported = 10004,
    TooSmall = 10005,
    /// Ask again later.
    Later = 10008,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PERM => Self::Permission,
            Errno::NOENT => Self::NoEntry,
            // Another file system is mounted there, and only one is exported.
            Errno::ACCESS | Errno::XDEV => Self::Access,
            Errno::EXIST => Self::Exists,
            // A link where a directory was.
            Errno::NOTDIR | Errno::LOOP => Self::NotDirectory,
            Errno::ISDIR => Self::IsDirectory,
            Errno::INVAL => Self::Invalid,
            Errno::FBIG | Errno::OVERFLOW => Self::FileTooBig,
            Errno::NOSPC => Self::NoSpace,
            Errno::ROFS => Self::ReadOnly,
            Errno::MLINK => Self::TooManyLinks,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::DQUOT => Self::Quota,
            Errno::OPNOTSUPP | Errno::NOSYS => Self::NotSupported,
            Errno::AGAIN | Errno::NFILE | Errno::MFILE | Errno::NOMEM => Self::Later,
            _ => Self::Io,
        }
    }
}
