//! Image archives, in and out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use podlab_images::{Digest, ImageError, Store};
use serde_json::{Value, json};

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn store(directory: &Path) -> Store {
    let program = directory.join("podlab");
    if !program.exists() {
        fs::write(&program, "the program").unwrap();
    }
    Store::open(&directory.join("images"), &program).unwrap()
}

/// A tar archive of regular files; names are written as they are.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn configuration(layers: &[&[u8]]) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Cmd": ["/app"], "Env": ["A=b"], "User": "7", "ExposedPorts": null, "WorkingDir": "/w"},
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|layer| Digest::of(layer).to_string()).collect::<Vec<_>>(),
        },
    })
}

/// As `docker save` writes one image of two layers.
fn saved(config: &Value, lower: &[u8], upper: &[u8]) -> Vec<u8> {
    let config = config.to_string();
    let list = json!([{"Config": "c.json", "RepoTags": ["example/app:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}]);
    archive(&[
        ("c.json", config.as_bytes()),
        ("a/layer.tar", lower),
        ("b/layer.tar", upper),
        ("manifest.json", list.to_string().as_bytes()),
    ])
}

/// As an OCI layout in a tar, with a gzipped layer and an index of platforms in between.
fn layout(config: &Value, layer: &[u8], media_type: &str) -> Vec<u8> {
    let config = config.to_string();
    let describe = |media_type: &str, content: &[u8]| json!({"mediaType": media_type, "digest": Digest::of(content).to_string(), "size": content.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "config": describe("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [describe(media_type, layer)],
    })
    .to_string();
    let mut mine = describe("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
    mine["platform"] = json!({"os": "linux", "architecture": architecture()});
    let mut other = mine.clone();
    other["platform"]["architecture"] = "s390x".into();
    other["digest"] = Digest::of(b"not here").to_string().into();
    let platforms = json!({"schemaVersion": 2, "manifests": [other, mine]}).to_string();
    let mut entry = describe("application/vnd.oci.image.index.v1+json", platforms.as_bytes());
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "quay.io/example/app:2"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    let blob = |content: &[u8]| format!("blobs/sha256/{}", Digest::of(content).hex());
    archive(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", index.as_bytes()),
        (&blob(platforms.as_bytes()), platforms.as_bytes()),
        (&blob(manifest.as_bytes()), manifest.as_bytes()),
        (&blob(config.as_bytes()), config.as_bytes()),
        (&blob(layer), layer),
    ])
}

const GZIPPED: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

#[test]
fn what_docker_saves() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let (lower, upper) =
        (archive(&[("app", b"one"), ("etc/old", b"x")]), archive(&[("app", b"two"), ("etc/.wh.old", b"")]));
    let config = configuration(&[&lower, &upper]);
    let loaded = store.load(gzip(&saved(&config, &lower, &upper)).as_slice()).unwrap();

    let image = store.resolve("example/app:1").unwrap().unwrap();
    assert_eq!(loaded[0].id, image.id);
    assert_eq!(image.id, Digest::of(config.to_string().as_bytes()).to_string(), "the id is the configuration's digest");
    assert_eq!(image.repo_tags, ["docker.io/example/app:1"]);
    assert_eq!(image.config.cmd, ["/app"]);
    assert_eq!((image.config.user.as_str(), image.config.working_dir.as_str()), ("7", "/w"));
    assert_eq!(image.built_in, None);
    let layers = store.layers(&image.id).unwrap();
    assert_eq!(layers.len(), 2);
    assert_eq!(fs::read_to_string(layers[0].join("app")).unwrap(), "two", "topmost first");
    assert_eq!(fs::read_to_string(layers[1].join("app")).unwrap(), "one");
    assert_eq!(store.resolve(&image.repo_digest).unwrap().unwrap().id, image.id);
    assert!(store.list().unwrap().iter().any(|listed| listed.id == image.id));
}

#[test]
fn an_oci_layout_of_several_platforms() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let layer = archive(&[("app", b"x")]);
    store.load(layout(&configuration(&[&layer]), &gzip(&layer), GZIPPED).as_slice()).unwrap();
    let image = store.resolve("quay.io/example/app:2").unwrap().unwrap();
    assert_eq!(fs::read_to_string(store.layers(&image.id).unwrap()[0].join("app")).unwrap(), "x");
}

#[test]
fn what_is_damaged_or_hostile_leaves_no_trace() {
    let layer = archive(&[("app", b"x")]);
    let hostile = archive(&[("../../app", b"x")]);
    let good = configuration(&[&layer]);
    let mut foreign = good.clone();
    foreign["architecture"] = "s390x".into();
    let damaged = {
        let mut bytes = layout(&good, &gzip(&layer), GZIPPED);
        // The last member's content, which is the layer.
        let at = bytes.len() - 1024 - 512 + 12;
        bytes[at] ^= 1;
        bytes
    };
    let whole = saved(&configuration(&[&layer, &layer]), &layer, &layer);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "neither manifest.json nor index.json"),
        ("no archive", b"hello".repeat(200).to_vec(), "not an image archive"),
        ("cut", whole[..whole.len() - 3000].to_vec(), "not an image archive"),
        ("damaged", damaged, "does not have its digest"),
        ("another machine", layout(&foreign, &gzip(&layer), GZIPPED), "is for linux/s390x"),
        ("another layer", layout(&good, &gzip(&hostile), GZIPPED), "member \"../../app\""),
        ("not the layer promised", layout(&good, &gzip(&archive(&[("b", b"")])), GZIPPED), "the configuration says"),
        ("zstd", layout(&good, &layer, "application/vnd.oci.image.layer.v1.tar+zstd"), "are not supported"),
        ("missing layer", saved(&good, &layer, &layer), "the manifest has 2 layers, the configuration 1"),
    ];
    for (case, bytes, problem) in cases {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let error = store.load(bytes.as_slice()).unwrap_err().to_string();
        assert!(error.contains(problem), "{case}: {error}");
        assert_eq!(store.resolve("example/app:1").unwrap(), None, "{case}");
        assert_eq!(store.resolve("quay.io/example/app:2").unwrap(), None, "{case}");
        assert_eq!(fs::read_dir(directory.path().join("images/tmp")).unwrap().count(), 0, "{case}");
        store.sweep().unwrap();
        for part in ["blobs/sha256", "layers"] {
            assert_eq!(fs::read_dir(directory.path().join("images").join(part)).unwrap().count(), 0, "{case}: {part}");
        }
    }
}

#[test]
fn a_damaged_image_does_not_keep_others_from_being_used() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let layer = archive(&[("app", b"x")]);
    store.load(layout(&configuration(&[&layer]), &gzip(&layer), GZIPPED).as_slice()).unwrap();
    let image = store.resolve("quay.io/example/app:2").unwrap().unwrap();
    let blob = directory.path().join("images/blobs/sha256").join(image.id.trim_start_matches("sha256:"));
    fs::write(blob, "{}").unwrap();
    assert!(matches!(store.resolve("quay.io/example/app:2"), Err(ImageError::Corrupt { .. })));
    let nginx = store.resolve("nginx").unwrap().unwrap();
    assert!(!store.layers(&nginx.id).unwrap().is_empty());
    // Loading it again mends it.
    store.load(layout(&configuration(&[&layer]), &gzip(&layer), GZIPPED).as_slice()).unwrap();
    assert!(store.resolve("quay.io/example/app:2").unwrap().is_some());
}

#[test]
fn a_built_in_image_goes_out_and_comes_back_as_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let here = store(directory.path());
    let mut bytes = Vec::new();
    here.save(&["gcr.io/kuar-demo/kuard-amd64:blue"], &mut bytes).unwrap();
    let original = here.resolve("gcr.io/kuar-demo/kuard-amd64:blue").unwrap().unwrap();
    assert!(original.built_in.is_some(), "saving changes nothing here");

    let elsewhere = tempfile::tempdir().unwrap();
    let there = store(elsewhere.path());
    there.load(bytes.as_slice()).unwrap();
    let copy = there.resolve("gcr.io/kuar-demo/kuard-amd64:blue").unwrap().unwrap();
    assert_eq!(copy.built_in, None);
    assert_eq!(copy.config, original.config);
    let layers = [here.layers(&original.id).unwrap(), there.layers(&copy.id).unwrap()];
    assert_eq!(layers[0].len(), layers[1].len());
    for (one, other) in layers[0].iter().zip(&layers[1]) {
        assert_eq!(listing(one), listing(other));
    }

    there.remove("gcr.io/kuar-demo/kuard-amd64:blue").unwrap();
    assert!(there.resolve("gcr.io/kuar-demo/kuard-amd64:blue").unwrap().unwrap().built_in.is_some());
    assert!(layers[1].iter().all(|layer| layer.is_dir()), "a container may still run on it");
    there.sweep().unwrap();
    assert!(layers[1].iter().all(|layer| !layer.exists()));
    assert!(matches!(there.remove("gcr.io/kuar-demo/kuard-amd64:blue"), Err(ImageError::BuiltIn(_))));
    assert!(matches!(there.remove("nosuch/image"), Err(ImageError::NotFound(_))));
}

/// Names, modes, contents and link targets of a tree.
fn listing(root: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let mut lines = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(directory) = queue.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let status = path.symlink_metadata().unwrap();
            let what = if status.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if status.is_dir() {
                queue.push(path.clone());
                format!("{:o}", status.permissions().mode())
            } else {
                let mut content = Vec::new();
                fs::File::open(&path).unwrap().read_to_end(&mut content).unwrap();
                format!("{:o} {}", status.permissions().mode(), Digest::of(&content))
            };
            lines.push(format!("{} {what}", path.strip_prefix(root).unwrap().display()));
        }
    }
    lines.sort();
    lines
}

#[test]
fn many_load_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let layer = archive(&[("app", &vec![7; 1 << 20])]);
    let bytes = layout(&configuration(&[&layer]), &gzip(&layer), GZIPPED);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| store.load(bytes.as_slice()).unwrap());
        }
    });
    let image = store.resolve("quay.io/example/app:2").unwrap().unwrap();
    assert_eq!(image.repo_tags, ["quay.io/example/app:2"]);
    assert!(store.layers(&image.id).unwrap()[0].join("app").is_file());
}

#[test]
fn what_is_taken_out_leaves_what_others_need() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let count = |below: &str| fs::read_dir(directory.path().join("images").join(below)).unwrap().count();
    let before = count("tmp");
    let [lower, upper] = [archive(&[("lib", b"for both")]), archive(&[("app", b"one")])];
    let one = store.load(saved(&configuration(&[&lower, &upper]), &lower, &upper).as_slice()).unwrap().remove(0);
    let other = store.load(layout(&configuration(&[&lower]), &gzip(&lower), GZIPPED).as_slice()).unwrap().remove(0);
    let (blobs, layers) = (count("blobs/sha256"), count("layers"));
    let built_in = store.resolve("busybox").unwrap().unwrap();

    let ids = [one.id.clone(), built_in.id.clone()].into();
    assert!(store.discard(&ids).unwrap());
    assert!(store.resolve("example/app:1").unwrap().is_none());
    assert_eq!(count("layers"), layers - 1);
    assert!(count("blobs/sha256") < blobs);
    assert_eq!(count("tmp"), before);
    let kept = store.resolve(&other.repo_tags[0]).unwrap().unwrap();
    assert_eq!(fs::read_to_string(store.layers(&kept.id).unwrap()[0].join("lib")).unwrap(), "for both");
    assert_eq!(store.resolve("busybox").unwrap().unwrap().id, built_in.id, "what is built in stays");

    // It comes back whole.
    let again = store.load(saved(&configuration(&[&lower, &upper]), &lower, &upper).as_slice()).unwrap().remove(0);
    assert_eq!(again.id, one.id);
    assert_eq!(fs::read_to_string(store.layers(&again.id).unwrap()[0].join("app")).unwrap(), "one");

    // Not while somebody adds: what is there may be what that one counts on.
    let adding = fs::File::create(directory.path().join("images/adding")).unwrap();
    adding.lock_shared().unwrap();
    assert!(!store.discard(&ids).unwrap());
    assert!(store.resolve("example/app:1").unwrap().is_some());
}
