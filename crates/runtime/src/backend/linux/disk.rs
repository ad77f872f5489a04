//! What a Pod keeps on the node's disk: the files of its volumes, what its containers changed, and their logs.
//!
//! A Pod decides what lies there while we look. So everything is reached by descriptor, nothing is followed, and there is an
//! end to it: of more files than [`MOST`] the rest is not counted.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use podlab_linux::paths::PodDirectory;
use podlab_linux::supervisor::record;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

use super::volumes;
use crate::backend::PodDisk;

/// How many files of one place are looked at.
const MOST: usize = 200_000;
/// How deep: each level holds a descriptor.
const DEEPEST: usize = 100;

pub(super) fn read(directory: &PodDirectory) -> PodDisk {
    let mut disk = PodDisk::default();
    for (name, path) in volumes::places(directory) {
        // Those that lie elsewhere are not the Pod's own.
        if path == directory.volume(&name) {
            disk.volumes.insert(name, size(&path));
        }
    }
    for container in record::containers(directory) {
        *disk.containers.entry(container.name).or_default() += size(&directory.container(&container.id).join("upper"));
    }
    for (name, used) in &mut disk.containers {
        *used += directory.log(name, 0).parent().map_or(0, size);
    }
    disk
}

/// What `du` says of a directory, in bytes. What is not there takes nothing.
fn size(path: &Path) -> u64 {
    let mut walk = Walk { left: MOST, linked: HashSet::new() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_or(0, |directory| walk.below(directory, 0))
}

struct Walk {
    left: usize,
    /// Files with several names, which take their space once.
    linked: HashSet<(u64, u64)>,
}

impl Walk {
    fn below(&mut self, directory: OwnedFd, depth: usize) -> u64 {
        let Ok(entries) = Dir::read_from(&directory) else { return 0 };
        let mut sum = 0;
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Some(left) = self.left.checked_sub(1) else { break };
            self.left = left;
            let Ok(status) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if status.st_nlink > 1
                && FileType::from_raw_mode(status.st_mode) != FileType::Directory
                && !self.linked.insert((status.st_dev, status.st_ino))
            {
                continue;
            }
            // The kernel counts in blocks of this size whatever the file system's is.
            sum += u64::try_from(status.st_blocks).unwrap_or_default() * 512;
            if FileType::from_raw_mode(status.st_mode) == FileType::Directory && depth < DEEPEST {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(inner) = openat(&directory, name, flags, Mode::empty()) {
                    sum += self.below(inner, depth + 1);
                }
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_directory_is_measured_as_du_does() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        let empty = size(temporary.path());
        fs::write(at("a/b/file"), vec![1; 1 << 20]).unwrap();
        // Another name and a way out take nothing.
        fs::hard_link(at("a/b/file"), at("again")).unwrap();
        symlink("/", at("out")).unwrap();
        let full = size(temporary.path());
        assert!((1 << 20..(1 << 20) + 65536).contains(&(full - empty)), "{empty} {full}");
        // A hole is no space either.
        fs::File::create(at("hole")).unwrap().set_len(1 << 30).unwrap();
        assert!(size(temporary.path()) < 2 << 20);
        assert_eq!(size(&at("missing")), 0);
    }

    #[test]
    fn no_depth_and_no_number_of_files_is_too_much() {
        let temporary = tempfile::tempdir().unwrap();
        let mut deep = temporary.path().to_owned();
        for _ in 0..2 * DEEPEST {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        assert!(size(temporary.path()) < 1 << 21);
        let mut walk = Walk { left: 3, linked: HashSet::new() };
        let directory = fs::File::open(temporary.path()).unwrap();
        walk.below(directory.into(), 0);
        assert_eq!(walk.left, 0);
    }
}
