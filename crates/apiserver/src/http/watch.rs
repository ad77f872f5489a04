//! GET with `watch`: an endless answer of events, one JSON object a line.
//!
//! A watch is fed from the store's window of changes and has no queue of its own. It ends at `timeoutSeconds`, when the
//! client leaves, when the server stops, or with an ERROR event 410 when the client read more slowly than the window
//! moves.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use podlab_api::error::ApiError;
use podlab_api::prepare::base64;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::negotiate::{Accepted, View};
use super::object::place;
use super::options::Filter;
use super::respond::Ordered;
use super::{Answer, Call, Target, table};
use crate::server::{Body, Server};
use crate::store::{Change, ChangeKind, Object, Range, Watch, WindowLost};

/// A watch that sets no limit ends after this long (upstream: 30 to 60 minutes, at random).
const LONGEST: Duration = Duration::from_secs(45 * 60);
/// Clients that ask for bookmarks get one about this often.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// And one so long before the watch ends, to know where to go on from.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Bytes of events put into one chunk.
const CHUNK: usize = 64 * 1024;

/// Marks the end of the initial events of a streamed list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
/// With it comes an empty list of the kind, for clients that make up the list they did not get.
const BLUEPRINT: &str = "kubernetes.io/initial-events-list-blueprint";

pub(super) async fn watch(call: &Call, target: &Target) -> Answer {
    let accepted = Accepted::of(&call.parts.headers)?;
    let filter = Filter::of(call, target)?;
    let store = call.server.store();
    let streamed = call.query.flag("sendInitialEvents");
    let bookmarks = call.query.flag("allowWatchBookmarks");
    if call.query.text("sendInitialEvents").is_some() {
        let newer = call.query.given("resourceVersionMatch") == Some("NotOlderThan");
        if !newer || (streamed && !bookmarks) {
            return Err(ApiError::BadRequest(
                "ListOptions.meta.k8s.io is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires \
                 setting resourceVersionMatch to NotOlderThan, and allowWatchBookmarks"
                    .to_owned(),
            ));
        }
    }
    let version = call.query.given("resourceVersion").unwrap_or_default();
    let from: u64 = match version {
        "" => 0,
        text => text.parse().map_err(|_| ApiError::BadRequest(format!("Invalid value: {text:?}")))?,
    };
    let timeout = call.query.number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    let timeout = timeout.filter(|seconds| *seconds > 0).map_or(LONGEST, Duration::from_secs).min(LONGEST);

    let mut events = Events {
        server: call.server.clone(),
        target: target.clone(),
        filter,
        view: Viewer::new(call, target, accepted),
        pending: VecDeque::new(),
        ended: false,
    };
    // Without a version (or with 0) the present state comes first, as added objects.
    let position = if from == 0 || streamed { events.start_with_state(streamed) } else { from };
    let watch = match store.watch(place(target.resource), position) {
        Ok(watch) => Some(watch),
        Err(lost) => {
            events.lost(lost);
            None
        }
    };
    let ends = Instant::now() + timeout;
    let state = Streaming { events, watch, ends, bookmark_at: bookmarks.then(|| next_bookmark(ends)) };
    let chunks = stream::unfold(state, |mut state| async move {
        let chunk = state.next_chunk().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), state))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(response)
}

/// When a bookmark is due (k8s.io/apiserver/pkg/storage/cacher/cache_watcher.go, nextBookmarkTime).
fn next_bookmark(ends: Instant) -> Instant {
    let now = Instant::now();
    let regular = now + BOOKMARK_EVERY;
    ends.checked_sub(BOOKMARK_BEFORE_END).filter(|last| *last > now).map_or(regular, |last| last.min(regular))
}

/// The life of one watch.
struct Streaming {
    events: Events,
    /// None when the watch never began: only an error is told.
    watch: Option<Watch>,
    ends: Instant,
    bookmark_at: Option<Instant>,
}

impl Streaming {
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.events.chunk() {
                return Some(chunk);
            }
            if self.events.ended {
                return None;
            }
            let watch = self.watch.as_mut()?;
            let stopping = self.events.server.inner.stopping.clone();
            let wake = self.bookmark_at.map_or(self.ends, |at| at.min(self.ends));
            tokio::select! {
                changes = tokio::time::timeout_at(wake, watch.next()) => match changes {
                    Ok(Ok(changes)) => changes.iter().for_each(|change| self.events.tell(change)),
                    Ok(Err(lost)) => self.events.lost(lost),
                    Err(_) if Instant::now() >= self.ends => self.events.ended = true,
                    Err(_) => {
                        self.bookmark_at = Some(next_bookmark(self.ends));
                        self.events.bookmark(watch.catch_up(), false);
                    }
                },
                () = stopping.cancelled() => self.events.ended = true,
            }
        }
    }
}

/// What a watch tells, in the client's terms.
struct Events {
    server: Server,
    target: Target,
    filter: Filter,
    view: Viewer,
    /// Lines that wait to be sent: of one batch of changes, or the initial state.
    pending: VecDeque<Pending>,
    ended: bool,
}

enum Pending {
    /// Told when its turn comes, so that a large initial state is not rendered at once.
    Object(ChangeKind, Arc<Object>),
    Line(Vec<u8>),
}

impl Events {
    /// Tells the present state; returns the revision it is of.
    fn start_with_state(&mut self, streamed: bool) -> u64 {
        let range = Range { namespace: self.filter.namespace(), ..Range::default() };
        let snapshot = self.server.store().list(self.filter.place(), &range);
        for object in snapshot.objects {
            if self.filter.passes(&object) {
                self.pending.push_back(Pending::Object(ChangeKind::Added, object));
            }
        }
        if streamed {
            self.bookmark(snapshot.revision, true);
        }
        snapshot.revision
    }

    /// Tells a change, if the watch is about that object. What comes into the selection is added, what leaves it is
    /// deleted, whatever happened to the object itself.
    fn tell(&mut self, change: &Change) {
        if self.filter.namespace().is_some_and(|namespace| namespace != &*change.namespace) {
            return;
        }
        let was = change.previous.as_ref().is_some_and(|previous| self.filter.passes(previous));
        let is = change.kind != ChangeKind::Deleted && self.filter.passes(&change.object);
        let kind = match (was, is) {
            (false, false) => return,
            (false, true) => ChangeKind::Added,
            (true, true) => ChangeKind::Modified,
            (true, false) => ChangeKind::Deleted,
        };
        self.pending.push_back(Pending::Object(kind, change.object.clone()));
    }

    fn bookmark(&mut self, revision: u64, initial_events_end: bool) {
        let line = self.view.bookmark(&self.target, revision, initial_events_end);
        self.pending.push_back(Pending::Line(line));
    }

    fn lost(&mut self, lost: WindowLost) {
        let message = format!("too old resource version: {} ({})", lost.requested, lost.oldest);
        let status = ApiError::Expired(message).status();
        self.pending.push_back(Pending::Line(line("ERROR", &status)));
        self.ended = true;
    }

    /// What is pending, up to the size of a chunk.
    fn chunk(&mut self) -> Option<Bytes> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK {
            match self.pending.pop_front() {
                None => break,
                Some(Pending::Line(line)) => chunk.extend_from_slice(&line),
                Some(Pending::Object(kind, object)) => self.view.render(&mut chunk, &self.target, kind, &object),
            }
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }
}

/// How objects are shown to this client.
struct Viewer {
    accepted: Accepted,
    /// Table columns come with the first event only.
    columns_told: bool,
    /// What a table needs to know of the request.
    table: table::Options,
}

impl Viewer {
    fn new(call: &Call, target: &Target, accepted: Accepted) -> Self {
        Self { accepted, columns_told: false, table: table::Options::of(call, target.resource) }
    }

    fn render(&mut self, out: &mut Vec<u8>, target: &Target, kind: ChangeKind, object: &Object) {
        let event = match kind {
            ChangeKind::Added => "ADDED",
            ChangeKind::Modified => "MODIFIED",
            ChangeKind::Deleted => "DELETED",
        };
        if self.accepted.view == View::Whole && table::as_stored(target.resource) {
            out.extend_from_slice(format!(r#"{{"type":"{event}","object":"#).as_bytes());
            out.extend_from_slice(object.json());
            out.extend_from_slice(b"}\n");
            return;
        }
        let value = table::converted(target.resource, object.value());
        let value = self.view(value);
        out.extend_from_slice(&line(event, &value));
    }

    fn view(&mut self, value: Value) -> Value {
        match self.accepted.view {
            View::Whole => value,
            View::Partial(version) => table::partial(version, &value),
            View::Table(version) => {
                let metadata = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
                let mut table = self.table.start(version);
                table.push(&value);
                let columns = !std::mem::replace(&mut self.columns_told, true);
                table.event(&metadata, columns)
            }
        }
    }

    /// An event that carries nothing but a revision (golden 579).
    fn bookmark(&mut self, target: &Target, revision: u64, initial_events_end: bool) -> Vec<u8> {
        let resource = target.resource;
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_events_end {
            let list = format!(
                "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{{}},\"items\":null}}\n",
                resource.list_kind(),
                resource.api_version()
            );
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true", BLUEPRINT: base64(list.as_bytes())});
        }
        let object = match self.accepted.view {
            View::Whole => {
                let mut object = podlab_api::managed::zero(resource.schema);
                object["kind"] = resource.kind.into();
                object["apiVersion"] = resource.api_version().into();
                object["metadata"] = metadata;
                object
            }
            View::Partial(version) => table::partial(version, &json!({"metadata": metadata})),
            View::Table(version) => {
                let columns = !std::mem::replace(&mut self.columns_told, true);
                self.table.start(version).event(&metadata, columns)
            }
        };
        line("BOOKMARK", &object)
    }
}

/// One event as a line.
fn line(event: &str, object: &Value) -> Vec<u8> {
    let mut line = format!(r#"{{"type":"{event}","object":"#).into_bytes();
    // Writing JSON values into memory cannot fail.
    let _ = serde_json::to_writer(&mut line, &Ordered::new(object));
    line.extend_from_slice(b"}\n");
    line
}
