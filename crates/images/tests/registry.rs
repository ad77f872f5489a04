//! Pulls: from a real registry where the host has one, and from registries that misbehave.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};

use podlab_images::registry::{Credentials, Progress, PullError, Registries};
use podlab_images::{Digest, Reference, Store};
use podlab_testkit::Registry;
use serde_json::{Value, json};

fn store(directory: &Path) -> Store {
    let program = directory.join("podlab");
    fs::write(&program, "the program").unwrap();
    Store::open(&directory.join("images"), &program).unwrap()
}

fn pull(store: &Store, reference: &str, registries: &Registries) -> Result<podlab_images::ImageRecord, PullError> {
    let reference: Reference = reference.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.pull(&reference, registries, None, |_| {}))
}

/// An image: its documents and its one layer, by digest.
struct Image {
    manifest: Vec<u8>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    layer: Digest,
}

fn image(content: &[u8]) -> Image {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.len() as u64);
    builder.append_data(&mut header, "app", content).unwrap();
    let tar = builder.into_inner().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    let layer = encoder.finish().unwrap();
    let architecture = if std::env::consts::ARCH == "x86_64" { "amd64" } else { "arm64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": {"Entrypoint": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&tar).to_string()]},
    })
    .to_string()
    .into_bytes();
    let describe = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": describe("application/vnd.docker.container.image.v1+json", &config),
        "layers": [describe("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)],
    });
    let digest = Digest::of(&layer);
    Image {
        manifest: manifest.to_string().into_bytes(),
        blobs: BTreeMap::from([(Digest::of(&config), config), (digest, layer)]),
        layer: digest,
    }
}

#[test]
fn pulls_from_a_real_registry() {
    let Some(registry) = Registry::start() else { return };
    let original = image(&vec![7; 3 << 20]);
    let blobs = original.blobs.iter().map(|(digest, bytes)| (digest.to_string(), bytes.as_slice()));
    registry.push("team/app", "1", blobs, &original.manifest);
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let name = format!("{}/team/app:1", registry.address());

    let seen = Mutex::new(Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reference: Reference = name.parse().unwrap();
    let pulled = runtime
        .block_on(store.pull(&reference, &Registries::default(), None, |step| seen.lock().unwrap().push(step)))
        .unwrap();
    assert_eq!(pulled.repo_digest, format!("{}/team/app@{}", registry.address(), Digest::of(&original.manifest)));
    assert_eq!(pulled.config.entrypoint, ["/app"]);
    let layers = store.layers(&pulled.id).unwrap();
    assert_eq!(fs::read(layers[0].join("app")).unwrap(), vec![7; 3 << 20]);
    let seen = seen.into_inner().unwrap();
    let bytes = original.blobs[&original.layer].len() as u64;
    assert_eq!(seen.first(), Some(&Progress::Resolved { layers: 1, bytes }));
    assert_eq!(seen.last(), Some(&Progress::Unpacking));

    // By digest, and again: what is here is not fetched twice.
    let again = pull(&store, &pulled.repo_digest, &Registries::default()).unwrap();
    assert_eq!(again.id, pulled.id);
    // As a mirror of another domain, the first of two where the first is gone.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mirrors = vec![format!("http://{gone}"), format!("http://{}", registry.address())];
    let registries = Registries { mirrors: BTreeMap::from([("docker.io".to_owned(), mirrors)]), offline: true };
    let mirrored = pull(&store, "team/app:1", &registries).unwrap();
    assert_eq!(mirrored.repo_tags[0], "docker.io/team/app:1");

    let missing: Reference = format!("{}/team/app:2", registry.address()).parse().unwrap();
    let error = pull(&store, &missing.to_string(), &Registries::default()).unwrap_err();
    assert_eq!(
        error.status(&missing),
        format!(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"{missing}\": \
             failed to resolve reference \"{missing}\": {missing}: not found"
        )
    );
}

/// Answers each request with what a function says, and remembers the requests.
struct Scripted {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

impl Scripted {
    fn start(answer: impl Fn(SocketAddr, &str, &str) -> Answer + Send + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = heads.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while reader.read_line(&mut head).unwrap() > 2 {}
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, headers, body) = answer(address, &path, &head);
                log.lock().unwrap().push(head);
                let mut text =
                    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    text += &format!("{name}: {value}\r\n");
                }
                // The client may have seen enough and gone away.
                let _ = stream
                    .write_all(text.as_bytes())
                    .and_then(|()| stream.write_all(b"\r\n"))
                    .and_then(|()| stream.write_all(&body));
            }
        });
        Scripted { address, heads }
    }
}

/// The plain answers of a registry that has one image.
fn serve(image: &Image, path: &str) -> Answer {
    if path.contains("/manifests/") {
        let kind = ("Content-Type".to_owned(), "application/vnd.docker.distribution.manifest.v2+json".to_owned());
        return (200, vec![kind], image.manifest.clone());
    }
    let blob = path.rsplit('/').next().and_then(|digest| image.blobs.get(&digest.parse().ok()?));
    blob.map_or((404, Vec::new(), Vec::new()), |blob| (200, Vec::new(), blob.clone()))
}

#[test]
fn a_token_is_for_its_registry_and_nobody_else() {
    let image = Arc::new(image(b"app"));
    let blobs = image.clone();
    let elsewhere = Scripted::start(move |_, path, _| serve(&blobs, path));
    let (other, served) = (elsewhere.address, image);
    let registry = Scripted::start(move |own, path, head| {
        if path.starts_with("/token") {
            return (200, Vec::new(), json!({"token": "secret"}).to_string().into_bytes());
        }
        if !head.to_lowercase().contains("authorization: bearer secret") {
            let challenge = format!("Bearer realm=\"http://{own}/token\",service=\"s\",scope=\"repository:app:pull\"");
            return (401, vec![("WWW-Authenticate".to_owned(), challenge)], Vec::new());
        }
        if path.contains("/blobs/") {
            return (307, vec![("Location".to_owned(), format!("http://{other}{path}"))], Vec::new());
        }
        serve(&served, path)
    });
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let reference: Reference = format!("{}/app:1", registry.address).parse().unwrap();
    let credentials = Credentials { user: "me".to_owned(), password: "pass".to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.pull(&reference, &Registries::default(), Some(credentials), |_| {})).unwrap();

    let heads = registry.heads.lock().unwrap();
    let token = heads.iter().find(|head| head.starts_with("GET /token")).unwrap();
    assert!(token.starts_with("GET /token?service=s&scope=repository%3Aapp%3Apull "), "{token}");
    assert!(token.contains("Basic bWU6cGFzcw=="), "{token}");
    for head in elsewhere.heads.lock().unwrap().iter() {
        assert!(!head.to_lowercase().contains("authorization"), "{head}");
    }
}

#[test]
fn what_a_registry_sends_is_not_believed() {
    let good = Arc::new(image(b"app"));
    let change = |manifest: &[u8], change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(manifest).unwrap();
        change(&mut value);
        value.to_string().into_bytes()
    };
    type Case = (&'static str, Box<dyn Fn(SocketAddr, &str, &str) -> Answer + Send>, &'static str);
    let clone = || good.clone();
    let (a, b, c, d, e) = (clone(), clone(), clone(), clone(), clone());
    let short = change(&good.manifest, &|value| value["layers"][0]["size"] = 3.into());
    let many = change(&good.manifest, &|value| {
        let layer = value["layers"][0].clone();
        value["layers"] = vec![layer; 3].into();
    });
    let cases: Vec<Case> = vec![
        (
            "another blob",
            Box::new(move |_, path, _| {
                let (status, headers, mut body) = serve(&a, path);
                if path.contains("/blobs/")
                    && let Some(byte) = body.last_mut()
                {
                    *byte ^= 1;
                }
                (status, headers, body)
            }),
            "does not have its digest",
        ),
        (
            "more than promised",
            Box::new(move |_, path, _| {
                let (status, headers, body) = serve(&b, path);
                (status, headers, if path.contains("/manifests/") { short.clone() } else { body })
            }),
            "larger than its manifest says",
        ),
        (
            "other layers than its configuration",
            Box::new(move |_, path, _| {
                let (status, headers, body) = serve(&c, path);
                (status, headers, if path.contains("/manifests/") { many.clone() } else { body })
            }),
            "the manifest has 3 layers",
        ),
        (
            "no manifest",
            Box::new(|_, _, _| (200, Vec::new(), b"<html>".to_vec())),
            "not what the image specification says",
        ),
        ("an endless manifest", Box::new(|_, _, _| (200, Vec::new(), vec![b' '; 5 << 20])), "length limit exceeded"),
        ("not allowed", Box::new(|_, _, _| (403, Vec::new(), Vec::new())), "pull access denied"),
        ("broken", Box::new(|_, _, _| (500, Vec::new(), Vec::new())), "unexpected status 500"),
        (
            "round and round",
            Box::new(|own, path, _| (302, vec![("Location".to_owned(), format!("http://{own}{path}"))], Vec::new())),
            "stopped after 5 redirects",
        ),
        (
            "to a file",
            Box::new(move |_, path, _| match path.contains("/blobs/") {
                true => (302, vec![("Location".to_owned(), "file:///etc/passwd".to_owned())], Vec::new()),
                false => serve(&d, path),
            }),
            "is not followed",
        ),
        (
            "missing blob",
            Box::new(move |_, path, _| match path.contains("/blobs/") {
                true => (404, Vec::new(), Vec::new()),
                false => serve(&e, path),
            }),
            "not found",
        ),
    ];
    for (case, answer, problem) in cases {
        let registry = Scripted::start(answer);
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let name = format!("{}/app:1", registry.address);
        let error = pull(&store, &name, &Registries::default()).unwrap_err().to_string();
        assert!(error.contains(problem), "{case}: {error}");
        assert_eq!(store.resolve(&name).unwrap(), None, "{case}");
        assert_eq!(fs::read_dir(directory.path().join("images/tmp")).unwrap().count(), 0, "{case}");
    }
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let error = pull(&store(directory.path()), &format!("{gone}/app:1"), &Registries::default()).unwrap_err();
    let text = error.to_string();
    let asked = format!("Head \"http://{gone}/v2/app/manifests/1\": dial tcp {gone}: connect: connection refused");
    assert_eq!(text, format!("failed to do request: {asked}"));

    // The name ends in one that nobody may have (RFC 2606).
    let error = pull(&store(directory.path()), "registry.invalid/app:1", &Registries::default()).unwrap_err();
    assert!(error.to_string().ends_with("dial tcp: lookup registry.invalid: no such host"), "{error}");
    let offline = Registries { offline: true, ..Registries::default() };
    let error = pull(&store(directory.path()), "registry.invalid/app:1", &offline).unwrap_err();
    assert!(matches!(error, PullError::NotFound(_)), "{error}");
}
