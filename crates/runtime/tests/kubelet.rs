//! A kubelet on a simulated node, driven through the API and the clock, against what a real one did.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic to fail it")]

mod support;

use std::time::Duration;

use podlab_runtime::backend::simulated::Program;
use podlab_runtime::backend::{VolumeSource, container_id};
use podlab_runtime::clock::Clock;
use serde_json::{Value, json};
use support::{BUSYBOX, Cluster, KUARD, column, first};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn one(image: &str) -> Value {
    json!({"containers": [{"name": "main", "image": image}]})
}

/// What is different each time, written the same: times, ids, addresses.
fn steady(status: &Value) -> Value {
    match status {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = match name.as_str() {
                    "startTime" | "lastTransitionTime" | "startedAt" | "finishedAt" => "TIME".into(),
                    "containerID" | "imageID" if !value.as_str().unwrap_or_default().is_empty() => "ID".into(),
                    "podIP" | "hostIP" | "ip" => "ADDRESS".into(),
                    _ => steady(value),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::String(text) if text.starts_with("kube-api-access-") => "kube-api-access".into(),
        other => other.clone(),
    }
}

/// A condition as the status lists it.
fn condition(name: &str, holds: bool, more: Value) -> Value {
    let mut condition = json!({"lastProbeTime": null, "lastTransitionTime": "TIME",
        "status": if holds { "True" } else { "False" }, "type": name});
    condition.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    condition
}

async fn raw_status(cluster: &Cluster, name: &str) -> Value {
    let path = podlab_client::Path::object::<k8s_openapi::api::core::v1::Pod>(Some("default"), name);
    let bytes = cluster.client.get_bytes(&path).await.expect("the Pod");
    serde_json::from_slice::<Value>(&bytes).expect("JSON")["status"].clone()
}

/// golden 014 and 084: the status and the events of Example 5-1, and its end.
#[tokio::test]
async fn kuard_runs_is_told_of_and_goes() {
    let cluster = Cluster::start().await;
    cluster.create("kuard", json!({"containers": [{"name": "kuard", "image": KUARD}]})).await;
    let pod = cluster.until_status("kuard", "Running").await;
    cluster.until_event("kuard", "Started", 1).await;
    let mounts = json!([{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "kube-api-access",
        "readOnly": true, "recursiveReadOnly": "Disabled"}]);
    assert_eq!(
        steady(&raw_status(&cluster, "kuard").await),
        json!({
            "conditions": [
                condition("PodReadyToStartContainers", true, json!({})),
                condition("Initialized", true, json!({})),
                condition("Ready", true, json!({})),
                condition("ContainersReady", true, json!({})),
                condition("PodScheduled", true, json!({})),
            ],
            "containerStatuses": [{
                "containerID": "ID", "image": KUARD, "imageID": "ID", "lastState": {}, "name": "kuard", "ready": true,
                "restartCount": 0, "started": true, "state": {"running": {"startedAt": "TIME"}}, "volumeMounts": mounts,
            }],
            "hostIP": "ADDRESS", "hostIPs": [{"ip": "ADDRESS"}], "phase": "Running",
            "podIP": "ADDRESS", "podIPs": [{"ip": "ADDRESS"}], "qosClass": "BestEffort", "startTime": "TIME",
        })
    );
    assert_eq!(
        cluster.told("kuard"),
        [
            "Normal Pulled Container image \"gcr.io/kuar-demo/kuard-amd64:1\" already present on machine",
            "Normal Created Created container: kuard",
            "Normal Started Started container kuard",
        ]
    );
    let uid = pod.metadata.uid.clone().unwrap();
    let token = cluster.node.volume(&uid, &pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0].name).unwrap();
    let VolumeSource::Files { files, memory: true } = token.source else { panic!("{token:?}") };
    assert_eq!(files.keys().collect::<Vec<_>>(), ["ca.crt", "namespace", "token"]);
    assert_eq!(files["namespace"].content, b"default");

    cluster.delete("kuard", None).await;
    cluster.until_gone("kuard").await;
    cluster.until_event("kuard", "Killing", 1).await;
    assert_eq!(cluster.told("kuard")[3], "Normal Killing Stopping container kuard");
    assert!(podlab_runtime::backend::Backend::pods(&cluster.node).await.unwrap().is_empty(), "nothing is left");
}

/// golden 202 and 252: the first restart is immediate, the next after 10, 20 and 40 s; then up to 5 minutes.
#[tokio::test]
async fn a_crashing_container_climbs_the_ladder() {
    let cluster = Cluster::start().await;
    cluster.node.store("crash", Program::ending(seconds(1), 3));
    cluster.create("crash", one("crash")).await;
    cluster.until_status("crash", "Running").await;
    cluster.step(1);
    cluster.until("crash", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    for (restarts, wait, text) in [
        (1, 10, "10s"),
        (2, 20, "20s"),
        (3, 40, "40s"),
        (4, 80, "1m20s"),
        (5, 160, "2m40s"),
        (6, 300, "5m0s"),
        (7, 300, "5m0s"),
    ] {
        cluster.step(1);
        cluster.until("crash", |pod| first(pod).restart_count == restarts && column(pod) == "Error").await;
        cluster.step(1);
        let pod = cluster.until_status("crash", "CrashLoopBackOff").await;
        let status = first(&pod);
        let uid = pod.metadata.uid.clone().unwrap();
        assert_eq!(
            status.state.unwrap().waiting.unwrap().message.unwrap(),
            format!("back-off {text} restarting failed container=main pod=crash_default({uid})")
        );
        assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 3);
        assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
        // A second before its time it does not start.
        cluster.step(wait - 2);
        let id = container_id(&uid, "main", u32::try_from(restarts + 1).unwrap());
        assert_eq!(cluster.node.starts(&id), 0);
        cluster.step(1);
        cluster.until("crash", |pod| first(pod).restart_count == restarts + 1 && column(pod) == "Running").await;
        assert_eq!(cluster.node.starts(&id), 1);
    }
    let told = cluster.told("crash");
    assert!(
        told.iter()
            .any(|line| line
                .starts_with("Warning BackOff Back-off restarting failed container main in pod crash_default(")),
        "{told:#?}"
    );
}

/// golden 231-yaml-completed, 231-yaml-failed, 231-yaml-oom.
#[tokio::test]
async fn a_pod_that_is_not_restarted_keeps_how_it_ended() {
    let cluster = Cluster::start().await;
    cluster.node.store("completes", Program { message: "all done".into(), ..Program::ending(seconds(1), 0) });
    cluster.node.store("eats", Program { out_of_memory: true, ..Program::ending(seconds(1), 137) });
    for (image, phase, reason, because) in
        [("completes", "Succeeded", "Completed", "PodCompleted"), ("eats", "Failed", "OOMKilled", "PodFailed")]
    {
        let mut spec = one(image);
        spec["restartPolicy"] = "Never".into();
        cluster.create(image, spec).await;
        cluster.until_status(image, "Running").await;
        cluster.step(1);
        // The last thing that happens to it is that its namespaces go.
        let pod = cluster
            .until(image, |pod| {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
                conditions.first().is_some_and(|condition| condition.status == "False") && column(pod) == reason
            })
            .await;
        let status = pod.status.as_ref().unwrap();
        assert_eq!(status.phase.as_deref(), Some(phase));
        let conditions = status.conditions.as_ref().unwrap();
        let shown: Vec<_> =
            conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str(), one.reason.as_deref())).collect();
        let initialized = if phase == "Succeeded" { Some("PodCompleted") } else { None };
        assert_eq!(
            shown,
            [
                ("PodReadyToStartContainers", "False", None),
                ("Initialized", "True", initialized),
                ("Ready", "False", Some(because)),
                ("ContainersReady", "False", Some(because)),
                ("PodScheduled", "True", None),
            ]
        );
        assert!(status.pod_ip.is_some());
        let ended = first(&pod).state.unwrap().terminated.unwrap();
        assert_eq!(ended.reason.as_deref(), Some(reason));
        assert_eq!(ended.message.as_deref(), (image == "completes").then_some("all done"));
        cluster.delete(image, None).await;
        cluster.until_gone(image).await;
    }
}

/// golden 206, 230-describe-badimage: ErrImagePull, then ImagePullBackOff, and again after 10 s; found when it appears.
#[tokio::test]
async fn an_image_that_is_not_there_is_tried_again() {
    let cluster = Cluster::start().await;
    cluster.create("badimage", one("nosuch/image:v1")).await;
    cluster.until_status("badimage", "ErrImagePull").await;
    cluster.step(1);
    let pod = cluster.until_status("badimage", "ImagePullBackOff").await;
    let message = first(&pod).state.unwrap().waiting.unwrap().message.unwrap();
    assert!(message.starts_with("Back-off pulling image \"nosuch/image:v1\": ErrImagePull: "), "{message}");
    cluster.until_event("badimage", "BackOff", 1).await;
    let told = cluster.told("badimage");
    assert_eq!(told[0], "Normal Pulling Pulling image \"nosuch/image:v1\"");
    assert_eq!(told[2], "Warning Failed Error: ErrImagePull");
    assert_eq!(told[3], "Normal BackOff Back-off pulling image \"nosuch/image:v1\"");
    assert_eq!(told[4], "Warning Failed Error: ImagePullBackOff");
    cluster.node.publish("nosuch/image:v1", Program::default());
    cluster.step(9);
    cluster.until_status("badimage", "Running").await;
}

/// golden 203 and 204: in order, each to its success; one that fails is tried again, the main container never starts.
#[tokio::test]
async fn init_containers_run_one_after_the_other() {
    let cluster = Cluster::start().await;
    cluster.node.store("three", Program::ending(seconds(3), 0));
    cluster.node.store("fails", Program::ending(seconds(1), 1));
    cluster
        .create(
            "init",
            json!({
                "initContainers": [{"name": "first", "image": "three"}, {"name": "second", "image": "three"}],
                "containers": [{"name": "main", "image": BUSYBOX}],
            }),
        )
        .await;
    let running = |index: usize| {
        move |pod: &k8s_openapi::api::core::v1::Pod| {
            let init =
                pod.status.as_ref().and_then(|status| status.init_container_statuses.clone()).unwrap_or_default();
            init.get(index).and_then(|one| one.state.clone()).is_some_and(|state| state.running.is_some())
        }
    };
    let pod = cluster.until("init", running(0)).await;
    assert_eq!(column(&pod), "Init:0/2");
    assert_eq!(first(&pod).state.unwrap().waiting.unwrap().reason.as_deref(), Some("PodInitializing"));
    cluster.step(3);
    let pod = cluster.until("init", running(1)).await;
    assert_eq!(column(&pod), "Init:1/2");
    cluster.step(3);
    let pod = cluster.until_status("init", "Running").await;
    assert!(pod.status.as_ref().unwrap().init_container_statuses.as_ref().unwrap().iter().all(|one| one.ready));

    cluster
        .create(
            "init-fail",
            json!({
                "initContainers": [{"name": "first", "image": "fails"}],
                "containers": [{"name": "main", "image": BUSYBOX}],
            }),
        )
        .await;
    cluster.until("init-fail", running(0)).await;
    cluster.step(1);
    cluster.until("init-fail", |pod| running(0)(pod) && restarts(pod) == 1).await;
    cluster.step(1);
    cluster.until_status("init-fail", "Init:Error").await;
    cluster.step(1);
    let pod = cluster.until_status("init-fail", "Init:CrashLoopBackOff").await;
    let conditions = pod.status.as_ref().unwrap().conditions.as_ref().unwrap();
    assert_eq!(conditions[1].message.as_deref(), Some("containers with incomplete status: [first]"));
    assert_eq!(conditions[1].reason.as_deref(), Some("ContainersNotInitialized"));
    assert_eq!(first(&pod).restart_count, 0);
}

fn restarts(pod: &k8s_openapi::api::core::v1::Pod) -> i32 {
    let init = pod.status.as_ref().and_then(|status| status.init_container_statuses.clone()).unwrap_or_default();
    init.first().map_or(0, |one| one.restart_count)
}

/// golden 208 and 230-describe-sidecar: started first, ended last, and not counted against the Pod's success.
#[tokio::test]
async fn a_sidecar_is_there_before_and_after() {
    let cluster = Cluster::start().await;
    cluster.node.store("work:1", Program::ending(seconds(8), 0));
    cluster.node.store("ship:1", Program { ends_on_term: Some((seconds(1), 0)), ..Program::default() });
    cluster
        .create(
            "sidecar",
            json!({
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
                "initContainers": [{"name": "logshipper", "image": "ship:1", "restartPolicy": "Always"}],
                "containers": [{"name": "main", "image": "work:1"}],
            }),
        )
        .await;
    cluster.until_status("sidecar", "Running").await;
    cluster.until_event("sidecar", "Started", 1).await;
    cluster.step(8);
    cluster.until_event("sidecar", "Killing", 1).await;
    let pod = cluster.until_status("sidecar", "Completed").await;
    assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    cluster.step(1);
    let pod = cluster.until("sidecar", |pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Succeeded")).await;
    let shipper = pod.status.as_ref().unwrap().init_container_statuses.as_ref().unwrap()[0].clone();
    assert_eq!((shipper.ready, shipper.started, shipper.restart_count), (false, Some(false), 0));
    assert_eq!(
        cluster.told("sidecar"),
        [
            "Normal Pulled Container image \"ship:1\" already present on machine",
            "Normal Created Created container: logshipper",
            "Normal Started Started container logshipper",
            "Normal Pulled Container image \"work:1\" already present on machine",
            "Normal Created Created container: main",
            "Normal Started Started container main",
            "Normal Killing Stopping container logshipper",
        ]
    );
}

/// Another image is another container, even of a Pod whose containers are never started again.
#[tokio::test]
async fn another_image_replaces_the_container() {
    let cluster = Cluster::start().await;
    cluster.node.store("web:1", Program::default());
    cluster.node.store("web:2", Program::default());
    let spec = |image: &str| json!({"restartPolicy": "Never", "containers": [{"name": "web", "image": image}]});
    cluster.create("web", spec("web:1")).await;
    cluster.until_status("web", "Running").await;
    cluster.change_image("web", "web:2").await;
    let pod = cluster.until("web", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    assert_eq!(first(&pod).image, "docker.io/library/web:2");
    assert!(first(&pod).last_state.is_some_and(|last| last.terminated.is_some()));
    cluster.until_event("web", "Started", 2).await;
    let told = cluster.told("web");
    assert!(
        told.contains(&"Normal Killing Container web definition changed, will be restarted".to_owned()),
        "{told:?}"
    );
    assert!(!told.iter().any(|event| event.contains("BackOff")), "{told:?}");
}

/// golden 211, 463: three failures in a row, and the container is started anew; the Pod stays where it is.
#[tokio::test]
async fn liveness_restarts_and_readiness_does_not() {
    let cluster = Cluster::start().await;
    let complaint = "HTTP probe failed with statuscode: 500".to_owned();
    cluster
        .node
        .store("sick:1", Program { unhealthy: vec![(seconds(0), seconds(3600))], complaint, ..Program::default() });
    cluster
        .create(
            "kuard",
            json!({"containers": [{"name": "kuard", "image": "sick:1", "livenessProbe": {
            "httpGet": {"path": "/healthy", "port": 8080}, "initialDelaySeconds": 5, "periodSeconds": 10}}]}),
        )
        .await;
    cluster.until_status("kuard", "Running").await;
    for failures in 1..=2 {
        cluster.step(10);
        cluster.until_event("kuard", "Unhealthy", failures).await;
    }
    assert_eq!(first(&*cluster.until_status("kuard", "Running").await).restart_count, 0);
    cluster.step(10);
    let pod = cluster.until("kuard", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    assert!(first(&pod).ready);
    cluster.until_event("kuard", "Started", 2).await;
    let told = cluster.told("kuard");
    assert_eq!(told[3], "Warning Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 500 (x3)");
    assert_eq!(told[4], "Normal Killing Container kuard failed liveness probe, will be restarted");

    cluster.node.store("busy", Program { unhealthy: vec![(seconds(4), seconds(9))], ..Program::default() });
    cluster
        .create(
            "readiness",
            json!({"containers": [{"name": "main", "image": "busy", "readinessProbe": {
            "exec": {"command": ["true"]}, "periodSeconds": 2, "failureThreshold": 2}}]}),
        )
        .await;
    cluster.until("readiness", |pod| first(pod).ready).await;
    for _ in 0..3 {
        cluster.step(2);
        cluster.until("readiness", |_| true).await;
        tokio::task::yield_now().await;
    }
    let pod = cluster.until("readiness", |pod| !first(pod).ready).await;
    assert_eq!(pod.status.as_ref().unwrap().phase.as_deref(), Some("Running"));
    assert_eq!(
        pod.status.as_ref().unwrap().conditions.as_ref().unwrap()[2].reason.as_deref(),
        Some("ContainersNotReady")
    );
    cluster.step(4);
    let pod = cluster.until("readiness", |pod| first(pod).ready).await;
    assert_eq!(first(&pod).restart_count, 0);
}

/// golden 209: the startup probe holds the liveness probe back, and readiness with it.
#[tokio::test]
async fn a_startup_probe_holds_the_others_back() {
    let cluster = Cluster::start().await;
    cluster.node.store("slow", Program { unhealthy: vec![(seconds(0), seconds(6))], ..Program::default() });
    let exec = json!({"command": ["cat", "/tmp/started"]});
    cluster
        .create(
            "startup",
            json!({"containers": [{"name": "main", "image": "slow",
            "startupProbe": {"exec": exec, "periodSeconds": 2, "failureThreshold": 10},
            "livenessProbe": {"exec": exec, "periodSeconds": 1, "failureThreshold": 1}}]}),
        )
        .await;
    let pod = cluster.until_status("startup", "Running").await;
    assert_eq!((first(&pod).ready, first(&pod).started), (false, Some(false)));
    for failures in 1..=3 {
        cluster.until_event("startup", "Unhealthy", failures).await;
        cluster.step(2);
    }
    let pod = cluster.until("startup", |pod| first(pod).ready).await;
    assert_eq!((first(&pod).started, first(&pod).restart_count), (Some(true), 0));
    assert!(cluster.told("startup").iter().all(|line| !line.contains("Liveness")));
}

/// golden 210 and MEASURED: a process that does not care for SIGTERM has its grace period, then it is killed.
#[tokio::test]
async fn whoever_does_not_go_is_killed_after_the_grace_period() {
    let cluster = Cluster::start().await;
    cluster.node.store("stubborn", Program { ends_on_term: None, ..Program::default() });
    let mut spec = one("stubborn");
    spec["terminationGracePeriodSeconds"] = 8.into();
    cluster.create("grace", spec.clone()).await;
    cluster.until_status("grace", "Running").await;
    cluster.delete("grace", None).await;
    cluster.until_event("grace", "Killing", 1).await;
    cluster.step(7);
    let pod = cluster.until_status("grace", "Terminating").await;
    let uid = pod.metadata.uid.clone().unwrap();
    assert_eq!(cluster.node.starts(&container_id(&uid, "main", 0)), 1);
    cluster.step(1);
    cluster.until_gone("grace").await;

    // By force: the object goes at once, the process two seconds later.
    cluster.create("forced", spec).await;
    cluster.until_status("forced", "Running").await;
    cluster.delete("forced", Some(0)).await;
    cluster.until_gone("forced").await;
    cluster.until_event("forced", "Killing", 1).await;
    let mut left = usize::MAX;
    while left > 0 {
        cluster.step(1);
        tokio::task::yield_now().await;
        left = podlab_runtime::backend::Backend::pods(&cluster.node).await.unwrap().len();
    }
}

#[tokio::test]
async fn a_deadline_fails_the_pod() {
    let cluster = Cluster::start().await;
    let mut spec = one(BUSYBOX);
    spec["activeDeadlineSeconds"] = 30.into();
    cluster.create("late", spec).await;
    cluster.until_status("late", "Running").await;
    cluster.step(29);
    cluster.until_status("late", "Running").await;
    cluster.step(1);
    let pod = cluster.until_status("late", "DeadlineExceeded").await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.message.as_deref(), Some("Pod was active on the node longer than the specified deadline"));
    cluster.until_event("late", "DeadlineExceeded", 1).await;
}

/// golden 230-describe-cm-missing: no address, no container; and it goes on as soon as the ConfigMap is there.
#[tokio::test]
async fn a_missing_config_map_is_waited_for() {
    let cluster = Cluster::start().await;
    let mut spec = one(BUSYBOX);
    spec["volumes"] = json!([{"name": "v", "configMap": {"name": "later"}}]);
    cluster.create("cm", spec).await;
    let event = cluster.until_event("cm", "FailedMount", 1).await;
    assert_eq!(
        event.message.as_deref(),
        Some("MountVolume.SetUp failed for volume \"v\" : configmap \"later\" not found")
    );
    let pod = cluster.until_status("cm", "ContainerCreating").await;
    assert_eq!(pod.status.as_ref().unwrap().pod_ip, None);
    cluster.post("configmaps", json!({"kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"a": "1"}})).await;
    let pod = cluster.until_status("cm", "Running").await;
    let VolumeSource::Files { files, .. } =
        cluster.node.volume(&pod.metadata.uid.clone().unwrap(), "v").unwrap().source
    else {
        panic!("not files");
    };
    assert_eq!(files["a"].content, b"1");
}

/// golden 521-status-badcommand and 521-status-nonroot.
#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let cluster = Cluster::start().await;
    let text = "failed to create containerd task: exec: \"/no/such/binary\": no such file or directory: unknown";
    cluster.node.store("broken", Program { start_error: Some(text.into()), ..Program::default() });
    cluster.create("badcommand", one("broken")).await;
    let pod = cluster.until("badcommand", |pod| first(pod).restart_count == 1).await;
    let status = first(&pod);
    let waiting = status.state.unwrap().waiting.unwrap();
    assert_eq!((waiting.reason.as_deref(), waiting.message.as_deref()), (Some("RunContainerError"), Some(text)));
    let ended = status.last_state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    assert_eq!(ended.started_at.unwrap().0.as_second(), 0);
    assert_eq!(ended.container_id, status.container_id);

    let mut spec = one(BUSYBOX);
    spec["securityContext"] = json!({"runAsNonRoot": true});
    cluster.create("nonroot", spec).await;
    let pod = cluster.until_status("nonroot", "CreateContainerConfigError").await;
    let uid = pod.metadata.uid.clone().unwrap();
    let text = format!(
        "container has runAsNonRoot and image will run as root (pod: \"nonroot_default({uid})\", container: main)"
    );
    assert_eq!(first(&pod).state.unwrap().waiting.unwrap().message, Some(text));
    assert_eq!(first(&pod).container_id, None);
    cluster.step(12);
    cluster.until_event("nonroot", "Failed", 2).await;
}

/// golden 520-describe-hooks: a container whose postStart hook fails is stopped.
#[tokio::test]
async fn a_failing_post_start_hook_ends_its_container() {
    let cluster = Cluster::start().await;
    let always = vec![(seconds(0), seconds(3600))];
    cluster.node.store("hook:1", Program { unhealthy: always, ends_on_term: None, ..Program::default() });
    cluster
        .create(
            "hooks",
            json!({"terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": "hook:1",
            "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "exit 1"]}}}}]}),
        )
        .await;
    cluster.until_event("hooks", "Killing", 1).await;
    assert_eq!(
        cluster.told("hooks")[2..],
        [
            "Normal Started Started container main",
            "Warning FailedPostStartHook PostStartHook failed",
            "Normal Killing FailedPostStartHook",
        ]
    );
    cluster.step(5);
    let pod = cluster.until("hooks", |pod| first(pod).restart_count == 1).await;
    assert_eq!(first(&pod).last_state.unwrap().terminated.unwrap().exit_code, 137);
}

/// Killed anywhere and started again, the kubelet starts nothing twice and misses no end.
#[tokio::test]
async fn a_killed_kubelet_goes_on_where_it_was() {
    let mut cluster = Cluster::start().await;
    cluster.node.store("hour", Program::ending(seconds(3600), 7));
    cluster.create("long", one("hour")).await;
    let pod = cluster.until_status("long", "Running").await;
    let uid = pod.metadata.uid.clone().unwrap();
    let before = first(&pod);

    cluster.kill_kubelet().await;
    cluster.start_kubelet();
    cluster.create("marker", one(BUSYBOX)).await;
    cluster.until_status("marker", "Running").await;
    assert_eq!(cluster.node.starts(&container_id(&uid, "main", 0)), 1);
    assert_eq!(first(&*cluster.until_status("long", "Running").await), before);

    // It ends, and another Pod is deleted, while nobody looks.
    cluster.kill_kubelet().await;
    cluster.step(3600);
    cluster.delete("marker", Some(0)).await;
    let before_start = cluster.clock.now();
    cluster.start_kubelet();
    let pod = cluster.until("long", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    let ended = first(&pod).last_state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (7, Some("Error")));
    assert!(ended.finished_at.unwrap().0 <= before_start);
    let left = podlab_runtime::backend::Backend::pods(&cluster.node).await.unwrap();
    assert_eq!(left.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["long"]);
}

/// The plug of one Pod is pulled: its containers are started again in new namespaces.
#[tokio::test]
async fn lost_namespaces_are_made_again() {
    let cluster = Cluster::start().await;
    cluster.create("pod", one(BUSYBOX)).await;
    let pod = cluster.until_status("pod", "Running").await;
    cluster.node.kill_pod(&pod.metadata.uid.clone().unwrap());
    let again = cluster.until("pod", |pod| first(pod).restart_count == 1 && column(pod) == "Running").await;
    assert_ne!(again.status.as_ref().unwrap().pod_ip, pod.status.as_ref().unwrap().pod_ip);
    cluster.until_event("pod", "SandboxChanged", 1).await;
}
