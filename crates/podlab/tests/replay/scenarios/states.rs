//! Transcripts 510 to 580: more states of containers, a cordoned node, requests made by hand.

use crate::scenario::{Scenario, Step, Step::*};

const fn state(name: &'static str, steps: &'static [Step]) -> Scenario {
    Scenario { name, stage: "states", steps }
}

const ANONYMOUS: &str =
    "curl -s -k -i --http2 $(kubectl config view -o jsonpath={.clusters[0].cluster.server})/api/v1/pods";

pub(crate) const SCENARIOS: &[Scenario] = &[
    state(
        "guaranteed",
        &[
            Do("kubectl apply -f guaranteed.yaml -f shareproc.yaml"),
            Do("kubectl wait --for=condition=Ready pod/guaranteed pod/shareproc --timeout=60s"),
            Do("started guaranteed"),
            Do("started shareproc b"),
            Same(&["520-describe-guaranteed", "521-status-guaranteed", "536-exec-guaranteed"]),
            Same(&["539-show-managed-fields", "561-http-table-watch", "565-http-409", "572-http-405"]),
            Same(&[
                "520-describe-shareproc",
                "521-status-shareproc",
                "537-exec-shareproc",
                "576-http-log-bad-container",
            ]),
            Same(&["579-http-bookmarks", "564-http-404", "566-http-422", "567-http-400-strict", "570-http-415"]),
            Same(&["571-http-406", "575-http-delete-pod"]),
            With("580-http-403-anonymous", ANONYMOUS),
        ],
    ),
    state(
        "badcommand",
        &[
            Do("kubectl apply -f badcommand.yaml"),
            Do("event badcommand Failed 3"),
            Do("event badcommand BackOff 2"),
            Same(&["520-describe-badcommand", "521-status-badcommand", "530-logs-badcommand"]),
        ],
    ),
    state(
        "hooks",
        &[
            Do("kubectl apply -f hooks.yaml"),
            Do("event hooks Started 2"),
            Do("event hooks BackOff 2"),
            Same(&["520-describe-hooks", "521-status-hooks"]),
        ],
    ),
    state(
        "hostnet",
        &[
            Do("kubectl apply -f hostnet.yaml"),
            Do("kubectl wait --for=condition=Ready pod/hostnet --timeout=60s"),
            Do("started hostnet"),
            Same(&["520-describe-hostnet", "521-status-hostnet"]),
        ],
    ),
    state(
        "nonroot",
        &[
            Do("kubectl apply -f nonroot.yaml"),
            Do("event nonroot Failed 3"),
            Same(&["520-describe-nonroot", "521-status-nonroot"]),
        ],
    ),
    state(
        "secret",
        &[
            Do("kubectl apply -f secret-pod.yaml"),
            Do("kubectl wait --for=jsonpath={.status.phase}=Succeeded pod/secretpod --timeout=60s"),
            Do("kubectl wait --for=condition=PodReadyToStartContainers=false pod/secretpod --timeout=60s"),
            Do("started secretpod"),
            Same(&["520-describe-secretpod", "521-status-secretpod", "533-logs-secretpod"]),
        ],
    ),
    state(
        "cpuhog",
        &[
            Do("kubectl apply -f cpuhog.yaml"),
            Do("kubectl wait --for=condition=Ready pod/cpuhog --timeout=60s"),
            Same(&["535-exec-cpuhog"]),
            Do("kubectl delete pod cpuhog --now"),
        ],
    ),
    state(
        "generated",
        &[
            With("510-create-generatename", "kubectl create -f generate.yaml"),
            Do("kubectl delete --now $(kubectl get pods -o name | grep pod/gen-)"),
        ],
    ),
];
