//! What all the parts say about themselves at the most talkative level, while secrets go through them.

use podlab_testkit::{Cluster, Kubectl};

/// The value of the Secret, and as it stands in the object.
const PASSWORD: &str = "correct-horse-battery-staple";
const ENCODED: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==";

/// A Pod that gets the Secret in both ways.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: keeper
spec:
  volumes:
    - name: secret
      secret: {secretName: s}
  containers:
    - name: kuard
      image: gcr.io/kuar-demo/kuard-amd64:1
      env:
        - name: PASSWORD
          valueFrom: {secretKeyRef: {name: s, key: password}}
      volumeMounts:
        - {name: secret, mountPath: /secret}
";

#[test]
fn nothing_secret_is_in_any_log() {
    let Some(kubectl) = Kubectl::any() else { return };
    let cluster = Cluster::builder().environment("PODLAB_LOG", "trace").start();
    let said = |arguments: &[&str]| cluster.kubectl(&kubectl, arguments).success().stdout;
    said(&["create", "secret", "generic", "s", &format!("--from-literal=password={PASSWORD}")]);
    let manifest = cluster.scratch().join("keeper.yaml");
    std::fs::write(&manifest, POD).unwrap();
    said(&["apply", "-f", manifest.to_str().unwrap()]);
    said(&["wait", "--for=condition=Ready", "pod/keeper", "--timeout=60s"]);
    assert_eq!(said(&["exec", "keeper", "--", "sh", "-c", "echo $PASSWORD"]), format!("{PASSWORD}\n"));
    assert_eq!(said(&["exec", "keeper", "--", "cat", "/secret/password"]), PASSWORD);
    let of_pod = said(&["exec", "keeper", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"]);
    let asked_for = said(&["create", "token", "default"]);
    // Refused on the way, each in another place.
    cluster.kubectl(&kubectl, ["exec", "keeper", "--", PASSWORD]);
    cluster.kubectl(&kubectl, ["create", "secret", "generic", "S!", &format!("--from-literal=a={PASSWORD}")]);
    said(&["delete", "pod/keeper", "secret/s", "--now"]);

    let key = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let key = key.lines().find_map(|line| line.trim().strip_prefix("client-key-data: ")).unwrap();
    let mut talkative = false;
    for entry in std::fs::read_dir(cluster.directory().join("log")).unwrap().flatten() {
        let log = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        talkative |= log.contains("TRACE") || log.contains("DEBUG");
        // An argument of a command is not secret, and may be told; the Secret's own value is nothing else here.
        for secret in [ENCODED, of_pod.trim(), asked_for.trim(), key] {
            assert!(!secret.is_empty() && !log.contains(secret), "{secret:.12}… is in {}", entry.path().display());
        }
        let told = log.lines().filter(|line| line.contains(PASSWORD) && !line.contains("exec"));
        assert_eq!(told.collect::<Vec<_>>(), Vec::<&str>::new(), "{}", entry.path().display());
    }
    assert!(talkative, "the level has no effect\n{}", cluster.logs());
    cluster.stop();
}
