//! The row of a Pod, above all its STATUS: one word for a phase, many containers and a deletion.

use jiff::Timestamp;
use serde_json::Value;

use crate::duration;
use crate::json::{at, integer, list, text, truth};
use crate::registry::cells::{self, AGE, NAME, column, or_none, wide};
use crate::registry::{Column, Doc};

pub(in crate::registry) const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", Doc::Text("The aggregate readiness state of this pod for accepting traffic.")),
    column("Status", Doc::Text("The aggregate status of the containers in this pod.")),
    column(
        "Restarts",
        Doc::Text(
            "The number of times the containers in this pod have been restarted and when the last container in this \
             pod has restarted.",
        ),
    ),
    AGE,
    wide("IP", Doc::Field("io.k8s.api.core.v1.PodStatus", "podIP")),
    wide("Node", Doc::Field("io.k8s.api.core.v1.PodSpec", "nodeName")),
    wide("Nominated Node", Doc::Field("io.k8s.api.core.v1.PodStatus", "nominatedNodeName")),
    wide("Readiness Gates", Doc::Field("io.k8s.api.core.v1.PodSpec", "readinessGates")),
];

pub(in crate::registry) fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let restarts = match &summary.last_restart {
        Some(time) if summary.restarts != 0 => {
            let ago = duration::human(now.duration_since(*time).as_secs());
            format!("{} ({ago} ago)", summary.restarts)
        }
        _ => summary.restarts.to_string(),
    };
    let ip = list(pod, &["status", "podIPs"]).first().map_or("", |ip| text(ip, &["ip"]));
    vec![
        cells::name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.status.into(),
        restarts.into(),
        cells::age(pod, now),
        or_none(ip),
        or_none(text(pod, &["spec", "nodeName"])),
        or_none(text(pod, &["status", "nominatedNodeName"])),
        readiness_gates(pod),
    ]
}

/// `1/2` gates whose condition is True, or `<none>`.
fn readiness_gates(pod: &Value) -> Value {
    let gates = list(pod, &["spec", "readinessGates"]);
    if gates.is_empty() {
        return "<none>".into();
    }
    let met = gates.iter().filter(|gate| condition_is_true(pod, text(gate, &["conditionType"]))).count();
    format!("{met}/{}", gates.len()).into()
}

fn condition_is_true(pod: &Value, kind: &str) -> bool {
    list(pod, &["status", "conditions"])
        .iter()
        .any(|condition| text(condition, &["type"]) == kind && text(condition, &["status"]) == "True")
}

/// What READY, STATUS and RESTARTS say about a Pod.
#[derive(Debug, PartialEq)]
struct Summary {
    ready: usize,
    total: usize,
    status: String,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

/// A restart count and the time the last restarted container had ended before.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        self.count += integer(container, &["restartCount"]);
        let ended = text(container, &["lastState", "terminated", "finishedAt"]).parse().ok();
        self.last = self.last.max(ended);
    }
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let phase = text(pod, &["status", "phase"]);
        let own_reason = text(pod, &["status", "reason"]);
        let mut summary = Self {
            ready: 0,
            total: list(pod, &["spec", "containers"]).len(),
            status: if own_reason.is_empty() { phase } else { own_reason }.to_owned(),
            restarts: 0,
            last_restart: None,
        };
        let gated = list(pod, &["status", "conditions"]).iter().any(|condition| {
            text(condition, &["type"]) == "PodScheduled" && text(condition, &["reason"]) == "SchedulingGated"
        });
        if gated {
            "SchedulingGated".clone_into(&mut summary.status);
        }
        let (initializing, restarts, sidecar_restarts) = summary.init_containers(pod);
        let restarts = if !initializing || condition_is_true(pod, "Initialized") {
            summary.containers(pod, sidecar_restarts)
        } else {
            restarts
        };
        summary.restarts = restarts.count;
        summary.last_restart = restarts.last;
        if at(pod, &["metadata", "deletionTimestamp"]).is_string() {
            if own_reason == "NodeLost" {
                "Unknown".clone_into(&mut summary.status);
            } else if phase != "Succeeded" && phase != "Failed" {
                "Terminating".clone_into(&mut summary.status);
            }
        }
        summary
    }

    /// Goes through the init containers up to the first that is not done. Gives whether there is one, the restarts of
    /// all that were seen, and those of the sidecars among them.
    fn init_containers(&mut self, pod: &Value) -> (bool, Restarts, Restarts) {
        let specs = list(pod, &["spec", "initContainers"]);
        let is_sidecar = |name: &str| {
            specs.iter().any(|spec| text(spec, &["name"]) == name && text(spec, &["restartPolicy"]) == "Always")
        };
        self.total += specs.iter().filter(|spec| text(spec, &["restartPolicy"]) == "Always").count();
        let (mut restarts, mut sidecar_restarts) = (Restarts::default(), Restarts::default());
        for (index, container) in list(pod, &["status", "initContainerStatuses"]).iter().enumerate() {
            let sidecar = is_sidecar(text(container, &["name"]));
            restarts.add(container);
            if sidecar {
                sidecar_restarts.add(container);
            }
            let terminated = at(container, &["state", "terminated"]);
            let waiting = text(container, &["state", "waiting", "reason"]);
            if terminated.is_object() && integer(terminated, &["exitCode"]) == 0 {
                continue;
            }
            if sidecar && truth(container, &["started"]) {
                self.ready += usize::from(truth(container, &["ready"]));
                continue;
            }
            self.status = if terminated.is_object() {
                format!("Init:{}", ended(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", specs.len())
            };
            return (true, restarts, sidecar_restarts);
        }
        (false, restarts, sidecar_restarts)
    }

    /// Goes through the containers, last first, so that the first one's word wins.
    fn containers(&mut self, pod: &Value, mut restarts: Restarts) -> Restarts {
        let mut running = false;
        for container in list(pod, &["status", "containerStatuses"]).iter().rev() {
            restarts.add(container);
            let state = at(container, &["state"]);
            let waiting = text(state, &["waiting", "reason"]);
            let terminated = at(state, &["terminated"]);
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.status);
            } else if terminated.is_object() {
                self.status = ended(terminated);
            } else if truth(container, &["ready"]) && at(state, &["running"]).is_object() {
                running = true;
                self.ready += 1;
            }
        }
        // One container is done, another goes on.
        if self.status == "Completed" && running {
            let word = if condition_is_true(pod, "Ready") { "Running" } else { "NotReady" };
            word.clone_into(&mut self.status);
        }
        restarts
    }
}

/// The reason of an end, or its signal or exit code where there is none.
fn ended(terminated: &Value) -> String {
    let reason = text(terminated, &["reason"]);
    match integer(terminated, &["signal"]) {
        _ if !reason.is_empty() => reason.to_owned(),
        0 => format!("ExitCode:{}", integer(terminated, &["exitCode"])),
        signal => format!("Signal:{signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cells_of(pod: Value) -> Vec<String> {
        let now: Timestamp = "2026-11-20T19:19:24Z".parse().unwrap();
        row(&pod, now).into_iter().map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect()
    }

    fn status(spec: Value, status: Value) -> (String, String, String) {
        let cells = cells_of(json!({"metadata": {"name": "p"}, "spec": spec, "status": status}));
        (cells[1].clone(), cells[2].clone(), cells[3].clone())
    }

    fn words(ready: &str, status: &str, restarts: &str) -> (String, String, String) {
        (ready.into(), status.into(), restarts.into())
    }

    /// Golden 560.
    #[test]
    fn a_container_that_cannot_start_shows_its_reason_and_last_restart() {
        let pod = json!({
            "metadata": {"name": "badcommand", "creationTimestamp": "2026-11-20T19:18:35Z"},
            "spec": {"containers": [{"name": "main"}], "nodeName": "node1"},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.244.0.95"}], "containerStatuses": [{
                "restartCount": 3, "state": {"waiting": {"reason": "RunContainerError"}},
                "lastState": {"terminated": {"finishedAt": "2026-11-20T19:19:19Z"}},
            }]},
        });
        assert_eq!(
            cells_of(pod),
            ["badcommand", "0/1", "RunContainerError", "3 (5s ago)", "49s", "10.244.0.95", "node1", "<none>", "<none>"]
        );
    }

    #[test]
    fn init_containers_come_first() {
        let spec = json!({"initContainers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "main"}]});
        let init = |statuses: Value| {
            json!({"phase": "Pending", "initContainerStatuses": statuses,
            "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]})
        };
        let done = json!({"name": "a", "state": {"terminated": {"exitCode": 0}}});
        let running = json!({"name": "b", "state": {"running": {}}});
        let failed =
            json!({"name": "b", "restartCount": 1, "state": {"terminated": {"exitCode": 1, "reason": "Error"}}});
        let waiting = json!({"name": "b", "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        assert_eq!(status(spec.clone(), init(json!([done, running]))), words("0/1", "Init:1/2", "0"));
        assert_eq!(status(spec.clone(), init(json!([done, failed]))), words("0/1", "Init:Error", "1"));
        assert_eq!(status(spec.clone(), init(json!([done, waiting]))), words("0/1", "Init:CrashLoopBackOff", "0"));
        assert_eq!(status(spec, init(json!([done, done]))), words("0/1", "PodInitializing", "0"));
    }

    #[test]
    fn sidecars_count_as_containers() {
        let spec = json!({
            "initContainers": [{"name": "side", "restartPolicy": "Always"}], "containers": [{"name": "main"}],
        });
        let running = json!({
            "phase": "Running",
            "initContainerStatuses": [{"name": "side", "ready": true, "started": true, "state": {"running": {}}}],
            "containerStatuses": [{"name": "main", "ready": true, "state": {"running": {}}}],
        });
        assert_eq!(status(spec, running), words("2/2", "Running", "0"));
    }

    #[test]
    fn a_deletion_shows_unless_the_pod_is_done() {
        let spec = json!({"containers": [{"name": "main"}]});
        let pod = |phase: &str| {
            let pod = json!({"metadata": {"name": "p", "deletionTimestamp": "2026-11-20T19:19:20Z"},
                "spec": spec, "status": {"phase": phase}});
            cells_of(pod)[2].clone()
        };
        assert_eq!(pod("Running"), "Terminating");
        assert_eq!(pod("Succeeded"), "Succeeded");
    }

    #[test]
    fn one_of_two_done_is_not_ready_or_running() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let with = |ready: &str| {
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [
                {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                {"name": "b", "ready": true, "state": {"running": {}}},
            ]})
        };
        assert_eq!(status(spec.clone(), with("False")), words("1/2", "NotReady", "0"));
        assert_eq!(status(spec, with("True")), words("1/2", "Running", "0"));
    }
}
