//! A fresh store holds the images that the texts use.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use podlab_images::builtin::Sources;
use podlab_images::{ImageError, Store};

/// A file that stands for the podlab binary.
fn program(directory: &Path) -> PathBuf {
    let path = directory.join("podlab");
    fs::write(&path, "the program").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// What an overlay of the layers would show at `path`.
fn lookup(layers: &[PathBuf], path: &str) -> Option<PathBuf> {
    layers.iter().map(|layer| layer.join(path)).find(|path| path.symlink_metadata().is_ok())
}

#[test]
fn kuard_is_a_link_to_the_program_on_a_small_userland() {
    let directory = tempfile::tempdir().unwrap();
    let program = program(directory.path());
    let store = Store::open(&directory.path().join("images"), &program).unwrap();
    let image = store.resolve("gcr.io/kuar-demo/kuard-amd64:blue").unwrap().unwrap();
    assert_eq!(image.repo_tags, ["gcr.io/kuar-demo/kuard-amd64:blue"]);
    assert!(image.repo_digest.starts_with("gcr.io/kuar-demo/kuard-amd64@sha256:"), "{}", image.repo_digest);
    assert_eq!(image.config.entrypoint, ["/kuard"]);

    let layers = store.layers(&image.id).unwrap();
    assert_eq!(fs::read_link(lookup(&layers, "kuard").unwrap()).unwrap(), Path::new("usr/lib/podlab/podlab"));
    let installed = lookup(&layers, "usr/lib/podlab/podlab").unwrap();
    assert_eq!(installed.metadata().unwrap().ino(), program.metadata().unwrap().ino(), "linked, not copied");
    assert!(lookup(&layers, "usr/bin/sh").is_some());
    assert!(lookup(&layers, "usr/bin/tar").is_some());
    assert_eq!(fs::read_to_string(lookup(&layers, "captures/capture3.txt").unwrap()).unwrap(), "capture-data\n");
    assert_eq!(lookup(&layers, "tmp").unwrap().metadata().unwrap().permissions().mode() & 0o7777, 0o1777);
}

#[test]
fn a_status_shows_the_tag_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), &program(directory.path())).unwrap();
    let one = store.resolve("busybox:1.35").unwrap().unwrap();
    let other = store.resolve("busybox").unwrap().unwrap();
    assert_eq!(one.repo_tags[0], "docker.io/library/busybox:1.35");
    assert_eq!(other.repo_tags[0], "docker.io/library/busybox:latest");
    assert_eq!(one.id, other.id);
    assert_eq!(store.resolve(&one.id).unwrap().unwrap().id, one.id);
    assert_eq!(store.resolve("nosuch/image:v1").unwrap(), None);
    assert!(matches!(store.resolve("Bad Name"), Err(ImageError::Reference(_))));
    assert!(matches!(store.layers("sha256:00"), Err(ImageError::NotFound(_))));
}

#[test]
fn another_build_gets_its_own_layers_and_sweep_removes_the_old() {
    let directory = tempfile::tempdir().unwrap();
    let images = directory.path().join("images");
    let program = program(directory.path());
    let first = Store::open(&images, &program).unwrap();
    let again = Store::open(&images, &program).unwrap();
    let id = first.resolve("debian").unwrap().unwrap().id;
    assert_eq!(first.layers(&id).unwrap(), again.layers(&id).unwrap());

    fs::remove_file(&program).unwrap();
    fs::write(&program, "a longer program").unwrap();
    let second = Store::open(&images, &program).unwrap();
    let old = first.layers(&id).unwrap();
    assert_ne!(old, second.layers(&id).unwrap());
    assert!(old.iter().all(|layer| layer.is_dir()), "a running cluster keeps its layers");
    second.sweep().unwrap();
    assert!(old.iter().all(|layer| !layer.exists()));
    assert!(second.layers(&id).unwrap().iter().all(|layer| layer.is_dir()));
}

#[test]
fn many_open_an_empty_store_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let images = directory.path().join("images");
    let program = program(directory.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| Store::open(&images, &program).unwrap());
        }
    });
    assert_eq!(fs::read_dir(images.join("built-in")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(images.join("tmp")).unwrap().count(), 0);
}

/// Without busybox the shell and the tools come from the host, with the libraries they need.
#[test]
fn a_userland_is_assembled_from_a_host_without_busybox() {
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("host");
    fs::create_dir_all(host.join("usr/bin")).unwrap();
    for library in ["usr/lib", "lib", "lib64"] {
        symlink(Path::new("/").join(library), host.join(library)).unwrap();
    }
    for tool in ["sh", "bash", "ls", "tar"] {
        symlink(Path::new("/usr/bin").join(tool), host.join("usr/bin").join(tool)).unwrap();
    }
    let program = program(directory.path());
    let store = Store::open_from(&directory.path().join("images"), &Sources { program, host }).unwrap();

    let layers = store.layers(&store.resolve("busybox").unwrap().unwrap().id).unwrap();
    let root = layers[0].clone();
    for path in ["usr/bin/sh", "usr/bin/ash", "usr/bin/ls", "usr/bin/tar"] {
        assert!(root.join(path).exists(), "{path}");
    }
    // `ls` starts with nothing but what lies in the layer: its own loader, told to look nowhere else.
    let loader = fs::read_dir(root.join("usr/lib64")).unwrap().next().unwrap().unwrap().path();
    let libraries = root.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let status = std::process::Command::new(&loader)
        .arg("--inhibit-cache")
        .arg("--library-path")
        .arg(&libraries)
        .arg(root.join("usr/bin/ls"))
        .arg(&root)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
}
