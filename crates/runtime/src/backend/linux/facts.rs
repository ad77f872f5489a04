//! What this node is.

use podlab_linux::node::KubeletConfig;

use crate::backend::NodeFacts;

pub(super) fn read(config: &KubeletConfig) -> NodeFacts {
    let system = rustix::system::uname();
    let kernel_version = system.release().to_string_lossy().into_owned();
    let line = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    // The machine's id, and no hardware's: the nodes of a cluster share the machine, and differ by their names.
    let machine_id = line("/etc/machine-id");
    let storage = rustix::fs::statvfs(&config.pods);
    NodeFacts {
        name: config.node.name.clone(),
        cpu_millis: config.node.cpu_millis,
        memory: config.node.memory,
        ephemeral_storage: storage.map(|status| status.f_blocks * status.f_frsize).unwrap_or_default(),
        pods: config.node.pods,
        internal_ip: config.internal_ip.clone(),
        pod_cidr: config.pod_cidr.clone(),
        system_uuid: machine_id.clone(),
        machine_id,
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        kernel_version,
        os_image: os_image(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        architecture: match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
        .to_owned(),
        container_runtime_version: concat!("podlab://", env!("CARGO_PKG_VERSION")).to_owned(),
        labels: config.node.labels.clone(),
        taints: config.node.taints.clone(),
    }
}

/// `PRETTY_NAME` of the text of `/etc/os-release` (os-release(5)).
fn os_image(text: &str) -> String {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    name.trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_system() {
        assert_eq!(
            os_image("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
        assert_eq!(os_image(""), "Linux");
    }
}
