//! Bodies: YAML, JSON and protobuf, and all that an object goes through after them.

use podlab_api::decode::{self, Format, Kind, MAX_VALUES};
use podlab_api::registry;
use serde_json::Value;

/// Our own manifests: every kind of object the labs use.
const MANIFESTS: &[&str] = &[
    include_str!("../../seeds/pod.yaml"),
    include_str!("../../seeds/kinds.yaml"),
    include_str!("../../seeds/scalars.yaml"),
];

/// The documents of the seeds.
pub(crate) fn manifests() -> Vec<Value> {
    MANIFESTS.iter().flat_map(|text| decode::documents(text).unwrap()).collect()
}

pub(crate) fn yaml_seeds() -> Vec<Vec<u8>> {
    MANIFESTS.iter().flat_map(|text| text.split("---\n")).map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    manifests().iter().map(|manifest| manifest.to_string().into_bytes()).collect()
}

pub(crate) fn yaml(bytes: &[u8]) {
    body(bytes, Format::Yaml);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(documents) = decode::documents(text)
    {
        assert!(documents.iter().map(values).sum::<usize>() <= MAX_VALUES);
    }
}

pub(crate) fn json(bytes: &[u8]) {
    body(bytes, Format::Json);
}

pub(crate) fn protobuf(bytes: &[u8]) {
    body(bytes, Format::Protobuf);
}

/// How many values there are in a value.
fn values(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(values).sum(),
        Value::Object(fields) => fields.values().map(values).sum(),
        _ => 0,
    }
}

fn body(bytes: &[u8], format: Format) {
    let Ok(parsed) = decode::parse(bytes, format) else { return };
    assert!(values(&parsed.value) <= MAX_VALUES);
    // What was read can be written, and is the same when it is read again.
    let written = parsed.value.to_string();
    let again = decode::parse(written.as_bytes(), Format::Json).unwrap();
    // JSON has one number where floating point has many.
    assert_eq!(again.value.to_string(), written);
    let text = |key: &str| parsed.value[key].as_str().unwrap_or_default();
    let (group, version) = registry::split_api_version(text("apiVersion"));
    let Some(resource) = registry::find_kind(group, version, text("kind")) else { return };
    let Ok(decoded) = decode::check(&Kind::from(resource), parsed.value.clone(), bytes) else { return };
    // The way of a write: filled in, prepared, judged, shown.
    let mut object = decoded.object;
    (resource.default)(&mut object);
    (resource.prepare)(&mut object, None, None);
    for error in (resource.validate)(&object, None, None) {
        assert!(!error.to_string().is_empty());
    }
    assert_eq!((resource.row)(&object, jiff::Timestamp::UNIX_EPOCH).len(), resource.columns.len());
    assert!(decode::typed(resource.schema, object).is_ok());
}

/// Written field by field: a manifest's own protobuf is nothing that this project writes.
pub(crate) fn protobuf_seeds() -> Vec<Vec<u8>> {
    let field = |number: u8, bytes: &[u8]| -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        let head = if length < 0x80 { vec![length] } else { vec![length, 1] };
        [vec![number << 3 | 2], head, bytes.to_vec()].concat()
    };
    let envelope = |api_version: &str, kind: &str, raw: &[u8]| {
        let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [b"k8s\0".to_vec(), field(1, &meta), field(2, raw)].concat()
    };
    let metadata = field(1, &[field(1, b"web"), field(11, &[field(1, b"app"), field(2, b"web")].concat())].concat());
    // Container: name, image, ports (a number), resources (a map of quantities).
    let quantity = field(2, &field(1, &[field(1, b"cpu"), field(2, &field(1, b"100m"))].concat()));
    let container = [field(1, b"c"), field(2, b"i"), field(6, &[0x18, 0x50]), field(8, &quantity)].concat();
    let spec = field(2, &field(2, &container));
    vec![
        envelope("v1", "Pod", &[metadata.clone(), spec].concat()),
        envelope("v1", "Namespace", &metadata),
        envelope("v1", "ConfigMap", &[metadata.clone(), field(2, &[field(1, b"a"), field(2, b"b")].concat())].concat()),
        envelope("v1", "Secret", &[metadata.clone(), field(2, &[field(1, b"a"), field(2, b"b")].concat())].concat()),
        envelope("apps/v1", "Deployment", &[metadata, field(2, &[0x08, 3])].concat()),
        envelope("v1", "DeleteOptions", &[0x08, 1]),
    ]
}
