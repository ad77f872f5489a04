//! The same cluster, lab and exercise as an ordinary user, with one id and with many; and nothing is left afterwards.

use std::os::unix::fs::{PermissionsExt, symlink};

use podlab_testkit::{Cluster, Kubectl, User};
use rustix::process::{Pid, Signal, kill_process};

use crate::{run_kuard, wait_for_kuard};

/// A Pod whose container is not root.
const SOMEBODY: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "somebody"}, "spec": {
    "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [{"name": "main",
    "image": "busybox", "command": ["sh", "-c", "id -u; mkdir -m 700 /data/mine; touch /data/mine/file"],
    "volumeMounts": [{"name": "data", "mountPath": "/data"}], "securityContext": {"runAsUser": 1000}}],
    "volumes": [{"name": "data", "emptyDir": {}}]}}"#;

/// A cluster of this user whose commands find this kubectl.
fn cluster_of(user: User, kubectl: &Kubectl) -> (tempfile::TempDir, Cluster) {
    let bin = tempfile::Builder::new()
        .prefix("podlab-bin-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    symlink(kubectl.program(), bin.path().join("kubectl")).unwrap();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(bin.path().to_owned()).chain(std::env::split_paths(&inherited));
    let cluster = Cluster::builder().user(user).environment("PATH", std::env::join_paths(path).unwrap()).prepare();
    (bin, cluster)
}

fn a_day(user: User) {
    let Some(kubectl) = Kubectl::find("1.32").filter(|_| user.is_possible()) else { return };
    let (_bin, cluster) = cluster_of(user, &kubectl);
    cluster.start_again();
    let status = cluster.podlab(["status"]).success();
    assert!(status.stdout.contains("node1") && status.stdout.contains("Ready"), "{status}");

    // What the lab prints is what the book shows, whoever runs it.
    let lab = cluster.podlab(["lab", "verify", "kuard"]).success();
    assert!(lab.stdout.contains("as recorded"), "{lab}");
    let solution = cluster.scratch().join("workbook/labs/kuard/exercises/kuard-ports/solutions/other-order.json");
    let solution = solution.to_str().unwrap();
    let checked = cluster.podlab(["check", "kuard-ports", solution]);
    assert!(checked.status.success(), "{checked}");

    what_is_refused_could_not_be_checked(&cluster, user);

    run_kuard(&cluster, &kubectl);
    somebody(&cluster, &kubectl, user);

    // The plug.
    kill_process(Pid::from_raw(cluster.machine().unwrap()).unwrap(), Signal::KILL).unwrap();
    cluster.settle();
    cluster.start_again();
    let restarted = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1";
    cluster.kubectl(&kubectl, ["wait", restarted, "pod/kuard", "--timeout=60s"]).success();
    wait_for_kuard(&cluster, &kubectl);
    cluster.podlab(["stop"]).success();
    cluster.settle();

    let state = cluster.directory();
    let removed = if user == User::Nobody {
        // Whoever owns the state directory can delete it with the tool everybody knows,
        cluster.as_its_user("rm", ["-rf", state.to_str().unwrap()])
    } else {
        // unless it holds files of other ids, over which only podlab can make the user root.
        cluster.podlab(["stop", "--delete"])
    };
    assert!(removed.status.success() && !state.exists(), "{removed}");
    cluster.gone();
}

/// A lab that needs several users is tried where there are some, and is `could not check` where there are none.
fn what_is_refused_could_not_be_checked(cluster: &Cluster, user: User) {
    let lab = cluster.scratch().join("workbook/labs/kuard/lab.yaml");
    let text = std::fs::read_to_string(&lab).unwrap();
    std::fs::write(&lab, format!("needs: [users]\n{text}")).unwrap();
    let tried = cluster.podlab(["lab", "run", "kuard", "--auto"]);
    let doctor = cluster.podlab(["doctor", "--output", "json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&doctor.stdout).unwrap();
    let ids = findings.iter().find(|finding| finding["item"] == "subordinate ids").unwrap();
    if user == User::WithRanges {
        tried.success();
        assert_eq!(ids["verdict"], "works", "{ids}");
    } else {
        let said = tried.failure(2).stdout;
        assert!(said.contains("containers that are not root") && said.contains("podlab doctor"), "{said}");
        assert_eq!(ids["labs"], serde_json::json!(["kuard"]), "{ids}");
    }
    std::fs::write(&lab, text).unwrap();
}

/// With many ids a container may be anybody. With one it may not, and says why.
fn somebody(cluster: &Cluster, kubectl: &Kubectl, user: User) {
    let manifest = cluster.scratch().join("somebody.json");
    std::fs::write(&manifest, SOMEBODY).unwrap();
    cluster.kubectl(kubectl, ["apply", "-f", manifest.to_str().unwrap()]).success();
    if user == User::WithRanges {
        let done = "--for=jsonpath={.status.phase}=Succeeded";
        cluster.kubectl(kubectl, ["wait", done, "pod/somebody", "--timeout=60s"]).success();
        assert_eq!(cluster.kubectl(kubectl, ["logs", "somebody"]).success().stdout, "1000\n");
    } else {
        let why = "{.status.containerStatuses[0].state.waiting.message}";
        let ended = "--for=jsonpath={.status.phase}=Failed";
        cluster.kubectl(kubectl, ["wait", ended, "pod/somebody", "--timeout=60s"]).success();
        let told = cluster.kubectl(kubectl, ["get", "pod", "somebody", "-o", &format!("jsonpath={why}")]).success();
        assert!(told.stdout.contains("user 1000") && told.stdout.contains("podlab doctor"), "{told}");
    }
}

#[test]
fn nobody_starts_uses_unplugs_and_leaves_nothing() {
    a_day(User::Nobody);
}

#[test]
fn an_ordinary_user_with_subordinate_ids_does_too() {
    a_day(User::WithRanges);
}
