//! The five conditions, in the order in which a real kubelet writes them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};

use crate::kubelet::decide::init;
use crate::kubelet::go;
use crate::kubelet::members::{self, Role};
use crate::kubelet::observed::Observed;

/// The conditions that are the kubelet's; all others belong to somebody else and are passed on.
pub(in crate::kubelet) const OWN: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// A condition before its time is known.
struct Said {
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Said {
    const YES: Said = Said { holds: true, reason: None, message: None };
    const NO: Said = Said { holds: false, reason: None, message: None };

    fn no(reason: &'static str) -> Self {
        Said { reason: Some(reason), ..Said::NO }
    }

    fn because(reason: &'static str, message: String) -> Self {
        Said { message: Some(message), ..Said::no(reason) }
    }
}

pub(super) fn conditions(
    pod: &Pod,
    observed: &Observed,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    told: Option<&PodStatus>,
    now: Timestamp,
) -> Vec<PodCondition> {
    let told = told.and_then(|told| told.conditions.as_deref()).unwrap_or_default();
    let has_address = observed.has_sandbox() && !observed.sandbox.as_ref().is_some_and(|sandbox| sandbox.ip.is_empty());
    let containers_ready = containers_ready(pod, phase, init, main);
    let ready = ready(pod, &containers_ready, told);
    let all = [
        if has_address { Said::YES } else { Said::NO },
        initialized(pod, observed, phase, init),
        ready,
        containers_ready,
        Said::YES,
    ];
    let own = OWN.into_iter().zip(all).map(|(name, said)| timed(name, said, told, now));
    let evicted = evicted(observed).map(|said| timed(DISRUPTED, said, told, now));
    let taken = |name: &str| OWN.contains(&name) || (evicted.is_some() && name == DISRUPTED);
    let others = told.iter().filter(|condition| !taken(&condition.type_)).cloned();
    evicted.clone().into_iter().chain(own).chain(others).collect()
}

/// Says that a Pod did not end by itself.
const DISRUPTED: &str = "DisruptionTarget";

fn evicted(observed: &Observed) -> Option<Said> {
    let (_, message) = observed.failure.as_ref().filter(|(reason, _)| reason == "Evicted")?;
    Some(Said { holds: true, reason: Some("TerminationByKubelet"), message: Some(message.clone()) })
}

/// The condition keeps the time of its last transition as long as its status is the same.
fn timed(name: &str, said: Said, told: &[PodCondition], now: Timestamp) -> PodCondition {
    let status = if said.holds { "True" } else { "False" };
    let before = told.iter().find(|condition| condition.type_ == name && condition.status == status);
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: said.reason.map(str::to_owned),
        message: said.message,
        last_probe_time: None,
        last_transition_time: before
            .and_then(|before| before.last_transition_time.clone())
            .or(Some(super::seconds(now))),
    }
}

fn initialized(pod: &Pod, observed: &Observed, phase: &str, init: &[ContainerStatus]) -> Said {
    if phase == "Succeeded" {
        return Said { reason: Some("PodCompleted"), ..Said::YES };
    }
    if init::is_past(pod, observed) {
        return Said::YES;
    }
    let incomplete: Vec<&str> = members::init(pod)
        .zip(init)
        .filter(|(member, status)| match member.role {
            Role::Sidecar => status.started != Some(true),
            _ => !status.ready,
        })
        .map(|(_, status)| status.name.as_str())
        .collect();
    match incomplete.is_empty() {
        true => Said::YES,
        false => Said::because(
            "ContainersNotInitialized",
            format!("containers with incomplete status: {}", go::list(&incomplete)),
        ),
    }
}

fn containers_ready(pod: &Pod, phase: &str, init: &[ContainerStatus], main: &[ContainerStatus]) -> Said {
    match phase {
        "Succeeded" => return Said::no("PodCompleted"),
        "Failed" => return Said::no("PodFailed"),
        _ => {}
    }
    let sidecars = members::init(pod).zip(init).filter(|(member, _)| member.role == Role::Sidecar);
    let unready: Vec<&str> = sidecars
        .map(|(_, status)| status)
        .chain(main)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    match unready.is_empty() {
        true => Said::YES,
        false => Said::because("ContainersNotReady", format!("containers with unready status: {}", go::list(&unready))),
    }
}

/// A Pod is ready when its containers are, and when everybody whose word it waits for has given it.
fn ready(pod: &Pod, containers: &Said, told: &[PodCondition]) -> Said {
    if !containers.holds {
        return Said { holds: false, reason: containers.reason, message: containers.message.clone() };
    }
    let gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let closed: Vec<String> = gates
        .filter_map(|gate| {
            let condition = told.iter().find(|condition| condition.type_ == gate.condition_type);
            match condition.map(|condition| condition.status.as_str()) {
                Some("True") => None,
                Some(status) => Some(format!(
                    "the status of pod readiness gate \"{}\" is not \"True\", but {status}",
                    gate.condition_type
                )),
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{}\" does not exist.",
                    gate.condition_type
                )),
            }
        })
        .collect();
    match closed.is_empty() {
        true => Said::YES,
        false => Said::because("ReadinessGatesNotReady", closed.join(", ")),
    }
}
