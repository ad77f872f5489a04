//! Transcripts 300 to 399: bad manifests, labels, namespaces and quotas, what the API says about itself.

use crate::scenario::{Scenario, Step::*};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "bad",
        stage: "manifests",
        steps: &[
            Same(&["300-bad-resouces", "301-bad-resouces-novalidate"]),
            Do("kubectl delete pod jose --now"),
            Same(&["302-bad-resouces-warn"]),
            Do("kubectl delete pod jose --now"),
            Same(&["303-bad-probe-nesting", "304-bad-noname", "305-bad-noname-create", "306-bad-quantity"]),
            Same(&["307-bad-limit-lt-request", "308-bad-dupnames", "309-bad-volumemount", "310-bad-port"]),
            Same(&["311-bad-name", "320-bad-resouces-client", "321-bad-dupnames-client", "322-bad-dupnames-server"]),
            Same(&["330-apply-multidoc"]),
            Do("kubectl wait --for=condition=Ready pod -l app=demo --timeout=60s"),
            Do("started alpha"),
            Same(&["331-get-L", "332-get-l", "333-get-l-in", "335-get-l-none", "337-wait-ready", "339-wait-jsonpath"]),
            Same(&["341-describe-l"]),
            Do("kubectl delete pod -l app=demo --grace-period=1"),
            Same(&["343-delete-l-none"]),
            Same(&["350-create-ns", "351-get-ns", "352-describe-ns", "353-apply-quota"]),
            Do("kubectl wait -n team-a --for=jsonpath={.status.hard.pods}=1 quota/q --timeout=60s"),
            Same(&["354-quota-pod1"]),
            Do("kubectl wait -n team-a --for=condition=Ready pod/one --timeout=60s"),
            Do("kubectl wait -n team-a --for=jsonpath={.status.used.pods}=1 quota/q --timeout=60s"),
            Same(&["355-quota-exceeded", "356-quota-must-specify", "357-describe-quota", "358-get-quota"]),
            Same(&["359-get-pods-n", "360-get-pods-A", "361-describe-ns-team-a", "363-get-ns-missing"]),
            Do("kubectl delete pod one -n team-a --now"),
            Same(&["364-delete-ns", "397-get-svc", "398-get-all", "399-get-deploy-none"]),
        ],
    },
    Scenario {
        name: "documents",
        stage: "manifests",
        steps: &[
            Same(&["370-explain-pod-spec", "371-explain-pod", "372-explain-deep", "373-explain-resources"]),
            Same(&["375-explain-recursive-head", "376-api-resources", "377-api-versions", "378-api-resources-wide"]),
            Same(&["379-config-view", "380-config-contexts", "381-raw-api", "382-raw-apis", "383-raw-version"]),
            Same(&["384-raw-healthz", "385-raw-readyz", "386-raw-openapi-v2-size", "387-raw-openapi-v3"]),
            Same(&["388-raw-openapi-v3-core-size", "389-raw-api-v1", "390-raw-root", "391-raw-404", "392-raw-404-api"]),
            Same(&["393-auth-can-i", "394-auth-whoami", "395-no-server", "396-help"]),
            Same(&["562-http-api-aggregated", "563-http-api-plain"]),
        ],
    },
];
