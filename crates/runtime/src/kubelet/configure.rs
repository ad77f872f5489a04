//! From a Pod's specification to what the backend is asked for.

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

use super::environment::{ConfigError, Source, environment, expand};
use super::{resources, spec};
use crate::backend::{ContainerConfig, HostAlias, Image, Mount, PodConfig, Propagation, Seccomp, Security};

/// Where the cluster's names are asked for, when it has somebody to ask.
const CLUSTER_DNS: &str = "10.96.0.10";
const CLUSTER_DOMAIN: &str = "cluster.local";

/// What the Pod's namespaces are made from. `node_resolv_conf` is the node's own, for Pods that want it.
pub fn pod_config(pod: &Pod, node_resolv_conf: &str) -> PodConfig {
    let metadata = &pod.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let sysctls = spec
        .security_context
        .iter()
        .flat_map(|context| context.sysctls.iter().flatten())
        .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
        .collect();
    let host_aliases = spec
        .host_aliases
        .iter()
        .flatten()
        .map(|alias| HostAlias { ip: alias.ip.clone(), hostnames: alias.hostnames.clone().unwrap_or_default() })
        .collect();
    PodConfig {
        uid: metadata.uid.clone().unwrap_or_default(),
        hostname: hostname(spec.hostname.as_deref().filter(|hostname| !hostname.is_empty()).unwrap_or(&name)),
        host_network: spec.host_network.unwrap_or(false),
        share_process_namespace: spec.share_process_namespace.unwrap_or(false),
        sysctls,
        qos: resources::qos(pod),
        resources: resources::of_pod(pod),
        host_aliases,
        resolv_conf: resolv_conf(pod, &namespace, node_resolv_conf),
        namespace,
        name,
    }
}

/// The kernel's limit is 64 characters; a longer name loses its end (truncatePodHostnameIfNeeded).
fn hostname(name: &str) -> String {
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// The text of `/etc/resolv.conf` (pkg/kubelet/network/dns/dns.go).
fn resolv_conf(pod: &Pod, namespace: &str, node: &str) -> String {
    let spec = pod.spec.as_ref();
    let host_network = spec.and_then(|spec| spec.host_network).unwrap_or(false);
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let mut servers = Vec::new();
    let mut searches = Vec::new();
    let mut options = Vec::new();
    match policy {
        "None" => {}
        "Default" => return with_config(pod, node),
        "ClusterFirst" if host_network => return with_config(pod, node),
        _ => {
            servers.push(CLUSTER_DNS.to_owned());
            searches.push(format!("{namespace}.svc.{CLUSTER_DOMAIN}"));
            searches.push(format!("svc.{CLUSTER_DOMAIN}"));
            searches.push(CLUSTER_DOMAIN.to_owned());
            options.push("ndots:5".to_owned());
        }
    }
    let mut text = String::new();
    if let Some(config) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        servers.extend(config.nameservers.iter().flatten().cloned());
        searches.extend(config.searches.iter().flatten().cloned());
        options.extend(config.options.iter().flatten().map(option));
    }
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

fn option(option: &k8s_openapi::api::core::v1::PodDNSConfigOption) -> String {
    let name = option.name.clone().unwrap_or_default();
    match &option.value {
        Some(value) => format!("{name}:{value}"),
        None => name,
    }
}

/// The node's own text, and what the Pod adds to it.
fn with_config(pod: &Pod, node: &str) -> String {
    let mut text = node.to_owned();
    let config = pod.spec.as_ref().and_then(|spec| spec.dns_config.as_ref());
    for server in config.iter().flat_map(|config| config.nameservers.iter().flatten()) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

/// What a container is started from.
///
/// # Errors
/// [`ConfigError`] for references to what is not there.
pub async fn container_config(
    source: &Source<'_>,
    container: &Container,
    attempt: u32,
    image: &Image,
) -> Result<ContainerConfig, ConfigError> {
    let pod = source.pod;
    let env = environment(source, container).await?;
    let known = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let expanded = |words: Option<&Vec<String>>| -> Vec<String> {
        words.into_iter().flatten().map(|word| expand(word, known)).collect()
    };
    let mounts = container.volume_mounts.iter().flatten().map(|mount| {
        let sub_path = match &mount.sub_path_expr {
            Some(expression) => expand(expression, known),
            None => mount.sub_path.clone().unwrap_or_default(),
        };
        Mount {
            volume: mount.name.clone(),
            path: mount.mount_path.clone(),
            sub_path,
            read_only: mount.read_only.unwrap_or(false),
            recursive_read_only: matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible")),
            propagation: match mount.mount_propagation.as_deref() {
                Some("HostToContainer") => Propagation::HostToContainer,
                Some("Bidirectional") => Propagation::Bidirectional,
                _ => Propagation::None,
            },
        }
    });
    Ok(ContainerConfig {
        name: container.name.clone(),
        attempt,
        image_id: image.id.clone(),
        command: expanded(container.command.as_ref()),
        args: expanded(container.args.as_ref()),
        working_dir: container.working_dir.clone().unwrap_or_default(),
        mounts: mounts.collect(),
        security: security(pod, container),
        resources: resources::of_container(pod, container, source.node.memory),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        termination_message_path: container
            .termination_message_path
            .clone()
            .unwrap_or_else(|| "/dev/termination-log".to_owned()),
        env,
    })
}

/// The container's security context over the Pod's.
fn security(pod: &Pod, container: &Container) -> Security {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let own: SecurityContext = container.security_context.clone().unwrap_or_default();
    let PodSecurityContext { run_as_user, run_as_group, run_as_non_root, fs_group, supplemental_groups, .. } = &of_pod;
    let id = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let profile = own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let privileged = own.privileged.unwrap_or(false);
    let mut groups: Vec<u32> = supplemental_groups.iter().flatten().filter_map(|group| id(Some(*group))).collect();
    groups.extend(id(*fs_group));
    Security {
        user: id(own.run_as_user.or(*run_as_user)),
        group: id(own.run_as_group.or(*run_as_group)),
        run_as_non_root: own.run_as_non_root.or(*run_as_non_root).unwrap_or(false),
        supplemental_groups: groups,
        fs_group: id(*fs_group),
        capabilities_add: capabilities.add.unwrap_or_default(),
        capabilities_drop: capabilities.drop.unwrap_or_default(),
        privileged,
        read_only_root: own.read_only_root_filesystem.unwrap_or(false),
        allow_privilege_escalation: own.allow_privilege_escalation.unwrap_or(true),
        seccomp: match profile.map(|profile| profile.type_.as_str()) {
            Some("Unconfined") => Seccomp::Unconfined,
            Some("Localhost") => {
                let file = profile.and_then(|profile| profile.localhost_profile.clone()).unwrap_or_default();
                Seccomp::Localhost(file)
            }
            _ if privileged => Seccomp::Unconfined,
            _ => Seccomp::RuntimeDefault,
        },
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    }
}

/// The names of all containers, to tell which container a text speaks of.
pub fn field_path(pod: &Pod, container: &str) -> String {
    let init = spec::init_containers(pod).any(|(_, init)| init.name == container);
    let list = if init { "initContainers" } else { "containers" };
    format!("spec.{list}{{{container}}}")
}
