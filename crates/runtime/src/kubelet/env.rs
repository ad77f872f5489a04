//! The environment of a container, and `$(NAME)` in its values, command, arguments and sub-paths.
//!
//! What the kubelet's makeEnvironmentVariables does (pkg/kubelet/kubelet_pods.go): `envFrom` first, then `env` in its
//! order, each value able to refer to those before it; Services last, where nothing else has their names.

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod, Service};

use super::fields::{self, Around};
use super::sources::Sources;

/// An environment in order; a name that is set again keeps its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// The variables in order.
    #[must_use]
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Replaces `$(NAME)` by values; `$$` is a dollar sign, and what is not known stays as it is written
    /// (third_party/forked/golang/expansion).
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        expand(text, |name| self.get(name).map(str::to_owned))
    }
}

fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            result.push_str(&value(name).unwrap_or_else(|| format!("$({name})")));
            rest = after;
        } else {
            result.push('$');
        }
    }
    result + rest
}

/// The environment of a container. The error is the message of `CreateContainerConfigError`.
///
/// # Errors
/// A ConfigMap, Secret, key or field that is not there and not optional.
pub fn environment(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    around: &Around,
) -> Result<Environment, String> {
    let mut services = Environment::default();
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for service in &sources.services {
        let metadata = &service.metadata;
        let is_master =
            metadata.name.as_deref() == Some("kubernetes") && metadata.namespace.as_deref() == Some("default");
        if is_master || (links && metadata.namespace.as_deref() == Some(namespace)) {
            service_variables(service, &mut services);
        }
    }

    let mut result = Environment::default();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &from.config_map_ref {
            match sources.config_map(&reference.name) {
                Some(map) => {
                    for (key, value) in map.data.iter().flatten() {
                        result.set(&format!("{prefix}{key}"), value.clone());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(format!("configmap \"{}\" not found", reference.name)),
            }
        }
        if let Some(reference) = &from.secret_ref {
            match sources.secret(&reference.name) {
                Some(secret) => {
                    for (key, value) in secret.data.iter().flatten() {
                        result.set(&format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(format!("secret \"{}\" not found", reference.name)),
            }
        }
    }

    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) if !value.is_empty() => {
                let known = |name: &str| result.get(name).or_else(|| services.get(name)).map(str::to_owned);
                Some(expand(value, known))
            }
            (_, Some(from)) => value_from(pod, container, from, sources, around)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            result.set(&variable.name, value);
        }
    }

    for (name, value) in services.0 {
        if result.get(&name).is_none() {
            result.set(&name, value);
        }
    }
    Ok(result)
}

/// The value that a variable takes from somewhere else; `None` when that is optional and not there.
fn value_from(
    pod: &Pod,
    container: &Container,
    from: &EnvVarSource,
    sources: &Sources,
    around: &Around,
) -> Result<Option<String>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(selector) = &from.field_ref {
        let path = &selector.field_path;
        return fields::field(pod, path, around).map(Some).ok_or_else(|| format!("unsupported fieldPath: {path}"));
    }
    if let Some(selector) = &from.resource_field_ref {
        let value = fields::resource(pod, &container.name, selector, around);
        return value.map(Some).ok_or_else(|| format!("unsupported container resource : {}", selector.resource));
    }
    if let Some(selector) = &from.config_map_key_ref {
        let optional = selector.optional == Some(true);
        let (name, key) = (&selector.name, &selector.key);
        let Some(map) = sources.config_map(name) else {
            return absent(optional, || format!("configmap \"{name}\" not found"));
        };
        return match map.data.as_ref().and_then(|data| data.get(key)) {
            Some(value) => Ok(Some(value.clone())),
            None => absent(optional, || format!("couldn't find key {key} in ConfigMap {namespace}/{name}")),
        };
    }
    if let Some(selector) = &from.secret_key_ref {
        let optional = selector.optional == Some(true);
        let (name, key) = (&selector.name, &selector.key);
        let Some(secret) = sources.secret(name) else {
            return absent(optional, || format!("secret \"{name}\" not found"));
        };
        return match secret.data.as_ref().and_then(|data| data.get(key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None => absent(optional, || format!("couldn't find key {key} in Secret {namespace}/{name}")),
        };
    }
    Ok(Some(String::new()))
}

fn absent(optional: bool, message: impl FnOnce() -> String) -> Result<Option<String>, String> {
    if optional { Ok(None) } else { Err(message()) }
}

/// `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT…`, and the older variables that Docker's links had
/// (pkg/kubelet/envvars/envvars.go).
fn service_variables(service: &Service, into: &mut Environment) {
    let Some(spec) = &service.spec else { return };
    let Some(ip) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    let upper = |text: &str| text.to_uppercase().replace('-', "_");
    let name = upper(service.metadata.name.as_deref().unwrap_or_default());
    let protocol = |port: &k8s_openapi::api::core::v1::ServicePort| port.protocol.clone().unwrap_or("TCP".to_owned());

    into.set(&format!("{name}_SERVICE_HOST"), ip.to_owned());
    into.set(&format!("{name}_SERVICE_PORT"), first.port.to_string());
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            into.set(&format!("{name}_SERVICE_PORT_{}", upper(port_name)), port.port.to_string());
        }
    }
    let url = |port: &k8s_openapi::api::core::v1::ServicePort| {
        format!("{}://{ip}:{}", protocol(port).to_lowercase(), port.port)
    };
    into.set(&format!("{name}_PORT"), url(first));
    for port in ports {
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol(port).to_uppercase());
        into.set(&prefix, url(port));
        into.set(&format!("{prefix}_PROTO"), protocol(port).to_lowercase());
        into.set(&format!("{prefix}_PORT"), port.port.to_string());
        into.set(&format!("{prefix}_ADDR"), ip.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn pod(container: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "envpod", "namespace": "default"},
            "spec": {"containers": [container]},
        }))
        .unwrap()
    }

    fn build(container: serde_json::Value, sources: &Sources) -> Result<Vec<String>, String> {
        let pod = pod(container);
        let around = Around { pod_ip: "10.244.0.24".into(), ..Around::default() };
        let environment = environment(&pod, &pod.spec.as_ref().unwrap().containers[0], sources, &around)?;
        Ok(environment.into_pairs().into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn dollars_and_parentheses() {
        let environment = Environment(vec![("A".into(), "1".into())]);
        for (text, expanded) in
            [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("$(A", "$(A"), ("a$$$(A)", "a$1")]
        {
            assert_eq!(environment.expand(text), expanded, "{text}");
        }
    }

    /// golden 241: what `env` printed in the Pod of env.yaml, less what the shell and the image add.
    #[test]
    fn the_golden_pod_has_the_golden_environment() {
        let kubernetes: Service = serde_json::from_value(json!({
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]},
        }))
        .unwrap();
        let sources = Sources { services: vec![Arc::new(kubernetes)], ..Sources::default() };
        let mut lines = build(
            json!({"name": "main", "resources": {"limits": {"cpu": "500m"}}, "env": [
                {"name": "PLAIN", "value": "hello"},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            ]}),
            &sources,
        )
        .unwrap();
        lines.sort();
        assert_eq!(
            lines,
            [
                "CPU=1",
                "KUBERNETES_PORT=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1",
                "KUBERNETES_PORT_443_TCP_PORT=443",
                "KUBERNETES_PORT_443_TCP_PROTO=tcp",
                "KUBERNETES_SERVICE_HOST=10.96.0.1",
                "KUBERNETES_SERVICE_PORT=443",
                "KUBERNETES_SERVICE_PORT_HTTPS=443",
                "PLAIN=hello",
                "POD_IP=10.244.0.24",
                "POD_NAME=envpod",
            ]
        );
    }

    #[test]
    fn later_values_refer_to_earlier_ones_and_maps_come_first() {
        let map = serde_json::from_value(json!({"data": {"A": "map", "B": "map"}})).unwrap();
        let mut sources = Sources::default();
        sources.config_maps.insert("m".into(), Some(map));
        let lines = build(
            json!({"name": "c",
                "envFrom": [{"configMapRef": {"name": "m"}, "prefix": "P_"}, {"configMapRef": {"name": "m"}}],
                "env": [{"name": "B", "value": "own"}, {"name": "C", "value": "$(A)/$(B)/$(D)"}, {"name": "D", "value": "x"}]}),
            &sources,
        );
        assert_eq!(lines.unwrap(), ["P_A=map", "P_B=map", "A=map", "B=own", "C=map/own/$(D)", "D=x"]);
    }

    #[test]
    fn what_is_missing_is_named_unless_it_is_optional() {
        let key = |optional| {
            json!({"name": "c", "env": [{"name": "A", "valueFrom": {
                "secretKeyRef": {"name": "s", "key": "k", "optional": optional}}}]})
        };
        assert_eq!(build(key(false), &Sources::default()).unwrap_err(), "secret \"s\" not found");
        assert_eq!(build(key(true), &Sources::default()).unwrap(), [""; 0]);
        let mut sources = Sources::default();
        sources.secrets.insert("s".into(), Some(Default::default()));
        assert_eq!(build(key(false), &sources).unwrap_err(), "couldn't find key k in Secret default/s");
    }
}
