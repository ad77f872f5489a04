//! Files from a commit.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use super::object::{Entry, Id, Kind};
use super::remote::Remote;

/// Files and folders of a commit.
const MOST: usize = 20_000;

/// Makes the files of `commit` in the new folder `destination`. Nothing that is there already is followed or replaced,
/// so no tree, however it is made, leads out of the folder.
pub(super) async fn checkout(remote: &mut Remote, commit: &Id, destination: &Path) -> Result<(), String> {
    let mut object = remote.object(commit).await?;
    if object.kind == Kind::Tag {
        let tagged = object.tagged().ok_or("a tag of nothing")?;
        object = remote.object(&tagged).await?;
    }
    let tree = object.tree().filter(|_| object.kind == Kind::Commit).ok_or_else(|| format!("{commit} is no commit"))?;
    let mut left = vec![(destination.to_owned(), tree)];
    let mut made = 0;
    while let Some((folder, tree)) = left.pop() {
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let object = remote.object(&tree).await?;
        if object.kind != Kind::Tree {
            return Err(format!("{tree} is no tree"));
        }
        for entry in object.entries()? {
            made += 1;
            if made > MOST {
                return Err(format!("a commit of more than {MOST} files"));
            }
            let path = place(&folder, &entry)?;
            match entry.mode {
                0o40000 => left.push((path, entry.id)),
                // Another repository: its place.
                0o160000 => fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?,
                _ => write(remote, &entry, &path).await?,
            }
        }
    }
    Ok(())
}

fn place(folder: &Path, entry: &Entry) -> Result<PathBuf, String> {
    let name = entry.name.as_str();
    if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.eq_ignore_ascii_case(".git") {
        return Err(format!("a tree with the name {name:?}"));
    }
    Ok(folder.join(name))
}

async fn write(remote: &mut Remote, entry: &Entry, path: &Path) -> Result<(), String> {
    let blob = remote.object(&entry.id).await?;
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if entry.mode == 0o120000 {
        let target = String::from_utf8(blob.data).map_err(|error| format!("{}: {error}", path.display()))?;
        return symlink(target, path).map_err(failed);
    }
    let mode = if entry.mode & 0o111 == 0 { 0o644 } else { 0o755 };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(&blob.data).map_err(failed)
}
