//! Requests, and what comes back when they fail.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, header};
use http_body_util::BodyExt;
use podlab_client::{Body, Error, MAX_ANSWER, Path};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::print::complain;
use crate::session::Session;

/// Tables if the server can make them.
pub(crate) const TABLE: &str =
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

/// The longest line of a watch.
const MAX_LINE: usize = 16 << 20;

pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// How a request differs from a plain GET.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) accept: Option<&'static str>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
}

impl Session {
    /// GETs an object or a list.
    pub(crate) async fn get(&self, path: &Path) -> Outcome<Value> {
        self.call(Method::GET, path, Call::default()).await
    }

    /// Sends an object as JSON.
    pub(crate) async fn send(&self, method: Method, path: &Path, object: &Value) -> Outcome<Value> {
        let body = Bytes::from(object.to_string());
        self.call(method, path, Call { accept: None, content_type: Some("application/json"), body }).await
    }

    /// Changes an object.
    pub(crate) async fn patch(&self, path: &Path, content_type: &'static str, patch: &Value) -> Outcome<Value> {
        let body = Bytes::from(patch.to_string());
        self.call(Method::PATCH, path, Call { accept: None, content_type: Some(content_type), body }).await
    }

    /// Sends a request and reads its answer as JSON.
    pub(crate) async fn call(&self, method: Method, path: &Path, call: Call) -> Outcome<Value> {
        let bytes = self.bytes(method, path, call).await?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::Text(format!("the answer cannot be read: {error}")))
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn bytes(&self, method: Method, path: &Path, call: Call) -> Outcome<Bytes> {
        let body = self.open(method, path, call).await?;
        collect(body).await
    }

    /// Sends a request; its answer is read by the caller, piece by piece.
    pub(crate) async fn open(&self, method: Method, path: &Path, call: Call) -> Outcome<Body> {
        let server = self.server()?;
        let request = http::Request::builder()
            .method(method.clone())
            .uri(path.as_str())
            .header(header::ACCEPT, call.accept.unwrap_or("application/json"));
        let request = match call.content_type {
            Some(content_type) => request.header(header::CONTENT_TYPE, content_type),
            None => request,
        };
        let mut request = request.body(call.body).map_err(|error| Failure::Text(error.to_string()))?;
        self.impersonate(request.headers_mut())?;
        let begin = std::time::Instant::now();
        let answer = server.client.send(request).await.map_err(|error| self.unanswered(&error))?;
        if self.globals.verbosity >= 6 {
            let took = begin.elapsed().as_millis();
            let line = format!("{method} {}{} {} in {took} milliseconds", server.url, path.as_str(), answer.status());
            complain(&log_line('I', "round_trippers.go:560", &line));
        }
        warnings(answer.headers());
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let bytes = collect(answer.into_body()).await?;
        Err(refusal(status.as_u16(), &bytes))
    }

    fn impersonate(&self, headers: &mut HeaderMap) -> Outcome {
        let globals = &self.globals;
        let value = |text: &str| {
            http::HeaderValue::from_str(text).map_err(|_| Failure::Text(format!("{text:?} cannot be sent in a header")))
        };
        if let Some(user) = &globals.impersonate {
            headers.insert("Impersonate-User", value(user)?);
        }
        for group in &globals.impersonate_groups {
            headers.append("Impersonate-Group", value(group)?);
        }
        Ok(())
    }

    /// The words for a request that had no answer.
    pub(crate) fn unanswered(&self, error: &Error) -> Failure {
        let Ok(server) = self.server() else { return Failure::Text(error.to_string()) };
        let host = server.url.split("://").nth(1).unwrap_or(&server.url).split('/').next().unwrap_or_default();
        match error {
            Error::Transport { reason, .. } if reason.contains("refused") => Failure::Refused(host.to_owned()),
            Error::Transport { reason, .. } if reason.contains("nvalid peer certificate") => {
                Failure::Unreachable(format!("tls: failed to verify certificate: x509: {reason}"))
            }
            Error::Transport { reason, .. } => Failure::Unreachable(reason.clone()),
            Error::Api { code, status, .. } => match serde_json::to_vec(status) {
                Ok(status) => refusal(*code, &status),
                Err(_) => Failure::Text(error.to_string()),
            },
            other => Failure::Text(other.to_string()),
        }
    }
}

/// The lines of a stream, as they come.
pub(crate) struct Lines {
    body: Body,
    buffer: BytesMut,
    searched: usize,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(body: Body) -> Self {
        Lines { body, buffer: BytesMut::new(), searched: 0, ended: false }
    }

    /// The next line with its line feed, or what is left at the end.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Bytes>> {
        loop {
            if let Some(found) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + found + 1);
                self.searched = 0;
                return Ok(Some(line.freeze()));
            }
            self.searched = self.buffer.len();
            if self.ended {
                self.searched = 0;
                let rest = self.buffer.split().freeze();
                return Ok(Some(rest).filter(|rest| !rest.is_empty()));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(Failure::Text(format!("a line is longer than {MAX_LINE} bytes")));
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(error)) => return Err(Failure::Text(error.to_string())),
            }
        }
    }
}

/// Reads a body up to the limit of what is held in memory.
pub(crate) async fn collect(mut body: Body) -> Outcome<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Text(error.to_string()))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > MAX_ANSWER {
                return Err(Failure::Text(format!("the answer is longer than {MAX_ANSWER} bytes")));
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

/// A line as k8s.io/klog writes it.
pub(crate) fn log_line(level: char, place: &str, text: &str) -> String {
    let now = jiff::Zoned::now().strftime("%m%d %H:%M:%S%.6f").to_string();
    format!("{level}{now} {:>7} {place}] {text}", std::process::id())
}

/// The server's warnings: `299 - "text"`.
fn warnings(headers: &HeaderMap) {
    for warning in headers.get_all(header::WARNING) {
        let Some(text) = warning.to_str().ok().and_then(|text| text.split_once('"')).map(|(_, text)| text) else {
            continue;
        };
        let text = text.strip_suffix('"').unwrap_or(text).replace("\\\"", "\"").replace("\\\\", "\\");
        complain(&format!("Warning: {text}"));
    }
}

/// What the server's refusal becomes.
fn refusal(code: u16, body: &[u8]) -> Failure {
    let mut status = match serde_json::from_slice::<Value>(body) {
        Ok(status) if status["kind"] == "Status" => status,
        _ => {
            let (reason, message) = match code {
                401 => ("Unauthorized", "Unauthorized".to_owned()),
                403 => ("Forbidden", String::from_utf8_lossy(body).trim().to_owned()),
                404 => ("NotFound", "the server could not find the requested resource".to_owned()),
                405 => {
                    ("MethodNotAllowed", "the server does not allow this method on the requested resource".to_owned())
                }
                503 => ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned()),
                _ => ("", String::from_utf8_lossy(&body[..body.len().min(2048)]).trim().to_owned()),
            };
            json!({ "kind": "Status", "message": message, "reason": reason })
        }
    };
    status["code"] = code.into();
    if status["reason"] == "" || status.get("reason").is_none() {
        status["reason"] = match code {
            500 => "InternalError",
            _ => "",
        }
        .into();
    }
    Failure::Status(Box::new(status))
}
