//! What a Pod keeps on the node's disk, and the Pods that keep more than they may.
//!
//! The order, and the words, are those of pkg/kubelet/eviction/eviction_manager.go, localStorageEviction: each emptyDir
//! against its `sizeLimit`, the Pod against the sum of its containers' limits for `ephemeral-storage`, and each container
//! against its own.

use k8s_openapi::api::core::v1::{Pod, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use podlab_api::quantity::Quantity;

use super::decide::Ending;
use super::members;
use crate::backend::PodDisk;

/// How long an evicted Pod has to end, in seconds (immediateEvictionGracePeriodSeconds).
const GRACE: i64 = 1;

/// The Pod's end, when it keeps more than it may.
#[must_use]
pub fn judge(pod: &Pod, disk: &PodDisk) -> Option<Ending> {
    let message = of_volumes(pod, disk).or_else(|| of_pod(pod, disk)).or_else(|| of_containers(pod, disk))?;
    Some(Ending::Failed { reason: "Evicted", message, grace: Some(GRACE) })
}

/// Whether there is anything to be judged: to look costs a walk through every file.
#[must_use]
pub fn is_limited(pod: &Pod) -> bool {
    volumes(pod).any(|volume| size_limit(volume).is_some()) || limits(pod).next().is_some()
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten())
}

/// A volume's limit, where the disk is to be watched for it: one in memory cannot grow over its own.
fn size_limit(volume: &Volume) -> Option<&Text> {
    let empty = volume.empty_dir.as_ref().filter(|empty| empty.medium.as_deref() != Some("Memory"))?;
    empty.size_limit.as_ref().filter(|limit| bytes(limit) > 0)
}

/// The containers that have a limit, with it.
fn limits(pod: &Pod) -> impl Iterator<Item = (String, Text)> + '_ {
    members::main(pod).filter_map(|member| {
        let limits = member.spec.resources.as_ref()?.limits.as_ref()?;
        let limit = limits.get("ephemeral-storage").filter(|limit| bytes(limit) > 0)?;
        Some((member.spec.name.clone(), limit.clone()))
    })
}

fn bytes(quantity: &Text) -> u64 {
    Quantity::parse(&quantity.0).ok().and_then(|quantity| u64::try_from(quantity.value()).ok()).unwrap_or_default()
}

fn of_volumes(pod: &Pod, disk: &PodDisk) -> Option<String> {
    volumes(pod).find_map(|volume| {
        let limit = size_limit(volume)?;
        let used = *disk.volumes.get(&volume.name)?;
        let text = || format!("Usage of EmptyDir volume \"{}\" exceeds the limit \"{}\". ", volume.name, limit.0);
        (used > bytes(limit)).then(text)
    })
}

fn of_pod(pod: &Pod, disk: &PodDisk) -> Option<String> {
    let total: u64 = limits(pod).map(|(_, limit)| bytes(&limit)).sum();
    // In memory, a volume is no part of it.
    let on_disk = volumes(pod).filter(|volume| {
        volume.empty_dir.as_ref().is_some_and(|empty| empty.medium.as_deref() != Some("Memory"))
            || volume.config_map.is_some()
            || volume.downward_api.is_some()
    });
    let in_volumes: u64 = on_disk.filter_map(|volume| disk.volumes.get(&volume.name)).sum();
    let used = in_volumes + disk.containers.values().sum::<u64>();
    let sum = Quantity::from_bytes(i64::try_from(total).unwrap_or(i64::MAX));
    let text = || format!("Pod ephemeral local storage usage exceeds the total limit of containers {sum}. ");
    (total > 0 && used > total).then(text)
}

fn of_containers(pod: &Pod, disk: &PodDisk) -> Option<String> {
    limits(pod).find_map(|(name, limit)| {
        let used = *disk.containers.get(&name)?;
        let text = || format!("Container {name} exceeded its local ephemeral storage limit \"{}\". ", limit.0);
        (used > bytes(&limit)).then(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A Pod of two containers, of which the first may keep 10 MiB, with a volume that may hold 2 MiB.
    fn pod() -> Pod {
        let limits = json!({"limits": {"ephemeral-storage": "10Mi"}});
        let pod = json!({"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "first", "resources": limits}, {"name": "second"}],
            "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "2Mi"}},
                {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
        }});
        serde_json::from_value(pod).unwrap()
    }

    fn judged(volumes: &[(&str, u64)], containers: &[(&str, u64)]) -> Option<String> {
        let of =
            |all: &[(&str, u64)]| all.iter().map(|(name, mebibytes)| ((*name).to_owned(), mebibytes << 20)).collect();
        let disk = PodDisk { volumes: of(volumes), containers: of(containers) };
        match judge(&pod(), &disk)? {
            Ending::Failed { reason: "Evicted", message, grace: Some(1) } => Some(message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_keeps_more_than_allowed_is_evicted_in_the_kubelets_words() {
        assert_eq!(judged(&[("cache", 2), ("fast", 9)], &[("first", 8)]), None);
        assert_eq!(
            judged(&[("cache", 3)], &[]).as_deref(),
            Some("Usage of EmptyDir volume \"cache\" exceeds the limit \"2Mi\". ")
        );
        // One container's limit is all that the Pod has.
        let of_all = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ";
        assert_eq!(judged(&[("cache", 2)], &[("first", 5), ("second", 4)]).as_deref(), Some(of_all));
    }

    #[test]
    fn each_container_has_its_own_limit() {
        let mut pod = pod();
        let second = &mut pod.spec.as_mut().unwrap().containers[1];
        second.resources = serde_json::from_value(json!({"limits": {"ephemeral-storage": "20Mi"}})).unwrap();
        let containers = [("first".to_owned(), 11 << 20), ("second".to_owned(), 1 << 20)].into();
        let Some(Ending::Failed { message, .. }) = judge(&pod, &PodDisk { containers, ..PodDisk::default() }) else {
            panic!("it keeps too much")
        };
        assert_eq!(message, "Container first exceeded its local ephemeral storage limit \"10Mi\". ");
    }

    #[test]
    fn who_has_no_limit_is_not_looked_at() {
        assert!(is_limited(&pod()));
        let free = json!({"spec": {"containers": [{"name": "main"}], "volumes": [{"name": "v", "emptyDir": {}}]}});
        assert!(!is_limited(&serde_json::from_value(free).unwrap()));
    }
}
