//! Transcripts 400 to 499: the manifests of the classic texts.

use crate::scenario::{Scenario, Step::*};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "webserver",
        stage: "texts",
        steps: &[
            Do("hold kubelet-container-started"),
            Same(&["400-pods01-apply"]),
            Do(CREATING),
            Same(&["401-pods01-get-early"]),
            Do("release kubelet-container-started"),
            Do("kubectl wait --for=condition=Ready pod/webserver --timeout=60s"),
            Do("started webserver"),
            Do(WORKERS),
            Same(&["402-pods01-get", "403-pods01-wide", "404-pods01-describe", "405-pods01-json"]),
            Same(&["406-pods01-exec-os-release", "407-pods01-exec-bash", "408-pods01-exec-tty", "409-pods01-curl"]),
            Do("await 'GET / ' kubectl logs -f webserver"),
            Same(&["410-pods01-logs", "411-pods01-apply-pods02", "412-pods01-delete", "413-pods01-get-after"]),
            Do("hold kubelet-container-started"),
            Same(&["420-pods02-apply"]),
            Do(CREATING),
            Same(&["421-pods02-get-early"]),
            Do("release kubelet-container-started"),
            Do("kubectl wait --for=condition=Ready pod/webserver --timeout=60s"),
            Do("started webserver webwatcher"),
            Do(WORKERS),
            Do("await watching kubectl logs -f webserver -c webwatcher"),
            Same(&["422-pods02-get-po-svc-deploy", "423-pods02-wide", "424-pods02-describe", "425-pods02-exec-c"]),
            Same(&["426-pods02-exec-default", "427-pods02-logs-default", "428-pods02-logs-c", "429-pods02-logs-all"]),
            Same(&["430-pods02-shared-net", "431-pods02-separate-pid", "432-pods02-ipc-uts", "433-pods02-delete"]),
        ],
    },
    Scenario {
        name: "shared-volume",
        stage: "volumes",
        steps: &[
            Same(&["440-pods03-apply"]),
            Do("kubectl wait --for=condition=Ready pod/mc1 --timeout=60s"),
            Do("started mc1 2nd"),
            // A line a second.
            Do("kubectl exec mc1 -c 2nd -- sh -c 'until [ $(wc -l < /html/index.html) -ge 4 ]; do sleep 0.2; done'"),
            Same(&["441-pods03-get-po-svc", "442-pods03-describe"]),
            With(
                "443-pods03-exec-1st",
                "kubectl exec mc1 -c 1st -- /bin/cat /usr/share/nginx/html/index.html | head -4",
            ),
            With("444-pods03-exec-2nd", "kubectl exec mc1 -c 2nd -- /bin/cat /html/index.html | head -4"),
            Same(&["445-pods03-yaml", "446-pods03-emptydir-node", "447-pods03-exec-same-file", "448-pods03-cp-c"]),
            // The reference tells of the end of a container a second later; nginx is held to be still there then.
            Do("$PODLAB node exec node1 -- sh -c 'kill -STOP $(pidof nginx)'"),
            Same(&["449-delete-nowait"]),
            Do("event mc1 Killing 1 2nd"),
            Same(&["450-terminating", "451-terminating-describe", "452-terminating-yaml"]),
            Same(&["453-delete-force", "454-delete-now"]),
            Same(&["490-pvc-apply", "491-pvc-pod-apply"]),
            Do("event pvc-subpath FailedScheduling"),
            Do("kubectl wait --for=condition=PodScheduled=false pod/pvc-subpath --timeout=60s"),
            Same(&["492-pvc-get", "493-pvc-describe", "494-pvc-pod-describe", "495-pv-apply"]),
            Do(
                "kubectl wait --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/pvc-subpath --timeout=60s",
            ),
            Do("event pvc-subpath BackOff"),
            Same(&["496-pvc-get-bound", "497-pvc-pod-describe-bound", "498-pvc-pod-yaml"]),
            Do("kubectl delete pod pvc-subpath --now"),
            Same(&["499-pvc-delete"]),
        ],
    },
    Scenario {
        name: "health",
        stage: "health",
        steps: &[
            Same(&["460-health-apply"]),
            Do("kubectl wait --for=condition=Ready pod/kuard --timeout=60s"),
            Do("started kuard"),
            Same(&["461-health-describe"]),
            Do(FAIL),
            Do("kubectl wait --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/kuard --timeout=90s"),
            Do("event kuard Started 2"),
            Do("await 'Serving on' kubectl logs -f kuard"),
            Same(&["462-health-get", "463-health-describe-after", "464-health-logs-previous", "465-health-logs"]),
            Same(&["466-health-yaml"]),
            Do("kubectl delete pod kuard"),
            Same(&["542-cordon", "543-get-nodes-cordoned"]),
            Do("kubectl run uns --image=busybox:1.35 --command -- sleep 100"),
            Do("event uns FailedScheduling"),
            Do("kubectl wait --for=condition=PodScheduled=false pod/uns --timeout=60s"),
            Same(&["544-describe-unschedulable", "545-uncordon"]),
            Do("kubectl delete pod uns --now"),
        ],
    },
    Scenario {
        name: "resources",
        stage: "resources",
        steps: &[
            // The node tells of kuard alone.
            Same(&["470-resreq-apply"]),
            Do("kubectl wait --for=condition=Ready pod/kuard --timeout=60s"),
            Do("started kuard"),
            Same(&["471-resreq-describe", "472-resreq-cgroup", "473-describe-node-allocated"]),
            Do("kubectl delete pod kuard"),
            Same(&["474-reslim-apply"]),
            Do("kubectl wait --for=condition=Ready pod/kuard --timeout=60s"),
            Do("started kuard"),
            Same(&["475-reslim-describe", "476-reslim-cgroup"]),
            With("477-reslim-oom", ALLOCATE),
            Same(&["478-reslim-oom-describe"]),
            Same(&["479-reslim-oom-yaml"]),
            Do("kubectl delete pod kuard"),
            Same(&["480-vol-apply"]),
            Do("kubectl wait --for=condition=Ready pod/kuard --timeout=60s"),
            Do("started kuard"),
            Same(&["481-vol-describe", "482-vol-exec"]),
        ],
    },
];

/// Until the node has told that the Pod's containers are being made.
const CREATING: &str = "kubectl wait --timeout=60s pod/webserver \
     --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ContainerCreating";

/// Until nginx has said that it has started both of its workers.
const WORKERS: &str =
    "until [ $(kubectl logs webserver -c webserver | grep -c 'worker process ') = 2 ]; do sleep 0.2; done";

/// What the reference's kuard does at `GET /healthy/fail`.
const FAIL: &str = "curl -s -X PUT -H 'Content-Type: application/json' -d '{\"failNext\": -1}' \
                    http://$(kubectl get pod kuard -o jsonpath={.status.podIP}):8080/healthy/api";

/// What the reference's kuard does at `GET /mem/alloc?mib=400`; then until it runs again.
const ALLOCATE: &str = "curl -s -S -m 20 -X POST \
     \"http://$(kubectl get pod kuard -o jsonpath={.status.podIP}):8080/mem/api/alloc?size=419430400\"; \
     kubectl wait --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/kuard --timeout=60s > wait.out; \
     kubectl wait --for=condition=Ready pod/kuard --timeout=60s > wait.out; event kuard Started 2; kubectl get pod kuard";
