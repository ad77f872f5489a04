//! Pods whose images come from a registry, or do not.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;

use k8s_openapi::api::core::v1::{Pod, Secret};
use podlab_images::Digest;
use podlab_testkit::{Cluster, DEADLINE, Kubectl, Registry};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::plug::rig::{Part, Rig, kill};

/// A cluster that may ask registries.
fn rig() -> Rig {
    Rig::of(Cluster::builder().environment("PODLAB_OFFLINE", "").start())
}

fn pod(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": ["sleep", "3600"]}]},
    })
}

/// Waits until the Pod's one container runs, and returns its image's digest.
#[track_caller]
fn until_running(rig: &Rig, name: &str) -> String {
    rig.until_pod(name, |pod| {
        let container = pod?.status.as_ref()?.container_statuses.as_ref()?.first()?;
        container.state.as_ref()?.running.as_ref().map(|_| container.image_id.clone())
    })
}

/// Waits until the Pod's one container waits for a reason of which the status says `text`.
#[track_caller]
fn until_waiting(rig: &Rig, name: &str, text: &str) -> String {
    rig.until_pod(name, |pod| {
        let container = pod?.status.as_ref()?.container_statuses.as_ref()?.first()?;
        let waiting = container.state.as_ref()?.waiting.clone()?;
        waiting.message.is_some_and(|message| message.contains(text)).then(|| waiting.reason.unwrap_or_default())
    })
}

/// The message of the Pod's first event of a reason, as soon as there is one.
#[track_caller]
pub(super) fn event(rig: &Rig, kubectl: &Kubectl, name: &str, reason: &str) -> String {
    let selector = format!("--field-selector=involvedObject.name={name},reason={reason}");
    let timeout = format!("--request-timeout={}s", DEADLINE.as_secs());
    let message = ["get", "events", "--watch", &selector, &timeout, "-o", "jsonpath={.message}{\"\\n\"}"];
    let mut command = kubectl.command(&rig.cluster.kubeconfig(), &rig.cluster.home(), message);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    line.trim_end().to_owned()
}

/// Copies a built-in image into a registry, by way of an archive; its manifest's digest there.
#[track_caller]
fn push(cluster: &Cluster, registry: &Registry, image: &str, name: &str, tag: &str) -> String {
    let archive = cluster.scratch().join("image.tar");
    cluster.podlab(["image", "save", image, "--output", archive.to_str().unwrap()]).success();
    let mut files = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(std::fs::File::open(&archive).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(path, bytes);
    }
    let json = |path: &str| serde_json::from_slice::<Value>(&files[path]).unwrap();
    let blob = |digest: &Value| format!("blobs/sha256/{}", digest.as_str().unwrap().trim_start_matches("sha256:"));
    let digest = json("index.json")["manifests"][0]["digest"].clone();
    let mut manifest = json(&blob(&digest));
    // What the registry is told that it is.
    manifest["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
    let layers = manifest["layers"].as_array().unwrap().clone();
    let blobs = std::iter::once(&manifest["config"]).chain(&layers).map(|descriptor| &descriptor["digest"]);
    let blobs = blobs.map(|digest| (digest.as_str().unwrap().to_owned(), files[&blob(digest)].as_slice()));
    let manifest = manifest.to_string().into_bytes();
    registry.push(name, tag, blobs, &manifest);
    Digest::of(&manifest).to_string()
}

#[test]
fn a_pod_gets_its_image_from_a_registry_as_its_policy_says() {
    let (Some(kubectl), Some(registry)) = (Kubectl::any(), Registry::start()) else { return };
    let rig = rig();
    let first = push(&rig.cluster, &registry, "busybox:1.36", "team/box", "latest");
    let address = registry.address();
    let image = format!("{address}/team/box");

    // Without a tag the policy is Always.
    rig.create::<Pod>(&pod("first", &image));
    assert_eq!(until_running(&rig, "first"), format!("{image}@{first}"));
    assert_eq!(event(&rig, &kubectl, "first", "Pulling"), format!("Pulling image \"{image}\""));
    let pulled = event(&rig, &kubectl, "first", "Pulled");
    assert!(pulled.starts_with(&format!("Successfully pulled image \"{image}\" in ")), "{pulled}");
    assert!(pulled.contains(" including waiting). Image size: "), "{pulled}");

    // The tag means another image now: Always asks, IfNotPresent does not.
    let second = push(&rig.cluster, &registry, "alpine:3", "team/box", "latest");
    assert_ne!(first, second);
    let mut present = pod("present", &image);
    present["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    rig.create::<Pod>(&present);
    assert_eq!(until_running(&rig, "present"), format!("{image}@{first}"));
    let message = event(&rig, &kubectl, "present", "Pulled");
    assert_eq!(message, format!("Container image \"{image}\" already present on machine"));
    rig.create::<Pod>(&pod("second", &image));
    assert_eq!(until_running(&rig, "second"), format!("{image}@{second}"));

    // What is built in satisfies Always, without a registry.
    rig.create::<Pod>(&pod("built-in", "nginx:latest"));
    until_running(&rig, "built-in");

    // What is not there.
    let missing = format!("{address}/team/box:2");
    rig.create::<Pod>(&pod("missing", &missing));
    let text = format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{missing}\": \
         failed to resolve reference \"{missing}\": {missing}: not found"
    );
    until_waiting(&rig, "missing", &text);
    let failed = event(&rig, &kubectl, "missing", "Failed");
    assert_eq!(failed, format!("Failed to pull image \"{missing}\": {text}"));
    assert_eq!(event(&rig, &kubectl, "missing", "BackOff"), format!("Back-off pulling image \"{missing}\""));

    let mut never = pod("never", &missing);
    never["spec"]["containers"][0]["imagePullPolicy"] = json!("Never");
    rig.create::<Pod>(&never);
    assert_eq!(until_waiting(&rig, "never", "not present with pull policy of Never"), "ErrImageNeverPull");
    rig.create::<Pod>(&pod("bad-name", "No Such"));
    let reason = until_waiting(&rig, "bad-name", "couldn't parse image name \"No Such\": invalid reference format");
    assert_eq!(reason, "InvalidImageName");

    // A registry that refuses to talk. A listener that is closed again has a port that nobody else has just now.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rig.create::<Pod>(&pod("refused", &format!("{gone}/app:1")));
    let asked = format!("Head \"http://{gone}/v2/app/manifests/1\": dial tcp {gone}: connect: connection refused");
    until_waiting(&rig, "refused", &format!("\"{gone}/app:1\": failed to do request: {asked}"));

    // Found again when it is there at last.
    push(&rig.cluster, &registry, "busybox:1.36", "team/box", "2");
    until_running(&rig, "missing");
    rig.cluster.stop();
}

#[test]
fn a_private_registry_wants_to_know_who_asks() {
    let Some(registry) = Registry::private() else { return };
    let rig = rig();
    push(&rig.cluster, &registry, "busybox:1.36", "box", "1");
    let image = format!("{}/box:1", registry.address());
    rig.create::<Pod>(&pod("nobody", &image));
    until_waiting(&rig, "nobody", "pull access denied, repository does not exist or may require authorization");

    let logins = json!({"auths": {registry.address().to_string(): {"username": "reader", "password": "secret"}}});
    rig.create::<Secret>(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": logins.to_string()},
    }));
    let mut reader = pod("reader", &image);
    reader["spec"]["imagePullSecrets"] = json!([{"name": "missing"}, {"name": "login"}]);
    rig.create::<Pod>(&reader);
    until_running(&rig, "reader");
    rig.cluster.stop();
}

/// A registry that has every image, sends the beginning of it, and then nothing. When it is asked for the same
/// image again it has never heard of it. Tells each time that the configuration has begun.
fn stalling() -> (SocketAddr, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (begun, blobs) = mpsc::channel();
    let size = 1000;
    let describe =
        |kind: &str| json!({"mediaType": kind, "digest": Digest::of(kind.as_bytes()).to_string(), "size": size});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": describe("application/vnd.docker.container.image.v1+json"),
        "layers": [describe("application/vnd.docker.image.rootfs.diff.tar.gzip")],
    })
    .to_string();
    let configuration = Digest::of(b"application/vnd.docker.container.image.v1+json").to_string();
    // Ends with the test's process.
    std::thread::spawn(move || {
        let (mut stalled, mut known) = (Vec::new(), BTreeSet::new());
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
            if head.contains("/blobs/") {
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\nbegin").as_bytes());
                stalled.push(stream);
                if head.contains(&configuration) {
                    let _ = begun.send(());
                }
                continue;
            }
            let new = known.insert(head.split(' ').nth(1).unwrap_or_default().to_owned());
            let (status, body) = if new { (200, manifest.as_str()) } else { (404, "") };
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(head.as_bytes());
        }
    });
    (address, blobs)
}

/// The process that pulls for this cluster.
#[track_caller]
fn the_puller(cluster: &Cluster) -> OwnedFd {
    let directory = cluster.directory().canonicalize().unwrap();
    let is_ours = |pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        command.contains("\0puller\0") && command.contains(directory.to_str().unwrap())
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pullers: Vec<i32> =
        processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_ours).collect();
    let [puller] = pullers[..] else { panic!("{pullers:?}") };
    pidfd_open(Pid::from_raw(puller).unwrap(), PidfdFlags::empty()).unwrap()
}

#[track_caller]
fn until_ended(process: &OwnedFd) {
    let timeout = rustix::event::Timespec::try_from(DEADLINE).unwrap();
    let mut ended = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut ended, Some(&timeout)), Ok(1), "it goes on although nobody waits for it");
}

#[track_caller]
fn assert_nothing_is_left_in(directory: &Path) {
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nothing_is_left_of_a_pull_whose_processes_are_killed() {
    let rig = rig();
    let (address, begun) = stalling();
    let work = rig.cluster.directory().join("images/tmp");
    rig.create::<Pod>(&pod("one", &format!("{address}/one:1")));
    begun.recv_timeout(DEADLINE).unwrap();
    let puller = the_puller(&rig.cluster);
    rustix::process::pidfd_send_signal(&puller, rustix::process::Signal::KILL).unwrap();
    until_waiting(&rig, "one", "the control plane does not pull: it hung up without an answer");
    assert_nothing_is_left_in(&work);
    // The next attempt is the second.
    until_waiting(&rig, "one", "one:1: not found");
    assert_nothing_is_left_in(&work);

    rig.create::<Pod>(&pod("two", &format!("{address}/two:1")));
    begun.recv_timeout(DEADLINE).unwrap();
    let puller = the_puller(&rig.cluster);
    kill(rig.pids(Part::ControlPlane)[0]);
    until_ended(&puller);
    assert_nothing_is_left_in(&work);
    until_waiting(&rig, "two", "two:1: not found");

    // Nobody waits for the image of a Pod that is deleted.
    rig.create::<Pod>(&pod("three", &format!("{address}/three:1")));
    begun.recv_timeout(DEADLINE).unwrap();
    let puller = the_puller(&rig.cluster);
    rig.delete("three", 0);
    until_ended(&puller);
    assert_nothing_is_left_in(&work);
    rig.until_pod("three", |pod| pod.is_none().then_some(()));

    // Nor for one of its volumes.
    let mut four = pod("four", "busybox:1.36");
    four["spec"]["volumes"] = json!([{"name": "v", "image": {"reference": format!("{address}/four:1")}}]);
    four["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    rig.create::<Pod>(&four);
    begun.recv_timeout(DEADLINE).unwrap();
    let puller = the_puller(&rig.cluster);
    rig.delete("four", 0);
    until_ended(&puller);
    assert_nothing_is_left_in(&work);
    rig.until_pod("four", |pod| pod.is_none().then_some(()));
    rig.cluster.stop();
}

#[test]
fn a_node_waits_for_its_own_pulls_only() {
    let Some(registry) = Registry::start() else { return };
    let cluster = Cluster::builder().environment("PODLAB_OFFLINE", "").argument("--nodes=2").start();
    let rig = Rig::of(cluster);
    push(&rig.cluster, &registry, "busybox:1.36", "team/box", "1");
    let (address, begun) = stalling();
    let on = |node: &str, name: &str, image: &str| {
        let mut pod = pod(name, image);
        pod["spec"]["nodeName"] = json!(node);
        rig.create::<Pod>(&pod);
    };
    on("node1", "slow", &format!("{address}/slow:1"));
    begun.recv_timeout(DEADLINE).unwrap();
    let image = format!("{}/team/box:1", registry.address());
    on("node2", "other", &image);
    until_running(&rig, "other");
    // On the first one, its turn comes when nobody waits for the slow one any more.
    let name = "waits";
    on("node1", name, &format!("{}/team/box:2", registry.address()));
    the_puller(&rig.cluster);
    rig.delete("slow", 0);
    until_waiting(&rig, name, "team/box:2: not found");
    rig.cluster.stop();
}
