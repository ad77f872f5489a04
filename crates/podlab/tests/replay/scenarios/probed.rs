//! Those of the transcripts 200 to 263 in which it matters when a probe is asked: each answer is held until the program it
//! asks is as it is to be.

use crate::scenario::{Scenario, Step::*};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "startup",
        stage: "startup",
        steps: &[
            Do(TWO_REFUSALS),
            Do("event startup Unhealthy 2"),
            // The third answer, which is a good one, is there and held.
            Same(&["216-describe-startup-early"]),
            Do("release kubelet-probed"),
            Do("kubectl wait --for=condition=Ready pod/startup --timeout=60s"),
            Same(&["230-describe-startup", "231-yaml-startup"]),
            Do("kubectl delete pod startup --now"),
            Same(&["209-watch-startup"]),
        ],
    },
    Scenario {
        name: "readiness",
        stage: "readiness",
        steps: &[With("213-watch-readiness", READY_AND_NOT), Same(&["230-describe-readiness", "231-yaml-readiness"])],
    },
];

/// What the program says that it has come up by is not written before it has been asked for twice: the shell that would
/// write it is stopped, and we do.
const TWO_REFUSALS: &str = r#"hold kubelet-probed
on-node 'until shell=$(grep -la "^sh.-c.[s]leep 6;" /proc/[0-9]*/cmdline 2>/dev/null); do sleep 0.1; done
    kill -STOP $(basename $(dirname $shell))' & stopped=$!
kubectl apply -f startup.yaml && event startup Started && wait $stopped && pass kubelet-probed && pass kubelet-probed \
    on-node 'shell=$(grep -la "^sh.-c.[s]leep 6;" /proc/[0-9]*/cmdline 2>/dev/null); : > $(dirname $shell)/root/tmp/started'"#;

/// It is asked for the first time when it listens. Once it was seen to be Ready, it is not for five answers.
const READY_AND_NOT: &str = r#"hold kubelet-container-started
kubectl apply -f readiness.yaml
release kubelet-container-started on-node \
    'until grep -qs "^[^:]*: [0-9A-F]*:1F90 [0-9A-F:]* 0A" /proc/$(pidof kuard)/net/tcp*; do sleep 0.1; done'
kubectl wait --for=condition=Ready pod/readiness --timeout=60s
at=http://$(kubectl get pod readiness -o jsonpath={.status.podIP}):8080/ready/api
curl -s -X PUT -H 'Content-Type: application/json' -d '{"failNext": 5}' $at
event readiness Unhealthy 5"#;
