//! Bodies that are small on the wire and large, deep or endless once they are read.

use http::Request;
use podlab_apiserver::{Body, Identity};
use serde_json::json;
use tower::ServiceExt;

use crate::support::Cluster;
use crate::{measured, revision, runtime};

const PODS: &str = "/api/v1/namespaces/default/pods";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const MIB: usize = 1 << 20;
/// A body may have this many bytes.
const LIMIT: usize = 3 * MIB;

/// A text of at most so many bytes: `head`, `piece` over and over, `tail`.
fn filled(head: &str, piece: &str, tail: &str, bytes: usize) -> Vec<u8> {
    let count = (bytes - head.len() - tail.len()) / piece.len();
    format!("{head}{}{tail}", piece.repeat(count)).into_bytes()
}

/// The classic: nine levels of nine, a billion in a few hundred bytes.
fn alias_bomb() -> Vec<u8> {
    let first = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    (1..10)
        .fold(first, |text, level| {
            let items = vec![format!("*a{}", level - 1); 9].join(",");
            format!("{text}a{level}: &a{level} [{items}]\n")
        })
        .into_bytes()
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

/// A protobuf Pod with this spec.
fn envelope(spec: &[u8]) -> Vec<u8> {
    let meta = [field(1, b"v1"), field(2, b"Pod")].concat();
    [b"k8s\0".to_vec(), field(1, &meta), field(2, &field(2, spec))].concat()
}

/// What is sent, the codes that may come back, and how much memory it may take on the way.
fn bodies() -> Vec<(&'static str, &'static str, Vec<u8>, u16, usize)> {
    let anchor = format!("a: &a [{}]\n", vec!["x"; 10_000].join(","));
    let deep = |open: &str| open.repeat(LIMIT / open.len()).into_bytes();
    let long_key = "k".repeat(MIB);
    vec![
        ("nested aliases", YAML, alias_bomb(), 400, 16 * MIB),
        ("one anchor, many aliases", YAML, filled(&anchor, "- *a\n", "", MIB), 400, 16 * MIB),
        (
            "aliases of a large scalar",
            YAML,
            filled(&format!("a: &a {}\nb: [", "x".repeat(MIB)), "*a,", "*a]", 2 * MIB),
            400,
            64 * MIB,
        ),
        (
            "merge keys of merge keys",
            YAML,
            alias_bomb().iter().map(|byte| if *byte == b',' { b' ' } else { *byte }).collect(),
            400,
            16 * MIB,
        ),
        ("deep flow", YAML, deep("["), 400, 16 * MIB),
        ("deep maps", YAML, deep("{a: "), 400, 16 * MIB),
        ("deep block", YAML, deep("- "), 400, 16 * MIB),
        ("question marks", YAML, deep("? "), 400, 16 * MIB),
        ("many documents", YAML, deep("---\na: 1\n"), 400, 64 * MIB),
        ("many values", YAML, filled("", "- {}\n", "", LIMIT), 400, 64 * MIB),
        ("quotes without end", YAML, deep("\""), 400, 64 * MIB),
        ("no text", YAML, vec![0xff; LIMIT], 400, 16 * MIB),
        ("deep lists", JSON, deep("["), 400, MIB),
        ("deep objects", JSON, deep("{\"a\":"), 400, MIB),
        ("many lists", JSON, filled("[", "[1],", "0]", LIMIT), 400, 64 * MIB),
        ("many objects", JSON, filled("[", "{\"a\":1},", "0]", LIMIT), 400, 128 * MIB),
        ("many containers", JSON, filled("{\"spec\":{\"containers\":[", "{},", "{}]}}", LIMIT), 400, 64 * MIB),
        (
            "duplicates below a long key",
            JSON,
            filled(&format!("{{\"{long_key}\":{{"), "\"b\":1,", "\"c\":1}}", 2 * MIB),
            400,
            64 * MIB,
        ),
        ("a long number", JSON, filled("{\"spec\":", "9", "}", LIMIT), 400, 16 * MIB),
        ("a large exponent", JSON, b"{\"spec\":1e999999999}".to_vec(), 400, MIB),
        ("half a surrogate", JSON, b"{\"kind\":\"\\ud800\"}".to_vec(), 400, MIB),
        ("zeros", JSON, vec![0; LIMIT], 400, MIB),
        ("one byte too many", JSON, vec![b' '; LIMIT + 1], 413, MIB),
        ("many containers", PROTOBUF, envelope(&field(2, b"").repeat(MIB)), 400, 64 * MIB),
        ("deep messages", PROTOBUF, envelope(&(0..1000).fold(Vec::new(), |inner, _| field(2, &inner))), 400, 16 * MIB),
        ("a length beyond the end", PROTOBUF, b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(), 400, MIB),
        ("a number without end", PROTOBUF, [b"k8s\0".to_vec(), vec![0xff; LIMIT - 4]].concat(), 400, MIB),
    ]
}

#[test]
fn hostile_bodies_end_in_an_error() {
    let runtime = runtime();
    let cluster = runtime.block_on(Cluster::start());
    // The schemas are read once, whoever asks first.
    runtime.block_on(cluster.request("POST", PODS, JSON, b"{\"spec\":{\"containers\":[{}]}}".to_vec()));
    let before = runtime.block_on(revision(&cluster));
    let mut failures = Vec::new();
    for (name, kind, body, code, bytes) in bodies() {
        let request = cluster.request("POST", PODS, kind, body);
        let ((told, answer), info) = measured(&runtime, request);
        if told != code || answer["kind"] != "Status" || answer["reason"].as_str().is_none_or(str::is_empty) {
            failures.push(format!("{name} ({kind}): {told} {answer:.300}"));
        }
        if info.bytes_max > bytes as u64 {
            failures.push(format!("{name} ({kind}): {} MiB", info.bytes_max / MIB as u64));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(runtime.block_on(revision(&cluster)), before, "nothing was written");
}

/// The last byte that is taken, and not one more.
#[test]
fn an_endless_body_is_read_to_the_limit() {
    const CHUNK: usize = 64 * 1024;
    let runtime = runtime();
    let cluster = runtime.block_on(Cluster::start());
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = sent.clone();
    let chunks = futures_util::stream::repeat_with(move || {
        counter.fetch_add(CHUNK, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; CHUNK]))
    });
    let request = Request::post(PODS).header("content-type", JSON).body(Body::from_stream(chunks)).unwrap();
    let answer = runtime.block_on(cluster.server.service(Identity::admin()).oneshot(request)).unwrap();
    assert_eq!(answer.status(), 413);
    let sent = sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!((LIMIT..=LIMIT + CHUNK).contains(&sent), "{sent}");
    // What is packed is not unpacked: that it could grow is no concern.
    let request = Request::post(PODS).header("content-type", JSON).header("content-encoding", "gzip");
    let request = request.body(Body::from(json!({"kind": "Pod"}).to_string())).unwrap();
    let answer = runtime.block_on(cluster.server.service(Identity::admin()).oneshot(request)).unwrap();
    assert_ne!(answer.status(), 201);
}
