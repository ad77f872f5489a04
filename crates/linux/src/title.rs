//! What a process is called in `ps`.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Names this process: its command name (15 bytes of it) and its command line.
///
/// A process forked and not executed still has the command line of its parent. Where that lies in memory the kernel
/// tells (proc(5), `arg_start`), and what stands there is what `ps` shows. Nothing of ours reads it any more: it was
/// decoded when the program began. Best effort; nothing depends on it.
pub(crate) fn set(name: &str, command_line: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
    let _ = set_command_line(command_line);
}

fn set_command_line(text: &str) -> io::Result<()> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (start, end) = argument_area(&stat).ok_or(io::ErrorKind::InvalidData)?;
    let mut area = vec![0; usize::try_from(end - start).unwrap_or(0)];
    let Some(last) = area.len().checked_sub(1) else { return Ok(()) };
    let mut room = &mut area[..last];
    room.write_all(&text.as_bytes()[..text.len().min(last)])?;
    // A last byte that is not zero tells the kernel that this is a title, which ends at the first zero
    // (fs/proc/base.c, get_mm_cmdline).
    area[last] = b' ';
    fs::OpenOptions::new().write(true).open("/proc/self/mem")?.write_all_at(&area, start)
}

/// Fields 48 and 49 of `/proc/PID/stat`; the second one, a name in parentheses, may contain anything.
fn argument_area(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(45);
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_where_the_arguments_are() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let (start, end) = argument_area(&stat).unwrap();
        let mut area = vec![0; (end - start) as usize];
        fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut area, start).unwrap();
        assert_eq!(area, fs::read("/proc/self/cmdline").unwrap());
    }
}
