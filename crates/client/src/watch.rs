//! A collection's changes, as they happen.

use std::collections::VecDeque;
use std::marker::PhantomData;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Body, Client};
use crate::error::{Error, Request};
use crate::lines::Lines;
use crate::params::ListOptions;
use crate::path::Path;
use crate::typed::Object;

/// The longest event: the largest object the server takes (3 MiB) and room for its frame.
const MAX_LINE: usize = 8 << 20;

/// A change of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent<K> {
    Added(K),
    Modified(K),
    Deleted(K),
    /// Nothing changed, but the watch may be resumed from here.
    Bookmark {
        resource_version: String,
    },
}

/// A running watch. It ends with `None` when the server closes it, which it does every few minutes.
pub struct Watch<K> {
    request: Request,
    body: Body,
    lines: Lines,
    ready: VecDeque<Bytes>,
    kind: PhantomData<fn() -> K>,
}

/// An event on the wire; its object is decoded once its type is known.
#[derive(Deserialize)]
struct Wire<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// What a bookmark has of an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bookmark {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: String,
}

impl Client {
    /// Watches a collection from `options.resource_version`, or from now with all present objects first as Added.
    ///
    /// # Errors
    /// As [`Client::open`]; [`Error::is_gone`] when the revision is too old.
    pub async fn watch<K: Object>(
        &self,
        namespace: impl Into<Option<&str>>,
        options: &ListOptions,
    ) -> Result<Watch<K>, Error> {
        let path = Path::collection::<K>(namespace.into()).query("watch", "true").query("allowWatchBookmarks", "true");
        let path = options.apply(path);
        let line = Request { method: Method::GET, path: path.as_str().to_owned() };
        let request = http::Request::get(path.as_str())
            .body(Bytes::new())
            .map_err(|error| Error::Encode { request: line.clone(), reason: error.to_string() })?;
        let response = self.open(request).await?;
        Ok(Watch {
            request: line,
            body: response.into_body(),
            lines: Lines::default(),
            ready: VecDeque::new(),
            kind: PhantomData,
        })
    }
}

impl<K: Object> Watch<K> {
    /// The next event; `None` when the server closed the watch.
    ///
    /// # Errors
    /// [`Error::Api`] when the server ends the watch with a Status ([`Error::is_gone`]); a broken connection.
    pub async fn next(&mut self) -> Result<Option<WatchEvent<K>>, Error> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return self.decode(&line).map(Some);
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame =
                frame.map_err(|error| Error::Transport { request: self.request.clone(), reason: error.to_string() })?;
            if let Some(data) = frame.data_ref() {
                self.lines.push(data);
                self.ready.extend(std::iter::from_fn(|| self.lines.next()));
                if self.lines.pending() > MAX_LINE {
                    return Err(Error::TooLarge { request: self.request.clone(), limit: MAX_LINE });
                }
            }
        }
    }

    /// The same as a stream, which ends after the first error.
    pub fn into_stream(self) -> impl futures_util::Stream<Item = Result<WatchEvent<K>, Error>> {
        futures_util::stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(watch))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn decode(&self, line: &[u8]) -> Result<WatchEvent<K>, Error> {
        let bad = |error: serde_json::Error| Error::Decode { request: self.request.clone(), reason: error.to_string() };
        let wire: Wire<'_> = serde_json::from_slice(line).map_err(bad)?;
        let text = wire.object.get();
        Ok(match wire.r#type {
            "ADDED" => WatchEvent::Added(serde_json::from_str(text).map_err(bad)?),
            "MODIFIED" => WatchEvent::Modified(serde_json::from_str(text).map_err(bad)?),
            "DELETED" => WatchEvent::Deleted(serde_json::from_str(text).map_err(bad)?),
            "BOOKMARK" => {
                let bookmark: Bookmark = serde_json::from_str(text).map_err(bad)?;
                WatchEvent::Bookmark { resource_version: bookmark.metadata.resource_version }
            }
            "ERROR" => {
                let status: Status = serde_json::from_str(text).map_err(bad)?;
                let code = status.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
                return Err(Error::Api { request: self.request.clone(), code, status: Box::new(status) });
            }
            other => {
                let reason = format!("an event of the unknown type {other:?}");
                return Err(Error::Decode { request: self.request.clone(), reason });
            }
        })
    }
}
