"""What a program does with a cluster through the Python client library (the package `kubernetes`), which nobody here wrote.

Takes the path of a kubeconfig; prints one JSON object with what it saw. The test that runs it says what has to be in it.
"""

import json
import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.stream import portforward, stream

NAMESPACE = "default"
POD = "kuard"
# Generous: it is only ever used up by a defect.
DEADLINE = 90


def manifest(name, **container):
    main = {"name": "kuard", "image": "gcr.io/kuar-demo/kuard-amd64:1", "ports": [{"containerPort": 8080}]}
    main.update(container)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "kuard"}},
        "spec": {"containers": [main]},
    }


def is_ready(pod):
    conditions = pod.status.conditions or []
    return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)


def refusal(call, *arguments, **options):
    """The code and the reason of a call that has to fail."""
    try:
        call(*arguments, **options)
    except ApiException as error:
        return [error.status, json.loads(error.body)["reason"]]
    return None


def run(core, command, stdin=None):
    """Runs a command in the Pod; its outputs and its exit code."""
    session = stream(
        core.connect_get_namespaced_pod_exec,
        POD,
        NAMESPACE,
        command=command,
        stdin=stdin is not None,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    out, err = "", ""
    if stdin is not None:
        session.write_stdin(stdin)
        # This library cannot close one channel: it reads what it needs, then closes all.
        while len(out) < len(stdin) and session.is_open():
            session.update(timeout=DEADLINE)
            out += session.read_stdout(timeout=1) if session.peek_stdout() else ""
        session.close()
        return {"out": out}
    session.run_forever(timeout=DEADLINE)
    out += session.read_stdout() if session.peek_stdout() else ""
    err += session.read_stderr() if session.peek_stderr() else ""
    return {"out": out, "err": err, "code": session.returncode}


def forward(core):
    """An HTTP answer of the Pod, through a forwarded port."""
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, POD, NAMESPACE, ports="8080")
    socket = forwarded.socket(8080)
    socket.setblocking(True)
    socket.settimeout(DEADLINE)
    socket.sendall(b"GET /healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = b""
    while True:
        piece = socket.recv(4096)
        if not piece:
            break
        answer += piece
    socket.close()
    return {"first": answer.split(b"\r\n")[0].decode(), "error": forwarded.error(8080)}


def main():
    config.load_kube_config(sys.argv[1])
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    seen = {"version": client.VersionApi().get_code().git_version}

    first = core.list_namespaced_pod(NAMESPACE)
    seen["before"] = len(first.items)
    seen["created"] = core.create_namespaced_pod(NAMESPACE, manifest(POD)).metadata.name
    seen["again"] = refusal(core.create_namespaced_pod, NAMESPACE, manifest(POD))
    seen["invalid"] = refusal(core.create_namespaced_pod, NAMESPACE, manifest("Not A Name"))
    seen["missing"] = refusal(core.read_namespaced_pod, "nosuch", NAMESPACE)

    events, watcher = [], watch.Watch()
    from_version = first.metadata.resource_version
    for event in watcher.stream(
        core.list_namespaced_pod, NAMESPACE, resource_version=from_version, timeout_seconds=DEADLINE
    ):
        events.append(event["type"])
        if is_ready(event["object"]):
            watcher.stop()
    seen["watched"] = [events[0], events[-1]]
    seen["listed"] = [pod.metadata.name for pod in core.list_namespaced_pod(NAMESPACE, label_selector="app=kuard").items]

    core.patch_namespaced_pod(POD, NAMESPACE, {"metadata": {"labels": {"one": "1"}}})
    core.patch_namespaced_pod(POD, NAMESPACE, [{"op": "add", "path": "/metadata/labels/two", "value": "2"}])
    seen["labels"] = core.read_namespaced_pod(POD, NAMESPACE).metadata.labels

    seen["exec"] = run(core, ["sh", "-c", "echo out; echo err >&2; exit 7"])
    seen["cat"] = run(core, ["cat"], stdin="all work and no play\n" * 1000)["out"].count("\n")
    seen["log"] = core.read_namespaced_pod_log(POD, NAMESPACE, tail_lines=100)
    seen["forwarded"] = forward(core)

    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": manifest("x")["spec"]},
        },
    }
    apps.create_namespaced_deployment(NAMESPACE, deployment)
    apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 0}})
    seen["replicas"] = apps.read_namespaced_deployment("web", NAMESPACE).spec.replicas
    apps.delete_namespaced_deployment("web", NAMESPACE)

    # The dynamic client knows nothing but what discovery tells.
    pods = DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="Pod")
    seen["discovered"] = pods.get(name=POD, namespace=NAMESPACE).metadata.name

    core.delete_namespaced_pod(POD, NAMESPACE, grace_period_seconds=1)
    watcher = watch.Watch()
    for event in watcher.stream(
        core.list_namespaced_pod, NAMESPACE, field_selector="metadata.name=" + POD, timeout_seconds=DEADLINE
    ):
        if event["type"] == "DELETED":
            watcher.stop()
    seen["after"] = refusal(core.read_namespaced_pod, POD, NAMESPACE)
    print(json.dumps(seen))


main()
