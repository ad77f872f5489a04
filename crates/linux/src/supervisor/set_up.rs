//! What a supervisor does first: the Pod's namespaces, network, files and cgroup.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::PodContext;
use super::record::PodRecord;
use crate::error::{During, Refusal};
use crate::namespaces::{Namespaces, unshare};
use crate::network::{self, Netlink};
use crate::paths::PodDirectory;
use crate::protocol::PodSpec;
use crate::rootfs::Mount;
use crate::rootfs::root::Root;
use crate::{clock, fail_point};

/// What all that we write into a Pod's containers together may take (CVE-2020-8557).
const SMALL_FILES: &str = "1m";
/// The Pod's `/dev/shm`; the size the container runtimes give it.
const SHARED_MEMORY: &str = "64m";

// ANCHOR: set_up
/// Makes the Pod around this process.
pub(super) fn set_up(pod: &PodContext) -> Result<(), Refusal> {
    let PodContext { spec, directory, .. } = pod;
    make_directories(directory)?;
    fail_point::reached("supervisor-directories-made");
    pod.cgroup().create()?;
    pod.cgroup().set(&spec.limits)?;
    fail_point::reached("supervisor-cgroup-made");

    let node_network = Netlink::open()?;
    let mut namespaces = Namespaces::INTER_PROCESS_COMMUNICATION;
    if !spec.host_network {
        namespaces |= Namespaces::NETWORK | Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME;
    }
    unshare(namespaces)?;
    if !spec.host_network {
        rustix::system::sethostname(spec.hostname.as_bytes()).during("set host name", &spec.hostname)?;
    }
    fail_point::reached("supervisor-namespaces-made");
    if let Some(address) = pod.address {
        network::set_up_pod(&node_network, pod.block, address)?;
    }
    fail_point::reached("supervisor-network-made");
    for (name, value) in &spec.sysctls {
        set_sysctl(name, value)?;
    }
    write_files(directory, spec, pod.address)?;
    PodRecord { spec: spec.clone(), address: pod.address, created_at: clock::now() }.write(directory)?;
    fail_point::reached("supervisor-recorded");
    Ok(())
}
// ANCHOR_END: set_up

fn make_directories(directory: &PodDirectory) -> Result<(), Refusal> {
    for path in [directory.containers(), directory.volumes(), directory.shared_memory(), directory.small_files()] {
        fs::create_dir_all(&path).during("create directory", path.display())?;
    }
    let closed = fs::Permissions::from_mode(0o750);
    fs::set_permissions(directory.path(), closed).during("close", directory.path().display())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let memory = |path: &Path, size, mode| {
        let options = [("mode", mode), ("size", size)];
        Mount::new("tmpfs", &options, attributes | MountAttrFlags::MOUNT_ATTR_NOEXEC)?
            .attach(Root::open(path)?.as_fd(), &path.to_string_lossy())
    };
    memory(&directory.shared_memory(), SHARED_MEMORY, "1777")?;
    memory(&directory.small_files(), SMALL_FILES, "755")
}

/// The files that say who a Pod is and where to ask for names.
fn write_files(directory: &PodDirectory, spec: &PodSpec, address: Option<Ipv4Addr>) -> Result<(), Refusal> {
    let write = |name: &str, text: &str| {
        let path = directory.small_files().join(name);
        fs::write(&path, text).during("write", path.display())
    };
    write("hostname", &format!("{}\n", spec.hostname))?;
    write("resolv.conf", &spec.resolv_conf)?;
    write("hosts", &hosts(spec, address))
}

/// The text of a Pod's `/etc/hosts`, as the kubelet writes it.
fn hosts(spec: &PodSpec, address: Option<Ipv4Addr>) -> String {
    let mut text = match address {
        Some(address) => format!(
            "# Kubernetes-managed hosts file.\n\
             127.0.0.1\tlocalhost\n\
             ::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\n\
             fe00::0\tip6-mcastprefix\n\
             fe00::1\tip6-allnodes\n\
             fe00::2\tip6-allrouters\n\
             {address}\t{}\n",
            spec.host_names.join("\t")
        ),
        None => {
            let nodes = fs::read_to_string("/etc/hosts").unwrap_or_default();
            format!("# Kubernetes-managed hosts file (host network).\n{nodes}")
        }
    };
    if !spec.hosts.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for line in &spec.hosts {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Sets a kernel setting of the Pod's own namespaces.
///
/// Only names that belong to a namespace pass, and names and values that are one name and one value: a setting is a
/// path under `/proc/sys`, and a text with a line end or a `=` has been read as two settings before (CVE-2022-0811).
fn set_sysctl(name: &str, value: &str) -> Result<(), Refusal> {
    if !namespaced(name) || value.contains(['\n', '=', '+']) {
        return Err(Errno::PERM).during("set kernel setting", format_args!("{name}={value}"));
    }
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::write(&path, value).during("set kernel setting", format_args!("{name}={value}"))
}

fn namespaced(name: &str) -> bool {
    let characters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    let plain = characters && name.split('.').all(|part| !part.is_empty());
    let known = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.", "net."];
    plain && known.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_of_a_namespace_pass() {
        for name in ["net.ipv4.ip_unprivileged_port_start", "kernel.shm_rmid_forced", "kernel.sem", "fs.mqueue.msg_max"]
        {
            assert!(namespaced(name), "{name}");
        }
        for name in
            ["kernel.core_pattern", "net..ipv4", "net.ipv4/../../kernel", "net.a=b", "vm.swappiness", "net.", ""]
        {
            assert!(!namespaced(name), "{name}");
        }
    }

    #[test]
    fn a_value_is_one_value() {
        for value in ["1\n2", "1=2", "+1"] {
            assert_eq!(set_sysctl("net.ipv4.ip_forward", value).unwrap_err().errno, Errno::PERM);
        }
    }

    proptest::proptest! {
        /// Whatever passes stays below `/proc/sys`, in a part that belongs to a namespace.
        #[test]
        fn a_name_is_a_path_to_nowhere_else(name in "(kernel\\.sem|net|fs\\.mqueue)?[a-z./=+\n -]{0,12}") {
            if namespaced(&name) {
                proptest::prop_assert!(!name.contains(['/', '=', '+', '\n', ' ']) && !name.contains(".."), "{:?}", name);
                proptest::prop_assert!(["kernel.", "net.", "fs.mqueue."].iter().any(|start| name.starts_with(start)));
            }
        }
    }
}
