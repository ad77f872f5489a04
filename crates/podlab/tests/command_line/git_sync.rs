//! Figure 5-1: a web server, and beside it a synchroniser that keeps the site as a Git repository is.

use std::time::Instant;

use k8s_openapi::api::core::v1::{Pod, Service};
use podlab_testkit::{DEADLINE, Kubectl};
use serde_json::{Value, json};

use super::plug::rig::Rig;

/// A web server and a synchroniser that share a folder. The flags are those of the synchroniser, besides where and what.
fn site(name: &str, flags: &[&str], limits: &Value) -> Value {
    let mut arguments = vec!["--repo=http://$(ORIGIN_SERVICE_HOST)/site.git", "--root=/git", "--link=html"];
    arguments.extend(["--max-failures=-1", "--period=500ms"]);
    arguments.extend(flags);
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "site", "emptyDir": {}}],
            "containers": [
                {"name": "web", "image": "nginx", "volumeMounts": [{"name": "site", "mountPath": "/usr/share/nginx"}]},
                {"name": "sync", "image": "registry.k8s.io/git-sync/git-sync:v4.4.0", "args": arguments,
                    "resources": {"limits": limits}, "volumeMounts": [{"name": "site", "mountPath": "/git"}]},
            ],
        },
    })
}

#[test]
fn a_site_follows_its_repository_and_a_leak_stays_with_who_leaks() {
    let Some(kubectl) = Kubectl::any() else { return };
    let rig = Rig::start();
    // First: a Pod is told of the Services that are there before it.
    rig.create::<Service>(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "origin", "namespace": "default"},
        "spec": {"selector": {"app": "origin"}, "ports": [{"port": 80}]},
    }));
    rig.create::<Pod>(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "origin", "namespace": "default", "labels": {"app": "origin"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "podlab/git-origin:1"}]},
    }));
    rig.create::<Pod>(&site("site", &[], &json!({})));
    rig.until_ready("origin");
    rig.until_ready("site");

    let until_it_says = |text: &str| {
        let end = Instant::now() + DEADLINE;
        loop {
            let page = ["get", "--raw", "/api/v1/namespaces/default/pods/site:80/proxy/"];
            let page = rig.cluster.kubectl(&kubectl, page);
            if page.stdout.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "the site does not say {text:?}: {page}\n{}", rig.cluster.logs());
        }
    };
    until_it_says("The first version");
    let commit =
        ["exec", "origin", "--", "git-origin", "commit", "Second version", "index.html=<h1>The second version</h1>"];
    let committed = rig.cluster.kubectl(&kubectl, commit).success();
    assert!(committed.stdout.starts_with("[main ") && committed.stdout.ends_with("] Second version\n"), "{committed}");
    until_it_says("The second version");

    rig.create::<Pod>(&site("leaky", &["--leak=16Mi"], &json!({"memory": "64Mi"})));
    let restarts = rig.until_pod("leaky", |pod| {
        let statuses = pod?.status.as_ref()?.container_statuses.as_ref()?;
        let of = |name: &str| statuses.iter().find(|status| status.name == name);
        let ended = of("sync")?.last_state.as_ref().and_then(|state| state.terminated.clone());
        let ended = ended.or_else(|| of("sync")?.state.as_ref()?.terminated.clone())?;
        assert_eq!(ended.reason.as_deref(), Some("OOMKilled"));
        Some(of("web")?.restart_count)
    });
    assert_eq!(restarts, 0, "the web server has a limit of its own");
    rig.cluster.stop();
}
