//! The cluster's clock in a person's hand: what waits for time waits for it, and what does not goes on.

use std::time::Instant;

use podlab_testkit::{Cluster, DEADLINE, Kubectl};
use serde_json::Value;

const CRASHES: &str = "
apiVersion: v1
kind: Pod
metadata: {name: crashes}
spec:
  containers: [{name: main, image: busybox, command: ['false']}]
";

const STUBBORN: &str = "
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 30
  containers: [{name: main, image: busybox, command: [sh, -c, 'trap : TERM; while :; do sleep 3600 & wait; done']}]
";

struct Rig {
    cluster: Cluster,
    kubectl: Kubectl,
}

impl Rig {
    fn said(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&self.kubectl, arguments).success().stdout
    }

    fn apply(&self, manifest: &str) {
        let file = self.cluster.scratch().join("pod.yaml");
        std::fs::write(&file, manifest).unwrap();
        self.said(&["apply", "-f", file.to_str().unwrap()]);
    }

    fn clock(&self, arguments: &[&str]) -> String {
        self.cluster.podlab([&["clock"], arguments].concat()).success().stdout
    }

    fn shown(&self) -> Value {
        serde_json::from_str(&self.clock(&["show", "--output", "json"])).unwrap()
    }

    /// Asks until the answer is as wanted; each question takes its time.
    #[track_caller]
    fn until(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            let output = self.cluster.kubectl(&self.kubectl, arguments);
            if output.status.success() && wanted(&output.stdout) {
                return;
            }
            assert!(Instant::now() < end, "{output}\n{}", self.cluster.logs());
        }
    }
}

#[test]
fn a_clock_that_is_held_holds_the_cluster() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::builder().argument("--nodes").argument("2").argument("--behind").argument("1d").start();
    let rig = Rig { cluster, kubectl };
    rig.said(&["wait", "--for=condition=Ready", "node/node1", "node/node2", "--timeout=60s"]);
    let room = rig.shown()["roomSeconds"].as_i64().unwrap();
    assert!((86_000..=86_400).contains(&room), "{room}");

    // The whole ladder of a container that ends at once: 10, 20, 40, 80, 160 and 300 seconds.
    rig.apply(CRASHES);
    let waiting = "jsonpath={.status.containerStatuses[0].state.waiting.message}";
    assert!(rig.clock(&["speed", "20"]).contains("runs 20 times as fast"));
    rig.until(&["get", "pod", "crashes", "-o", waiting], |message| message.starts_with("back-off 5m0s"));
    assert!(rig.clock(&["pause"]).contains("stands"));

    // What kubectl reckons by itself has an age: nothing was stamped ahead of the wall.
    let described = rig.said(&["describe", "pod", "crashes"]);
    assert!(described.contains("Back-off restarting") && !described.contains("<invalid>"), "{described}");

    // Paused: no time passes, a Pod starts all the same, and its grace lasts.
    let stands = rig.shown();
    assert_eq!(stands["speed"], 0.0);
    rig.apply(STUBBORN);
    rig.said(&["wait", "--for=condition=Ready", "pod/stubborn", "--timeout=60s"]);
    rig.said(&["delete", "pod", "stubborn", "--wait=false"]);
    rig.until(&["get", "pod", "stubborn"], |table| table.contains("Terminating"));
    rig.clock(&["step", "25s"]);
    assert!(rig.said(&["get", "pod", "stubborn"]).contains("Terminating"), "five of its seconds are left");
    rig.clock(&["step", "6s"]);
    rig.said(&["wait", "--for=delete", "pod/stubborn", "--timeout=60s"]);

    // A control plane that comes back finds the clock as it stood; who waits for it does not wait by that clock.
    let pid = rig.cluster.record().unwrap()["control_plane"]["pid"].as_i64().unwrap();
    let process = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    rig.until(&["get", "--raw", "/readyz"], |ready| ready == "ok");
    rig.until(&["apply", "-f", rig.cluster.scratch().join("pod.yaml").to_str().unwrap()], |_| true);
    rig.said(&["wait", "--for=condition=Ready", "pod/stubborn", "--timeout=60s"]);
    assert_eq!(rig.shown()["speed"], 0.0);

    // The delays of nodes: Unknown after a minute or so, and five minutes later their Pods go. No other node is late.
    rig.cluster.podlab(["node", "stop", "node2"]).success();
    rig.clock(&["step", "70s"]);
    rig.said(&["wait", "--for=condition=Ready=Unknown", "node/node2", "--timeout=60s"]);
    assert!(!rig.said(&["get", "node", "node1"]).contains("NotReady"));
    // Ages are told by it: the Pod was made before all these steps.
    let table = rig.said(&["get", "pod", "crashes"]);
    let age = table.lines().last().and_then(|row| row.split_whitespace().last()).unwrap();
    assert!(age.contains('m') && !age.starts_with("1m") && !age.starts_with('0'), "{table}");

    rig.cluster.podlab(["clock", "step", "2d"]).failure(1);
    rig.cluster.podlab(["clock", "speed", "0"]).failure(1);
    assert!(rig.clock(&["resume"]).contains("runs as fast as the wall clock"));
    rig.cluster.podlab(["stop"]).success();
    rig.cluster.podlab(["clock", "show"]).failure(1);
    let refused = rig.cluster.podlab(["start", "--no-book", "--detach", "--behind", "1d"]).failure(1);
    assert!(refused.stderr.contains("never set back"), "{refused}");
}
