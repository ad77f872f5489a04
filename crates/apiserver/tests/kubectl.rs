//! The real kubectl in front of the server: its words have to be those it finds in front of a real one.

mod support;

use std::path::Path;

use serde_json::json;
use support::Cluster;

/// Example 5-1 of the texts.
const KUARD: &str = "apiVersion: v1
kind: Pod
metadata:
  name: kuard
spec:
  containers:
    - image: gcr.io/kuar-demo/kuard-amd64:1
      name: kuard
      ports:
        - containerPort: 8080
          name: http
          protocol: TCP
";

fn answer(code: i32, stdout: &str, stderr: &str) -> String {
    format!("# exit code: {code}\n--- stdout ---\n{stdout}--- stderr ---\n{stderr}--- end ---\n")
}

/// Commands in order, with what each has to print.
async fn play(cluster: &Cluster, kubectl: &Path, steps: &[(&str, i32, &str, &str)]) {
    for (command, code, stdout, stderr) in steps {
        assert_eq!(cluster.transcript(kubectl, command).await, answer(*code, stdout, stderr), "$ kubectl {command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_pod_object() {
    let Some(kubectl) = support::kubectl() else { return };
    let cluster = Cluster::start().await;
    cluster.write("kuard-pod.yaml", KUARD);
    play(
        &cluster,
        &kubectl,
        &[
            ("get pods", 0, "", "No resources found in default namespace.\n"),
            ("apply -f kuard-pod.yaml", 0, "pod/kuard created\n", ""),
            ("apply -f kuard-pod.yaml", 0, "pod/kuard unchanged\n", ""),
            (
                "create -f kuard-pod.yaml",
                1,
                "",
                "Error from server (AlreadyExists): error when creating \"kuard-pod.yaml\": pods \"kuard\" already exists\n",
            ),
            ("label pod kuard env=prod", 0, "pod/kuard labeled\n", ""),
            ("label pod kuard env=dev", 1, "", "error: 'env' already has a value (prod), and --overwrite is false\n"),
            ("label pod kuard env-", 0, "pod/kuard unlabeled\n", ""),
            ("annotate pod kuard note='hello world'", 0, "pod/kuard annotated\n", ""),
            ("patch pod kuard -p '{\"metadata\":{\"labels\":{\"p\":\"q\"}}}'", 0, "pod/kuard patched\n", ""),
            ("get pods -o name", 0, "pod/kuard\n", ""),
            ("get pods -l p=q --no-headers -o custom-columns=N:.metadata.name", 0, "kuard\n", ""),
            ("get pod nosuch", 1, "", "Error from server (NotFound): pods \"nosuch\" not found\n"),
            ("get foos", 1, "", "error: the server doesn't have a resource type \"foos\"\n"),
            ("delete -f kuard-pod.yaml", 0, "pod \"kuard\" deleted\n", ""),
            (
                "delete -f kuard-pod.yaml",
                1,
                "",
                "Error from server (NotFound): error when deleting \"kuard-pod.yaml\": pods \"kuard\" not found\n",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_are_refused() {
    let Some(kubectl) = support::kubectl() else { return };
    let cluster = Cluster::start().await;
    cluster.write(
        "typo.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: jose}\nspec:\n  containers:\n  - name: jose\n    image: x:1\n    resouces: {}\n    limit: {}\n",
    );
    cluster.write(
        "noname.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {}\nspec:\n  containers:\n  - {name: a, image: 'x:1'}\n",
    );
    play(
        &cluster,
        &kubectl,
        &[
            (
                "apply -f typo.yaml",
                1,
                "",
                "Error from server (BadRequest): error when creating \"typo.yaml\": Pod in version \"v1\" cannot be handled \
                 as a Pod: strict decoding error: unknown field \"spec.containers[0].limit\", unknown field \
                 \"spec.containers[0].resouces\"\n",
            ),
            (
                "apply -f typo.yaml --validate=warn",
                0,
                "pod/jose created\n",
                "Warning: unknown field \"spec.containers[0].limit\"\nWarning: unknown field \
                 \"spec.containers[0].resouces\"\n",
            ),
            (
                "create -f noname.yaml",
                1,
                "",
                "The Pod \"\" is invalid: metadata.name: Required value: name or generateName is required\n",
            ),
            (
                "run x --image=nginx -n nope",
                1,
                "",
                "Error from server (NotFound): namespaces \"nope\" not found\n",
            ),
        ],
    )
    .await;
}

/// kubectl sends some of these as protobuf, newer versions more of them: what is made must be the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_by_a_command_alone() {
    for kubectl in support::kubectls() {
        let cluster = Cluster::start().await;
        let make = "create token builder --duration=20m";
        play(
            &cluster,
            &kubectl,
            &[
                ("create namespace team", 0, "namespace/team created\n", ""),
                ("create configmap settings --from-literal=a=1 --from-literal=b=2", 0, "configmap/settings created\n", ""),
                ("create secret generic keys --from-literal=key=hidden", 0, "secret/keys created\n", ""),
                ("create serviceaccount builder", 0, "serviceaccount/builder created\n", ""),
                ("create deployment web --image=x:1 --replicas=2 --port=80", 0, "deployment.apps/web created\n", ""),
                ("auth can-i create pods", 0, "yes\n", ""),
                ("auth can-i get /healthz", 0, "yes\n", ""),
                ("auth can-i create pods --as=jane", 1, "no\n", ""),
                ("auth can-i list pods --as=system:serviceaccount:default:builder", 0, "yes\n", ""),
                (
                    "get pods --as=jane",
                    1,
                    "",
                    "Error from server (Forbidden): pods is forbidden: User \"jane\" cannot list resource \"pods\" in API \
                     group \"\" in the namespace \"default\"\n",
                ),
                (
                    "create configmap settings",
                    1,
                    "",
                    "error: failed to create configmap: configmaps \"settings\" already exists\n",
                ),
            ],
        )
        .await;
        let core = "/api/v1/namespaces/default";
        let get = async |path: &str, field: &str| cluster.get(path).await.pointer(field).cloned().unwrap_or_default();
        assert_eq!(get("/api/v1/namespaces/team", "/status/phase").await, "Active", "{kubectl:?}");
        let data = get(&format!("{core}/configmaps/settings"), "/data").await;
        assert_eq!(data, json!({"a": "1", "b": "2"}), "{kubectl:?}");
        let secret = cluster.get(&format!("{core}/secrets/keys")).await;
        assert_eq!((&secret["data"]["key"], &secret["type"]), (&json!("aGlkZGVu"), &json!("Opaque")), "{kubectl:?}");
        let deployment = get("/apis/apps/v1/namespaces/default/deployments/web", "/spec").await;
        let container = &deployment["template"]["spec"]["containers"][0];
        assert_eq!((&deployment["replicas"], &container["image"]), (&json!(2), &json!("x:1")), "{kubectl:?}");
        assert_eq!(container["ports"], json!([{"containerPort": 80, "protocol": "TCP"}]), "{kubectl:?}");
        let token = cluster.kubectl(&kubectl, make, "").await;
        let token = String::from_utf8(token.stdout).unwrap();
        assert_eq!(token.trim().split('.').count(), 3, "{kubectl:?}: {token}");
        let review =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token.trim()}});
        let review = cluster.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).await;
        let user = &review["status"]["user"]["username"];
        assert_eq!(*user, "system:serviceaccount:default:builder", "{kubectl:?}: {review}");
    }
}
