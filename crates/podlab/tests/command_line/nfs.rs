//! A file server beside the cluster, and volumes of it: Example 5-6.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use podlab_testkit::{Cluster, DEADLINE, Kubectl, kernel_refuses};
use serde_json::{Value, json};

use super::plug::rig::{Rig, kill};

/// `podlab nfs serve`, and its folder. Killed when it is dropped.
struct Server {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(cluster: &Cluster) -> Self {
        let mut command = cluster.command(["nfs", "serve"]);
        command.arg(folder(cluster)).stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.ends_with("exports as my.nfs.server.local:/exports\n"), "{line}");
        Self { child, output }
    }

    /// Pulls its plug.
    fn kill(mut self) {
        kill(i32::try_from(self.child.id()).unwrap());
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder(cluster: &Cluster) -> std::path::PathBuf {
    cluster.scratch().join("exports")
}

/// A Pod with the volume of Example 5-6, on a node.
fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "kuard-data", "nfs": {"server": "my.nfs.server.local", "path": "/exports"}}],
            "containers": [{"name": "main", "image": "busybox:1.36", "command": ["sleep", "1d"],
                "volumeMounts": [{"name": "kuard-data", "mountPath": "/data"}]}],
        },
    })
}

fn kernel_mounts_nfs(cluster: &Cluster) -> bool {
    let findings: Vec<Value> = serde_json::from_str(&cluster.podlab(["doctor", "--output", "json"]).stdout).unwrap();
    findings.iter().any(|finding| finding["item"] == "nfs" && finding["verdict"] == "works")
}

#[test]
fn the_server_is_known_by_its_name_and_there_is_one() {
    let cluster = Cluster::start();
    let mut server = Server::start(&cluster);
    assert!(folder(&cluster).is_dir(), "it was made");
    let hosts = cluster.podlab(["node", "exec", "node1", "--", "cat", "/etc/hosts"]).success().stdout;
    assert!(hosts.starts_with("10.99.0.254\tmy.nfs.server.local\n"), "{hosts}");
    let machines = fs::read_to_string("/etc/hosts").unwrap_or_default();
    assert!(
        hosts.ends_with(&machines) && !machines.contains("my.nfs.server.local"),
        "the machine's own stays as it is"
    );
    let another = cluster.podlab(["nfs", "serve", cluster.scratch().join("other").to_str().unwrap()]).failure(1);
    assert!(another.stderr.to_lowercase().contains("address already in use"), "{another}");

    // When there is no cluster any more, it ends.
    cluster.podlab(["stop"]).success();
    let mut rest = String::new();
    server.output.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("the cluster has ended\n"), "{rest}");
    assert!(server.child.wait().unwrap().success());
    let none = cluster.podlab(["nfs", "serve", "anything"]).failure(1);
    assert!(none.stderr.contains("podlab start"), "{none}");
    cluster.gone();
}

#[test]
fn what_cannot_be_mounted_says_so_as_a_kubelet_does() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::start();
    rig.create::<Pod>(&pod("kuard", "node1"));
    super::pulls::event(&rig, &kubectl, "kuard", "FailedMount");
    let selector = "--field-selector=involvedObject.name=kuard,reason=FailedMount";
    let whole = ["get", "events", selector, "-o", "jsonpath={.items[0].message}"];
    let message = rig.cluster.kubectl(&kubectl, whole).success().stdout;
    let beginning = "MountVolume.SetUp failed for volume \"kuard-data\" : mount failed: exit status 32\n\
        Mounting command: mount\n\
        Mounting arguments: -t nfs my.nfs.server.local:/exports /";
    assert!(message.starts_with(beginning), "{message}");
    let (_, output) = message.split_once("\nOutput: ").unwrap();
    if kernel_mounts_nfs(&rig.cluster) {
        let unknown = "mount.nfs: Failed to resolve server my.nfs.server.local: Name or service not known";
        assert_eq!(output.trim_end(), unknown);
    } else {
        assert!(output.contains(": unknown filesystem type 'nfs'.\n       dmesg(1) may have more"), "{output}");
    }
    // It is gone at once: there is nothing to wait for.
    rig.delete("kuard", 0);
    rig.until_gone("kuard");
    // The lab says in words that it cannot be tried here. Where it can, a test of its own runs it.
    if !kernel_mounts_nfs(&rig.cluster) {
        let mut verify = rig.cluster.command(["lab", "verify", "nfs"]);
        let verified = podlab_testkit::run(verify.env("PODLAB_WORKBOOK", super::lab::labs().parent().unwrap()));
        let words = ["could not check", "this needs a kernel that can mount a file server"];
        let said = words.iter().all(|words| verified.stdout.contains(words));
        assert!(said && verified.status.code() == Some(2), "{verified}");
    }
    rig.cluster.stop();
}

/// The whole promise, with the kernel's client and with ours: the data outlives the Pod, is on every node, and a server that was
/// away; and a server that is away holds nobody up who only wants to go.
#[test]
fn the_data_outlives_pods_and_nodes_and_servers() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::of(Cluster::builder().argument("--nodes=2").start());
    if !kernel_mounts_nfs(&rig.cluster) {
        kernel_refuses("this kernel mounts no file server");
        rig.cluster.stop();
        return;
    }
    let shell = |pod: &str, script: &str| {
        let output = rig.cluster.kubectl(&kubectl, ["exec", pod, "--", "sh", "-c", script]);
        format!("{}{}", output.stdout, output.stderr)
    };
    let server = Server::start(&rig.cluster);
    rig.create::<Pod>(&pod("first", "node1"));
    rig.until_ready("first");
    assert_eq!(
        shell("first", "echo one > /data/log && mkdir /data/deep && echo x > /data/deep/er && cat /data/log"),
        "one\n"
    );
    assert_eq!(fs::read_to_string(folder(&rig.cluster).join("log")).unwrap(), "one\n");
    // What the learner puts there, Pods see.
    fs::write(folder(&rig.cluster).join("from-outside"), "hello").unwrap();
    assert_eq!(shell("first", "cat /data/from-outside"), "hello");
    rig.delete("first", 0);
    rig.until_gone("first");

    rig.create::<Pod>(&pod("second", "node2"));
    rig.until_ready("second");
    assert_eq!(shell("second", "cat /data/log /data/deep/er; echo two >> /data/log"), "one\nx\n");

    // Another server of the same folder knows what the first one gave out: files that are open, and directories.
    let mut writer: Command = kubectl.command(
        &rig.cluster.kubeconfig(),
        &rig.cluster.home(),
        ["exec", "-i", "second", "--", "sh", "-c", "cd /data/deep && cat > kept && cat kept er"],
    );
    let mut writer = writer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"before\n").unwrap();
    let kept = folder(&rig.cluster).join("deep/kept");
    let end = Instant::now() + DEADLINE;
    while !kept.exists() {
        assert!(Instant::now() < end, "the file is made");
        std::thread::yield_now();
    }
    server.kill();
    let server = Server::start(&rig.cluster);
    std::io::Write::write_all(&mut input, b"after\n").unwrap();
    drop(input);
    let written = writer.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&written.stdout), "before\nafter\nx\n");

    // A server that is gone: the Pod goes nevertheless, and so does the cluster with a Pod that still has it.
    rig.create::<Pod>(&pod("third", "node1"));
    rig.until_ready("third");
    server.kill();
    rig.delete("second", 0);
    rig.until_gone("second");
    rig.cluster.stop();
}
