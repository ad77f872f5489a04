//! Statuses and events of a real cluster's Pods (`reference/`), found again in plays of the same Pods.
//!
//! A recording shows one moment. The play passes through all of them; the recorded status has to be among them to the
//! letter (but for times, ids and addresses), and so do the recorded events.

use k8s_openapi::api::core::v1::Pod;
use podlab_runtime::probes::Kind;
use serde_json::{Value, json};

use super::replay::{Play, Script};
use super::steady;

/// What a recorded command printed.
fn recorded(file: &str) -> String {
    let path = format!("{}/tests/kubelet/reference/{file}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (_, text) = text.split_once("--- stdout ---\n").unwrap();
    text.split("--- stderr ---").next().unwrap().to_owned()
}

/// The kubelet's events in what `kubectl describe` printed: type, reason, message.
fn events(description: &str) -> Vec<String> {
    let (_, table) = description.split_once("\nEvents:\n").unwrap();
    let rows = table.lines().skip(2).map(|line| {
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        cells
    });
    rows.filter(|cells| cells.len() >= 5 && cells[3] == "kubelet")
        .map(|cells| format!("{} {} {}", cells[0], cells[1], cells[4..].join("  ")))
        .collect()
}

/// Plays a Pod, and looks for the recorded status and events.
#[track_caller]
fn check(pod: Value, expected: &Value, description: &str, script: Script, duration: u64) {
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let play = Play::of(Pod { status: None, ..pod }, script).run(duration);
    let expected = plain(steady(expected));
    let statuses: Vec<Value> = play.statuses.iter().map(|status| plain(steady(status))).collect();
    assert!(
        statuses.contains(&expected),
        "no status of these is the recorded one:\n{}\n--- recorded\n{}",
        statuses.iter().map(|status| serde_json::to_string_pretty(status).unwrap()).collect::<Vec<_>>().join("\n"),
        serde_json::to_string_pretty(&expected).unwrap()
    );
    // The same words about another container are another event.
    let mut told: Vec<String> = play.events.into_iter().map(|(_, event)| event).collect();
    for event in events(&recorded(description)) {
        let found = told.iter().position(|known| *known == event);
        told.remove(found.unwrap_or_else(|| panic!("{event}\nis not among {told:#?}")));
    }
}

/// What the server adds to a status that the kubelet writes, and the other way round.
fn plain(mut status: Value) -> Value {
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition.as_object_mut().unwrap().remove("lastProbeTime");
    }
    status
}

/// A Pod whose whole object was recorded.
#[track_caller]
fn whole(name: &str, script: Script, duration: u64) {
    let pod: Value = serde_yaml::from_str(&recorded(&format!("231-yaml-{name}"))).unwrap();
    let status = pod["status"].clone();
    check(pod, &status, &format!("230-describe-{name}"), script, duration);
}

/// A Pod of which the status was recorded: its spec is given here, less the token's mount.
#[track_caller]
fn status_of(name: &str, uid: &str, mut spec: Value, script: Script, duration: u64) {
    let status: Value = serde_yaml::from_str(&recorded(&format!("521-status-{name}"))).unwrap();
    for container in spec["containers"].as_array_mut().unwrap() {
        let token = json!({"name": "kube-api-access-x", "readOnly": true,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
        let mounts = container.as_object_mut().unwrap().entry("volumeMounts").or_insert(json!([]));
        mounts.as_array_mut().unwrap().push(token);
    }
    let pod = json!({"metadata": {"name": name, "namespace": "default", "uid": uid}, "spec": spec});
    check(pod, &status, &format!("520-describe-{name}"), script, duration);
}

const UID: &str = "11111111-2222-3333-4444-555555555555";

fn busybox(more: Value) -> Value {
    let mut container = json!({"name": "main", "image": "busybox:1.35"});
    container.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    json!({"containers": [container]})
}

#[test]
fn what_ends() {
    whole("completed", Script { ends: [("main", (0, 0))].into(), ..Script::default() }, 30);
    whole("envpod", Script { ends: [("main", (0, 0))].into(), ..Script::default() }, 30);
    let words = Script { ends: [("main", (0, 42))].into(), words: "reason: demo\n", ..Script::default() };
    whole("failed", words, 30);
    whole("oom", Script { ends: [("main", (0, 137))].into(), out_of_memory: true, ..Script::default() }, 30);
    whole("crash", Script { ends: [("main", (1, 3))].into(), ..Script::default() }, 60);
    let secret = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1.35",
        "volumeMounts": [{"name": "s", "mountPath": "/s", "readOnly": true}]}]});
    status_of("secretpod", UID, secret, Script { ends: [("main", (0, 0))].into(), ..Script::default() }, 30);
}

#[test]
fn what_runs() {
    whole("cm-pod", Script::default(), 30);
    status_of(
        "shareproc",
        UID,
        json!({"shareProcessNamespace": true, "containers": [
            {"name": "a", "image": "busybox:1.35"}, {"name": "b", "image": "busybox:1.35"},
        ]}),
        Script::default(),
        30,
    );
    status_of(
        "hostnet",
        UID,
        json!({"hostNetwork": true, "containers": [{"name": "a", "image": "busybox:1.35"}]}),
        Script::default(),
        30,
    );
    let resources = json!({"limits": {"cpu": "100m", "memory": "32Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}});
    status_of("guaranteed", UID, busybox(json!({"resources": resources})), Script::default(), 30);
}

#[test]
fn what_cannot_begin() {
    whole("badimage", Script { no_image: true, ..Script::default() }, 60);
    let missing = ("v", "configmap \"no-such-configmap\" not found");
    whole("cm-missing", Script { no_volume: Some(missing), ..Script::default() }, 60);
    let message = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
                   failed: unable to start container process: exec: \"/no/such/binary\": stat /no/such/binary: no such \
                   file or directory: unknown";
    let refused = Some(("RunContainerError", message.to_owned()));
    let uid = "3339a72d-90c5-4dd8-82b9-52cc6b46e94d";
    status_of("badcommand", uid, busybox(json!({})), Script { refused, ..Script::default() }, 60);
    let uid = "66af881e-7c46-4ec2-9376-98711bebb073";
    let message = format!(
        "container has runAsNonRoot and image will run as root (pod: \"nonroot_default({uid})\", container: main)"
    );
    let refused = Some(("CreateContainerConfigError", message));
    status_of("nonroot", uid, busybox(json!({})), Script { refused, ..Script::default() }, 60);
}

#[test]
fn what_comes_first() {
    whole("init", Script { ends: [("first", (3, 0)), ("second", (3, 0))].into(), ..Script::default() }, 60);
    whole("init-fail", Script { ends: [("first", (0, 1))].into(), ..Script::default() }, 60);
    let script = Script { ends: [("main", (8, 0))].into(), polite: [("logshipper", 0)].into(), ..Script::default() };
    whole("sidecar", script, 60);
}

#[test]
fn what_is_asked() {
    // It says no from 8 seconds on, and takes no notice of SIGTERM.
    let probe = |_: Kind, age: u64| match age {
        0..8 => Ok(()),
        _ => Err("cat: can't open '/tmp/healthy': No such file or directory\n"),
    };
    whole("liveness-exec", Script { probe: Some(probe), ..Script::default() }, 120);
    let probe = |_: Kind, age: u64| match age {
        0..6 => Err("cat: can't open '/tmp/started': No such file or directory\n"),
        _ => Ok(()),
    };
    whole("startup", Script { probe: Some(probe), ..Script::default() }, 60);
    let probe = |_: Kind, age: u64| match age {
        5..12 => Err("HTTP probe failed with statuscode: 500"),
        _ => Ok(()),
    };
    whole("readiness", Script { probe: Some(probe), ..Script::default() }, 60);
}

#[test]
fn what_is_hooked_on() {
    let uid = "4e590559-27fb-4ace-afcd-d496b332304d";
    let hook = json!({"postStart": {"exec": {"command": ["false"]}}});
    let spec = busybox(json!({"lifecycle": hook}));
    let spec = json!({"terminationGracePeriodSeconds": 5, "containers": spec["containers"]});
    status_of("hooks", uid, spec, Script { bad_hook: true, ..Script::default() }, 60);
}
