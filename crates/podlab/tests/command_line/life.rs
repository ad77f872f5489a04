//! Start, use, stop.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use podlab_testkit::{Cluster, Kubectl};
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use rustix::process::{Pid, Signal, kill_process};

use crate::{podlab, run_kuard};

#[test]
fn start_detached_prints_what_to_do_next_and_stop_ends_it() {
    let cluster = Cluster::builder().prepare();
    let started = cluster.start_again();
    // Nothing but, on a machine that has much to do, what it waits for.
    assert!(started.stderr.lines().all(|line| line.ends_with(" …")), "{started}");
    let kubeconfig = format!("export KUBECONFIG={}\n", cluster.kubeconfig().display());
    assert!(started.stdout.contains(&kubeconfig), "{started}");
    assert!(started.stdout.contains("Node node1 is Ready"), "{started}");

    podlab(&cluster, ["kubeconfig"]).assert().success().stdout(format!("{}\n", cluster.kubeconfig().display()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(cluster.kubeconfig()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "the kubeconfig holds a key");
    podlab(&cluster, ["status"]).assert().success().stdout(contains("node1").and(contains("Ready")));

    // The printed lines are made to be evaluated.
    let exports: Vec<_> = started.stdout.lines().filter(|line| line.starts_with("export ")).collect();
    let script = format!("{}\npodlab kubeconfig; echo $KUBECONFIG", exports.join("\n"));
    let shell = Command::new("sh").arg("-c").arg(script).env_remove("PODLAB_DIR").output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let path = cluster.kubeconfig().display().to_string();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), format!("{path}\n{path}\n"));
    cluster.stop();
}

#[test]
fn ctrl_c_stops_everything_in_the_foreground() {
    let cluster = Cluster::builder().prepare();
    let mut command = cluster.command(cluster.start_arguments());
    let mut start = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(start.stdout.take().unwrap()).lines();
    let said = lines.map(|line| line.unwrap()).take_while(|line| !line.starts_with("Stop it with")).count();
    assert!(said > 0, "it said what to do next");
    kill_process(Pid::from_child(&start), Signal::INT).unwrap();
    let output = start.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output);
    let said = String::from_utf8_lossy(&output.stderr);
    // And, where it takes long, what it waits for.
    let said: Vec<_> = said.lines().filter(|line| !line.ends_with(" …")).collect();
    assert!(said.ends_with(&["stopping", "stopped"]), "{said:?}");
    cluster.gone();
}

#[test]
fn a_second_start_says_so_and_does_nothing() {
    let cluster = Cluster::start();
    let before = cluster.record();
    for arguments in [&["start"][..], &["start", "--detach"], &[]] {
        let assert = podlab(&cluster, arguments.iter().copied()).assert().code(1).stdout(is_empty());
        assert.stderr(contains("already runs").and(contains("podlab stop")));
    }
    assert_eq!(cluster.record(), before, "the first one goes on as it was");
    cluster.podlab(["status"]).success();
    cluster.stop();
}

#[test]
fn status_shows_nodes_pods_addresses_and_memory() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);
    let status: serde_json::Value =
        serde_json::from_str(&cluster.podlab(["status", "--output", "json"]).success().stdout).unwrap();
    let (node, pods) = (&status["nodes"][0], status["pods"].as_array().unwrap());
    assert!(node["ready"] == true && node["memory"].as_u64() > Some(0), "{node}");
    let kuard = pods.iter().find(|pod| pod["name"] == "kuard").unwrap();
    assert_eq!((&kuard["status"], &kuard["ready"]), (&"Running".into(), &"1/1".into()), "{kuard}");
    let address = kuard["address"].as_str().unwrap();
    assert!(status["memory"].as_u64() > Some(1 << 20), "{status}");

    let table = cluster.podlab(["status"]).success().stdout;
    let row = table.lines().find(|line| line.starts_with("default/kuard ")).unwrap();
    assert!(row.contains(address) && row.contains("node1"), "{table}");
    // A sentence a line, in which nothing has to be found by its column.
    let plain = cluster.podlab(["--plain", "status"]).success().stdout;
    let sentence = format!("pod default/kuard: Running, 1/1 ready, address {address}, on node1, uses ");
    assert!(plain.lines().any(|line| line.starts_with(&sentence)), "{plain}");
    assert!(plain.lines().all(|line| !line.contains("  ")), "{plain}");
    cluster.stop();
}

#[test]
fn addresses_survive_a_restart() {
    let cluster = Cluster::start();
    let server = |cluster: &Cluster| cluster.record().unwrap()["server"].clone();
    let kubeconfig = std::fs::read(cluster.kubeconfig()).unwrap();
    let before = server(&cluster);
    cluster.podlab(["stop"]).success();
    cluster.start_again();
    assert_eq!(server(&cluster), before);
    assert_eq!(std::fs::read(cluster.kubeconfig()).unwrap(), kubeconfig, "a copy of it stays good");
    cluster.stop();
}

#[test]
fn the_book_is_served_on_the_named_port_or_not_at_all() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cluster = Cluster::builder().book().argument("--port").argument(&port).prepare();
    let refused = cluster.podlab(["start", "--detach", "--port", &port]).failure(1);
    assert!(refused.stderr.contains(&format!("port {port}")) && refused.stderr.contains("--no-book"), "{refused}");
    drop(taken);
    let started = cluster.start_again();
    let (_, link) = started.stdout.split_once("The book:  ").unwrap();
    let link = link.lines().next().unwrap();
    let token = link.strip_prefix(&format!("http://127.0.0.1:{port}/#token=")).unwrap();
    // Who has the link may run steps. It stays the same, and only its owner can read it.
    let kept = cluster.directory().join("book-token");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), token);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(kept).unwrap().permissions());
    assert_eq!((token.len(), mode & 0o777), (32, 0o600));
    cluster.podlab(["stop"]).success();
    assert!(cluster.start_again().stdout.contains(link), "an open page goes on");
    cluster.stop();
}
