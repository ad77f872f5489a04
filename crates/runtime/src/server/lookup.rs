//! From the names in a request to the container that is meant, with the kubelet's words for why there is none.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::KnownPods;
use crate::backend::{Backend, BackendError, ContainerId, PodUid};

/// A request that is not carried out: the status, and the text that the API server passes on.
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, self.message).into_response()
    }
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        let status = match error {
            BackendError::NoSuchPod(_) | BackendError::NoSuchContainer { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

pub(super) fn pod(pods: &dyn KnownPods, namespace: &str, name: &str) -> Result<Arc<Pod>, Refusal> {
    pods.pod(namespace, name)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, format!("pod \"{name}_{namespace}\" not found")))
}

/// The status of any of the Pod's containers: init, ordinary, ephemeral.
fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses]
        .into_iter()
        .flatten()
        .flatten()
        .find(|status| status.name == container)
}

/// Whether a state says that the runtime had made a container for it; a start that failed before has no id.
fn was_made(state: Option<&ContainerState>) -> bool {
    let id = state.and_then(|state| state.terminated.as_ref()).and_then(|ended| ended.container_id.as_ref());
    id.is_some_and(|id| !id.is_empty())
}

/// Which start of the container has the log that is asked for (validateContainerLogStatus of pkg/kubelet/kubelet_pods.go).
pub(super) fn log_attempt(pod: &Pod, container: &str, previous: bool) -> Result<u32, Refusal> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let bad = |text: String| Refusal::new(StatusCode::BAD_REQUEST, text);
    let Some(status) = status(pod, container) else {
        return Err(bad(format!("container \"{container}\" in pod \"{name}\" is not available")));
    };
    let state = status.state.as_ref();
    let last = status.last_state.as_ref();
    let restarts = u32::try_from(status.restart_count).unwrap_or(0);
    let waiting = state.and_then(|state| state.waiting.as_ref());
    // While a container waits for its next start, the one that ended last is still the newest.
    let last_attempt = if waiting.is_some() { restarts } else { restarts.saturating_sub(1) };
    if previous {
        return if was_made(last) {
            Ok(last_attempt)
        } else {
            Err(bad(format!("previous terminated container \"{container}\" in pod \"{name}\" not found")))
        };
    }
    if state.is_some_and(|state| state.running.is_some()) || was_made(state) {
        return Ok(restarts);
    }
    if was_made(last) {
        return Ok(last_attempt);
    }
    let ended = |state: Option<&ContainerState>| state.is_some_and(|state| state.terminated.is_some());
    if ended(state) || ended(last) {
        return Err(bad(format!("container \"{container}\" in pod \"{name}\" is terminated")));
    }
    let why = match waiting.and_then(|waiting| waiting.reason.as_deref()) {
        Some("ErrImagePull") => "image can't be pulled",
        Some("ImagePullBackOff") => "trying and failing to pull image",
        Some(reason) => reason,
        None => {
            return Err(bad(format!("container \"{container}\" in pod \"{name}\" is waiting to start - no logs yet")));
        }
    };
    Err(bad(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}")))
}

/// Whether this start of the container still runs.
pub(super) fn runs(pod: &Pod, container: &str, attempt: u32) -> bool {
    status(pod, container).is_some_and(|status| {
        u32::try_from(status.restart_count) == Ok(attempt)
            && status.state.as_ref().is_some_and(|state| state.running.is_some())
    })
}

/// The running container that a command or a terminal goes into.
pub(super) async fn running<B: Backend>(
    backend: &B,
    pods: &dyn KnownPods,
    (namespace, name, container): (&str, &str, &str),
) -> Result<(PodUid, ContainerId), Refusal> {
    let uid = pod(pods, namespace, name)?.metadata.uid.clone().unwrap_or_default();
    let not_found = || Refusal::new(StatusCode::NOT_FOUND, format!("container not found (\"{container}\")"));
    let all = backend.pods().await?;
    let state = all.into_iter().find(|state| state.uid == uid).ok_or_else(not_found)?;
    let found = state.containers.into_iter().rfind(|state| state.name == container && state.exit.is_none());
    Ok((uid, found.ok_or_else(not_found)?.id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(restarts: i32, state: Value, last: Value, previous: bool) -> Result<u32, String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {"containerStatuses": [{
                "name": "main", "image": "i", "imageID": "", "ready": false,
                "restartCount": restarts, "state": state, "lastState": last,
            }]},
        }))
        .unwrap();
        log_attempt(&pod, "main", previous).map_err(|refusal| refusal.message)
    }

    #[test]
    fn the_start_that_is_meant_follows_from_the_states() {
        let none = || json!({});
        let running = || json!({"running": {}});
        let ended = || json!({"terminated": {"exitCode": 1, "containerID": "podlab://1"}});
        let never_made = || json!({"terminated": {"exitCode": 128}});
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        assert_eq!(asked(0, running(), none(), false), Ok(0));
        assert_eq!(asked(3, running(), ended(), false), Ok(3));
        assert_eq!(asked(3, running(), ended(), true), Ok(2));
        assert_eq!(asked(0, waiting("CrashLoopBackOff"), ended(), false), Ok(0));
        assert_eq!(asked(0, waiting("CrashLoopBackOff"), ended(), true), Ok(0));
        assert_eq!(asked(1, ended(), ended(), false), Ok(1));
        assert_eq!(asked(1, ended(), ended(), true), Ok(0));
        let message = asked(0, running(), none(), true).unwrap_err();
        assert_eq!(message, "previous terminated container \"main\" in pod \"p\" not found");
        let cases = [
            (waiting("ErrImagePull"), "is waiting to start: image can't be pulled"),
            (waiting("ImagePullBackOff"), "is waiting to start: trying and failing to pull image"),
            (waiting("PodInitializing"), "is waiting to start: PodInitializing"),
            (never_made(), "is terminated"),
            (none(), "is waiting to start - no logs yet"),
        ];
        for (state, text) in cases {
            assert_eq!(asked(0, state, none(), false), Err(format!("container \"main\" in pod \"p\" {text}")));
        }
    }
}
