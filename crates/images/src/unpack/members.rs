//! Reading the archive: members with their extension headers applied.

use std::io::Read;

use tar::{Archive, EntryType, Header};

use super::{UnpackError, pax};

/// Bytes of one extension header. Names are at most 4096 long, and file systems keep at most 64 KiB of attributes.
const EXTENSION_LIMIT: u64 = 256 * 1024;

/// Bytes of a whole path (`PATH_MAX`).
const PATH_LIMIT: usize = 4096;

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// Where it points, as written.
    Symlink(Vec<u8>),
    /// The member it is another name of.
    HardLink(Vec<u8>),
    Fifo,
    /// Character or block.
    Device,
}

/// A member of the archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// As written.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits with set-user-id and its like.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) modified: i64,
    /// Extended attributes: names and values.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Member {
    /// For error messages.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// An archive being read.
pub(super) struct Members<R: Read> {
    archive: Archive<R>,
    limit: u64,
}

/// What extension headers say about the member that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<u64>,
    size: Option<u64>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<R: Read> Members<R> {
    pub(super) fn new(reader: R, limit: u64) -> Members<R> {
        Members { archive: Archive::new(reader), limit }
    }

    /// Calls `write` with each member and, for files, its content.
    ///
    /// The archive is read "raw": extension headers come as members of their own. The tar crate would join them itself,
    /// but reads them to memory without a limit.
    pub(super) fn each(
        &mut self,
        mut write: impl FnMut(&Member, &mut dyn Read) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let mut extensions = Extensions::default();
        let mut count = 0;
        for entry in self.archive.entries().map_err(UnpackError::Read)?.raw(true) {
            let mut entry = entry.map_err(UnpackError::Read)?;
            count += 1;
            if count > self.limit {
                return Err(UnpackError::Limit { what: "members", limit: self.limit });
            }
            let header = entry.header().clone();
            match header.entry_type() {
                EntryType::GNULongName => extensions.path = Some(long_name(&mut entry)?),
                EntryType::GNULongLink => extensions.link = Some(long_name(&mut entry)?),
                EntryType::XHeader => {
                    let data = extension(&mut entry)?;
                    extensions.add(&data).ok_or_else(|| bad_header(&header, "malformed extension header"))?;
                }
                // About the whole archive: comments of the program that wrote it.
                EntryType::XGlobalHeader => {
                    extension(&mut entry)?;
                }
                _ => {
                    let member = member(&header, std::mem::take(&mut extensions))?;
                    write(&member, &mut entry)?;
                }
            }
        }
        Ok(())
    }
}

fn bad_header(header: &Header, problem: impl Into<String>) -> UnpackError {
    UnpackError::Header { member: String::from_utf8_lossy(&header.path_bytes()).into_owned(), problem: problem.into() }
}

/// The content of an extension header.
fn extension(entry: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut data = Vec::new();
    entry.take(EXTENSION_LIMIT + 1).read_to_end(&mut data).map_err(UnpackError::Read)?;
    if data.len() as u64 > EXTENSION_LIMIT {
        return Err(UnpackError::Limit { what: "bytes in one extension header", limit: EXTENSION_LIMIT });
    }
    Ok(data)
}

/// GNU's way to long names: the name, ended by a zero byte.
fn long_name(entry: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut name = extension(entry)?;
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    Ok(name)
}

impl Extensions {
    /// `None` when the records are not well-formed.
    fn add(&mut self, data: &[u8]) -> Option<()> {
        for (key, value) in pax::records(data)? {
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"uid" => self.uid = Some(pax::number(value)?),
                b"gid" => self.gid = Some(pax::number(value)?),
                b"size" => self.size = Some(pax::number(value)?),
                // Before 1970: not worth a failure.
                b"mtime" => self.modified = Some(pax::number(value).unwrap_or(0)),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.attributes.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Some(())
    }
}

fn member(header: &Header, extensions: Extensions) -> Result<Member, UnpackError> {
    let field = |read: std::io::Result<u64>| read.map_err(|error| bad_header(header, error.to_string()));
    let path = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let name = || String::from_utf8_lossy(&path).into_owned();
    let size = field(header.entry_size())?;
    if extensions.size.is_some_and(|other| other != size) {
        let problem = "its extension header gives another size than its header".to_owned();
        return Err(UnpackError::Header { member: name(), problem });
    }
    let link = extensions.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
    let target = || {
        link.clone()
            .filter(|link| !link.is_empty() && link.len() < PATH_LIMIT && !link.contains(&0))
            .ok_or_else(|| UnpackError::Name { member: name(), problem: "a link to nowhere" })
    };
    let kind = match header.entry_type() {
        // Before POSIX, a directory was a file with a slash at the end.
        EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(target()?),
        EntryType::Link => Kind::HardLink(target()?),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char | EntryType::Block => Kind::Device,
        other => return Err(UnpackError::Kind { member: name(), kind: char::from(other.as_byte()) }),
    };
    if path.len() >= PATH_LIMIT {
        return Err(UnpackError::Name { member: name(), problem: "a path of more than 4095 bytes" });
    }
    let id = |extension: Option<u64>, header: std::io::Result<u64>| -> Result<u32, UnpackError> {
        let id = match extension {
            Some(id) => id,
            None => field(header)?,
        };
        // The largest value means "no change" to chown(2).
        u32::try_from(id)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| UnpackError::Header { member: name(), problem: format!("{id} is no user or group") })
    };
    Ok(Member {
        kind,
        mode: header.mode().map_err(|error| bad_header(header, error.to_string()))? & 0o7777,
        uid: id(extensions.uid, header.uid())?,
        gid: id(extensions.gid, header.gid())?,
        modified: i64::try_from(extensions.modified.unwrap_or(header.mtime().unwrap_or(0))).unwrap_or(0),
        attributes: extensions.attributes,
        path,
    })
}
