//! Packs: many objects in one file, some as differences from others.

use std::collections::HashMap;

use flate2::{Decompress, FlushDecompress, Status};

use super::object::{Id, Kind, LIMIT, Object, hex};

/// Objects of a pack.
const OBJECTS: u32 = 100_000;
/// Bytes of all objects of a pack together.
const TOTAL: u64 = 256 << 20;
/// Before the first object: `PACK`, the version, how many objects.
const HEADER: usize = 12;

/// Reads all objects of a pack.
pub(super) fn read(pack: &[u8]) -> Result<HashMap<Id, Object>, String> {
    let number = |at: usize| pack.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let (Some(b"PACK"), Some(2 | 3), Some(count)) = (pack.get(..4), number(4), number(8)) else {
        return Err("not a pack".to_owned());
    };
    if count > OBJECTS {
        return Err(format!("a pack of {count} objects: more than {OBJECTS}"));
    }
    let mut reader = Reader { pack, at: HEADER, total: 0 };
    let (mut by_place, mut by_id): (HashMap<usize, Object>, HashMap<Id, Object>) = Default::default();
    for _ in 0..count {
        let place = reader.at;
        let object = match reader.entry(place)? {
            (Entry::Whole(kind), data) => Object { kind, data },
            (Entry::FromPlace(base), delta) => apply(by_place.get(&base), &delta)?,
            (Entry::FromId(base), delta) => apply(by_id.get(&base), &delta)?,
        };
        reader.total += object.data.len() as u64;
        if reader.total > TOTAL {
            return Err(format!("a pack of more than {TOTAL} bytes"));
        }
        by_id.insert(object.id(), object.clone());
        by_place.insert(place, object);
    }
    Ok(by_id)
}

enum Entry {
    Whole(Kind),
    /// A difference from the object that begins there.
    FromPlace(usize),
    FromId(Id),
}

struct Reader<'a> {
    pack: &'a [u8],
    at: usize,
    total: u64,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, String> {
        let byte = self.pack.get(self.at).ok_or("the pack ends early")?;
        self.at += 1;
        Ok(*byte)
    }

    fn entry(&mut self, place: usize) -> Result<(Entry, Vec<u8>), String> {
        let mut byte = self.byte()?;
        let kind = byte >> 4 & 7;
        let (mut size, mut shift) = (u64::from(byte & 15), 4);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            size |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(u64::MAX);
            shift += 7;
        }
        if size > LIMIT {
            return Err(format!("an object of {size} bytes: more than {LIMIT}"));
        }
        let entry = match kind {
            1 => Entry::Whole(Kind::Commit),
            2 => Entry::Whole(Kind::Tree),
            3 => Entry::Whole(Kind::Blob),
            4 => Entry::Whole(Kind::Tag),
            6 => {
                let mut byte = self.byte()?;
                let mut distance = usize::from(byte & 0x7f);
                while byte & 0x80 != 0 {
                    byte = self.byte()?;
                    let more = distance.checked_add(1).and_then(|more| more.checked_mul(128));
                    distance = more.ok_or("a distance in the pack is too long")? + usize::from(byte & 0x7f);
                }
                Entry::FromPlace(place.checked_sub(distance).ok_or("a difference from before the pack")?)
            }
            7 => {
                let id = self.pack.get(self.at..self.at + 20).ok_or("the pack ends early")?;
                self.at += 20;
                Entry::FromId(hex(id))
            }
            other => return Err(format!("no kind of entry in a pack: {other}")),
        };
        Ok((entry, self.inflate(size)?))
    }

    /// Unpacks what begins here, which is to be of this size.
    fn inflate(&mut self, size: u64) -> Result<Vec<u8>, String> {
        let mut inflater = Decompress::new(true);
        let mut data = Vec::with_capacity(usize::try_from(size).map_err(|error| error.to_string())? + 1);
        let input = self.pack.get(self.at..).unwrap_or_default();
        let status = inflater.decompress_vec(input, &mut data, FlushDecompress::Finish);
        let status = status.map_err(|error| format!("the pack is damaged: {error}"))?;
        if status != Status::StreamEnd || data.len() as u64 != size {
            return Err("an object of the pack has another size than it says".to_owned());
        }
        self.at += usize::try_from(inflater.total_in()).map_err(|error| error.to_string())?;
        Ok(data)
    }
}

/// Makes an object from another one and what is different: pieces to copy, and pieces that are new.
fn apply(base: Option<&Object>, delta: &[u8]) -> Result<Object, String> {
    let base = base.ok_or("a difference from an object that is not before it in the pack")?;
    let mut rest = delta.iter().copied();
    let mut length = || {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = rest.next()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    };
    let damaged = || "a difference in the pack is damaged".to_owned();
    let (source, target) = (length().ok_or_else(damaged)?, length().ok_or_else(damaged)?);
    if source != base.data.len() as u64 || target > LIMIT {
        return Err(damaged());
    }
    let mut data = Vec::new();
    while let Some(command) = rest.next() {
        if command & 0x80 == 0 {
            // So many new bytes; none is no command.
            let before = data.len();
            data.extend(rest.by_ref().take(usize::from(command)));
            if command == 0 || data.len() - before != usize::from(command) {
                return Err(damaged());
            }
            continue;
        }
        let mut number = |first: u8, count: u8| -> Option<usize> {
            let mut value = 0;
            for place in 0..count {
                if command >> (first + place) & 1 == 1 {
                    value |= usize::from(rest.next()?) << (8 * place);
                }
            }
            Some(value)
        };
        let from = number(0, 4).ok_or_else(damaged)?;
        let count = number(4, 3).map(|count| if count == 0 { 0x1_0000 } else { count }).ok_or_else(damaged)?;
        data.extend(base.data.get(from..from + count).ok_or_else(damaged)?);
        if data.len() as u64 > target {
            return Err(damaged());
        }
    }
    if data.len() as u64 == target { Ok(Object { kind: base.kind, data }) } else { Err(damaged()) }
}
