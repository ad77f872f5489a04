//! What a Pod's specification asks for is what its processes find: each field by the kernel's word for it.

use podlab_testkit::{Cluster, Kubectl};

/// What a whole Pod is asked for, and two containers that differ in what they may do.
const ASKING: &str = "
apiVersion: v1
kind: Pod
metadata: {name: asking}
spec:
  terminationGracePeriodSeconds: 0
  hostAliases: [{ip: 10.1.2.3, hostnames: [one.example, two.example]}]
  dnsPolicy: None
  dnsConfig:
    nameservers: [10.9.9.9]
    searches: [a.example]
    options: [{name: ndots, value: '2'}, {name: edns0}]
  securityContext:
    runAsUser: 1000
    runAsGroup: 2000
    supplementalGroups: [3000]
    fsGroup: 4000
    sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '80'}]
  volumes: [{name: data, emptyDir: {}}]
  containers:
  - name: plain
    image: busybox
    command: [sh, -c, 'echo \"$GREETING\" > greeting; exec sleep 1000000']
    workingDir: /data
    env: [{name: WHO, value: you}, {name: GREETING, value: 'hello $(WHO), not $$(WHO)'}]
    volumeMounts: [{name: data, mountPath: /data}]
    securityContext: {seccompProfile: {type: Unconfined}}
  - name: tight
    image: busybox
    command: [sleep, '1000000']
    securityContext:
      runAsUser: 0
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
";

#[test]
fn what_a_specification_asks_for_is_what_its_processes_find() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    apply(&cluster, &kubectl, ASKING);
    let found = |container: &str, script: &str| {
        let exec = ["exec", "asking", "-c", container, "--", "sh", "-c", script];
        cluster.kubectl(&kubectl, exec).success().stdout.trim().to_owned()
    };
    for (container, script, expected) in [
        ("plain", "id -u; id -g; id -G", "1000\n2000\n2000 3000 4000"),
        ("tight", "id -u; id -g; id -G", "0\n2000\n2000 3000 4000"),
        ("plain", "pwd; cat greeting", "/data\nhello you, not $(WHO)"),
        ("plain", "stat -c '%g %a' /data; stat -c %g /data/greeting", "4000 2777\n4000"),
        ("plain", "cat /etc/resolv.conf", "search a.example\nnameserver 10.9.9.9\noptions ndots:2 edns0"),
        ("plain", "grep one.example /etc/hosts", "10.1.2.3\tone.example\ttwo.example"),
        ("plain", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "80"),
        // Who asks for no resources is the first to go when the machine is out of memory.
        ("plain", "cat /proc/1/oom_score_adj", "1000"),
        (
            "plain",
            "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status",
            "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0",
        ),
        (
            "tight",
            "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status",
            "CapEff:\t0000000000000400\nNoNewPrivs:\t1\nSeccomp:\t2",
        ),
        ("tight", "touch /new 2>&1 || true", "touch: /new: Read-only file system"),
        // What tells too much of the node shows nothing.
        ("tight", "ls /sys/firmware", ""),
    ] {
        assert_eq!(found(container, script), expected, "{container}: {script}");
    }
    cluster.stop();
}

/// A hook that asks the sidecar beside it, and one that waits.
const HOOKED: &str = "
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 60
  volumes: [{name: data, emptyDir: {}}]
  initContainers:
  - name: ear
    image: busybox
    restartPolicy: Always
    command:
    - sh
    - -c
    - >-
      trap exit TERM; nc -l -p 9000 -e sh -c 'while read line && [ \"${#line}\" -gt 1 ]; do echo \"$line\" >> /data/heard; done;
      printf \"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n\"'; sleep 1000000 & wait
    volumeMounts: [{name: data, mountPath: /data}]
    # 9000, in the kernel's list of who listens.
    startupProbe: {exec: {command: [grep, -q, ':2328 ', /proc/net/tcp, /proc/net/tcp6]}, periodSeconds: 1, failureThreshold: 60}
  containers:
  - name: main
    image: busybox
    command: [sh, -c, 'trap exit TERM; sleep 1000000 & wait']
    lifecycle:
      postStart: {httpGet: {port: 9000, path: /born, httpHeaders: [{name: X-Who, value: main}]}}
      preStop: {sleep: {seconds: 1}}
";

#[test]
fn hooks_ask_over_http_and_wait() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::start();
    apply(&cluster, &kubectl, HOOKED);
    let heard = cluster.kubectl(&kubectl, ["exec", "hooked", "-c", "ear", "--", "cat", "/data/heard"]).success().stdout;
    let lines: Vec<&str> = heard.lines().map(str::trim_end).collect();
    assert!(lines[0] == "GET /born HTTP/1.1" && lines.contains(&"x-who: main"), "{heard}");
    cluster.kubectl(&kubectl, ["delete", "pod", "hooked", "--timeout=60s"]).success();
    let events = cluster.kubectl(&kubectl, ["get", "events", "-o", "jsonpath={.items[*].reason}"]).success().stdout;
    assert!(!events.contains("FailedPostStartHook") && !events.contains("FailedPreStopHook"), "{events}");
    cluster.stop();
}

#[track_caller]
fn apply(cluster: &Cluster, kubectl: &Kubectl, manifest: &str) {
    let file = cluster.scratch().join("pod.yaml");
    std::fs::write(&file, manifest).unwrap();
    cluster.kubectl(kubectl, ["apply", "-f", file.to_str().unwrap()]).success();
    cluster.kubectl(kubectl, ["wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s"]).success();
}
