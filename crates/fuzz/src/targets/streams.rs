//! Connections: HTTP itself, and what it is upgraded to. The server is a whole one, on a pipe in memory; a Pod's node sends
//! back what it gets.

use std::cell::RefCell;
use std::sync::Arc;

use podlab_apiserver::node::Dialing;
use podlab_apiserver::{Identity, NodeDialer, NodeStream, Pki, Server, ServerConfig, Storage};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const POD: &str = "/api/v1/namespaces/default/pods/p";
/// A Pod on a node; its service account is none that has to be there.
const OBJECT: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"nodeName":"n1",
    "automountServiceAccountToken":false,"containers":[{"name":"a","image":"i"}]}}"#;
const ACCOUNT: &str = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}"#;

/// Turns of everything, before a client closes.
const TURNS: usize = 200;

/// A node that switches protocols, sends back what comes, and says goodbye at the end.
struct Echo;

impl NodeDialer for Echo {
    fn dial(&self, _: &str) -> Dialing {
        Box::pin(async {
            let (ours, theirs) = tokio::io::duplex(4096);
            tokio::spawn(async move {
                // A server that goes is part of the tests.
                let _ = echo(ours).await;
            });
            Ok(Box::new(theirs) as Box<dyn NodeStream>)
        })
    }
}

async fn echo(mut stream: DuplexStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: podlab-stream\r\n\r\n")
        .await?;
    // Something on each output first.
    stream.write_all(b"\x01\0\0\0\x01o\x02\0\0\0\x01e").await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.write_all(b"\x03\0\0\0\x0a{\"code\":0}").await
}

/// A server with one Pod, and the one thread it lives on.
struct World {
    runtime: tokio::runtime::Runtime,
    server: Server,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(async {
            let config = ServerConfig {
                storage: Storage::Memory,
                pki: Pki::ephemeral().unwrap(),
                now: Arc::new(|| jiff::Timestamp::UNIX_EPOCH),
                nodes: Arc::new(Echo),
            };
            let server = Server::start(config).await.unwrap();
            for (path, body) in [("serviceaccounts", ACCOUNT), ("pods", OBJECT)] {
                let length = body.len();
                let request = format!(
                    "POST /api/v1/namespaces/default/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
                     application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                let answer = exchange(&server, Identity::admin(), request.as_bytes()).await;
                assert!(answer.starts_with(b"HTTP/1.1 201 "), "{}", String::from_utf8_lossy(&answer));
            }
            server
        });
        Self { runtime, server }
    }
}

/// Sends bytes, then nothing more; the answer, when the server has closed.
async fn exchange(server: &Server, identity: Identity, bytes: &[u8]) -> Vec<u8> {
    let (client, connection) = tokio::io::duplex(4096);
    let serving = tokio::spawn(server.clone().serve(connection, identity));
    let (mut reader, mut writer) = tokio::io::split(client);
    let mut answer = Vec::new();
    let send = async {
        // A server that refuses may not read everything.
        let _ = writer.write_all(bytes).await;
        // A client that closes takes its question back: first, all of it has many turns.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
    };
    let receive = reader.read_to_end(&mut answer);
    let (_, received) = tokio::join!(send, receive);
    received.unwrap();
    serving.await.unwrap();
    answer
}

fn ask(identity: Identity, bytes: &[u8]) -> Vec<u8> {
    WORLD.with_borrow_mut(|world| {
        let world = world.get_or_insert_with(World::new);
        world.runtime.block_on(exchange(&world.server, identity, bytes))
    })
}

/// Who is nobody sends anything at all: nothing comes of it.
pub(crate) fn http(bytes: &[u8]) {
    let answer = ask(Identity::anonymous(), bytes);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.") || answer.starts_with(b"\0"), "{answer:?}");
    assert!(!answer.starts_with(b"HTTP/1.1 5"), "{}", String::from_utf8_lossy(&answer));
}

/// The upgrade of a session, then anything.
fn upgraded(path: &str, headers: &str, bytes: &[u8]) {
    let head = format!("POST {POD}/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n{headers}\r\n\r\n");
    let answer = ask(Identity::admin(), &[head.as_bytes(), bytes].concat());
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
}

/// The head of a handshake that browsers make too, with a protocol.
fn websocket_headers(protocol: &str) -> String {
    format!(
        "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {protocol}"
    )
}

/// A first byte that says which session, then its bytes.
fn split(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (first % 2, rest))
}

pub(crate) fn websocket(bytes: &[u8]) {
    let (session, bytes) = split(bytes);
    let path = ["exec?command=x&stdin=1&stdout=1&stderr=1", "portforward?ports=80,81"][usize::from(session)];
    // A handshake is a GET.
    let head = websocket_headers("v5.channel.k8s.io,v4.channel.k8s.io");
    let head = format!("GET {POD}/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n{head}\r\n\r\n");
    let answer = ask(Identity::admin(), &[head.as_bytes(), bytes].concat());
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
}

pub(crate) fn spdy(bytes: &[u8]) {
    let (session, bytes) = split(bytes);
    let (path, protocol) =
        [("exec?command=x&stdin=1&stdout=1", "v4.channel.k8s.io"), ("portforward", "portforward.k8s.io")]
            [usize::from(session)];
    upgraded(path, &format!("upgrade: SPDY/3.1\r\nx-stream-protocol-version: {protocol}"), bytes);
}

/// SPDY inside of a WebSocket; the messages are whole here, what is in them is not.
pub(crate) fn tunnel(bytes: &[u8]) {
    let messages: Vec<u8> = bytes.chunks(100).flat_map(|bytes| message(2, bytes)).collect();
    let head = websocket_headers("SPDY/3.1+portforward.k8s.io");
    let head = format!("GET {POD}/portforward HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\n{head}\r\n\r\n");
    let answer = ask(Identity::admin(), &[head.as_bytes(), &messages].concat());
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
}

/// A message of a client, masked with zeros.
fn message(operation: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[0x80 | operation, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

pub(crate) fn http_seeds() -> Vec<Vec<u8>> {
    let text = include_str!("../../seeds/requests.txt");
    let mut seeds: Vec<Vec<u8>> =
        text.split("---\n").map(|request| request.replace('\n', "\r\n").into_bytes()).collect();
    // HTTP/2: the preface and empty settings.
    seeds.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec());
    seeds
}

pub(crate) fn websocket_seeds() -> Vec<Vec<u8>> {
    let messages = [
        message(2, b"\0hello"),
        message(2, b"\x04{\"Width\":80,\"Height\":24}"),
        message(1, b"\0text"),
        message(9, b"ping"),
        message(2, b"\xff\0"),
        message(8, b"\x03\xe8"),
    ];
    (0_u8..2)
        .flat_map(|session| {
            let whole = messages.concat();
            let single = messages.iter().map(move |message| [&[session], message.as_slice()].concat());
            single.chain([[&[session], whole.as_slice()].concat()])
        })
        .collect()
}

/// A frame of SPDY/3.1 that is no data.
fn control(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    [&[0x80, 3, 0, kind, flags, 0, 0, length], body].concat()
}

/// Headers as zlib stores them: not compressed, which needs no dictionary.
fn stored(headers: &[(&str, &str)], first: bool) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let mut block = number(headers.len()).to_vec();
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        block.extend(number(text.len()));
        block.extend(text.as_bytes());
    }
    let length = u16::try_from(block.len()).unwrap();
    let head: &[u8] = if first { &[0x78, 0x01] } else { &[] };
    [head, &[0], &length.to_le_bytes(), &(!length).to_le_bytes(), &block].concat()
}

fn open(stream: u8, headers: &[(&str, &str)]) -> Vec<u8> {
    let body = [&[0, 0, 0, stream, 0, 0, 0, 0, 0, 0], stored(headers, stream == 1).as_slice()].concat();
    control(1, 0, &body)
}

fn data(stream: u8, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    [&[0, 0, 0, stream, flags, 0, 0, length], bytes].concat()
}

pub(crate) fn spdy_seeds() -> Vec<Vec<u8>> {
    let exec: Vec<Vec<u8>> = ["error", "stdin", "stdout"]
        .iter()
        .zip([1, 3, 5])
        .map(|(kind, stream)| open(stream, &[("streamtype", kind)]))
        .collect();
    let forward = tunnel_seeds().remove(0);
    vec![
        [&[0], exec.concat().as_slice(), &data(3, 0, b"hello"), &data(3, 1, b"")].concat(),
        [&[1], forward.as_slice()].concat(),
        [&[1], control(6, 0, &[0, 0, 0, 1]).as_slice(), &control(7, 0, &[0; 8])].concat(),
        [&[1], control(3, 0, &[0, 0, 0, 1, 0, 0, 0, 5]).as_slice()].concat(),
    ]
}

pub(crate) fn tunnel_seeds() -> Vec<Vec<u8>> {
    let of = |kind| [("streamtype", kind), ("port", "8080"), ("requestid", "0")];
    vec![[open(1, &of("error")), open(3, &of("data")), data(3, 0, b"hello"), data(3, 1, b"")].concat()]
}
