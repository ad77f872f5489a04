//! What Pods use and may use: `kubectl top`, the classes of Pods, and who pays when memory runs out.

use podlab_linux::cgroups::{shares, weight};
use podlab_testkit::{Cluster, Kubectl};

use crate::run_kuard;

fn busy(name: &str, resources: &str, command: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: main\n    \
         image: busybox\n    resources: {resources}\n    command: [sh, -c, '{command}']\n"
    )
}

fn apply(cluster: &Cluster, kubectl: &Kubectl, manifests: &[String]) {
    let path = cluster.scratch().join("pods.yaml");
    std::fs::write(&path, manifests.join("---\n")).unwrap();
    cluster.kubectl(kubectl, ["apply", "-f", path.to_str().unwrap()]).success();
}

/// The cgroups say nothing to a user to whom nobody gave any.
fn without_cgroups(cluster: &Cluster) -> bool {
    let xray = cluster.podlab(["xray", "pod/kuard", "--output", "json"]).success().stdout;
    let xray: serde_json::Value = serde_json::from_str(&xray).unwrap();
    let none = xray["cgroups"].as_array().unwrap().is_empty();
    if none {
        podlab_testkit::could_not_run("this host gives no cgroups");
    }
    none
}

#[test]
fn top_shows_what_is_really_used() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);
    if without_cgroups(&cluster) {
        return;
    }
    let holds_20_mib = "x=$(head -c 20971520 /dev/zero | tr \"\\000\" x); touch /holds";
    apply(&cluster, &kubectl, &[busy("hog", "{}", &format!("{holds_20_mib}; while :; do :; done"))]);
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/hog", "--timeout=60s"]).success();
    let until = "until test -e /holds; do sleep 0.1; done";
    cluster.kubectl(&kubectl, ["exec", "hog", "--", "sh", "-c", until]).success();
    let table = cluster.kubectl(&kubectl, ["top", "pods"]).success().stdout;
    // NAME CPU(cores) MEMORY(bytes)
    let row = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{table}"));
        let cells: Vec<&str> = line.split_whitespace().collect();
        let number =
            |cell: &str| cell.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse::<u64>().unwrap();
        (number(cells[1]), number(cells[2]))
    };
    assert!(row("hog").0 > 50 && row("hog").0 > 5 * row("kuard").0, "a hog uses the processor: {table}");
    assert!(row("hog").1 >= 20 && row("kuard").1 < row("hog").1, "and holds memory: {table}");
    let nodes = cluster.kubectl(&kubectl, ["top", "nodes", "--no-headers"]).success().stdout;
    let cells: Vec<&str> = nodes.split_whitespace().collect();
    assert!(cells[1].trim_end_matches('m').parse::<u64>().unwrap() > 50, "{nodes}");
    assert!(cells[3].trim_end_matches("Mi").parse::<u64>().unwrap() > 5, "{nodes}");
    cluster.stop();
}

#[test]
fn burstable_pods_weigh_what_they_request_together() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);
    if without_cgroups(&cluster) {
        return;
    }
    let asking = |name: &str, cpu: &str| busy(name, &format!("{{requests: {{cpu: {cpu}}}}}"), "exec tail -f /dev/null");
    apply(&cluster, &kubectl, &[asking("one", "100m"), asking("two", "300m")]);
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/one", "pod/two", "--timeout=60s"]).success();
    let said = |class: &str| {
        let script = format!(
            "cat /sys/fs/cgroup/cpu/kubepods{class}/cpu.shares /sys/fs/cgroup/kubepods{class}/cpu.weight 2>/dev/null"
        );
        let output = cluster.command(["node", "exec", "node1", "--", "sh", "-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
    };
    let expected = |millis| [shares(millis), weight(shares(millis))];
    assert!(expected(400).contains(&said("/burstable")), "{}", said("/burstable"));
    assert!(expected(0).contains(&said("/besteffort")), "{}", said("/besteffort"));
    cluster.kubectl(&kubectl, ["delete", "pod", "two", "--now"]).success();
    assert!(expected(100).contains(&said("/burstable")), "{}", said("/burstable"));
    cluster.stop();
}

#[test]
fn who_takes_too_much_memory_is_the_one_that_is_killed() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    run_kuard(&cluster, &kubectl);
    if without_cgroups(&cluster) {
        return;
    }
    let pair = "\
apiVersion: v1
kind: Pod
metadata: {name: pair}
spec:
  restartPolicy: Never
  containers:
  - name: modest
    image: busybox
    command: [tail, -f, /dev/null]
  - name: greedy
    image: busybox
    resources: {limits: {memory: 16Mi}}
    command: [tail, /dev/zero]
";
    apply(&cluster, &kubectl, &[pair.to_owned()]);
    let ended = "jsonpath={.status.containerStatuses[?(@.name==\"greedy\")].state.terminated.reason}=OOMKilled";
    cluster.kubectl(&kubectl, ["wait", "pod/pair", "--for", ended, "--timeout=60s"]).success();
    let pod = cluster.kubectl(&kubectl, ["get", "pod", "pair", "-o", "json"]).success().stdout;
    let pod: serde_json::Value = serde_json::from_str(&pod).unwrap();
    let all = pod["status"]["containerStatuses"].as_array().unwrap();
    let state = |name: &str| &all.iter().find(|one| one["name"] == name).unwrap()["state"];
    assert_eq!(state("greedy")["terminated"]["exitCode"], 137);
    assert!(state("modest")["running"].is_object(), "{pod:#}");
    cluster.stop();
}
