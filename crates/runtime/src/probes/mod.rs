//! Probes: when the next attempt is due, and what a row of attempts means.
//!
//! A probe is a few numbers and a count, so a thousand of them cost neither a thread nor a task each: the Pod's decision
//! asks [`ProbeState::due`], the attempt is made through the [`Backend`], and its outcome is
//! [recorded](ProbeState::record).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::backend::{Backend, BackendError, ContainerId, NetworkCheck, PodUid, ProbeOutcome};

/// No more of a command's output is read (maxReadLength of pkg/probe/exec/exec.go).
pub const EXEC_OUTPUT_LIMIT: usize = 10 * 1024;

/// What a probe's failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The container is stopped, and the others wait for the first success.
    Startup,
    /// The container gets no traffic.
    Readiness,
    /// The container is stopped.
    Liveness,
}

impl Kind {
    /// The container's probe of this kind.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
        }
    }

    /// As events write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }

    /// As the text of the `Killing` event writes it.
    pub fn lower(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// The numbers of a probe; what is not given has the API's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
}

impl Timing {
    /// The timing that a probe asks for.
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u32| {
            let seconds = value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
            Duration::from_secs(u64::from(seconds))
        };
        let count = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).filter(|count| *count > 0).unwrap_or(default)
        };
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds.filter(|period| *period > 0), 10),
            timeout: seconds(probe.timeout_seconds.filter(|timeout| *timeout > 0), 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
        }
    }
}

/// Where a probe of a running container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeState {
    /// When the container started.
    pub since: Timestamp,
    /// When the last attempt was begun.
    pub last: Option<Timestamp>,
    /// The outcome of the attempts that count, and how many of them came in a row.
    in_a_row: Option<(bool, u32)>,
    /// What the row adds up to; `None` before the first threshold is met.
    pub result: Option<bool>,
}

impl ProbeState {
    /// The state of a probe whose container has just started.
    pub fn new(since: Timestamp) -> Self {
        Self { since, last: None, in_a_row: None, result: None }
    }

    /// When the next attempt is due.
    pub fn due(&self, timing: &Timing) -> Timestamp {
        let due = match self.last {
            Some(last) => last.checked_add(timing.period),
            None => self.since.checked_add(timing.initial_delay),
        };
        due.unwrap_or(Timestamp::MAX)
    }

    /// Counts an attempt. True when its result has just changed, or has been failure once more.
    pub fn record(&mut self, success: bool, timing: &Timing) -> bool {
        let count = match self.in_a_row {
            Some((last, count)) if last == success => count.saturating_add(1),
            _ => 1,
        };
        self.in_a_row = Some((success, count));
        let threshold = if success { timing.success_threshold } else { timing.failure_threshold };
        if count < threshold {
            return false;
        }
        let changed = self.result != Some(success);
        self.result = Some(success);
        changed || !success
    }
}

/// Makes one attempt of a container's probe.
pub async fn attempt<B: Backend>(
    backend: &B,
    pod: &PodUid,
    id: &ContainerId,
    container: &Container,
    probe: &Probe,
) -> ProbeOutcome {
    let timing = Timing::of(probe);
    if let Some(exec) = &probe.exec {
        let command = exec.command.clone().unwrap_or_default();
        return match backend.exec_collect(pod, id, &command, timing.timeout, EXEC_OUTPUT_LIMIT).await {
            Ok(ended) if ended.timed_out => {
                let text = format!("command {command:?} timed out after {}s", timing.timeout.as_secs());
                ProbeOutcome::Failure(text)
            }
            Ok(ended) if ended.code == 0 => ProbeOutcome::Success,
            Ok(ended) => ProbeOutcome::Failure(String::from_utf8_lossy(&ended.output).trim_end().to_owned()),
            Err(error) => ProbeOutcome::Failure(error.to_string()),
        };
    }
    match network_check(container, probe) {
        Ok(check) => backend.probe(pod, &check, timing.timeout).await,
        Err(problem) => ProbeOutcome::Failure(problem),
    }
}

/// Whether a hook of a container ended well; the text is what the event carries.
pub async fn run_hook<B: Backend>(
    backend: &B,
    pod: &PodUid,
    id: &ContainerId,
    container: &Container,
    hook: &k8s_openapi::api::core::v1::LifecycleHandler,
    patience: Duration,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let command = exec.command.clone().unwrap_or_default();
        let ended = backend.exec_collect(pod, id, &command, patience, EXEC_OUTPUT_LIMIT).await;
        return match ended {
            Ok(ended) if ended.code == 0 && !ended.timed_out => Ok(()),
            Ok(ended) => {
                let output = String::from_utf8_lossy(&ended.output).into_owned();
                Err(format!(
                    "Exec lifecycle hook ({command:?}) for Container {:?} failed - error: command '{}' exited with {}: {output}, message: {output:?}",
                    container.name,
                    command.join(" "),
                    ended.code,
                ))
            }
            Err(error) => Err(error.to_string()),
        };
    }
    if let Some(get) = &hook.http_get {
        let check = http_check(container, get)?;
        return match backend.probe(pod, &check, patience).await {
            ProbeOutcome::Success => Ok(()),
            ProbeOutcome::Failure(text) => Err(text),
        };
    }
    Ok(())
}

/// What a probe asks over the network.
fn network_check(container: &Container, probe: &Probe) -> Result<NetworkCheck, String> {
    if let Some(get) = &probe.http_get {
        return http_check(container, get);
    }
    if let Some(socket) = &probe.tcp_socket {
        return Ok(NetworkCheck::Tcp { host: socket.host.clone(), port: port(container, &socket.port)? });
    }
    if let Some(grpc) = &probe.grpc {
        let port = u16::try_from(grpc.port).map_err(|_| format!("invalid port number: {}", grpc.port))?;
        return Ok(NetworkCheck::Grpc { port, service: grpc.service.clone().unwrap_or_default() });
    }
    Err("missing probe handler".to_owned())
}

fn http_check(container: &Container, get: &HTTPGetAction) -> Result<NetworkCheck, String> {
    Ok(NetworkCheck::Http {
        host: get.host.clone().filter(|host| !host.is_empty()),
        port: port(container, &get.port)?,
        path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
        https: get.scheme.as_deref() == Some("HTTPS"),
        headers: get.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone())).collect(),
    })
}

/// A port by its number, or by the name the container gives it.
fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port)
            .or_else(|| name.parse().ok())
            .ok_or_else(|| format!("couldn't find port: {name}"))?,
    };
    u16::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

impl From<BackendError> for ProbeOutcome {
    fn from(error: BackendError) -> Self {
        Self::Failure(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn timing() -> Timing {
        Timing::of(&Probe { initial_delay_seconds: Some(5), ..Probe::default() })
    }

    #[test]
    fn defaults_are_the_apis() {
        let timing = Timing::of(&Probe::default());
        assert_eq!((timing.period.as_secs(), timing.timeout.as_secs()), (10, 1));
        assert_eq!((timing.success_threshold, timing.failure_threshold), (1, 3));
    }

    #[test]
    fn the_first_attempt_waits_for_the_delay_and_the_next_for_the_period() {
        let mut state = ProbeState::new(at(100));
        assert_eq!(state.due(&timing()), at(105));
        state.last = Some(at(106));
        assert_eq!(state.due(&timing()), at(116));
    }

    #[test]
    fn a_result_needs_its_threshold_in_a_row() {
        let mut state = ProbeState::new(at(0));
        let timing = timing();
        assert!(!state.record(false, &timing));
        assert!(!state.record(false, &timing));
        assert!(state.record(true, &timing), "one success is enough");
        assert!(!state.record(false, &timing), "and the count of failures starts over");
        assert!(!state.record(false, &timing));
        assert_eq!(state.result, Some(true));
        assert!(state.record(false, &timing));
        assert_eq!(state.result, Some(false));
    }

    #[test]
    fn a_port_may_be_named() {
        let container: Container = serde_json::from_value(
            serde_json::json!({"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}),
        )
        .unwrap();
        assert_eq!(port(&container, &IntOrString::String("http".to_owned())), Ok(8080));
        assert_eq!(port(&container, &IntOrString::String("81".to_owned())), Ok(81));
        for bad in [IntOrString::Int(0), IntOrString::Int(70000), IntOrString::String("https".to_owned())] {
            assert!(port(&container, &bad).is_err(), "{bad:?}");
        }
    }
}
