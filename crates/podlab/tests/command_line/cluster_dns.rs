//! Names inside the cluster: its DNS runs as a Deployment, and Pods ask it.

use k8s_openapi::api::core::v1::{Pod, Service};
use podlab_testkit::{Cluster, Kubectl};
use serde_json::json;

use super::plug::rig::Rig;

/// A Pod that serves, behind a headless Service of its subdomain.
fn member(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": "db"}},
        "spec": {"hostname": name, "subdomain": "db", "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "gcr.io/kuar-demo/kuard-amd64:1"}]},
    })
}

#[test]
fn pods_find_services_and_each_other_by_name() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::builder().dns().start();
    let ready = ["rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=120s"];
    cluster.kubectl(&kubectl, ready).success();
    let rig = Rig::of(cluster);
    rig.create::<Service>(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "default"},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"name": "http", "port": 8080}]},
    }));
    rig.create::<Service>(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "db"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }));
    let address = |name: &str| rig.until_ready(name).status.unwrap().pod_ip.unwrap();
    rig.create::<Pod>(&member("db-0"));
    rig.create::<Pod>(&member("db-1"));
    let (first, second) = (address("db-0"), address("db-1"));

    // What kuard's DNS Query page says, which asks as any program does: by the Pod's resolv.conf.
    let ask = |name: &str| {
        let path = format!("/api/v1/namespaces/default/pods/db-0:8080/proxy/dns?name={name}&type=A");
        let page = rig.cluster.kubectl(&kubectl, ["get", "--raw", &path]).success().stdout;
        let answer = page.split("<pre role=\"status\">").nth(1).unwrap_or_default();
        answer.split("</pre>").next().unwrap_or_default().to_owned()
    };
    let resolv_conf = ["exec", "db-0", "--", "cat", "/etc/resolv.conf"];
    assert_eq!(
        rig.cluster.kubectl(&kubectl, resolv_conf).success().stdout,
        "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    );
    let hosts = rig.cluster.kubectl(&kubectl, ["exec", "db-0", "--", "cat", "/etc/hosts"]).success().stdout;
    assert!(hosts.ends_with(&format!("{first}\tdb-0.db.default.svc.cluster.local\tdb-0\n")), "{hosts}");
    assert_eq!(ask("kubernetes"), "kubernetes\tIN\tA\t10.96.0.1");
    assert_eq!(ask("kube-dns.kube-system"), "kube-dns.kube-system\tIN\tA\t10.96.0.10");
    assert_eq!(ask("db-1.db"), format!("db-1.db\tIN\tA\t{second}"));
    let own: k8s_openapi::api::core::v1::Service =
        rig.api(|client| async move { client.get("default", "web").await }).unwrap();
    let own = own.spec.unwrap().cluster_ip.unwrap();
    assert_eq!(ask("web"), format!("web\tIN\tA\t{own}"));
    // The endpoints may be written a moment after the Pods are ready.
    let end = std::time::Instant::now() + podlab_testkit::DEADLINE;
    let all = loop {
        let all = ask("db.default.svc.cluster.local");
        if all.lines().count() == 2 || std::time::Instant::now() > end {
            break all;
        }
    };
    assert!(all.contains(&first) && all.contains(&second), "{all}");
    let unknown = ask("nosuch.default.svc.cluster.local");
    assert!(unknown.contains("Name or service not known") || unknown.contains("Name does not resolve"), "{unknown}");

    // A name that begins to mean something is found as soon as the server has heard of it.
    rig.cluster.kubectl(&kubectl, ["expose", "pod", "db-0", "--port=8080", "--name=later"]).success();
    let end = std::time::Instant::now() + podlab_testkit::DEADLINE;
    while !ask("later").contains("IN\tA") {
        assert!(std::time::Instant::now() < end, "the new Service is not found");
    }
    rig.cluster.stop();
}
