//! Files that appear all at once: ConfigMaps, Secrets, tokens.
//!
//! The files lie in a directory of their own, named after the time; `..data` is a link to it, and what the container
//! reads are links through `..data`. Exchanging that one link (rename(2)) exchanges all files together, so that no
//! reader sees a half of the old and a half of the new (kubernetes pkg/volume/util/atomic_writer.go).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Component, Path};

use crate::backend::ProjectedFile;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Makes `directory` show exactly `files`. Does nothing when it does already.
pub(super) fn publish(directory: &Path, files: &BTreeMap<String, ProjectedFile>, group: Option<u32>) -> io::Result<()> {
    if let Some(name) = files.keys().find(|name| !is_plain(name)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("invalid path {name:?}")));
    }
    let data = directory.join(DATA);
    let old = fs::read_link(&data).ok();
    if old.is_some() && shows(&data, files) {
        return Ok(());
    }
    let name = version_name();
    let version = directory.join(&name);
    fs::create_dir(&version)?;
    fs::set_permissions(&version, fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        write_file(&version, path, file, group)?;
    }
    let new_data = directory.join(NEW_DATA);
    let _ = fs::remove_file(&new_data);
    symlink(&name, &new_data)?;
    fs::rename(&new_data, &data)?;

    let tops: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for top in &tops {
        match symlink(Path::new(DATA).join(top), directory.join(top)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(directory)?.flatten() {
        let entry_name = entry.file_name();
        let Some(known) = entry_name.to_str() else { continue };
        if !known.starts_with("..") && !tops.contains(known) {
            fs::remove_file(entry.path())?;
        }
    }
    match old {
        Some(old) if old != Path::new(&name) => fs::remove_dir_all(directory.join(old)),
        _ => Ok(()),
    }
}

/// A relative path without `..`, whose first part is not one of ours.
fn is_plain(path: &str) -> bool {
    let parts = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    parts && !path.is_empty() && !path.starts_with("..") && !path.contains('\0')
}

/// Whether a version shows exactly these files.
fn shows(version: &Path, files: &BTreeMap<String, ProjectedFile>) -> bool {
    let same = |(path, file): (&String, &ProjectedFile)| {
        let path = version.join(path);
        let mode = fs::metadata(&path).map(|metadata| metadata.permissions().mode() & 0o7777);
        mode.is_ok_and(|mode| mode & 0o777 == file.mode & 0o777)
            && fs::read(&path).is_ok_and(|text| text == file.content)
    };
    files.iter().all(same) && count(version) == files.len()
}

fn count(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

fn write_file(version: &Path, path: &str, file: &ProjectedFile, group: Option<u32>) -> io::Result<()> {
    let target = version.join(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(file.mode & 0o777).open(&target)?;
    io::Write::write_all(&mut open, &file.content)?;
    let mut mode = file.mode & 0o777;
    if group.is_some() {
        chown(&target, None, group)?;
        // The group that was asked for may read what it was given.
        mode |= 0o440;
    }
    fs::set_permissions(&target, fs::Permissions::from_mode(mode))
}

/// `..2026_11_20_18_46_53.1280827377`: the time, and a number against a second version within it.
fn version_name() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let now = jiff::Timestamp::from_second(now.tv_sec).unwrap_or_default();
    let number = uuid::Uuid::new_v4().as_u128() as u32;
    format!("..{}.{number}", now.strftime("%Y_%m_%d_%H_%M_%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> BTreeMap<String, ProjectedFile> {
        let file = |text: &str| ProjectedFile { content: text.as_bytes().to_vec(), mode: 0o644 };
        list.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    fn visible(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("..2"));
        names.sort();
        names
    }

    #[test]
    fn versions_replace_each_other_whole() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        publish(path, &files(&[("a", "1"), ("dir/b", "2")]), None).unwrap();
        assert_eq!(visible(path), ["..data", "a", "dir"]);
        assert_eq!(fs::read_to_string(path.join("dir/b")).unwrap(), "2");
        assert_eq!(fs::read_link(path.join("a")).unwrap(), Path::new("..data/a"));

        let first = fs::read_link(path.join(DATA)).unwrap();
        publish(path, &files(&[("a", "1"), ("dir/b", "2")]), None).unwrap();
        assert_eq!(fs::read_link(path.join(DATA)).unwrap(), first, "nothing had changed");

        publish(path, &files(&[("a", "3"), ("c", "4")]), None).unwrap();
        assert_eq!(visible(path), ["..data", "a", "c"]);
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
        assert!(!path.join(first).exists(), "the old version is gone");
    }

    #[test]
    fn a_half_made_version_is_in_nobodys_way() {
        let temporary = tempfile::tempdir().unwrap();
        symlink("nowhere", temporary.path().join(NEW_DATA)).unwrap();
        publish(temporary.path(), &files(&[("a", "1")]), None).unwrap();
        assert_eq!(fs::read_to_string(temporary.path().join("a")).unwrap(), "1");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["../x", "/x", "a/../../x", "..data", "..data/x", "", "a\0b"] {
            let temporary = tempfile::tempdir().unwrap();
            assert!(publish(temporary.path(), &files(&[(name, "")]), None).is_err(), "{name:?}");
        }
    }

    #[test]
    fn modes_are_those_asked_for() {
        let temporary = tempfile::tempdir().unwrap();
        let secret = ProjectedFile { content: Vec::new(), mode: 0o400 };
        publish(temporary.path(), &BTreeMap::from([("key".to_owned(), secret)]), None).unwrap();
        let mode = fs::metadata(temporary.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
    }
}
