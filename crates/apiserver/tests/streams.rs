//! Logs, exec, attach, port-forward and proxy through the server to a node, with every kubectl there is.

mod support;

use std::path::Path;
use std::sync::Arc;

use support::Cluster;
use support::node::FakeNode;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

async fn cluster() -> Cluster {
    let cluster = Cluster::with_nodes(Arc::new(FakeNode)).await;
    cluster.running_pod("p", &["a"]).await;
    cluster
}

/// Exit code, stdout, stderr.
async fn run(cluster: &Cluster, program: &Path, arguments: &str, input: &str) -> (i32, String, String) {
    let output = cluster.kubectl(program, arguments, input).await;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_have_their_streams_and_their_exit_codes() {
    let cluster = cluster().await;
    for kubectl in support::kubectls() {
        let told = |arguments: &'static str, input: &'static str| run(&cluster, &kubectl, arguments, input);
        let (code, out, err) = told("exec p -- exit 7", "").await;
        assert_eq!((code, out.as_str()), (7, "out\n"), "{kubectl:?}: {err}");
        assert_eq!(err, "err\ncommand terminated with exit code 7\n", "{kubectl:?}");
        let (code, out, err) = told("exec p -- exit 0", "").await;
        assert_eq!((code, out.as_str(), err.as_str()), (0, "out\n", "err\n"), "{kubectl:?}");
        let large: &'static str = Box::leak("all work and no play\n".repeat(20_000).into_boxed_str());
        let (code, out, err) = told("exec -i p -- cat", large).await;
        assert_eq!((code, out.len(), err.as_str()), (0, large.len(), ""), "{kubectl:?}");
        assert_eq!(out, large);
        let (code, out, err) = told("exec p -- flood 3000000", "").await;
        assert_eq!((code, out.len(), err.as_str()), (0, 3_000_000, ""), "{kubectl:?}");
        let (code, _, err) = told("exec p -- bash", "").await;
        let text =
            "error: Internal error occurred: Internal error occurred: error executing command in container: bash\n";
        assert_eq!((code, err.as_str()), (1, text), "{kubectl:?}");
        let (code, _, err) = told("exec p -c nope -- date", "").await;
        let refused = "Error from server (BadRequest): container nope is not valid for pod p\n";
        assert_eq!((code, err.as_str()), (1, refused), "{kubectl:?}");
        let (code, out, err) = told("attach p", "").await;
        assert_eq!((code, out.as_str()), (0, "attached\n"), "{kubectl:?}: {err}");
    }
}

/// kubectl drops what comes before it has made its channels.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_asked_whether_it_listens_before_it_is_told_anything() {
    let cluster = cluster().await;
    let exec = "/api/v1/namespaces/default/pods/p/exec?command=cat&stdin=true&stdout=true";
    let mut socket = cluster.websocket(exec).await;
    // What is said meanwhile is not lost.
    socket.send(0, b"early").await;
    socket.answer_ping().await;
    assert_eq!(socket.receive().await, Some((1, b"early".to_vec())));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_from_the_node() {
    let cluster = cluster().await;
    let Some(kubectl) = support::kubectl() else { return };
    let (code, out, _) = run(&cluster, &kubectl, "logs p --tail=5", "").await;
    assert_eq!((code, out.as_str()), (0, "log of /containerLogs/default/p/a?tailLines=5\n"));
    let (code, _, err) = run(&cluster, &kubectl, "logs p --previous", "").await;
    let text = "Error from server (BadRequest): previous terminated container \"a\" in pod \"p\" not found\n";
    assert_eq!((code, err.as_str()), (1, text));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_node_is_told_as_the_real_server_tells_it() {
    let cluster = Cluster::start().await;
    cluster.running_pod("p", &["a"]).await;
    let Some(kubectl) = support::kubectl() else { return };
    let (code, _, err) = run(&cluster, &kubectl, "logs p", "").await;
    let text = "Error from server: Get \"https://n1:10250/containerLogs/default/p/a\": dial tcp n1:10250: connect: \
                connection refused\n";
    assert_eq!((code, err.as_str()), (1, text));
    let (code, _, err) = run(&cluster, &kubectl, "exec p -- date", "").await;
    let text = "error: Internal error occurred: error sending request: Post \"https://n1:10250/exec/default/p/a?command=date\
                &error=1&output=1\": dial tcp n1:10250: connect: connection refused\n";
    assert_eq!((code, err.as_str()), (1, text));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_forwarded() {
    let cluster = cluster().await;
    for kubectl in support::kubectls() {
        let mut child = cluster.command(&kubectl, "port-forward p :8080 --address 127.0.0.1").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap_or_default();
        let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split_once(' '));
        let port: u16 = port.unwrap_or_else(|| panic!("{kubectl:?} said {line:?}")).0.parse().unwrap();
        for size in [5, 200_000] {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            let sent = vec![b'y'; size];
            let echo = tokio::spawn(async move {
                let mut got = Vec::new();
                reader.read_to_end(&mut got).await.unwrap();
                got
            });
            writer.write_all(&sent).await.unwrap();
            // Half closed: what was sent still comes back.
            writer.shutdown().await.unwrap();
            assert!(echo.await.unwrap() == sent, "{kubectl:?} {size}");
        }
        child.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_told() {
    let cluster = cluster().await;
    for kubectl in support::kubectls() {
        let mut child = cluster.command(&kubectl, "port-forward p :81 --address 127.0.0.1").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap_or_default();
        let port: u16 = line.split([':', ' ']).nth(3).unwrap().parse().unwrap();
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // It ends, be it with an error: nobody is there.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = errors.next_line().await.unwrap().unwrap_or_default();
        assert!(told.contains("error forwarding: connection refused"), "{kubectl:?}: {told}");
        // Later ones end with it, earlier ones go on.
        let _ = child.kill().await;
    }
}

/// The dialect of client libraries: numbered channels, the port first, and an end when the Pod has said all.
#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_over_numbered_channels() {
    let cluster = cluster().await;
    let mut socket = cluster.websocket("/api/v1/namespaces/default/pods/p/portforward?ports=8080,81").await;
    let port = |port: u16| port.to_le_bytes().to_vec();
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(socket.receive().await.expect("both ports are told, and one error"));
    }
    told.sort();
    let refused = "error forwarding: connection refused".as_bytes().to_vec();
    assert_eq!(told, [(0, port(8080)), (1, port(8080)), (2, port(81)), (3, port(81)), (3, refused)]);
    socket.send(0, b"hello").await;
    assert_eq!(socket.receive().await, Some((0, b"hello".to_vec())));
}
