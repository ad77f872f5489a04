//! `mounttest`: says what lies at paths, as tests of volumes want to know it.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::Flags;

/// How long `file_content_in_loop` goes on unless it is told.
const USUAL_SECONDS: u64 = 180;
/// What a new file holds.
const CONTENT: &str = "mount-tester new file\n";

pub(super) fn main(flags: &Flags) -> ExitCode {
    match look(flags, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// In the order in which upstream does it: what is new is made before it is looked at.
fn look(flags: &Flags, out: &mut dyn Write) -> Result<(), String> {
    let mut say = |text: String| writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| error.to_string());
    for path in flags.all("fs_type") {
        let kind = rustix::fs::statfs(path).map_err(|error| wrong("statfs", path, &error))?.f_type;
        say(format!("mount type of \"{path}\": {}", name_of(kind)))?;
    }
    for (flag, mode) in
        [("new_file_0644", 0o644), ("new_file_0660", 0o660), ("new_file_0666", 0o666), ("new_file_0777", 0o777)]
    {
        for path in flags.all(flag) {
            make(path, mode).map_err(|error| wrong("creating file", path, &error))?;
        }
    }
    for path in flags.all("file_mode") {
        say(format!("mode of file \"{path}\": {}", mode(&metadata(path)?)))?;
    }
    for path in flags.all("file_perm") {
        let bits = metadata(path)?.permissions().mode() & 0o777;
        say(format!("perms of file \"{path}\": -{}", letters(bits)))?;
    }
    for path in flags.all("file_owner") {
        let metadata = metadata(path)?;
        say(format!("owner UID of \"{path}\": {}\nowner GID of \"{path}\": {}", metadata.uid(), metadata.gid()))?;
    }
    for path in flags.all("file_content") {
        say(format!("content of file \"{path}\": {}", read(path)?))?;
    }
    let seconds = flags.get("retry_time").and_then(|seconds| seconds.parse().ok()).unwrap_or(USUAL_SECONDS);
    for path in flags.all("file_content_in_loop") {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds) {
            match read(path) {
                Ok(content) => say(format!("content of file \"{path}\": {content}"))?,
                // It may appear yet.
                Err(error) => say(error)?,
            }
            #[expect(clippy::disallowed_methods, reason = "to look every second is what it was asked to do")]
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    Ok(())
}

fn wrong(what: &str, path: &str, error: &dyn std::fmt::Display) -> String {
    format!("error {what} \"{path}\": {error}")
}

fn metadata(path: &str) -> Result<Metadata, String> {
    fs::symlink_metadata(path).map_err(|error| wrong("looking at", path, &error))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| wrong("reading file", path, &error))
}

fn make(path: &str, mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(path)?;
    // Whatever the umask is.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(CONTENT.as_bytes())
}

/// As Go writes modes: `drwxr-xr-x`, with `t`, `g` and `u` in front for the sticky and the set-id bits.
fn mode(metadata: &Metadata) -> String {
    let (kind, bits) = (metadata.file_type(), metadata.permissions().mode());
    let marks = [
        (kind.is_dir(), 'd'),
        (kind.is_symlink(), 'L'),
        (kind.is_block_device() || kind.is_char_device(), 'D'),
        (kind.is_fifo(), 'p'),
        (kind.is_socket(), 'S'),
        (bits & 0o4000 != 0, 'u'),
        (bits & 0o2000 != 0, 'g'),
        (kind.is_char_device(), 'c'),
        (bits & 0o1000 != 0, 't'),
    ];
    let mut text: String = marks.into_iter().filter_map(|(set, mark)| set.then_some(mark)).collect();
    if text.is_empty() {
        text.push('-');
    }
    text + &letters(bits & 0o777)
}

fn letters(bits: u32) -> String {
    (0..9).map(|place| if bits >> (8 - place) & 1 == 1 { ['r', 'w', 'x'][place % 3] } else { '-' }).collect()
}

/// Magic numbers of statfs(2).
fn name_of(kind: i64) -> String {
    match kind {
        0x0102_1994 => "tmpfs".to_owned(),
        0xEF53 => "ext2/ext3".to_owned(),
        0x6969 => "nfs".to_owned(),
        0x794C_7630 => "overlayfs".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683E => "btrfs".to_owned(),
        other => format!("{other:x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_at_paths_is_said_as_tests_read_it() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir(path("shared")).unwrap();
        fs::set_permissions(path("shared"), fs::Permissions::from_mode(0o3777)).unwrap();
        let words = [
            format!("--new_file_0660={}", path("new")),
            format!("--file_perm={}", path("new")),
            format!("--file_mode={}", path("shared")),
            format!("--file_content={}", path("new")),
        ];
        let mut out = Vec::new();
        look(&Flags::read(&words), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "mode of file \"{}\": dgtrwxrwxrwx\nperms of file \"{1}\": -rw-rw----\n\
                 content of file \"{1}\": mount-tester new file\n\n",
                path("shared"),
                path("new")
            )
        );
        let missing = Flags::read(&[format!("--file_content={}", path("nosuch"))]);
        assert!(look(&missing, &mut Vec::new()).unwrap_err().starts_with("error reading file "));
    }
}
