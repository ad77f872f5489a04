//! The program that hands out the first handle: RFC 1813, appendix I.

use crate::rpc::Accepted;
use crate::service::Outcome;
use crate::status::Failure;
use crate::tree::Tree;
use crate::xdr::{Decoder, Encoder};

pub(crate) const PROGRAM: u32 = 100_005;
pub(crate) const VERSION: u32 = 3;
/// The longest path of an export.
pub(crate) const LONGEST_NAME: usize = 1024;
/// The only way to say who calls that is offered, and then not looked at: numbers of user and groups.
const AUTH_SYS: u32 = 1;

/// Runs a procedure. Nobody is remembered, so there is nobody to list and nothing to forget.
pub(crate) fn run(
    export: &str,
    tree: &Tree,
    procedure: u32,
    arguments: &mut Decoder<'_>,
    result: &mut Encoder,
) -> Outcome {
    match procedure {
        // Null, and the end of all mounts.
        0 | 4 => {}
        1 => match mount(export, tree, arguments.opaque(LONGEST_NAME)?) {
            Ok(handle) => {
                result.u32(0);
                handle.write(result);
                result.u32(1).u32(AUTH_SYS);
            }
            Err(failure) => {
                result.u32(failure as u32);
            }
        },
        // Who has mounted something: an empty list.
        2 => {
            result.bool(false);
        }
        // The end of one mount.
        3 => {
            arguments.opaque(LONGEST_NAME)?;
        }
        // What is exported, and to which groups: all.
        5 => {
            result.bool(true).opaque(export.as_bytes()).bool(false).bool(false);
        }
        _ => return Ok(Accepted::ProcedureUnavailable),
    }
    Ok(Accepted::Success)
}

/// The export, or a directory in it.
fn mount(export: &str, tree: &Tree, path: &[u8]) -> Result<crate::handle::FileHandle, Failure> {
    let inside = path.strip_prefix(export.as_bytes()).ok_or(Failure::NoEntry)?;
    if !inside.is_empty() && inside[0] != b'/' {
        return Err(Failure::NoEntry);
    }
    let names = inside.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    let mut at = tree.find(tree.root())?;
    for name in names {
        let directory = at.attributes.handle();
        at = tree.child(&at, directory, name)?;
    }
    match at.attributes.kind() {
        rustix::fs::FileType::Directory => Ok(at.attributes.handle()),
        _ => Err(Failure::NotDirectory),
    }
}
