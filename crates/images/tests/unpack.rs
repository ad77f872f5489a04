//! Layers as honest and as hostile people write them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use podlab_images::unpack::{Limits, UnpackError, Unpacked, unpack};
use tar::{EntryType, Header};

/// A tar archive that is written as told, sensible or not.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
}

impl Archive {
    fn add(&mut self, kind: EntryType, path: &str, link: &str, content: &[u8]) -> &mut Self {
        self.add_with(kind, path, link, content, |_| {})
    }

    fn add_with(
        &mut self,
        kind: EntryType,
        path: &str,
        link: &str,
        content: &[u8],
        change: impl FnOnce(&mut Header),
    ) -> &mut Self {
        let mut header = Header::new_gnu();
        // The crate's setters refuse the names that these tests are about.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    fn file(&mut self, path: &str, content: &str) -> &mut Self {
        self.add(EntryType::Regular, path, "", content.as_bytes())
    }

    fn directory(&mut self, path: &str) -> &mut Self {
        self.add(EntryType::Directory, path, "", b"")
    }

    fn symlink(&mut self, path: &str, target: &str) -> &mut Self {
        self.add(EntryType::Symlink, path, target, b"")
    }

    fn hard_link(&mut self, path: &str, target: &str) -> &mut Self {
        self.add(EntryType::Link, path, target, b"")
    }

    fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            data.extend(format!("{length} {key}=").bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        self.add(EntryType::XHeader, "pax", "", &data)
    }

    /// Unpacks into `root`, which lies in a directory of its own, so that what escapes is seen.
    fn unpack(&self, root: &Path) -> Result<Unpacked, UnpackError> {
        self.unpack_within(root, Limits::default())
    }

    fn unpack_within(&self, root: &Path, limits: Limits) -> Result<Unpacked, UnpackError> {
        fs::create_dir(root).unwrap();
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + 1024, 0);
        unpack(bytes.as_slice(), root, limits)
    }
}

/// Ends a chain of members.
fn done(_archive: &mut Archive) {}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn an_honest_layer() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let mut archive = Archive::default();
    archive.directory("./").directory("./usr/").directory("usr/lib").symlink("lib", "usr/lib");
    archive.file("lib/libc.so", "library").hard_link("usr/lib/libc.so.6", "lib/libc.so").file("no/parents/named", "x");
    archive.add_with(EntryType::Directory, "tmp", "", b"", |header| header.set_mode(0o1777));
    archive.add_with(EntryType::Regular, "usr/su", "", b"su", |header| header.set_mode(0o4755));
    archive.add(EntryType::Fifo, "pipe", "", b"");
    let done = archive.unpack(&root).unwrap();

    assert_eq!(
        fs::read_to_string(root.join("usr/lib/libc.so")).unwrap(),
        "library",
        "through the link within the layer"
    );
    let links = ["usr/lib/libc.so", "usr/lib/libc.so.6"].map(|name| root.join(name).metadata().unwrap().ino());
    assert_eq!(links[0], links[1]);
    assert_eq!(root.join("tmp").metadata().unwrap().permissions().mode() & 0o7777, 0o1777);
    assert_eq!(root.join("usr/su").metadata().unwrap().permissions().mode() & 0o7777, 0o4755);
    assert_eq!(root.join("usr/lib").metadata().unwrap().mtime(), 1_000_000_000, "not the time of what came into it");
    assert!(root.join("pipe").metadata().unwrap().file_type().is_fifo());
    assert_eq!(done.bytes, 10);
    assert_eq!(done.skipped, 0);
}

#[test]
fn nothing_leaves_the_layer() {
    let content = |archive: &mut Archive, path: &str| {
        archive.file(path, "escaped");
    };
    type Build = Box<dyn Fn(&mut Archive)>;
    let cases: Vec<(&str, Build, Option<&str>)> = vec![
        ("dot dot", Box::new(move |a| content(a, "../canary/x")), None),
        ("dot dot inside", Box::new(move |a| content(a, "a/../../canary/x")), None),
        ("dot dot at the end", Box::new(|a| done(a.directory("a/.."))), None),
        ("absolute", Box::new(move |a| content(a, "/canary/x")), Some("canary/x")),
        (
            "through an absolute link",
            Box::new(move |a| content(a.directory("canary").symlink("l", "/canary"), "l/x")),
            Some("canary/x"),
        ),
        (
            "through a climbing link",
            Box::new(move |a| content(a.directory("canary").symlink("l", "../../../canary"), "l/x")),
            Some("canary/x"),
        ),
        (
            "through two links",
            Box::new(move |a| content(a.directory("canary").symlink("l", "..").symlink("m", "l/canary"), "m/x")),
            Some("canary/x"),
        ),
        ("through a dangling link", Box::new(move |a| content(a.symlink("l", "../canary"), "l/x")), None),
        ("onto a link", Box::new(move |a| content(a.symlink("x", "../canary/x"), "x")), Some("x")),
        (
            "a directory over a link",
            Box::new(move |a| content(a.symlink("l", "../canary").directory("l"), "l/x")),
            Some("l/x"),
        ),
        ("a hard link to outside", Box::new(|a| done(a.hard_link("x", "../canary/secret"))), None),
        (
            "a hard link through a link",
            Box::new(|a| done(a.symlink("l", "../canary").hard_link("x", "l/secret"))),
            None,
        ),
        (
            "a hard link to a link",
            Box::new(move |a| content(a.symlink("l", "../canary/secret").hard_link("x", "l"), "x")),
            Some("x"),
        ),
        ("a whiteout of dot dot", Box::new(|a| done(a.file(".wh...", ""))), None),
        ("a whiteout through a link", Box::new(|a| done(a.symlink("l", "../canary").file("l/.wh.secret", ""))), None),
        ("a magic link", Box::new(move |a| content(a.symlink("l", "/proc/self/cwd"), "l/x")), None),
        ("a name in an extension", Box::new(move |a| content(a.pax(&[("path", b"../canary/x")]), "harmless")), None),
        (
            "a GNU long name",
            Box::new(move |a| content(a.add(EntryType::GNULongName, "n", "", b"../canary/x\0"), "harmless")),
            None,
        ),
    ];
    for (case, build, lands) in cases {
        let directory = tempfile::tempdir().unwrap();
        let canary = directory.path().join("canary");
        fs::create_dir(&canary).unwrap();
        fs::write(canary.join("secret"), "secret").unwrap();
        let root = directory.path().join("root");
        let mut archive = Archive::default();
        build(&mut archive);
        let done = archive.unpack(&root);

        assert_eq!(fs::read_dir(&canary).unwrap().count(), 1, "{case}: {done:?}");
        assert_eq!(fs::read_to_string(canary.join("secret")).unwrap(), "secret", "{case}");
        assert_eq!(canary.join("secret").metadata().unwrap().nlink(), 1, "{case}");
        assert!(canary.join("secret").metadata().unwrap().is_file(), "{case}");
        match lands {
            Some(path) => {
                done.unwrap_or_else(|error| panic!("{case}: {error}"));
                let path = root.join(path);
                assert!(path.symlink_metadata().unwrap().is_file(), "{case}");
                assert_eq!(fs::read_to_string(path).unwrap(), "escaped", "{case}");
            }
            None => {
                done.expect_err(case);
            }
        }
    }
}

#[test]
fn whiteouts_become_what_an_overlay_understands() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let mut archive = Archive::default();
    archive.file("etc/.wh.gone", "").directory("var").file("var/.wh..wh..opq", "").file("var/new", "x");
    archive.file(".wh..wh.plnk", "").file(".wh.again", "").directory("again");
    archive.file("kept", "x").file(".wh.kept", "");
    archive.unpack(&root).unwrap();

    let gone = root.join("etc/gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device());
    assert_eq!(gone.rdev(), 0);
    assert!(root.join("kept").is_file(), "a layer's whiteouts are about the layers below it");
    assert!(!root.join(".wh..wh.plnk").exists());
    let attribute = if is_root() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    for opaque in ["var", "again"] {
        let mut value = [0; 8];
        let length = rustix::fs::lgetxattr(root.join(opaque), attribute, &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"y", "{opaque}");
    }
}

#[test]
fn devices_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let mut archive = Archive::default();
    archive.add(EntryType::Char, "dev/mem", "", b"").add(EntryType::Block, "sda", "", b"").file("x", "y");
    assert_eq!(archive.unpack(&root).unwrap(), Unpacked { members: 1, bytes: 1, skipped: 2 });
    assert!(!root.join("sda").exists() && !root.join("dev/mem").exists());
}

#[test]
fn attributes_of_the_overlay_are_not_an_images_to_set() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let mut archive = Archive::default();
    archive
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.note", b"one\ntwo"),
        ])
        .directory("d");
    archive.unpack(&root).unwrap();
    let read = |name: &str| {
        let mut value = [0; 64];
        rustix::fs::lgetxattr(root.join("d"), name, &mut value[..]).ok().map(|length| value[..length].to_vec())
    };
    assert_eq!(read("trusted.overlay.redirect"), None);
    assert_eq!(read("user.overlay.opaque"), None);
    assert_eq!(read("user.note").as_deref(), Some(&b"one\ntwo"[..]));
}

#[test]
fn two_readers_see_one_archive() {
    let directory = tempfile::tempdir().unwrap();
    let mut archive = Archive::default();
    // To a reader that believes the extension, the second member is content of the first.
    archive.pax(&[("size", b"1024")]).file("x", "y").file("smuggled", "z");
    let error = archive.unpack(&directory.path().join("a")).unwrap_err();
    assert!(matches!(error, UnpackError::Header { .. }), "{error}");

    let mut archive = Archive::default();
    archive.pax(&[("size", b"1"), ("path", b"long name")]).file("x", "y");
    archive.unpack(&directory.path().join("b")).unwrap();
    assert!(directory.path().join("b/long name").is_file());
}

#[test]
fn limits_hold() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { members: 4, bytes: 10 };
    let mut many = Archive::default();
    for number in 0..5 {
        many.file(&format!("f{number}"), "");
    }
    let mut large = Archive::default();
    large.file("a", "1234567").file("b", "7654321");
    let mut exact = Archive::default();
    exact.file("a", "1234567").file("b", "123");
    let mut extension = Archive::default();
    extension.add(EntryType::GNULongName, "n", "", &vec![b'a'; 300 * 1024]).file("x", "");
    let mut deep = Archive::default();
    deep.add(EntryType::GNULongName, "n", "", "d/".repeat(3000).as_bytes()).file("x", "");

    assert!(exact.unpack_within(&directory.path().join("exact"), limits).is_ok());
    for (case, archive, what) in [
        ("many", &many, "more than 4 members"),
        ("large", &large, "more than 10 bytes"),
        ("extension", &extension, "bytes in one extension header"),
        ("deep", &deep, "more than 4095 bytes"),
    ] {
        let error = archive.unpack_within(&directory.path().join(case), limits).unwrap_err();
        assert!(error.to_string().contains(what), "{case}: {error}");
    }
}

#[test]
fn what_is_no_archive_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut archive = Archive::default();
    archive.file("x", "content");
    let cut = &archive.bytes[..600];
    let damaged: Vec<u8> =
        archive.bytes.iter().enumerate().map(|(at, byte)| if at == 3 { b'!' } else { *byte }).collect();
    let mut sparse = Archive::default();
    sparse.add(EntryType::GNUSparse, "x", "", b"");
    let mut owner = Archive::default();
    owner.add_with(EntryType::Regular, "x", "", b"", |header| header.set_uid(u64::from(u32::MAX)));
    for (case, bytes) in [("cut", cut), ("damaged", &damaged), ("sparse", &sparse.bytes), ("owner", &owner.bytes)] {
        let root = directory.path().join(case);
        fs::create_dir(&root).unwrap();
        assert!(unpack(bytes, &root, Limits::default()).is_err(), "{case}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever the members are called and wherever links point, nothing outside changes.
    #[test]
    fn any_tree_stays_inside(members in proptest::collection::vec(
        ("(\\.\\./|/|a/|b/|l/|\\./){0,3}(a|b|l|\\.\\.|\\.wh\\.a|\\.wh\\.\\.wh\\.\\.opq)", "(\\.\\./|/|a/|l/){0,3}(a|b|l|canary|canary/secret)", 0..4_u8),
        1..12,
    )) {
        let directory = tempfile::tempdir().unwrap();
        let canary = directory.path().join("canary");
        fs::create_dir(&canary).unwrap();
        fs::write(canary.join("secret"), "secret").unwrap();
        let mut archive = Archive::default();
        for (path, target, kind) in &members {
            match kind {
                0 => archive.file(path, "content"),
                1 => archive.directory(path),
                2 => archive.symlink(path, target),
                _ => archive.hard_link(path, target),
            };
        }
        let _ = archive.unpack(&directory.path().join("root"));
        let mut outside: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        outside.sort();
        proptest::prop_assert_eq!(outside, ["canary", "root"]);
        let mut secret = String::new();
        fs::File::open(canary.join("secret")).unwrap().read_to_string(&mut secret).unwrap();
        proptest::prop_assert_eq!(secret, "secret");
        proptest::prop_assert_eq!(canary.join("secret").metadata().unwrap().nlink(), 1);
        proptest::prop_assert_eq!(fs::read_dir(&canary).unwrap().count(), 1);
    }
}
