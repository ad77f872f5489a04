//! From a record to its answer.

use std::path::{Path, PathBuf};

use crate::procedures::Nfs;
use crate::rpc::{Accepted, Call};
use crate::tree::Tree;
use crate::xdr::{Decoder, Encoder, Malformed};
use crate::{mount, procedures};

/// Why a directory cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no such directory, or it is not ours to read.
    #[error("cannot export {}: {source}", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The name of an export is a path without surprises.
    #[error("{name:?} cannot name an export: write it as /exports")]
    Name { name: String },
}

/// One exported directory, and the two programs that serve it.
#[derive(Debug)]
pub struct Service {
    /// As clients name it: `/exports`.
    name: String,
    nfs: Nfs,
}

/// What a procedure says of its arguments; how it went is in what it wrote.
pub(crate) type Outcome = Result<Accepted, Malformed>;

impl Service {
    /// Exports a directory under a name.
    pub fn new(name: &str, directory: &Path) -> Result<Self, ServiceError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        let good =
            name.len() <= mount::LONGEST_NAME && name.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain));
        if !good {
            return Err(ServiceError::Name { name: name.to_owned() });
        }
        let tree = Tree::open(directory)
            .map_err(|errno| ServiceError::Directory { path: directory.to_owned(), source: errno.into() })?;
        Ok(Self { name: name.to_owned(), nfs: Nfs::new(tree) })
    }

    /// The reply to a call. `None`: this is none, and whoever sends it speaks something else.
    #[must_use]
    pub fn answer(&self, record: &[u8]) -> Option<Vec<u8>> {
        let mut arguments = Decoder::new(record);
        let call = Call::read(&mut arguments).ok()?;
        Some(call.reply(|call| {
            let mut result = Encoder::new();
            let accepted = self.run(call, &mut arguments, &mut result).unwrap_or(Accepted::GarbageArguments);
            (accepted, result)
        }))
    }

    fn run(&self, call: Call, arguments: &mut Decoder<'_>, result: &mut Encoder) -> Outcome {
        match (call.program, call.version) {
            (mount::PROGRAM, mount::VERSION) => {
                mount::run(&self.name, &self.nfs.tree, call.procedure, arguments, result)
            }
            (procedures::PROGRAM, procedures::VERSION) => self.nfs.run(call.procedure, arguments, result),
            (mount::PROGRAM, _) => Ok(Accepted::ProgramMismatch(mount::VERSION)),
            (procedures::PROGRAM, _) => Ok(Accepted::ProgramMismatch(procedures::VERSION)),
            _ => Ok(Accepted::ProgramUnavailable),
        }
    }
}
