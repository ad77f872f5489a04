//! Objects: a kind and bytes, named by the SHA-1 of both.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

/// Bytes of an object. What Git is for is smaller.
pub(super) const LIMIT: u64 = 16 << 20;

/// 40 hexadecimal digits.
pub(super) type Id = String;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Tag => "tag",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: Kind,
    pub(super) data: Vec<u8>,
}

/// A line of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// `0o100644`, `0o100755`, `0o120000` (a link), `0o40000` (a tree), `0o160000` (another repository).
    pub(super) mode: u32,
    pub(super) name: String,
    pub(super) id: Id,
}

/// Whether a text has the form of an id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn hex(bytes: &[u8]) -> Id {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Object {
    pub(super) fn id(&self) -> Id {
        let mut hash = Sha1::new();
        hash.update(format!("{} {}\0", self.kind.name(), self.data.len()));
        hash.update(&self.data);
        hex(&hash.finalize())
    }

    /// Reads an object as it lies in a file of its own.
    pub(super) fn read(compressed: &[u8]) -> Result<Object, String> {
        let mut bytes = Vec::new();
        let read = ZlibDecoder::new(compressed).take(LIMIT + 64).read_to_end(&mut bytes);
        read.map_err(|error| format!("not an object: {error}"))?;
        let end = bytes.iter().position(|byte| *byte == 0).ok_or("not an object: its header has no end")?;
        let header = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let data = bytes.split_off(end + 1);
        let (kind, size) = header.split_once(' ').unwrap_or((&header, ""));
        let kinds = [Kind::Commit, Kind::Tree, Kind::Blob, Kind::Tag];
        let kind =
            kinds.into_iter().find(|known| known.name() == kind).ok_or(format!("no kind of object: {kind:?}"))?;
        match size.parse::<usize>() {
            Ok(size) if data.len() == size => Ok(Object { kind, data }),
            _ => Err(format!("an object of {} bytes says that it has {size}", data.len())),
        }
    }

    /// Writes the object into a repository, as a file of its own.
    pub(super) fn write(&self, repository: &Path) -> io::Result<Id> {
        let id = self.id();
        let folder = repository.join("objects").join(&id[..2]);
        fs::create_dir_all(&folder)?;
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        write!(encoder, "{} {}\0", self.kind.name(), self.data.len())?;
        encoder.write_all(&self.data)?;
        let new = folder.join("new");
        fs::write(&new, encoder.finish()?)?;
        fs::rename(new, folder.join(&id[2..]))?;
        Ok(id)
    }

    /// The line of a commit or a tag that begins with `field`.
    fn field(&self, field: &str) -> Option<Id> {
        let text = std::str::from_utf8(&self.data).ok()?;
        let header = text.split("\n\n").next()?;
        let line = header.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(' '))?;
        is_id(line).then(|| line.to_owned())
    }

    /// What a commit is a picture of.
    pub(super) fn tree(&self) -> Option<Id> {
        self.field("tree")
    }

    /// What a tag is a name for.
    pub(super) fn tagged(&self) -> Option<Id> {
        self.field("object")
    }

    /// The lines of a tree.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        let mut rest = self.data.as_slice();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == 0).ok_or("a tree ends in the middle of a line")?;
            let line = std::str::from_utf8(&rest[..end]).map_err(|_| "a name in a tree is not UTF-8")?;
            let (mode, name) = line.split_once(' ').ok_or("a line of a tree has no name")?;
            let mode = u32::from_str_radix(mode, 8).map_err(|_| format!("no mode: {mode:?}"))?;
            let id = rest.get(end + 1..end + 21).ok_or("a tree ends in the middle of a line")?;
            entries.push(Entry { mode, name: name.to_owned(), id: hex(id) });
            rest = &rest[end + 21..];
        }
        Ok(entries)
    }

    /// A tree of these lines.
    pub(super) fn of_entries(mut entries: Vec<Entry>) -> Object {
        // Trees are sorted as if their names ended in a slash.
        entries
            .sort_by_key(|entry| if entry.mode == 0o40000 { format!("{}/", entry.name) } else { entry.name.clone() });
        let mut data = Vec::new();
        for entry in entries {
            data.extend(format!("{:o} {}\0", entry.mode, entry.name).bytes());
            data.extend(
                (0..20).filter_map(|place| u8::from_str_radix(entry.id.get(place * 2..place * 2 + 2)?, 16).ok()),
            );
        }
        Object { kind: Kind::Tree, data }
    }
}
