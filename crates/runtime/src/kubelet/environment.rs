//! The environment of a container: services, ConfigMaps, Secrets, fields, and `$(NAME)`.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret, Service};
use podlab_client::Client;

use super::fields;
use crate::backend::NodeFacts;

/// Why a container cannot be configured; becomes the message of `CreateContainerConfigError`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{kind} \"{name}\" not found")]
    NotFound { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoSuchKey { kind: &'static str, namespace: String, name: String, key: String },
    #[error("unsupported field reference \"{0}\"")]
    NoSuchField(String),
    #[error("{0}")]
    Api(#[from] podlab_client::Error),
}

/// What an environment is made from.
pub struct Source<'a> {
    pub client: &'a Client,
    pub pod: &'a Pod,
    pub address: &'a str,
    pub node: &'a NodeFacts,
    /// Those of the Pod's namespace, and `kubernetes` of `default`.
    pub services: &'a [Service],
}

/// Everything that `env` and `envFrom` say, with references resolved and `$(NAME)` replaced, in order.
///
/// # Errors
/// [`ConfigError`] for what is not there and not optional.
pub async fn environment(source: &Source<'_>, container: &Container) -> Result<Vec<(String, String)>, ConfigError> {
    let mut known = Ordered::default();
    for (name, value) in service_variables(source.pod, source.services) {
        known.set(name, value);
    }
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let mut values = BTreeMap::new();
        if let Some(reference) = &from.config_map_ref {
            let map = config_map(source, &reference.name, reference.optional.unwrap_or(false)).await?;
            values = map.and_then(|map| map.data).unwrap_or_default();
        } else if let Some(reference) = &from.secret_ref {
            let secret = secret(source, &reference.name, reference.optional.unwrap_or(false)).await?;
            values = secret.and_then(|secret| secret.data).unwrap_or_default().into_iter().map(text).collect();
        }
        for (name, value) in values {
            known.set(format!("{prefix}{name}"), value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(from)) => value_from(source, container, from).await?,
            (Some(value), None) => Some(expand(value, |name| known.get(name))),
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            known.set(variable.name.clone(), value);
        }
    }
    Ok(known.entries)
}

fn text((name, value): (String, ByteString)) -> (String, String) {
    (name, String::from_utf8_lossy(&value.0).into_owned())
}

/// `None` for an optional reference to what is not there.
async fn value_from(
    source: &Source<'_>,
    container: &Container,
    from: &EnvVarSource,
) -> Result<Option<String>, ConfigError> {
    let namespace = source.pod.metadata.namespace.clone().unwrap_or_default();
    if let Some(reference) = &from.field_ref {
        let value = fields::field(source.pod, &reference.field_path, source.address, source.node);
        return value.map(Some).ok_or_else(|| ConfigError::NoSuchField(reference.field_path.clone()));
    }
    if let Some(selector) = &from.resource_field_ref {
        let value = fields::resource(source.pod, container, selector, source.node);
        return value.map(Some).ok_or_else(|| ConfigError::NoSuchField(selector.resource.clone()));
    }
    let (kind, reference_name, key, optional, found) = if let Some(reference) = &from.config_map_key_ref {
        let optional = reference.optional.unwrap_or(false);
        let map = config_map(source, &reference.name, optional).await?;
        let found = map.and_then(|map| map.data).and_then(|mut data| data.remove(&reference.key));
        ("ConfigMap", &reference.name, &reference.key, optional, found)
    } else if let Some(reference) = &from.secret_key_ref {
        let optional = reference.optional.unwrap_or(false);
        let secret = secret(source, &reference.name, optional).await?;
        let found = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(&reference.key));
        let found = found.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        ("Secret", &reference.name, &reference.key, optional, found)
    } else {
        return Ok(None);
    };
    if found.is_none() && !optional {
        return Err(ConfigError::NoSuchKey { kind, namespace, name: reference_name.clone(), key: key.clone() });
    }
    Ok(found)
}

async fn config_map(source: &Source<'_>, name: &str, optional: bool) -> Result<Option<ConfigMap>, ConfigError> {
    found("configmap", name, optional, source.client.get(source.pod.metadata.namespace.as_deref(), name).await)
}

async fn secret(source: &Source<'_>, name: &str, optional: bool) -> Result<Option<Secret>, ConfigError> {
    found("secret", name, optional, source.client.get(source.pod.metadata.namespace.as_deref(), name).await)
}

fn found<K>(
    kind: &'static str,
    name: &str,
    optional: bool,
    answer: Result<K, podlab_client::Error>,
) -> Result<Option<K>, ConfigError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() && optional => Ok(None),
        Err(error) if error.is_not_found() => Err(ConfigError::NotFound { kind, name: name.to_owned() }),
        Err(error) => Err(error.into()),
    }
}

/// Variables in the order they were first set; setting one again changes it where it stands.
#[derive(Default)]
struct Ordered {
    entries: Vec<(String, String)>,
}

impl Ordered {
    fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: String, value: String) {
        match self.entries.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name, value)),
        }
    }
}

/// Replaces `$(NAME)` by its value; `$$` is a dollar sign, and a name that is not known stays as it is written
/// (third_party/forked/golang/expansion).
pub fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        expanded.push_str(&rest[..position]);
        let after = &rest[position + 1..];
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|name| name.split_once(')')) {
            match lookup(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    expanded
}

/// The variables by which a Pod finds the services that were there before it (pkg/kubelet/envvars/envvars.go).
pub fn service_variables(pod: &Pod, services: &[Service]) -> Vec<(String, String)> {
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let mut variables = Vec::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let of_default = service.metadata.namespace.as_deref() == Some("default");
        let is_api = name == "kubernetes" && of_default;
        if !is_api && (!links || service.metadata.namespace != pod.metadata.namespace) {
            continue;
        }
        let Some(spec) = &service.spec else { continue };
        let Some(address) = spec.cluster_ip.as_deref().filter(|address| !address.is_empty() && *address != "None")
        else {
            continue;
        };
        let prefix = name.to_uppercase().replace('-', "_");
        let ports = spec.ports.as_deref().unwrap_or_default();
        let Some(first) = ports.first() else { continue };
        let mut set = |suffix: String, value: String| variables.push((format!("{prefix}_{suffix}"), value));
        set("SERVICE_HOST".to_owned(), address.to_owned());
        set("SERVICE_PORT".to_owned(), first.port.to_string());
        for port in ports {
            if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                set(format!("SERVICE_PORT_{}", name.to_uppercase().replace('-', "_")), port.port.to_string());
            }
        }
        for (index, port) in ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let url = format!("{}://{address}:{}", protocol.to_lowercase(), port.port);
            if index == 0 {
                set("PORT".to_owned(), url.clone());
            }
            let base = format!("PORT_{}_{protocol}", port.port);
            set(base.clone(), url);
            set(format!("{base}_PROTO"), protocol.to_lowercase());
            set(format!("{base}_PORT"), port.port.to_string());
            set(format!("{base}_ADDR"), address.to_owned());
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion_follows_the_upstream_rules() {
        let lookup = |name: &str| (name == "A").then_some("1");
        let cases = [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(B)", "$(B)"),
            ("$A", "$A"),
            ("$(A", "$(A"),
            ("$", "$"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }

    #[test]
    fn the_apis_service_is_always_told() {
        let service: Service = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
        }))
        .unwrap();
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"namespace": "team-a"}, "spec": {"containers": [], "enableServiceLinks": false},
        }))
        .unwrap();
        let mut lines: Vec<String> =
            service_variables(&pod, &[service]).iter().map(|(name, value)| format!("{name}={value}")).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "KUBERNETES_PORT=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1",
                "KUBERNETES_PORT_443_TCP_PORT=443",
                "KUBERNETES_PORT_443_TCP_PROTO=tcp",
                "KUBERNETES_SERVICE_HOST=10.96.0.1",
                "KUBERNETES_SERVICE_PORT=443",
                "KUBERNETES_SERVICE_PORT_HTTPS=443",
            ]
        );
    }
}
