//! A reader's way through the labs: which step comes next, and what a Run button does about it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};

use crate::Cluster;
use crate::format::{Lab, Library, Step};
use crate::runner::{RunError, Runner, Stream};

/// All labs that were begun. One step runs at a time.
pub(super) struct Sessions {
    labs: PathBuf,
    cluster: Cluster,
    begun: Arc<Mutex<HashMap<String, Session>>>,
}

struct Session {
    lab: Arc<Lab>,
    runner: Runner,
    /// The first step that has not been executed.
    next: usize,
}

/// Where the pieces of an answer go: lines of JSON.
type Answer = mpsc::UnboundedSender<Bytes>;

impl Sessions {
    pub(super) fn new(labs: PathBuf, cluster: Cluster) -> Sessions {
        Sessions { labs, cluster, begun: Arc::default() }
    }

    /// Runs a step, after those before it that have not run. The answer is a line of JSON for everything that happens:
    /// `{"step", "stream", "text"}` for output, `{"step", "exit"}` at the end of a step, `{"error"}` at the end of all.
    pub(super) async fn run(self: Arc<Sessions>, lab: &str, step: &str) -> Response {
        let (lab, folder) = match self.find(lab) {
            Ok(found) => found,
            Err(refusal) => return refusal.into_response(),
        };
        let runs = |position: &usize| matches!(lab.steps[*position], Step::Run(_));
        let Some(position) = lab.position(step).filter(runs) else {
            return (StatusCode::NOT_FOUND, format!("lab {} has no command called {step}\n", lab.name)).into_response();
        };
        let Ok(mut begun) = self.begun.clone().try_lock_owned() else {
            return (StatusCode::CONFLICT, "another step is running; wait for its end\n").into_response();
        };
        if !begun.contains_key(&lab.name) {
            let runner = match Runner::new(lab.clone(), &folder, &self.cluster) {
                Ok(runner) => runner,
                Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
            };
            if let Err(error) = runner.clear().await {
                return (StatusCode::CONFLICT, format!("{error}\n")).into_response();
            }
            begun.insert(lab.name.clone(), Session { lab: lab.clone(), runner, next: 0 });
        }
        let (answer, pieces) = mpsc::unbounded_channel();
        tokio::spawn(proceed(begun, lab.name.clone(), position, answer));
        let lines = futures_util::stream::unfold(pieces, |mut pieces| async {
            pieces.recv().await.map(|piece| (Ok::<_, std::convert::Infallible>(piece), pieces))
        });
        let headers = [("content-type", "application/x-ndjson"), ("cache-control", "no-store")];
        (headers, Body::from_stream(lines)).into_response()
    }

    /// Ends a lab: deletes what it made, and begins again with the next Run.
    pub(super) async fn reset(&self, lab: &str) -> Response {
        let (lab, folder) = match self.find(lab) {
            Ok(found) => found,
            Err(refusal) => return refusal.into_response(),
        };
        let Ok(mut begun) = self.begun.clone().try_lock_owned() else {
            return (StatusCode::CONFLICT, "a step is running; wait for its end\n").into_response();
        };
        let runner = match begun.remove(&lab.name) {
            Some(session) => Ok(session.runner),
            None => Runner::new(lab, &folder, &self.cluster),
        };
        let cleaned = match runner {
            Ok(mut runner) => runner.clean().await,
            Err(error) => Err(error),
        };
        match cleaned {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        }
    }

    fn find(&self, lab: &str) -> Result<(Arc<Lab>, PathBuf), (StatusCode, String)> {
        let library =
            Library::load(&self.labs).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))?;
        let lab = library.lab(lab).map_err(|error| (StatusCode::NOT_FOUND, format!("{error}\n")))?;
        Ok((lab.clone(), library.folder(lab)))
    }
}

/// Executes the steps up to `position`, or that one again when it had its turn already.
async fn proceed(mut begun: OwnedMutexGuard<HashMap<String, Session>>, lab: String, position: usize, answer: Answer) {
    let Some(session) = begun.get_mut(&lab) else { return };
    let again = position < session.next;
    let steps = if again { position..position + 1 } else { session.next..position + 1 };
    for current in steps {
        let name = session.lab.steps[current].name().unwrap_or_default().to_owned();
        let mut live = |stream: Stream, bytes: &[u8]| {
            let stream = if stream == Stream::Out { "out" } else { "err" };
            say(&answer, &json!({ "step": name, "stream": stream, "text": String::from_utf8_lossy(bytes) }));
        };
        let result = session.runner.step(current, &mut live).await;
        let result = match result {
            Ok(recorded) => Ok(recorded.and_then(|recorded| recorded.transcript.exit)),
            // Out of its turn a command may end otherwise: that is what the reader wanted to see.
            Err(RunError::Exit { transcript, .. } | RunError::Expect { transcript, .. }) if again => {
                Ok(transcript.exit)
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(exit) => say(&answer, &json!({ "step": name, "exit": exit })),
            Err(error) => {
                // Half a lab is no place to go on from: the next Run begins anew.
                let cleaned = session.runner.clean().await.err();
                begun.remove(&lab);
                let cleaned = cleaned.map(|error| format!("\n{error}")).unwrap_or_default();
                say(&answer, &json!({ "error": format!("{error}{cleaned}") }));
                return;
            }
        }
        session.next = session.next.max(current + 1);
    }
}

fn say(answer: &Answer, line: &serde_json::Value) {
    // A reader who left does not hear the rest.
    let _ = answer.send(Bytes::from(format!("{line}\n")));
}
