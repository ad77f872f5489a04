//! What a Pod is, from the kernel itself.

use std::collections::BTreeSet;

use podlab_testkit::{Cluster, Kubectl};
use predicates::str::{contains, is_empty};
use serde_json::Value;

use crate::podlab;

/// Two containers, a volume between them, limits, and in one of them a child that nobody asks after.
const PAIR: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: pair
spec:
  volumes:
    - name: html
      emptyDir: {}
  containers:
    - name: web
      image: gcr.io/kuar-demo/kuard-amd64:1
      resources:
        requests: {cpu: 100m, memory: 32Mi}
        limits: {cpu: 250m, memory: 64Mi}
      volumeMounts:
        - {name: html, mountPath: /srv, readOnly: true}
    - name: side
      image: busybox
      # The shell starts a child and becomes a program that never asks how it ended.
      command: ["sh", "-c", "true & exec tail -f /dev/null"]
      volumeMounts:
        - {name: html, mountPath: /data}
"#;

/// The members of each namespace of a kind.
fn members(xray: &Value, kind: &str) -> Vec<BTreeSet<String>> {
    let all = xray["namespaces"].as_array().unwrap().iter().filter(|namespace| namespace["kind"] == kind);
    all.map(|namespace| serde_json::from_value(namespace["members"].clone()).unwrap()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_pod_is_shown_as_the_kernel_has_it() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    let manifest = cluster.scratch().join("pair.yaml");
    std::fs::write(&manifest, PAIR).unwrap();
    cluster.kubectl(&kubectl, ["apply", "-f", manifest.to_str().unwrap()]).success();
    cluster.kubectl(&kubectl, ["wait", "--for=condition=Ready", "pod/pair", "--timeout=60s"]).success();
    let address = cluster.kubectl(&kubectl, ["get", "pod", "pair", "-o", "jsonpath={.status.podIP}"]).success().stdout;
    let xray: Value =
        serde_json::from_str(&cluster.podlab(["xray", "pod/pair", "--output", "json"]).success().stdout).unwrap();

    assert_eq!(xray["addresses"], serde_json::json!([address]));
    assert_eq!(xray["interfaces"], serde_json::json!(["lo", "eth0"]));
    for kind in ["net", "uts", "ipc"] {
        assert_eq!(members(&xray, kind), [set(&["(pause)", "web", "side"])], "{kind}");
    }
    let alone = [set(&["(pause)"]), set(&["web"]), set(&["side"])];
    assert_eq!(members(&xray, "pid"), alone);
    assert_eq!(members(&xray, "mnt"), [set(&["(node)", "(pause)"]), set(&["web"]), set(&["side"])]);
    assert_eq!(members(&xray, "user"), [set(&["(node)", "(pause)", "web", "side"])]);

    // The same numbers as one finds when one looks for oneself.
    let processes = xray["processes"].as_array().unwrap();
    let of = |name: &str| processes.iter().find(|process| process["container"] == name).unwrap();
    let pid = of("web")["pid"].to_string();
    let link = cluster.podlab(["node", "exec", "node1", "--", "readlink", &format!("/proc/{pid}/ns/net")]).success();
    let net = xray["namespaces"].as_array().unwrap().iter().find(|namespace| namespace["kind"] == "net").unwrap();
    assert_eq!(link.stdout.trim(), format!("net:[{}]", net["id"]));
    assert_eq!((of("web")["pid_inside"].as_i64(), of("side")["pid_inside"].as_i64()), (Some(1), Some(1)));
    assert!(of("web")["command"].as_str().unwrap().contains("kuard"), "{xray:#}");
    let zombies: Vec<_> = processes.iter().filter(|process| process["zombie"] == true).collect();
    assert_eq!(zombies.len(), 1, "{xray:#}");
    assert_eq!((&zombies[0]["container"], &zombies[0]["parent"]), (&"side".into(), &of("side")["pid"]));

    let listening: Vec<_> = xray["listening"].as_array().unwrap().iter().collect();
    assert!(listening.iter().any(|socket| socket["port"] == 8080 && socket["container"] == "web"), "{xray:#}");

    // As root the cgroups are always there; without, where somebody delegated them.
    if let [pod, web, side] = xray["cgroups"].as_array().unwrap().as_slice() {
        assert_eq!(web["limits"]["cpu_limit_millis"], 250);
        assert_eq!(web["limits"]["memory_limit"], 64 << 20);
        assert_eq!(side["limits"]["memory_limit"], Value::Null);
        assert_eq!((&web["container"], &pod["container"]), (&"web".into(), &Value::Null));
        assert!(pod["path"].as_str().unwrap().starts_with("kubepods/burstable/pod"), "{pod}");
        assert!(web["use_now"]["memory"].as_u64().unwrap() > 0, "{web}");
    } else {
        assert!(!rustix::process::geteuid().is_root(), "{xray:#}");
    }
    let mounts = xray["mounts"].as_array().unwrap();
    let mount = |container: &str, path: &str| {
        mounts.iter().find(|mount| mount["container"] == container && mount["path"] == path).unwrap()
    };
    assert_eq!(mount("web", "/srv")["what"]["volume"], "html");
    assert_eq!(mount("web", "/srv")["shared_with"], serde_json::json!(["side"]));
    assert_eq!(
        (&mount("web", "/srv")["read_only"], &mount("side", "/data")["read_only"]),
        (&true.into(), &false.into())
    );
    assert_eq!(mount("web", "/")["what"], "image");

    let text = cluster.podlab(["xray", "pair"]).success().stdout;
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
    assert!(line("net ").contains("shared"), "{text}");
    assert!(text.contains("volume html"), "{text}");
    assert!(text.contains("<defunct>"), "{text}");
    cluster.stop();
}

#[test]
fn a_pod_that_is_nowhere_is_said_to_be_nowhere() {
    let cluster = Cluster::start();
    let refused = cluster.podlab(["xray", "pod/nobody", "-n", "other"]).failure(1);
    assert!(refused.stderr.contains("no process of pod other/nobody is on any node"), "{refused}");
    podlab(&cluster, ["xray", "deployment/web"]).assert().code(2).stdout(is_empty()).stderr(contains("pod/NAME"));
    cluster.stop();
}
