//! Peers that never read, and peers that go.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use podlab_apiserver::Identity;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::node::{Manner, Node};
use crate::support::Cluster;
use crate::support::websocket::Client;
use crate::{measured, runtime};

const POD: &str = "/api/v1/namespaces/default/pods/p";
/// A request that is always answered.
const VERSION: &[u8] = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// What may be on its way: the buffers of two HTTP connections, of a WebSocket, of the sockets in between.
const ON_THE_WAY: u64 = 4 << 20;

/// A cluster whose node floods, and a socket to it as the administrator.
async fn flooded() -> (Cluster, Arc<AtomicU64>) {
    let (node, seen) = Node::new(Manner::Floods);
    let cluster = Cluster::with_nodes(node).await;
    cluster.running_pod("p", &["a"]).await;
    cluster.server.listen_unix(&socket(&cluster), Identity::admin()).await.unwrap();
    (cluster, seen.taken.clone())
}

fn socket(cluster: &Cluster) -> std::path::PathBuf {
    cluster.folder.path().join("admin.sock")
}

/// Waits until no more is taken from the node: the server has answered a hundred other requests since the last byte. (All of
/// it runs on one thread, so whatever could go on would have.)
async fn stalled(cluster: &Cluster, taken: &AtomicU64) -> u64 {
    let mut connection = UnixStream::connect(socket(cluster)).await.unwrap();
    let (mut last, mut quiet) = (taken.load(Ordering::Relaxed), 0);
    while quiet < 100 {
        connection.write_all(VERSION).await.unwrap();
        let mut answer = [0; 4096];
        assert!(connection.read(&mut answer).await.unwrap() > 0);
        let now = taken.load(Ordering::Relaxed);
        quiet = if now == last && now > 0 { quiet + 1 } else { 0 };
        last = now;
        assert!(now < 64 * ON_THE_WAY, "the server takes and takes: {now} bytes");
    }
    last
}

async fn get(socket: &Path, path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Two streams that write without end and without a line break, to clients that never read.
#[test]
fn output_that_nobody_reads_stays_with_its_writer() {
    for path in ["exec?command=x&stdout=1", "attach?stdout=1", "portforward?ports=80", "log?follow=1", "proxy/"] {
        let runtime = runtime();
        let (cluster, taken) = runtime.block_on(flooded());
        let (kept, info) = measured(&runtime, async {
            let path = format!("{POD}/{path}");
            let stream: Box<dyn std::any::Any> = if path.contains("log") || path.contains("proxy") {
                Box::new(get(&socket(&cluster), &path).await)
            } else {
                Box::new(Client::connect(&socket(&cluster), &path).await)
            };
            let held = stalled(&cluster, &taken).await;
            assert!(held < ON_THE_WAY, "{path}: {held} bytes were taken from the node");
            stream
        });
        assert!(info.bytes_max < ON_THE_WAY, "{path}: {} bytes were allocated", info.bytes_max);
        drop(kept);
    }
}

/// A watch is a position, not a queue: whoever does not read is told that its place is gone.
#[test]
fn a_watch_that_nobody_reads_is_cut_off() {
    let runtime = runtime();
    let cluster = runtime.block_on(async {
        let cluster = Cluster::start().await;
        cluster.server.listen_unix(&socket(&cluster), Identity::admin()).await.unwrap();
        cluster
    });
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"},
        "data": {"text": "x".repeat(100_000)}});
    let (mut watch, info) = measured(&runtime, async {
        cluster.post(maps, &map).await;
        let mut watch = get(&socket(&cluster), &format!("{maps}?watch=1")).await;
        // It has begun; this is the last that is read of it.
        assert!(watch.read(&mut [0; 1024]).await.unwrap() > 0);
        for round in 0..300 {
            let patch = json!({"data": {"round": round.to_string()}}).to_string().into_bytes();
            let path = format!("{maps}/m");
            assert_eq!(cluster.request("PATCH", &path, "application/merge-patch+json", patch).await.0, 200);
            // The watch's connection has its turn.
            tokio::task::yield_now().await;
        }
        watch
    });
    // Thirty megabytes were written; the window of changes keeps eight.
    assert!(info.bytes_max < 16 << 20, "{} bytes were allocated", info.bytes_max);
    let mut told = Vec::new();
    let read = async {
        let mut piece = vec![0; 64 * 1024];
        while !told.ends_with(b"0\r\n\r\n") {
            let count = watch.read(&mut piece).await.unwrap();
            assert!(count > 0);
            told.extend_from_slice(&piece[..count]);
        }
    };
    let deadline = podlab_testkit::DEADLINE;
    runtime.block_on(async { tokio::time::timeout(deadline, read).await }).expect("the watch has no end");
    let last = String::from_utf8_lossy(&told[told.len() - 1000..]).into_owned();
    assert!(last.contains(r#""type":"ERROR""#) && last.contains(r#""code":410"#), "{last}");
}

/// Clients that come, attach, and go without a word.
#[test]
fn clients_that_go_leave_nothing() {
    const CLIENTS: usize = 500;
    let runtime = runtime();
    let (cluster, mut other) = runtime.block_on(async {
        let (cluster, _) = flooded().await;
        let other = get(&socket(&cluster), "/version").await;
        (cluster, other)
    });
    let tasks = || runtime.metrics().num_alive_tasks();
    runtime.block_on(async {
        assert!(other.read(&mut [0; 4096]).await.unwrap() > 0);
        let before = tasks();
        for path in ["attach?stdout=1", "exec?command=x&stdin=1&stdout=1", "portforward?ports=80,81", "log?follow=1"] {
            for _ in 0..CLIENTS {
                let path = format!("{POD}/{path}");
                if path.contains("log") {
                    drop(get(&socket(&cluster), &path).await);
                } else {
                    drop(Client::connect(&socket(&cluster), &path).await);
                }
            }
        }
        let ended = tokio::time::timeout(podlab_testkit::DEADLINE, async {
            while tasks() > before {
                // Another turn of everything that has something to do.
                other.write_all(VERSION).await.unwrap();
                assert!(other.read(&mut [0; 4096]).await.unwrap() > 0);
            }
        });
        assert!(ended.await.is_ok(), "{} tasks more than before", tasks() - before);
    });
}
