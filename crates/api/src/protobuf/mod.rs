//! Protobuf bodies, as kubectl sends them since 1.32 for what it makes itself (`create namespace`, `auth can-i`).
//!
//! One decoder for all kinds: `fields.txt` tells the number of each field (source: the generated.proto files of
//! k8s.io/api 1.32), the schemas tell its type. The result is the JSON value that the same object would have been, and
//! goes through the same strict decoding.

mod message;
mod wire;

use serde_json::Value;

use crate::registry;
use wire::{Payload, Reader};

/// What every protobuf body begins with: `k8s` and a zero.
const MAGIC: &[u8] = b"k8s\0";

/// A body that is no protobuf of a known kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: illegal wireType {0}")]
    WireType(u64),
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: wrong wireType = {found} for field {field}")]
    Mismatch { field: String, found: &'static str },
    #[error("proto: {field} is not valid UTF-8")]
    Utf8 { field: String },
    #[error("proto: messages are nested too deeply")]
    Depth,
    #[error("proto: {}", crate::decode::TOO_MANY_VALUES)]
    Values,
    #[error(
        "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
    )]
    Kind { api_version: String, kind: String },
    #[error("proto: {field} is not valid JSON")]
    Json { field: String },
}

/// Reads the envelope and the object in it.
///
/// # Errors
/// [`ProtobufError`], whatever the bytes are; nothing panics, and no more is allocated than so many values take.
pub fn decode(body: &[u8]) -> Result<Value, ProtobufError> {
    let body = body.strip_prefix(MAGIC).ok_or(ProtobufError::NoMagic)?;
    // runtime.Unknown: typeMeta = 1 (apiVersion = 1, kind = 2), raw = 2.
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Reader::new(body) {
        match field? {
            (1, Payload::Bytes(meta)) => {
                for field in Reader::new(meta) {
                    match field? {
                        (1, Payload::Bytes(text)) => api_version = utf8(text, "apiVersion")?,
                        (2, Payload::Bytes(text)) => kind = utf8(text, "kind")?,
                        _ => {}
                    }
                }
            }
            (2, Payload::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let Some(schema) = schema_of(&api_version, &kind) else {
        return Err(ProtobufError::Kind { api_version, kind });
    };
    let mut object = message::decode(schema, raw)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

fn utf8(bytes: &[u8], field: &str) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Utf8 { field: field.to_owned() })
}

/// The schema of a kind: a resource's, a subresource's, or that of the options of a request.
fn schema_of(api_version: &str, kind: &str) -> Option<&'static str> {
    if kind == "DeleteOptions" {
        return Some("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    }
    let (group, version) = registry::split_api_version(api_version);
    if let Some(resource) = registry::find_kind(group, version, kind) {
        return Some(resource.schema);
    }
    registry::all().iter().find_map(|resource| {
        let named = |part: &&registry::Subresource| part.group == group && part.version == version && part.kind == kind;
        resource.subresources.iter().find(named).map(|part| part.schema(resource))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap()).collect()
    }

    /// Bodies that kubectl 1.32 sent, and what they say after strict decoding.
    #[test]
    fn kubectls_own_bodies_are_understood() {
        let cases = [
            (
                "6b3873000a0f0a02763112094e616d657370616365121e0a160a067465616d2d6112001a0022002a0032003800420012001a020a001a002200",
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a", "creationTimestamp": null}, "spec": {}, "status": {}}),
            ),
            (
                "6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a016312001a0022002a0032003800420012060a01611201621a002200",
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "creationTimestamp": null}, "data": {"a": "b"}}),
            ),
            (
                "6b3873000a0c0a0276311206536563726574121d0a110a017312001a0022002a0032003800420012060a01701201711a001a002200",
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "creationTimestamp": null}, "data": {"p": "cQ=="}}),
            ),
            (
                "6b3873000a140a027631120e536572766963654163636f756e7412140a120a02736112001a0022002a003200380042001a002200",
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa", "creationTimestamp": null}}),
            ),
            (
                "6b3873000a150a07617070732f7631120a4465706c6f796d656e7412b8010a1f0a0377656212001a0022002a003200380042005a0a0a0361707012037765621286010802120c0a0a0a0361707012037765621a6c0a1c0a0012001a0022002a003200380042005a0a0a036170701203776562124c122e0a056e67696e7812056e67696e782a00320a0a001000185022002a0042006a007200800100880100900100a201001a00320042004a0052005800600068008201008a01009a0100c2010022020a00280038001a0c0800100018002000280038001a002200",
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "creationTimestamp": null, "labels": {"app": "web"}}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "strategy": {}, "template": {"metadata": {"creationTimestamp": null, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}], "resources": {}}]}}}, "status": {}}),
            ),
            (
                "6b3873000a280a1861757468656e7469636174696f6e2e6b38732e696f2f7631120c546f6b656e52657175657374121d0a100a0012001a0022002a00320038004200120320d8041a040a0012001a002200",
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {"creationTimestamp": null}, "spec": {"audiences": null, "boundObjectRef": null, "expirationSeconds": 600}, "status": {"expirationTimestamp": null, "token": ""}}),
            ),
            (
                "6b3873000a0d0a02763112075365727669636512690a1f0a0377656212001a0022002a003200380042005a0a0a03617070120377656212420a1b0a0738302d38303830120354435018502207080010903f1a002800120a0a0361707012037765621a002209436c757374657249503a00420052005a00600068001a020a001a002200",
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "creationTimestamp": null, "labels": {"app": "web"}}, "spec": {"ports": [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}], "selector": {"app": "web"}, "type": "ClusterIP"}, "status": {"loadBalancer": {}}}),
            ),
            (
                "6b3873000a130a027631120d5265736f7572636551756f746112330a110a017112001a0022002a00320038004200121c0a0d0a0363707512060a043530306d0a0b0a04706f647312030a01311a001a002200",
                json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "creationTimestamp": null}, "spec": {"hard": {"cpu": "500m", "pods": "1"}}, "status": {}}),
            ),
        ];
        for (hex, expected) in cases {
            let value = decode(&bytes(hex)).unwrap();
            let schema = schema_of(value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap()).unwrap();
            let decoded = crate::decode::typed(schema, value).unwrap();
            assert_eq!(decoded.findings, Vec::<String>::new());
            assert_eq!(decoded.object, expected);
        }
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_refused() {
        assert_eq!(decode(b"{}"), Err(ProtobufError::NoMagic));
        assert_eq!(decode(b"k8s\0\x0a\x50"), Err(ProtobufError::Truncated));
        assert!(matches!(decode(b"k8s\0"), Err(ProtobufError::Kind { .. })));
        assert_eq!(decode(b"k8s\0\x0b"), Err(ProtobufError::WireType(3)));
        // Two bytes a container: a Pod of a hundred thousand of them.
        let mut spec = [0x12, 0].repeat(100_000);
        let length =
            |bytes: usize| [(bytes & 0x7f | 0x80) as u8, (bytes >> 7 & 0x7f | 0x80) as u8, (bytes >> 14) as u8];
        spec.splice(0..0, length(spec.len())).for_each(drop);
        spec.insert(0, 0x12);
        let mut body = bytes("6b3873000a090a0276311203506f64");
        body.push(0x12);
        body.extend(length(spec.len()));
        body.extend(spec);
        assert_eq!(decode(&body), Err(ProtobufError::Values));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            // The head of a Pod's envelope, then anything.
            let mut body = bytes("6b3873000a090a02763112 03506f6412".replace(' ', "").as_str());
            body.push(u8::try_from(tail.len()).unwrap_or(127) & 0x7f);
            body.extend(&tail);
            let _ = decode(&body);
            let _ = decode(&tail);
        }
    }
}
