//! A Deployment restarted, undone, held and looked back upon by each client, in a namespace each.

use super::{Both, CLIENTS, Client, compare};

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: busybox, command: [tail, -f, /dev/null]}]
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: busybox, command: [tail, -f, /dev/null]}]
";

#[test]
fn a_rollout_is_led_as_the_real_one_does_it() {
    let Some(both) = Both::start(|builder| builder) else { return };
    let namespace = |client| if client == Client::Real { "theirs" } else { "ours" };
    let manifest = both.cluster.scratch().join("web.yaml");
    std::fs::write(&manifest, DEPLOYMENT).unwrap();
    for client in CLIENTS {
        both.run(client, &["create", "namespace", namespace(client)]).success();
        both.run(client, &["apply", "-n", namespace(client), "-f", manifest.to_str().unwrap()]).success();
    }
    let each =
        |arguments: &[&str]| CLIENTS.map(|client| both.run(client, &[&["-n", namespace(client)], arguments].concat()));
    // The steps of a rollout as they are seen are a matter of luck; how it ended is not.
    let done = || {
        for output in each(&["rollout", "status", "deployment/web", "--timeout=100s"]) {
            assert!(output.clone().success().stdout.ends_with("successfully rolled out\n"), "{output}");
        }
    };
    let same = |arguments: &[&str]| {
        let outputs = each(arguments);
        compare(&outputs[0], &outputs[1], &["theirs", "ours"]);
        outputs[0].clone()
    };
    let template = || same(&["get", "deployment", "web", "-o", "jsonpath={.spec.template}"]).success().stdout;
    done();
    let before = template();
    same(&["rollout", "undo", "deployment/web"]).failure(1);
    same(&["rollout", "restart", "deployment/web"]).success();
    done();
    assert_ne!(template(), before);
    same(&["rollout", "history", "deployment/web"]).success();
    same(&["rollout", "history", "deployment"]).success();
    same(&["rollout", "history", "deployment/web", "--revision=2"]).success();
    same(&["rollout", "history", "deployment/web", "--revision=7"]).failure(1);
    same(&["rollout", "undo", "deployment/web", "--dry-run=client"]).success();
    same(&["rollout", "undo", "deployment/web", "--dry-run=server"]).success();
    // A restart, which changes an annotation and nothing else, is undone as well.
    let undone = same(&["rollout", "undo", "deployment/web"]).success();
    assert_eq!(undone.stdout, "deployment.apps/web rolled back\n");
    done();
    assert_eq!(template(), before);
    let skipped = same(&["rollout", "undo", "deployment/web", "--to-revision=3"]).success();
    assert!(skipped.stdout.contains("skipped rollback"), "{skipped}");
    same(&["rollout", "undo", "deployment/web", "--to-revision=9"]).failure(1);
    // Held, nothing is to happen to it.
    same(&["rollout", "pause", "deployment/web"]).success();
    for refused in ["pause", "restart", "undo"] {
        same(&["rollout", refused, "deployment/web"]).failure(1);
    }
    same(&["rollout", "resume", "deployment/web"]).success();
    same(&["rollout", "resume", "deployment/web"]).failure(1);
    for command in ["status", "restart", "undo", "history", "pause", "resume"] {
        same(&["rollout", command, "pod/alone"]).failure(1);
        same(&["rollout", command, "deployment/ghost"]).failure(1);
    }
    same(&["rollout", "restart", "deployment/web", "--dry-run=client"]).failure(1);
    same(&["rollout", "nonsense"]).failure(1);
    both.cluster.stop();
}
