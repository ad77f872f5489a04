//! Questions to a Pod's specification.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod, PodSpec};

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that goes on running beside the others (restartPolicy: Always).
    Sidecar,
    /// One of `spec.containers`.
    Ordinary,
}

/// The containers of `spec.initContainers`, in order.
pub fn init_containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        (if sidecar { Role::Sidecar } else { Role::Init }, container)
    })
}

/// The containers of `spec.containers`, in order.
pub fn containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| (Role::Ordinary, container))
}

/// Every container of the Pod, in the order in which they start.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    init_containers(pod).chain(containers(pod))
}

/// A container by its name.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<(Role, &'a Container)> {
    all_containers(pod).find(|(_, container)| container.name == name)
}

fn policy(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec: &PodSpec| spec.restart_policy.as_deref()).unwrap_or("Always")
}

/// Whether an ordinary container is started again after it ended with `code`.
pub fn restarts(pod: &Pod, code: i32) -> bool {
    match policy(pod) {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

/// Whether an init container that failed is started again.
pub fn restarts_init(pod: &Pod) -> bool {
    policy(pod) != "Never"
}

/// The hook that runs beside a container's start.
pub fn post_start(container: &Container) -> Option<&LifecycleHandler> {
    container.lifecycle.as_ref()?.post_start.as_ref()
}

/// The hook that runs before a container is asked to end.
pub fn pre_stop(container: &Container) -> Option<&LifecycleHandler> {
    container.lifecycle.as_ref()?.pre_stop.as_ref()
}
