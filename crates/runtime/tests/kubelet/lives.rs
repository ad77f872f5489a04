//! From the first container to the last.

use podlab_runtime::backend::simulated::Program;
use podlab_runtime::backend::{VolumeSource, container_id};
use serde_json::json;

use super::*;
use crate::support::{BUSYBOX, Cluster, KUARD, column, first};

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
