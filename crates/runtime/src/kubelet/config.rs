//! From the API's words to the backend's: what the Pod's namespaces and its containers are made from.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};

use super::env;
use super::events;
use super::fields::Around;
use super::members::Member;
use super::resources;
use super::sources::Sources;
use crate::backend::{ContainerConfig, HostAlias, Image, Mount, PodConfig, Propagation, Seccomp, Security};

/// More of them are left out: the libraries that ask would not look at them (pkg/apis/core/validation: MaxDNSNameservers,
/// MaxDNSSearchPaths).
const MOST_SERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;

/// What every Pod of the node is told about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The address of the cluster's DNS.
    pub dns: String,
    /// `cluster.local`
    pub domain: String,
    /// The node's own `/etc/resolv.conf`, for Pods with `dnsPolicy: Default`.
    pub node_resolv_conf: String,
}

/// What the Pod's namespaces are made from.
#[must_use]
pub fn pod(pod: &Pod, names: &Names) -> PodConfig {
    let metadata = &pod.metadata;
    let spec = pod.spec.clone().unwrap_or_default();
    let name = metadata.name.clone().unwrap_or_default();
    let security = spec.security_context.unwrap_or_default();
    let sysctls: BTreeMap<_, _> =
        security.sysctls.into_iter().flatten().map(|sysctl| (sysctl.name, sysctl.value)).collect();
    let aliases = spec.host_aliases.into_iter().flatten();
    let namespace = metadata.namespace.clone().unwrap_or_default();
    // A host name holds at most 63 bytes.
    let mut hostname = spec.hostname.filter(|hostname| !hostname.is_empty()).unwrap_or_else(|| name.clone());
    hostname.truncate(63);
    let hostname = hostname.trim_end_matches(['-', '.']).to_owned();
    // With its domain first, as the kubelet writes it (pkg/kubelet/kubelet_pods.go, managedHostsFileContent).
    let subdomain = spec.subdomain.filter(|subdomain| !subdomain.is_empty());
    let full = subdomain.map(|subdomain| format!("{hostname}.{subdomain}.{namespace}.svc.{}", names.domain));
    let host_names: Vec<_> = full.into_iter().chain([hostname]).collect();
    let of_kernel = if spec.set_hostname_as_fqdn == Some(true) { host_names.first() } else { host_names.last() };
    PodConfig {
        uid: metadata.uid.clone().unwrap_or_default(),
        namespace,
        name,
        hostname: of_kernel.cloned().unwrap_or_default(),
        host_names,
        host_network: spec.host_network.unwrap_or(false),
        share_process_namespace: spec.share_process_namespace.unwrap_or(false),
        sysctls,
        qos: resources::qos(pod),
        resources: resources::of_pod(pod),
        host_aliases: aliases
            .map(|alias| HostAlias { ip: alias.ip, hostnames: alias.hostnames.unwrap_or_default() })
            .collect(),
        resolv_conf: resolv_conf(pod, names),
    }
}

/// The Pod's `/etc/resolv.conf` (pkg/kubelet/network/dns/dns.go).
fn resolv_conf(pod: &Pod, names: &Names) -> String {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let host_network = spec.and_then(|spec| spec.host_network).unwrap_or(false);
    let own = spec.and_then(|spec| spec.dns_config.as_ref());
    let from_node = policy == "Default" || (policy == "ClusterFirst" && host_network);
    let (mut servers, mut searches, mut options) = (Vec::new(), Vec::new(), Vec::new());
    if from_node {
        for line in names.node_resolv_conf.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().map(str::to_owned)),
                Some("search") => searches = words.map(str::to_owned).collect(),
                Some("options") => options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
    } else if policy != "None" {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        servers.push(names.dns.clone());
        searches =
            vec![format!("{namespace}.svc.{}", names.domain), format!("svc.{}", names.domain), names.domain.clone()];
        options.push("ndots:5".to_owned());
    }
    if let Some(own) = own {
        servers.extend(own.nameservers.iter().flatten().cloned());
        searches.extend(own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            options.retain(|known| known.split(':').next() != Some(name));
            options.push(option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
        }
    }
    let servers = distinct(servers).take(MOST_SERVERS);
    let searches: Vec<String> = distinct(searches).take(MOST_SEARCHES).collect();
    let mut text = String::new();
    if !searches.is_empty() {
        text += &format!("search {}\n", searches.join(" "));
    }
    for server in servers {
        text += &format!("nameserver {server}\n");
    }
    if !options.is_empty() {
        text += &format!("options {}\n", options.join(" "));
    }
    text
}

/// Each once, where it stands first.
fn distinct(all: Vec<String>) -> impl Iterator<Item = String> {
    let mut seen = std::collections::BTreeSet::new();
    all.into_iter().filter(move |one| seen.insert(one.clone()))
}

/// What a container is started from. The error is the message of `CreateContainerConfigError`.
///
/// # Errors
/// A configuration that cannot be met: an object that is missing, a root image that must not run as root, a sub-path
/// that leaves its volume.
pub fn container(
    pod: &Pod,
    member: &Member<'_>,
    attempt: u32,
    image: &Image,
    sources: &Sources,
    around: &Around,
) -> Result<ContainerConfig, String> {
    let spec: &Container = &member.spec;
    let environment = env::environment(pod, spec, sources, around)?;
    let security = security(pod, spec);
    check_user(pod, spec, &security, image)?;
    let expand = |list: &Option<Vec<String>>| list.iter().flatten().map(|text| environment.expand(text)).collect();
    let mounts = spec.volume_mounts.iter().flatten().map(|mount| self::mount(mount, &environment));
    Ok(ContainerConfig {
        name: spec.name.clone(),
        attempt,
        image_id: image.id.clone(),
        command: expand(&spec.command),
        args: expand(&spec.args),
        working_dir: spec.working_dir.clone().unwrap_or_default(),
        mounts: mounts.collect::<Result<_, _>>()?,
        env: environment.into_pairs(),
        security,
        resources: resources::of_container(pod, spec, around.node_memory),
        stdin: spec.stdin.unwrap_or(false),
        stdin_once: spec.stdin_once.unwrap_or(false),
        tty: spec.tty.unwrap_or(false),
        termination_message_path: spec
            .termination_message_path
            .clone()
            .unwrap_or_else(|| "/dev/termination-log".to_owned()),
        target: None,
        termination_message_from_log: spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"),
    })
}

fn mount(mount: &VolumeMount, environment: &env::Environment) -> Result<Mount, String> {
    let sub_path = match (&mount.sub_path_expr, &mount.sub_path) {
        (Some(expression), _) if !expression.is_empty() => {
            let path = environment.expand(expression);
            // Braces that are left over name something that does not exist.
            if path.contains("$(") {
                return Err(format!("missing value for {expression:?}"));
            }
            path
        }
        (_, path) => path.clone().unwrap_or_default(),
    };
    if sub_path.starts_with('/') {
        return Err(format!("error SubPath `{sub_path}` must not be an absolute path"));
    }
    if sub_path.split('/').any(|part| part == "..") {
        return Err(format!("unable to provision SubPath `{sub_path}`: must not contain '..'"));
    }
    Ok(Mount {
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
    })
}

/// Who the container's processes are and what they may do: its own word first, then the Pod's.
fn security(pod: &Pod, spec: &Container) -> Security {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let own = spec.security_context.clone().unwrap_or_default();
    let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
    let capabilities = own.capabilities.unwrap_or_default();
    let privileged = own.privileged.unwrap_or(false);
    let names = |list: Option<Vec<String>>| {
        list.into_iter().flatten().map(|name| name.trim_start_matches("CAP_").to_uppercase()).collect::<Vec<_>>()
    };
    let capabilities_add = names(capabilities.add);
    let may_escalate = own.allow_privilege_escalation.unwrap_or(true);
    let profile = own.seccomp_profile.or(of_pod.seccomp_profile);
    Security {
        user: id(own.run_as_user.or(of_pod.run_as_user)),
        group: id(own.run_as_group.or(of_pod.run_as_group)),
        run_as_non_root: own.run_as_non_root.or(of_pod.run_as_non_root).unwrap_or(false),
        supplemental_groups: of_pod
            .supplemental_groups
            .into_iter()
            .flatten()
            .filter_map(|group| id(Some(group)))
            .collect(),
        fs_group: id(of_pod.fs_group),
        allow_privilege_escalation: may_escalate,
        capabilities_add,
        capabilities_drop: names(capabilities.drop),
        privileged,
        read_only_root: own.read_only_root_filesystem.unwrap_or(false),
        seccomp: match profile.as_ref().map(|profile| profile.type_.as_str()) {
            Some("Unconfined") => Seccomp::Unconfined,
            Some("Localhost") => {
                Seccomp::Localhost(profile.and_then(|profile| profile.localhost_profile).unwrap_or_default())
            }
            _ if privileged => Seccomp::Unconfined,
            _ => Seccomp::RuntimeDefault,
        },
        unmasked_proc: own.proc_mount.as_deref() == Some("Unmasked"),
    }
}

/// `runAsNonRoot` (pkg/kubelet/kuberuntime/security_context.go, verifyRunAsNonRoot).
fn check_user(pod: &Pod, spec: &Container, security: &Security, image: &Image) -> Result<(), String> {
    if !security.run_as_non_root {
        return Ok(());
    }
    let place = format!("(pod: \"{}\", container: {})", events::full_name(pod), spec.name);
    match security.user {
        Some(0) => return Err(format!("container's runAsUser breaks non-root policy {place}")),
        Some(_) => return Ok(()),
        None => {}
    }
    let user = image.user.split(':').next().unwrap_or_default();
    match user.parse::<u32>() {
        Ok(0) => Err(format!("container has runAsNonRoot and image will run as root {place}")),
        Ok(_) => Ok(()),
        Err(_) if user.is_empty() => Err(format!("container has runAsNonRoot and image will run as root {place}")),
        Err(_) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {place}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn asked(spec: Value) -> String {
        config(spec).resolv_conf
    }

    fn config(spec: Value) -> PodConfig {
        let names = Names {
            dns: "10.96.0.10".to_owned(),
            domain: "cluster.local".to_owned(),
            node_resolv_conf: "# made by hand\nnameserver 192.0.2.1\nsearch home.example\noptions timeout:1\n"
                .to_owned(),
        };
        let asked = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
        pod(&serde_json::from_value(asked).unwrap(), &names)
    }

    #[test]
    fn a_pod_of_a_subdomain_knows_its_full_name() {
        let long = "x".repeat(62) + "-y";
        let cut = "x".repeat(62);
        for (asked, hostname, in_hosts) in [
            (json!({}), "p", "p"),
            (json!({"hostname": "db-0"}), "db-0", "db-0"),
            (json!({"hostname": "db-0", "subdomain": "db"}), "db-0", "db-0.db.shop.svc.cluster.local db-0"),
            (
                json!({"subdomain": "db", "setHostnameAsFQDN": true}),
                "p.db.shop.svc.cluster.local",
                "p.db.shop.svc.cluster.local p",
            ),
            (json!({"setHostnameAsFQDN": true}), "p", "p"),
            (json!({"hostname": long}), cut.as_str(), cut.as_str()),
        ] {
            let mut spec = json!({"containers": []});
            spec.as_object_mut().unwrap().extend(asked.as_object().cloned().unwrap());
            let config = config(spec);
            assert_eq!((config.hostname.as_str(), config.host_names.join(" ").as_str()), (hostname, in_hosts));
        }
    }

    #[test]
    fn a_policy_says_who_is_asked_for_names() {
        let cluster = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n\
                       options ndots:5\n";
        let node = "search home.example\nnameserver 192.0.2.1\noptions timeout:1\n";
        for (policy, host_network, expected) in [
            ("ClusterFirst", false, cluster),
            ("ClusterFirst", true, node),
            ("ClusterFirstWithHostNet", true, cluster),
            ("Default", false, node),
            ("None", false, ""),
        ] {
            let spec = json!({"containers": [], "dnsPolicy": policy, "hostNetwork": host_network});
            assert_eq!(asked(spec), expected, "{policy} {host_network}");
        }
    }

    #[test]
    fn what_a_pod_adds_comes_behind_once_and_within_limits() {
        let config = json!({
            "nameservers": ["10.96.0.10", "192.0.2.7", "192.0.2.8", "192.0.2.9"],
            "searches": ["cluster.local", "more.example"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
        });
        assert_eq!(
            asked(json!({"containers": [], "dnsConfig": config})),
            "search shop.svc.cluster.local svc.cluster.local cluster.local more.example\n\
             nameserver 10.96.0.10\nnameserver 192.0.2.7\nnameserver 192.0.2.8\noptions ndots:2 edns0\n"
        );
    }
}
