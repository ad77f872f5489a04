//! The real kubectl in front of the server, compared with what it prints in front of a real one.

mod support;

use support::Cluster;

#[tokio::test(flavor = "multi_thread")]
async fn tour() {
    if !support::have_kubectl() {
        return;
    }
    let cluster = Cluster::start().await;
    cluster
        .write("kuard-pod.yaml", &std::fs::read_to_string("/work/shared/reference/manifests/kuard-pod.yaml").unwrap());
    for command in [
        "version",
        "get pods",
        "api-resources",
        "apply -f kuard-pod.yaml",
        "apply -f kuard-pod.yaml",
        "get pods",
        "get pods -o wide",
        "get pod kuard -o yaml",
        "describe pod kuard",
        "get events",
        "label pod kuard env=prod",
        "label pod kuard env-",
        "annotate pod kuard note='hello world'",
        "patch pod kuard -p '{\"metadata\":{\"labels\":{\"p\":\"q\"}}}'",
        "get pods --show-labels",
        "explain pod.spec.containers.ports",
        "get ns",
        "create namespace team-a",
        "create configmap c --from-literal=a=b",
        "auth can-i create pods",
        "auth whoami",
        "get --raw /readyz?verbose",
        "get all",
        "delete pod kuard",
        "get pods",
        "run x --image=nginx --dry-run=server -o yaml",
        "get foos",
    ] {
        println!("$ kubectl {command}\n{}", cluster.transcript(command).await);
    }
}
