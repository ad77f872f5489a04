//! A GET to a Pod, through the API server's proxy: the one way that works on every cluster.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::Pod;
use podlab_client::{Client, Error};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::format::Http;

/// The most that is read of an answer, in bytes.
const MAX_BODY: usize = 256 << 10;

/// Nothing tells when a program begins to listen, so a refused connection is tried again this often.
const AGAIN: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The Pod answered.
    Answered { status: u16, body: String },
    /// It did not, or could not be asked; in words.
    Unanswered(String),
}

impl Answer {
    /// As expressions see it.
    pub(super) fn variable(&self) -> Value {
        match self {
            Answer::Answered { status, body } => json!({ "status": status, "body": body, "error": null }),
            Answer::Unanswered(error) => json!({ "status": null, "body": null, "error": error }),
        }
    }

    /// Whether it is what was asked for.
    pub(super) fn satisfies(&self, wanted: &Http) -> bool {
        match self {
            Answer::Answered { status, body } => {
                *status == wanted.status && wanted.says.as_ref().is_none_or(|text| body.contains(text))
            }
            Answer::Unanswered(_) => false,
        }
    }

    /// In words, for a learner.
    pub(super) fn words(&self) -> String {
        match self {
            Answer::Unanswered(error) => error.clone(),
            Answer::Answered { status, body } => match title(body) {
                Some(title) => format!("status {status}, a page called {title:?}"),
                None => {
                    let start: String = body.trim().chars().take(80).collect();
                    format!("status {status}, and the text {start:?}")
                }
            },
        }
    }
}

/// The title of an HTML page.
fn title(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("<title>")?;
    rest.split_once("</title>").map(|(title, _)| title.trim())
}

/// The number of the port that a container of the Pod gives this name, as a Service would look it up; or the number
/// itself.
fn port(pod: &Pod, port: &str) -> Result<i32, String> {
    if let Ok(number) = port.parse() {
        return Ok(number);
    }
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .into_iter()
        .find(|declared| declared.name.as_deref() == Some(port))
        .map(|declared| declared.container_port)
        .ok_or_else(|| format!("no container of the Pod has a port named {port:?}"))
}

/// Asks until there is an answer, or `patience` is over; it is told as `within`.
///
/// # Errors
///
/// When the API server cannot be asked.
pub(super) async fn get(
    client: &Client,
    pod: &Pod,
    wanted: &Http,
    within: Duration,
    patience: Duration,
) -> Result<Answer, Error> {
    let number = match port(pod, &wanted.port) {
        Ok(number) => number,
        Err(reason) => return Ok(Answer::Unanswered(reason)),
    };
    let deadline = Instant::now() + patience;
    let mut pace = tokio::time::interval(AGAIN);
    let mut last = Answer::Unanswered(format!("no answer from port {number} within {} s", within.as_secs()));
    loop {
        match timeout_at(deadline, once(client, pod, number, &wanted.path)).await {
            Ok(Ok(answer @ Answer::Answered { .. })) => return Ok(answer),
            Ok(Ok(unanswered)) => last = unanswered,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(last),
        }
        if timeout_at(deadline, pace.tick()).await.is_err() {
            return Ok(last);
        }
    }
}

async fn once(client: &Client, pod: &Pod, port: i32, path: &str) -> Result<Answer, Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{path}");
    let request = match http::Request::get(&path).header("accept", "*/*").body(Bytes::new()) {
        Ok(request) => request,
        Err(error) => return Ok(Answer::Unanswered(error.to_string())),
    };
    let response = client.send(request).await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let mut rest = response.into_body();
    while let Some(Ok(frame)) = rest.frame().await {
        if let Some(data) = frame.data_ref() {
            body.extend_from_slice(&data[..data.len().min(MAX_BODY - body.len())]);
        }
        if body.len() == MAX_BODY {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    // The proxy's own refusal is a Status, and not an answer of the Pod.
    let status_object = serde_json::from_str::<Value>(&body).ok().filter(|value| value["kind"] == "Status");
    let message = status_object.as_ref().and_then(|value| value["message"].as_str());
    let unreachable = message.or(Some(body.as_str())).filter(|text| text.contains("error trying to reach service"));
    Ok(match (unreachable, message) {
        (Some(text), _) if text.contains("refused") => {
            Answer::Unanswered(format!("connection refused: nothing in the Pod listens on port {port}"))
        }
        (Some(text), _) => Answer::Unanswered(text.trim().to_owned()),
        (None, Some(message)) if status >= 400 => Answer::Unanswered(message.to_owned()),
        _ => Answer::Answered { status, body },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({"spec": {"containers": [
            {"name": "a"}, {"name": "b", "ports": [{"name": "http", "containerPort": 8080}]}
        ]}}))
        .unwrap()
    }

    #[test]
    fn a_port_is_looked_up_by_name_in_all_containers() {
        assert_eq!(port(&pod(), "http"), Ok(8080));
        assert_eq!(port(&pod(), "81"), Ok(81));
        assert!(port(&pod(), "status").unwrap_err().contains("\"status\""));
    }

    #[test]
    fn an_answer_is_told_by_its_title_or_its_start() {
        let page = |body: &str| Answer::Answered { status: 200, body: body.to_owned() };
        assert_eq!(page("<html><title> Hi </title>").words(), "status 200, a page called \"Hi\"");
        assert_eq!(page("ok").words(), "status 200, and the text \"ok\"");
    }
}
