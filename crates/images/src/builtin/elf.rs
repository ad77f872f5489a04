//! Which shared libraries a program needs: as much of the ELF format as that takes.
//!
//! Sources: elf(5), and `DT_NEEDED` / `PT_INTERP` in the System V ABI. Only 64-bit little-endian files, which is what
//! every machine podlab runs on has.

use std::io;
use std::path::Path;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// What a program asks the loader for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The loader itself, an absolute path. None for a library or a static program.
    pub(crate) interpreter: Option<String>,
    /// File names of libraries.
    pub(crate) libraries: Vec<String>,
}

/// Reads what `path` needs. A file that is not such a program (a script, say) needs nothing.
pub(crate) fn needs(path: &Path) -> io::Result<Needs> {
    let bytes = std::fs::read(path)?;
    Ok(parse(&bytes).unwrap_or_default())
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

fn parse(bytes: &[u8]) -> Option<Needs> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = number(bytes, 32, 8)?;
    let entry = number(bytes, 54, 2)?;
    let count = number(bytes, 56, 2)?;
    let mut segments = Vec::new();
    for index in 0..count {
        let at = table.checked_add(index * entry)?;
        segments.push(Segment {
            kind: u32::try_from(number(bytes, at, 4)?).ok()?,
            offset: number(bytes, at.checked_add(8)?, 8)?,
            address: number(bytes, at.checked_add(16)?, 8)?,
            size: number(bytes, at.checked_add(32)?, 8)?,
        });
    }
    let mut needs = Needs::default();
    if let Some(segment) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
        needs.interpreter = text(bytes, segment.offset);
    }
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else { return Some(needs) };
    let mut names = Vec::new();
    let mut strings = None;
    for index in 0..dynamic.size / 16 {
        let at = dynamic.offset.checked_add(index * 16)?;
        let value = number(bytes, at.checked_add(8)?, 8)?;
        match number(bytes, at, 8)? {
            DT_NULL => break,
            DT_NEEDED => names.push(value),
            DT_STRTAB => strings = Some(value),
            _ => {}
        }
    }
    // The string table is given as an address in memory: the segment that covers it says where in the file it lies.
    let strings = strings?;
    let load = segments.iter().find(|segment| {
        segment.kind == PT_LOAD && strings >= segment.address && strings - segment.address < segment.size
    })?;
    let strings = (strings - load.address).checked_add(load.offset)?;
    for name in names {
        needs.libraries.push(text(bytes, strings.checked_add(name)?)?);
    }
    Some(needs)
}

fn number(bytes: &[u8], at: u64, length: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn text(bytes: &[u8], at: u64) -> Option<String> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().take(4096).position(|byte| *byte == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_needs_the_c_library() {
        let Ok(shell) = Path::new("/bin/sh").canonicalize() else { return };
        let needs = needs(&shell).unwrap();
        // A static shell (busybox) needs nothing at all.
        if let Some(interpreter) = needs.interpreter {
            assert!(Path::new(&interpreter).exists(), "{interpreter}");
            assert!(needs.libraries.iter().any(|name| name.starts_with("libc.")), "{:?}", needs.libraries);
        }
    }

    #[test]
    fn what_is_no_program_needs_nothing() {
        assert_eq!(parse(b"#!/bin/sh\n"), None);
        assert_eq!(parse(b"\x7fELF\x02\x01"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let mut bytes = b"\x7fELF\x02\x01".to_vec();
            bytes.extend(tail);
            let _ = parse(&bytes);
        }
    }
}
