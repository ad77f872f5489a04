//! Transcripts 200 to 263: Pods that fail, wait, are probed, are deleted; each from its first moment.

use crate::scenario::{Scenario, Step, Step::*};

const fn zoo(name: &'static str, steps: &'static [Step]) -> Scenario {
    Scenario { name, stage: "zoo", steps }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    zoo(
        "completed",
        &[
            Same(&["200-watch-completed"]),
            Do("started completed"),
            Same(&["230-describe-completed", "231-yaml-completed", "232-logs-completed"]),
            Same(&["242-exec-completed"]),
        ],
    ),
    zoo(
        "failed",
        &[Same(&["201-watch-failed"]), Do("started failed"), Same(&["230-describe-failed", "231-yaml-failed"])],
    ),
    zoo(
        "init",
        &[
            Same(&["203-watch-init"]),
            Do("started init main"),
            Do("await main kubectl logs -f init -c main"),
            Same(&["230-describe-init", "231-yaml-init", "237-logs-init-c"]),
            Same(&["238-logs-init-default", "239-logs-init-all"]),
        ],
    ),
    zoo("oom", &[Same(&["207-watch-oom"]), Do("started oom"), Same(&["230-describe-oom", "231-yaml-oom"])]),
    zoo(
        "sidecar",
        &[
            Same(&["208-watch-sidecar"]),
            Do("kubectl wait --for=condition=PodReadyToStartContainers=false pod/sidecar --timeout=60s"),
            Do("started sidecar main"),
            Do("event sidecar Killing"),
            Same(&["230-describe-sidecar", "231-yaml-sidecar", "240-logs-sidecar-c"]),
            Same(&["256-describe-sidecar-late"]),
        ],
    ),
    zoo("grace", &[With("210-watch-grace-delete", RUN_AND_DELETE), Same(&["217-describe-grace-terminating"])]),
    zoo(
        "toobig",
        &[
            Same(&["214-watch-toobig"]),
            Do("event toobig FailedScheduling"),
            Do("kubectl wait --for=condition=PodScheduled=false pod/toobig --timeout=60s"),
            Same(&["230-describe-toobig", "231-yaml-toobig", "236-logs-toobig"]),
            Same(&["243-exec-toobig", "245-portforward-toobig", "262-field-selector-bad"]),
        ],
    ),
    zoo(
        "env",
        &[
            Do("kubectl apply -f env.yaml"),
            Do("kubectl wait --for=condition=PodReadyToStartContainers=false pod/envpod --timeout=60s"),
            Do("started envpod"),
            Same(&["230-describe-envpod", "231-yaml-envpod", "241-logs-envpod"]),
        ],
    ),
    zoo(
        "configmap",
        &[
            Do("kubectl apply -f configmap.yaml -f configmap-pod.yaml"),
            Do("kubectl wait --for=condition=Ready pod/cm-pod --timeout=60s"),
            Do("started cm-pod"),
            Same(&["230-describe-cm-pod", "231-yaml-cm-pod", "246-cat-configmap"]),
        ],
    ),
    zoo(
        "claim",
        &[
            Do("kubectl apply -f pvc-subpath.yaml"),
            Do("event pvc-subpath FailedScheduling"),
            Do("kubectl wait --for=condition=PodScheduled=false pod/pvc-subpath --timeout=60s"),
            Same(&["230-describe-pvc-subpath", "231-yaml-pvc-subpath"]),
        ],
    ),
    zoo(
        "crash",
        &[
            Do("kubectl apply -f crash.yaml"),
            Do("event crash BackOff 2"),
            Same(&["231-yaml-crash", "233-logs-crash", "234-logs-crash-previous"]),
            Do("event crash BackOff 3"),
            Same(&["230-describe-crash"]),
        ],
    ),
    Scenario { name: "crash-watch", stage: "crash", steps: &[Same(&["202-watch-crash", "252-describe-crash-late"])] },
    zoo(
        "badimage",
        &[
            Do("kubectl apply -f badimage.yaml"),
            Do("event badimage BackOff 2"),
            Same(&["230-describe-badimage", "231-yaml-badimage", "235-logs-badimage", "244-exec-badimage"]),
            Do("event badimage BackOff 5"),
            Same(&["253-describe-badimage-late"]),
        ],
    ),
    Scenario { name: "badimage-watch", stage: "crash", steps: &[Same(&["206-watch-badimage"])] },
    zoo(
        "init-fail",
        &[
            Do("kubectl apply -f init-fail.yaml"),
            Do("event init-fail BackOff 2"),
            Same(&["231-yaml-init-fail", "247-logs-init-fail"]),
            Do("event init-fail BackOff 3"),
            Same(&["230-describe-init-fail"]),
        ],
    ),
    Scenario { name: "init-fail-watch", stage: "crash", steps: &[Same(&["204-watch-init-fail"])] },
    zoo(
        "liveness-exec",
        &[
            Do("kubectl apply -f liveness-exec.yaml"),
            Do(
                "kubectl wait --for=jsonpath={.status.containerStatuses[0].restartCount}=2 pod/liveness-exec --timeout=90s",
            ),
            // It is alive for as long as it sleeps.
            Do("kubectl exec liveness-exec -- sh -c 'kill -STOP $(pidof sleep)'"),
            Do("event liveness-exec Started 3"),
            Same(&["230-describe-liveness-exec", "231-yaml-liveness-exec"]),
            Do("kubectl exec liveness-exec -- sh -c 'kill -CONT $(pidof sleep)'"),
            Do("event liveness-exec Killing 4"),
            Same(&["254-describe-liveness-exec-late"]),
        ],
    ),
    Scenario { name: "liveness-watch", stage: "crash", steps: &[Same(&["211-watch-liveness-exec"])] },
    zoo(
        "configmap-missing",
        &[
            Do("kubectl apply -f configmap-missing-pod.yaml"),
            Do("event cm-missing FailedMount 7"),
            Same(&["230-describe-cm-missing", "231-yaml-cm-missing"]),
            Do("event cm-missing FailedMount 8"),
            Same(&["257-describe-cm-missing-late"]),
        ],
    ),
];

/// It is deleted once it runs.
const RUN_AND_DELETE: &str = "kubectl apply -f grace.yaml
kubectl wait --for=condition=Ready pod/grace --timeout=60s
kubectl delete pod grace";
