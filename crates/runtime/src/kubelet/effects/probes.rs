//! Probes and hooks: a container is asked, by a command in it or over the network.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Context, Effects, running};
use crate::backend::{Backend, NetworkCheck, PodUid, ProbeOutcome};
use crate::clock::Clock;
use crate::kubelet::go;
use crate::probes::{Kind, Timing};

/// How much of an exec probe's output is kept.
const PROBE_OUTPUT: usize = 10 << 10;
/// How long a hook may take when nothing else limits it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(3600);

impl<B: Backend, C: Clock> Effects<B, C> {
    pub(super) async fn hook(
        &self,
        context: &Context,
        uid: &PodUid,
        name: &str,
        hook: impl Fn(&Container) -> Option<LifecycleHandler>,
    ) -> Result<(), String> {
        let Some((member, id)) = running(context, name) else { return Ok(()) };
        let Some(hook) = hook(&member.spec) else { return Ok(()) };
        if let Some(exec) = hook.exec {
            let command = exec.command.unwrap_or_default();
            let ended = self.backend.exec_collect(uid, &id, &command, HOOK_TIMEOUT, PROBE_OUTPUT).await;
            return match ended {
                Ok(ended) if ended.code == 0 && !ended.timed_out => Ok(()),
                Ok(ended) => Err(format!("command {:?} exited with {}", command.join(" "), ended.code)),
                Err(error) => Err(error.to_string()),
            };
        }
        if let Some(sleep) = hook.sleep {
            let seconds = u64::try_from(sleep.seconds).unwrap_or_default();
            self.clock.sleep(Duration::from_secs(seconds)).await;
            return Ok(());
        }
        let check = if let Some(get) = &hook.http_get {
            http(&member.spec, get)
        } else if let Some(tcp) = &hook.tcp_socket {
            tcp_check(&member.spec, tcp.host.clone(), &tcp.port)
        } else {
            return Ok(());
        };
        match self.backend.probe(uid, &check?, Duration::from_secs(60)).await {
            ProbeOutcome::Success => Ok(()),
            ProbeOutcome::Failure(text) => Err(text),
        }
    }

    pub(super) async fn probe(&self, context: &Context, uid: &PodUid, name: &str, kind: Kind) -> ProbeOutcome {
        let gone = || ProbeOutcome::Failure(format!("container {name} is not running"));
        let Some((member, id)) = running(context, name) else { return gone() };
        let Some(probe) = kind.of(&member.spec) else { return gone() };
        let timeout = Timing::from(probe).timeout;
        if let Some(exec) = &probe.exec {
            let command = exec.command.clone().unwrap_or_default();
            return match self.backend.exec_collect(uid, &id, &command, timeout, PROBE_OUTPUT).await {
                Ok(ended) if ended.timed_out => ProbeOutcome::Failure(format!(
                    "command timed out: {:?} timed out after {}",
                    command.join(" "),
                    go::duration(timeout)
                )),
                Ok(ended) if ended.code == 0 => ProbeOutcome::Success,
                Ok(ended) => ProbeOutcome::Failure(String::from_utf8_lossy(&ended.output).into_owned()),
                Err(error) => ProbeOutcome::Failure(error.to_string()),
            };
        }
        let check = if let Some(get) = &probe.http_get {
            http(&member.spec, get)
        } else if let Some(tcp) = &probe.tcp_socket {
            tcp_check(&member.spec, tcp.host.clone(), &tcp.port)
        } else if let Some(grpc) = &probe.grpc {
            let port = u16::try_from(grpc.port).map_err(|_| format!("invalid port {}", grpc.port));
            port.map(|port| NetworkCheck::Grpc { port, service: grpc.service.clone().unwrap_or_default() })
        } else {
            return ProbeOutcome::Failure("missing probe handler".to_owned());
        };
        match check {
            Ok(check) => self.backend.probe(uid, &check, timeout).await,
            Err(message) => ProbeOutcome::Failure(message),
        }
    }
}

fn http(container: &Container, get: &HTTPGetAction) -> Result<NetworkCheck, String> {
    let headers = get.http_headers.iter().flatten().map(|header| (header.name.clone(), header.value.clone()));
    Ok(NetworkCheck::Http {
        host: get.host.clone().filter(|host| !host.is_empty()),
        port: port(container, &get.port)?,
        path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
        https: get.scheme.as_deref() == Some("HTTPS"),
        headers: headers.collect(),
    })
}

fn tcp_check(container: &Container, host: Option<String>, at: &IntOrString) -> Result<NetworkCheck, String> {
    Ok(NetworkCheck::Tcp { host: host.filter(|host| !host.is_empty()), port: port(container, at)? })
}

/// A port by its number, or by the name it has in the container.
fn port(container: &Container, port: &IntOrString) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port).or_else(|| name.parse().ok())
        }
    };
    number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0).ok_or_else(|| match port {
        IntOrString::Int(number) => format!("invalid port number: {number}"),
        IntOrString::String(name) => format!("couldn't find port: {name:?}"),
    })
}
