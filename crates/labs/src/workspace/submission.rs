//! Reading what a stranger handed in.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use crate::format::Exercise;
use crate::yaml::MAX_FILE;

/// The answer to `exercise` in the folder `root`, and nothing else: neither a link, which could lead to a file of the one
/// who grades, nor a pipe, nor more than a file may have. `None` when there is none.
///
/// # Errors
///
/// Why it cannot be taken.
pub fn submitted(root: &Path, exercise: &Exercise) -> Result<Option<String>, String> {
    read(root, &Path::new(&exercise.name).join(&exercise.answer))
}

fn read(root: &Path, path: &Path) -> Result<Option<String>, String> {
    let folder = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| format!("{}: {errno}", root.display()))?;
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat2(folder, path, how, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(format!("{} is a link, and only files are taken", path.display())),
        Err(errno) => return Err(format!("{}: {errno}", path.display())),
    };
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        return Err(format!("{} is no file", path.display()));
    }
    let mut text = String::new();
    match file.take(MAX_FILE + 1).read_to_string(&mut text) {
        Ok(size) if size as u64 > MAX_FILE => Err(format!("{} is larger than {MAX_FILE} bytes", path.display())),
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_the_workspace_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let take = |name: &str| read(root.path(), &Path::new("pod").join(name));
        assert_eq!(take("pod.yaml"), Ok(None));
        std::fs::create_dir(root.path().join("pod")).unwrap();
        std::fs::write(root.path().join("pod/pod.yaml"), "kind: Pod").unwrap();
        assert_eq!(take("pod.yaml"), Ok(Some("kind: Pod".to_owned())));

        std::os::unix::fs::symlink("/etc/passwd", root.path().join("pod/link.yaml")).unwrap();
        assert!(take("link.yaml").unwrap_err().contains("a link"));
        std::os::unix::fs::symlink("/etc", root.path().join("etc")).unwrap();
        assert!(read(root.path(), Path::new("etc/passwd")).unwrap_err().contains("a link"));
        assert!(read(root.path(), Path::new("../x")).is_err());
        std::fs::create_dir(root.path().join("pod/folder.yaml")).unwrap();
        assert!(take("folder.yaml").unwrap_err().contains("no file"));
        std::fs::write(root.path().join("pod/bytes.yaml"), [0xff]).unwrap();
        assert!(take("bytes.yaml").unwrap_err().contains("UTF-8"));
        let large = "x".repeat(usize::try_from(MAX_FILE).unwrap() + 1);
        std::fs::write(root.path().join("pod/large.yaml"), large).unwrap();
        assert!(take("large.yaml").unwrap_err().contains("larger than"));
        // A pipe would be waited for.
        let pipe = root.path().join("pod/pipe.yaml");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(take("pipe.yaml").unwrap_err().contains("no file"));
    }
}
