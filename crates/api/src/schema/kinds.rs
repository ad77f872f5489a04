//! The schemas that k8s-openapi derives, gathered for every kind the registry has.

use k8s_openapi::api::{
    apps::v1 as apps, authentication::v1 as authentication, authorization::v1 as authorization,
    autoscaling::v1 as autoscaling, coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
    events::v1 as events, policy::v1 as policy, scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// Adds a type and all it refers to.
macro_rules! add {
    ($generator:expr, $($kind:ty),+ $(,)?) => { $($generator.subschema_for::<$kind>();)+ };
}

/// All schemas by name.
pub(super) fn components() -> Map<String, Value> {
    let mut generator: SchemaGenerator = SchemaSettings::openapi3().into_generator();
    add!(
        generator,
        core::ConfigMap,
        core::Endpoints,
        core::Event,
        core::LimitRange,
        core::Namespace,
        core::Node,
        core::PersistentVolume,
        core::PersistentVolumeClaim,
        core::Pod,
        core::PodTemplate,
        core::ResourceQuota,
        core::Secret,
        core::Service,
        core::ServiceAccount,
        apps::Deployment,
        apps::ReplicaSet,
        coordination::Lease,
        discovery::EndpointSlice,
        events::Event,
        scheduling::PriorityClass,
        storage::StorageClass,
    );
    add!(
        generator,
        core::Binding,
        autoscaling::Scale,
        policy::Eviction,
        authentication::SelfSubjectReview,
        authentication::TokenRequest,
        authentication::TokenReview,
        authorization::LocalSubjectAccessReview,
        authorization::SelfSubjectAccessReview,
        authorization::SelfSubjectRulesReview,
        authorization::SubjectAccessReview,
        meta::APIGroup,
        meta::APIGroupList,
        meta::APIResourceList,
        meta::DeleteOptions,
        meta::ListMeta,
        meta::Status,
    );
    let mut components = generator.take_definitions(true);
    components.extend(metrics());
    for name in LISTED {
        components.insert(format!("{name}List"), list(name));
    }
    for (name, schema) in &mut components {
        correct(name, schema);
    }
    components
}

/// k8s-openapi calls fields required that its own types always have; the real documents do not.
fn correct(name: &str, schema: &mut Value) {
    let go_name = super::go_name(name);
    let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) else { return };
    required.retain(|field| {
        let field = field.as_str().unwrap_or_default();
        field != "metadata" && !OPTIONAL.contains(&format!("{go_name}.{field}").as_str())
    });
}

/// Required for k8s-openapi, optional for Kubernetes.
const OPTIONAL: &[&str] = &[
    "ConfigMapEnvSource.name",
    "ConfigMapKeySelector.name",
    "ConfigMapProjection.name",
    "ConfigMapVolumeSource.name",
    "LocalObjectReference.name",
    "SecretEnvSource.name",
    "SecretKeySelector.name",
    "SecretProjection.name",
];

/// Kinds that come in lists, whose schemas k8s-openapi does not derive.
const LISTED: &[&str] = &[
    "io.k8s.api.apps.v1.Deployment",
    "io.k8s.api.apps.v1.ReplicaSet",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Endpoints",
    "io.k8s.api.core.v1.Event",
    "io.k8s.api.core.v1.LimitRange",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Node",
    "io.k8s.api.core.v1.PersistentVolume",
    "io.k8s.api.core.v1.PersistentVolumeClaim",
    "io.k8s.api.core.v1.Pod",
    "io.k8s.api.core.v1.PodTemplate",
    "io.k8s.api.core.v1.ResourceQuota",
    "io.k8s.api.core.v1.Secret",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.events.v1.Event",
    "io.k8s.api.scheduling.v1.PriorityClass",
    "io.k8s.api.storage.v1.StorageClass",
    "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics",
    "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics",
];

/// The list of a kind.
fn list(item: &str) -> Value {
    let text = json!({"type": "string"});
    json!({
        "description": format!("{}List is a list of {0}.", super::go_name(item)),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": text,
            "kind": text,
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{item}")}},
            "metadata": {"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"}]},
        },
    })
}

/// The kinds of metrics.k8s.io, which is no part of Kubernetes proper, so k8s-openapi does not have them.
fn metrics() -> Map<String, Value> {
    const PACKAGE: &str = "io.k8s.metrics.pkg.apis.metrics.v1beta1";
    let reference = |name: &str| json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]});
    let items = |name: &str| json!({"type": "array", "items": {"$ref": format!("#/components/schemas/{name}")}});
    let text = json!({"type": "string"});
    let meta = reference("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let usage = json!({
        "type": "object",
        "additionalProperties": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"},
    });
    // The window is a Go duration: a string such as 30s.
    let sample = |extra: (&str, Value)| {
        json!({
            "type": "object",
            "required": ["timestamp", "window", extra.0],
            "properties": {
                "apiVersion": text, "kind": text, "metadata": meta,
                "timestamp": reference("io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
                "window": text, extra.0: extra.1,
            },
        })
    };
    let mut schemas = Map::new();
    schemas.insert(
        format!("{PACKAGE}.ContainerMetrics"),
        json!({"type": "object", "required": ["name", "usage"], "properties": {"name": text, "usage": usage}}),
    );
    schemas.insert(format!("{PACKAGE}.NodeMetrics"), sample(("usage", usage)));
    schemas
        .insert(format!("{PACKAGE}.PodMetrics"), sample(("containers", items(&format!("{PACKAGE}.ContainerMetrics")))));
    schemas
}
