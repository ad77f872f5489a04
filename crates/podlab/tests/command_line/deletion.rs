//! Taking a Pod down removes what is the Pod's, and nothing that was merely reachable from it.

use podlab_testkit::{Cluster, Kubectl};

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: deep}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: data, emptyDir: {}}
  containers:
  - name: main
    image: busybox
    command: [sh, -c, 'mkdir -p /data/a/b/c; ln -s /canary /data/a/link; exec tail -f /dev/null']
    volumeMounts:
    - {name: data, mountPath: /data}
    readinessProbe: {exec: {command: [test, -h, /data/a/link]}, periodSeconds: 1}
";

#[test]
fn what_is_mounted_or_linked_in_a_volume_survives_the_pod() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let manifest = cluster.scratch().join("deep.yaml");
    std::fs::write(&manifest, POD).unwrap();
    cluster.kubectl(&kubectl, ["apply", "-f", manifest.to_str().unwrap()]).success();
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/deep", "--timeout=60s"]).success();
    let uid = cluster.kubectl(&kubectl, ["get", "pod", "deep", "-o", "jsonpath={.metadata.uid}"]).success().stdout;
    let on_node = |script: &str| cluster.podlab(["node", "exec", "node1", "--", "sh", "-c", script]).success().stdout;
    let volume = format!("/var/lib/podlab/pods/{uid}/volumes/data");
    on_node(&format!(
        "mkdir -p /canary/nest && echo alive > /canary/nest/bird && mount --bind /canary {volume}/a/b/c && ls {volume}/a/b/c"
    ));
    cluster.kubectl(&kubectl, ["delete", "pod", "deep"]).success();
    let left = on_node(&format!("cat /canary/nest/bird; ls -d /var/lib/podlab/pods/{uid} 2>/dev/null; true"));
    assert_eq!(left, "alive\n");
    cluster.stop();
}
