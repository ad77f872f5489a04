//! Unpacking a layer: hostile input, written by whoever made the image.
//!
//! What can go wrong with a tar archive has names in every list of vulnerabilities: names that lead out of the directory
//! (`../`, absolute, through a symbolic link that an earlier member made), hard links to what lies outside, device nodes,
//! attributes that mean something to the overlay that the layer becomes a part of, extension headers that make two
//! readers see two archives, and sizes without end. The rules here:
//!
//! * Every path is reached by descriptor, with `RESOLVE_IN_ROOT` (openat2(2)): what a link says is looked up as if the
//!   layer's directory were the root of the machine. The last component is never followed.
//! * A name with `..` in it is refused, not cleaned: no honest archive has one.
//! * Device nodes are left out: a container's `/dev` is the runtime's. So the only 0/0 devices, which are how an overlay
//!   deletes, are the ones made here from whiteouts.
//! * Of extended attributes only `user.*` and file capabilities are kept, and never the overlay's own.
//! * An extension header that gives another size than the member's header is refused.
//! * There is a limit on everything: [`Limits`].
//!
//! The layer format is the image specification's
//! (<https://github.com/opencontainers/image-spec/blob/main/layer.md>).

mod members;
mod pax;
mod write;

use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use self::members::Members;
use self::write::Layer;

/// How large a layer may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members of the archive, extension headers included.
    pub members: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl Default for Limits {
    /// A million members, 20 GiB: several times what large public images have.
    fn default() -> Limits {
        Limits { members: 1_000_000, bytes: 20 << 30 }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files, directories and links.
    pub members: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Devices that were left out.
    pub skipped: u64,
}

/// Why a layer is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A name that leads out of the layer, or is none.
    #[error("member {member:?}: {problem}")]
    Name { member: String, problem: &'static str },
    /// A kind of member that no layer has.
    #[error("member {member:?} is of type {kind:?}, which no layer has")]
    Kind { member: String, kind: char },
    /// A limit was reached.
    #[error("the layer has more than {limit} {what}")]
    Limit { what: &'static str, limit: u64 },
    /// An extension header is not well-formed, or contradicts the header it extends.
    #[error("member {member:?}: {problem}")]
    Header { member: String, problem: String },
    /// The archive ends early, or a checksum is wrong.
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// The operating system refused a step.
    #[error("cannot {action} {member:?}: {source}")]
    Write {
        action: &'static str,
        member: String,
        #[source]
        source: io::Error,
    },
}

/// Unpacks the tar archive `reader` into `directory`, which exists and is empty, and reads it to its end.
pub fn unpack(reader: impl Read, directory: &Path, limits: Limits) -> Result<Unpacked, UnpackError> {
    let root = rustix::fs::open(directory, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| UnpackError::Write {
            action: "open",
            member: directory.display().to_string(),
            source: errno.into(),
        })?;
    let mut layer = Layer::new(root, limits.bytes);
    let mut members = Members::new(reader, limits.members);
    members.each(|member, content| layer.write(member, content))?;
    layer.finish()
}
