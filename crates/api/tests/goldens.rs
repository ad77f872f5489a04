//! What the real server says to bad manifests, word for word: each manifest goes through all a write goes through.
//!
//! The numbers are those of the recorded transcripts.

use podlab_api::decode::{self, Format, Kind};
use podlab_api::error::ApiError;
use podlab_api::registry;
use serde_json::Value;

/// A write as the server does it, without admission; the object that would be stored.
fn write(yaml: &str, old: Option<&Value>) -> Result<Value, ApiError> {
    let kind = yaml.lines().find_map(|line| line.strip_prefix("kind: ")).expect("a manifest has a kind");
    let resource = registry::all().iter().find(|resource| resource.kind == kind).expect("a known kind");
    let expected = Kind::from(resource);
    let decoded = decode::request(&expected, yaml.as_bytes(), Format::Yaml)?;
    if !decoded.findings.is_empty() {
        return Err(decode::strict_error(&expected, &decoded.findings));
    }
    let mut object = decoded.object;
    if resource.namespaced {
        object["metadata"]["namespace"] = "default".into();
    }
    (resource.default)(&mut object);
    (resource.prepare)(&mut object, old, None);
    let errors = (resource.validate)(&object, old, None);
    if errors.is_empty() {
        return Ok(object);
    }
    Err(ApiError::Invalid {
        group: resource.group.into(),
        kind: resource.kind.into(),
        name: object["metadata"]["name"].as_str().unwrap_or_default().into(),
        errors,
    })
}

fn pod(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n{spec}")
}

fn refusal(yaml: &str) -> String {
    write(yaml, None).expect_err("the manifest is bad").to_string()
}

#[test]
fn unknown_fields_and_wrong_values_are_bad_requests() {
    let cases = [
        // 300
        (
            pod("  containers:\n  - {image: 'blabla:latest', name: jose, resouces: {cpu: 500m}, limit: {cpu: 1000m}}"),
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: \
             unknown field \"spec.containers[0].limit\", unknown field \"spec.containers[0].resouces\"",
        ),
        // 303
        (
            pod("  containers:\n  - {name: c, image: i, livenessProbe: {httpGet: {path: /, port: 80, \
                 initialDelaySeconds: 30, timeoutSeconds: 5}}}"),
            "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: \
             unknown field \"spec.containers[0].livenessProbe.httpGet.initialDelaySeconds\", \
             unknown field \"spec.containers[0].livenessProbe.httpGet.timeoutSeconds\"",
        ),
        // 306
        (
            pod("  containers:\n  - {name: main, image: i, resources: {requests: {cpu: 500x, memory: 128Mi}}}"),
            "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression \
             '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ];
    for (yaml, expected) in cases {
        assert_eq!(refusal(&yaml), expected);
    }
}

#[test]
fn invalid_pods_are_refused_with_every_cause() {
    let cases = [
        // 305
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\nspec:\n  containers:\n  - {name: m, image: i}\n"
                .into(),
            "Pod \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        // 307
        (
            pod("  containers:\n  - name: main\n    image: i\n    \
                 resources: {requests: {cpu: 500m}, limits: {cpu: 100m}}"),
            "Pod \"p\" is invalid: spec.containers[0].resources.requests: Invalid value: \"500m\": \
             must be less than or equal to cpu limit of 100m",
        ),
        // 308
        (
            pod("  containers:\n  - {name: main, image: i}\n  - {name: main, image: i}"),
            "Pod \"p\" is invalid: spec.containers[1].name: Duplicate value: \"main\"",
        ),
        // 309
        (
            pod("  containers:\n  - {name: main, image: i, volumeMounts: [{name: nothere, mountPath: /data}]}"),
            "Pod \"p\" is invalid: spec.containers[0].volumeMounts[0].name: Not found: \"nothere\"",
        ),
        // 310
        (
            pod("  containers:\n  - name: main\n    image: i\n    \
                 ports: [{containerPort: 70000}, {containerPort: 80, name: this_is_not_valid_port_name}]"),
            "Pod \"p\" is invalid: [spec.containers[0].ports[0].containerPort: Invalid value: 70000: \
             must be between 1 and 65535, inclusive, spec.containers[0].ports[1].name: Invalid value: \
             \"this_is_not_valid_port_name\": must be no more than 15 characters, \
             spec.containers[0].ports[1].name: Invalid value: \"this_is_not_valid_port_name\": \
             must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)]",
        ),
        (
            pod("  containers: []\n  restartPolicy: Sometimes"),
            "Pod \"p\" is invalid: [spec.containers: Required value, spec.restartPolicy: Unsupported value: \
             \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"]",
        ),
        (
            pod("  containers:\n  - {name: m, image: i, livenessProbe: {periodSeconds: -1}, \
                 env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nope}}}]}\n  \
                 volumes: [{name: v, emptyDir: {}, hostPath: {path: /../x}}]"),
            "Pod \"p\" is invalid: [spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type, \
             spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.nope\": \
             error converting fieldPath: field label not supported: spec.nope, \
             spec.containers[0].livenessProbe: Required value: must specify a handler type, \
             spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0]",
        ),
    ];
    for (yaml, expected) in cases {
        assert_eq!(refusal(&yaml), expected);
    }
}

#[test]
fn other_kinds_are_checked_too() {
    let cases = [
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: 1web}\nspec: {selector: {app: web}}\n",
            "Service \"1web\" is invalid: [metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of \
             lower case alphanumeric characters or '-', start with an alphabetic character, and end with an \
             alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
             '[a-z]([-a-z0-9]*[a-z0-9])?'), spec.ports: Required value]",
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: a}}\n  \
             template: {metadata: {labels: {app: b}}, spec: {containers: [{name: c, image: i}]}}\n",
            "Deployment.apps \"web\" is invalid: spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: \
             `selector` does not match template `labels`",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a/b: x}\n",
            "ConfigMap \"c\" is invalid: data[a/b]: Invalid value: \"a/b\": a valid config key must consist of \
             alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used \
             for validation is '[-._a-zA-Z0-9]+')",
        ),
        (
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {resources: {requests: {storage: 0}}}\n",
            "PersistentVolumeClaim \"c\" is invalid: [spec.accessModes: Required value: at least 1 access mode is \
             required, spec.resources.requests[storage]: Invalid value: \"0\": must be greater than zero]",
        ),
    ];
    for (yaml, expected) in cases {
        assert_eq!(refusal(yaml), expected);
    }
}

/// Golden 411 and the allowed changes.
#[test]
fn of_a_pod_only_images_and_a_few_numbers_change() {
    let stored = write(&pod("  containers:\n  - {name: a, image: 'a:1'}"), None).unwrap();
    let more = pod("  containers:\n  - {name: a, image: 'a:1'}\n  - {name: b, image: 'b:1'}");
    assert_eq!(
        write(&more, Some(&stored)).unwrap_err().to_string(),
        "Pod \"p\" is invalid: spec.containers: Forbidden: pod updates may not add or remove containers"
    );
    let image = pod("  activeDeadlineSeconds: 60\n  containers:\n  - {name: a, image: 'a:2'}");
    let mut changed =
        write(&image.replace("image: 'a:2'", "image: 'a:2', imagePullPolicy: IfNotPresent"), Some(&stored)).unwrap();
    assert_eq!(changed["spec"]["containers"][0]["image"], "a:2");
    changed["spec"]["activeDeadlineSeconds"] = 50.into();
    let later = image.replace("60", "61").replace("'a:2'", "'a:2', imagePullPolicy: IfNotPresent");
    assert_eq!(
        write(&later, Some(&changed)).unwrap_err().to_string(),
        "Pod \"p\" is invalid: spec.activeDeadlineSeconds: Invalid value: 61: must be less than or equal to previous \
         value"
    );
}

#[test]
fn other_objects_than_expected_are_told_apart() {
    let pods = Kind::from(registry::find("", "v1", "pods").unwrap());
    let refused = |body: &str| decode::request(&pods, body.as_bytes(), Format::Json).unwrap_err().to_string();
    assert_eq!(
        refused(r#"{"apiVersion":"v1","kind":"Namespace"}"#),
        "Namespace in version \"v1\" cannot be handled as a Pod: converting (v1.Namespace) to (core.Pod): \
         unknown conversion"
    );
    assert_eq!(
        refused(r#"{"apiVersion":"v1","kind":"Foo"}"#),
        "Foo in version \"v1\" cannot be handled as a Pod: no kind \"Foo\" is registered for version \"v1\" in scheme \
         \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
    );
    assert!(refused("hello").starts_with("the object provided is unrecognized (must be of type Pod): "));
    assert!(refused("hello").ends_with(" (68656c6c6f)"));
    let large = format!("{{\"kind\":\"{}\"}}", "x".repeat(decode::MAX_BODY_BYTES));
    assert_eq!(refused(&large), "Request entity too large: limit is 3145728");
    // Without kind and version the body is taken for what the path says.
    assert!(decode::request(&pods, b"{}", Format::Json).is_ok());
}
