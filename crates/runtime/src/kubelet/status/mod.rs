//! What to tell the API server about a Pod: a pure function of its spec and of what is known about it.
//!
//! The rules are those of pkg/kubelet/kubelet_pods.go and pkg/kubelet/status/generate.go; the shapes are held against
//! a real cluster's statuses (golden 014, 231, 521).

pub(super) mod conditions;
mod containers;
pub(super) mod hold;
mod phase;
pub(super) mod untold;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::members;
use super::observed::Observed;
use super::resources;

/// The status of a Pod on the node at `host_ip`.
///
/// `told` is the status the API server was last told: what has not changed keeps its times.
#[must_use]
pub fn status(pod: &Pod, observed: &Observed, told: Option<&PodStatus>, host_ip: &str, now: Timestamp) -> PodStatus {
    if observed.rejected {
        return rejected(pod, observed, told, now);
    }
    let init: Vec<_> = members::init(pod).map(|member| containers::status(pod, observed, &member)).collect();
    let main: Vec<_> = members::main(pod).map(|member| containers::status(pod, observed, &member)).collect();
    let ephemeral: Vec<_> = members::ephemeral(pod).map(|member| containers::status(pod, observed, &member)).collect();

    let phase = phase::phase(pod, observed, &init, &main);
    let conditions = conditions::conditions(pod, observed, phase, &init, &main, told, now);
    let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false);
    // The address stays in the status of a Pod that has ended.
    let ip = match &observed.sandbox {
        Some(_) if host_network => Some(host_ip.to_owned()),
        Some(sandbox) if !sandbox.ip.is_empty() => Some(sandbox.ip.clone()),
        _ => told.and_then(|told| told.pod_ip.clone()),
    };
    let (reason, message) = observed.failure.clone().unzip();
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        reason,
        message,
        host_ip: Some(host_ip.to_owned()),
        host_ips: Some(vec![HostIP { ip: host_ip.to_owned() }]),
        pod_ips: ip.clone().map(|ip| vec![PodIP { ip }]),
        pod_ip: ip,
        start_time: told.and_then(|told| told.start_time.clone()).or(Some(seconds(now))),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: Some(main),
        ephemeral_container_statuses: (!ephemeral.is_empty()).then_some(ephemeral),
        qos_class: Some(resources::qos_name(resources::qos(pod)).to_owned()),
        nominated_node_name: told.and_then(|told| told.nominated_node_name.clone()),
        resize: told.and_then(|told| told.resize.clone()),
        resource_claim_statuses: told.and_then(|told| told.resource_claim_statuses.clone()),
    }
}

/// Of a Pod that the node did not take (pkg/kubelet/kubelet.go, rejectPod).
fn rejected(pod: &Pod, observed: &Observed, told: Option<&PodStatus>, now: Timestamp) -> PodStatus {
    let (reason, message) = observed.failure.clone().unzip();
    PodStatus {
        phase: Some("Failed".to_owned()),
        reason,
        message,
        conditions: told.and_then(|told| told.conditions.clone()),
        start_time: told.and_then(|told| told.start_time.clone()).or(Some(seconds(now))),
        qos_class: Some(resources::qos_name(resources::qos(pod)).to_owned()),
        ..PodStatus::default()
    }
}

/// A time as the API keeps it: in whole seconds. A status that was written is then equal to what is read back.
fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
