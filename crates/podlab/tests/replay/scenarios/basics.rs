//! Transcripts 001 to 114: the first Pod, and every command on it.

use crate::scenario::{Scenario, Step::*};

const CREATING: &str = "kubectl wait --timeout=60s pod/kuard \
     --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ContainerCreating";
const SERVES: &str = "await 'Serving on' kubectl logs -f kuard";
const READY: &str = "kubectl wait --for=condition=Ready pod/kuard --timeout=60s";

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "basics",
    stage: "basics",
    steps: &[
        Same(&["001-version", "002-version-json", "003-get-pods-empty", "004-get-po-wide-empty"]),
        Same(&["005-get-pods-A-empty", "006-cluster-info", "007-get-nodes", "008-get-nodes-wide", "009-describe-node"]),
        Do("hold kubelet-container-started"),
        Same(&["010-run-kuard"]),
        Do(CREATING),
        Same(&["011-get-pods-just-after-run", "012-delete-deployments-kuard"]),
        Do("release kubelet-container-started"),
        Do(READY),
        Same(&["013-get-pods-running", "014-get-pod-run-yaml", "015-run-again-conflict", "016-run-dry-client-yaml"]),
        Same(&["017-run-dry-server", "018-run-restart-never-cmd", "019-run-bad-name", "020-delete-pods-slash"]),
        Do("kubectl wait --for=jsonpath={.status.phase}=Succeeded pod/once --timeout=60s && kubectl delete pod once"),
        Do("hold kubelet-container-started"),
        Same(&["030-apply-kuard"]),
        Do(CREATING),
        Same(&["031-get-pods-immediately"]),
        Do("release kubelet-container-started"),
        Do(READY),
        Do("started kuard"),
        Do(SERVES),
        Same(&["032-get-pods", "033-get-pods-wide", "034-get-pods-json", "035-get-pods-yaml", "036-get-pod-name-json"]),
        Same(&["037-get-pod-name-yaml", "038-get-pods-o-name", "039-get-jsonpath", "040-get-custom-columns"]),
        Same(&["041-get-go-template", "042-get-po-svc-deploy", "043-get-po-svc", "044-get-all-namespaces"]),
        Same(&["045-get-show-labels", "046-get-no-headers", "047-describe-pods-kuard", "048-describe-po-all"]),
        Same(&["049-describe-pod-slash", "050-apply-unchanged", "051-create-existing", "052-get-notfound"]),
        Same(&["053-describe-notfound", "054-delete-notfound", "055-logs-notfound", "056-exec-notfound"]),
        Same(&["057-get-unknown-resource", "059-diff-image", "060-apply-immutable-port", "061-logs"]),
        Same(&["062-logs-previous-none"]),
        With("063-logs-f", FOLLOW),
        Same(&["064-logs-tail-timestamps", "065-logs-bad-container", "066-exec-date-old-form", "067-exec-date"]),
        Same(&["068-exec-exit-code", "069-exec-no-such-binary", "070-exec-stdin", "071-exec-bad-container"]),
        Same(&["072-exec-env-hostname", "073-exec-ps", "074-exec-it-no-tty"]),
        Do("kubectl exec kuard -- sh -c 'mkdir -p /captures; echo capture-data > /captures/capture3.txt'"),
        Do("echo conf > config.txt"),
        Same(&["075-cp-from", "076-cp-to", "077-cp-missing-remote", "078-cp-missing-local", "079-cp-dir"]),
        With("080-port-forward", FORWARD),
        With("081-port-forward-8080", FORWARD_8080),
        With("082-port-forward-refused", FORWARD_REFUSED),
        Same(&["083-port-forward-notfound", "084-events", "085-events-wide", "086-events-cmd", "087-events-for"]),
        Same(&["088-top", "089-top-nodes", "090-label", "091-label-overwrite-refused", "093-label-remove"]),
        Same(&["094-annotate", "095-patch-image", "098-patch-forbidden", "099-delete-f", "100-delete-f-again"]),
        Same(&["101-apply-dry-client", "102-apply-dry-server", "103-apply-dry-server-yaml", "104-diff-new"]),
        Same(&["105-apply-missing-file", "106-wait-nothing"]),
        Do("kubectl apply -f kuard-pod.yaml"),
        Do(READY),
        Same(&["110-exec-it-ash-book", "111-exec-it-ash-tty", "112-create-deployment"]),
        Do("kubectl rollout status deployment/web --timeout=60s"),
        Same(&["113-get-po-svc-deploy-with-deploy", "114-get-pods-owner"]),
    ],
}];

/// Follows until all there is was printed; it goes on following until it is ended, as the status of `timeout` says.
const FOLLOW: &str = "kubectl logs -f kuard > followed & p=$!; await 'Serving on' tail -n +1 -f followed; \
     jobs -r | grep -q . && kill $p && cat followed; exit 124";

/// The transcript's commands on a port that is free here; what is printed gets the transcript's port again.
const FORWARD: &str = r#"{
: > pf.out; kubectl port-forward kuard $PORT:8080 > pf.out 2> pf.err & p=$!
await "::1" tail -f pf.out
curl -s -i http://127.0.0.1:$PORT/; curl -s http://127.0.0.1:$PORT/healthy; echo; kill $p; wait $p
echo "--port-forward stdout"; cat pf.out; echo "--port-forward stderr"; cat pf.err; } | sed "s/$PORT/18080/""#;

const FORWARD_8080: &str = r#"{
: > pf.out; kubectl port-forward kuard $PORT:8080 > pf.out 2> pf.err & p=$!
await "::1" tail -f pf.out
curl -s http://localhost:$PORT/ready; echo; kill $p; wait $p
echo "--port-forward stdout"; cat pf.out; echo "--port-forward stderr"; cat pf.err; } | sed "s/$PORT/8080/""#;

const FORWARD_REFUSED: &str = r#"{
: > pf.out; kubectl port-forward kuard $PORT:81 > pf.out 2> pf.err & p=$!
await "::1" tail -f pf.out
curl -s -S http://127.0.0.1:$PORT/; wait $p; kill $p
echo "--port-forward stdout"; cat pf.out; echo "--port-forward stderr"; cat pf.err; } | sed "s/$PORT/18081/""#;
