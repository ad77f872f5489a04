//! From a request to its answer: who asks, what for, may they, and then the verb.

mod body;
mod delete;
mod discovery;
mod health;
mod manager;
mod metrics;
mod negotiate;
mod object;
mod openapi;
mod options;
mod patch;
mod query;
mod read;
mod respond;
mod review;
mod route;
mod subresource;
mod table;
mod watch;
mod write;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use podlab_api::error::ApiError;

use crate::auth::{self, Identity};
use crate::server::{Body, Server};

pub(crate) use object::{forbidden, metadata, place, place_of, stamp};
pub(crate) use query::Query;
pub(crate) use read::find;
pub(crate) use respond::plain_status;
pub(crate) use route::{Route, Target, Verb};
pub(crate) use write::random_suffix;

/// What is known about the other end of a connection before any request.
#[derive(Clone)]
pub(crate) enum Peer {
    /// In this process, or through a socket that only one can open.
    Known(Arc<Identity>),
    /// Through TLS, perhaps with a client certificate.
    Network { client: Option<Arc<Identity>> },
}

/// A request on its way through the server.
pub(crate) struct Call {
    pub(crate) server: Server,
    pub(crate) identity: Arc<Identity>,
    pub(crate) parts: Parts,
    pub(crate) query: Query,
    body: body::Unread,
}

pub(crate) type Answer = Result<Response<Body>, ApiError>;

/// Answers a request; whatever goes wrong becomes a Status.
pub(crate) async fn answer(server: Server, peer: Peer, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let shape = respond::Shape::of(&parts);
    let unread = body::Unread::new(body);
    let served = serve(server, peer, parts, unread.clone()).await;
    unread.drain();
    match served {
        Ok(response) => response,
        Err(error) => respond::error(&error, &shape),
    }
}

async fn serve(server: Server, peer: Peer, mut parts: Parts, body: body::Unread) -> Answer {
    if matches!(peer, Peer::Network { .. }) {
        auth::origin::check(&parts)?;
    }
    let identity = auth::taken(auth::authenticate(&server, &peer, &parts)?, &mut parts.headers)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let route = Route::of(&parts.method, parts.uri.path(), &query);
    if let Err(error) = auth::authorize(&server, &identity, &parts, &query, &route) {
        // Golden 580: this refusal alone is told so.
        let mut response = respond::error(&error, &respond::Shape::of(&parts));
        response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        return Ok(response);
    }
    let mut call = Call { server, identity, parts, query, body };
    match route {
        Route::Health(check) => health::check(&call, &check),
        Route::Version => Ok(health::version(&call)),
        Route::Document(path) => document(&call, &path),
        Route::Unknown => Err(ApiError::UnknownPath),
        Route::Resource(target) => resource(&mut call, target).await,
    }
}

/// What describes the API itself: read only, the same for all.
fn document(call: &Call, path: &[String]) -> Answer {
    if call.parts.method != Method::GET {
        return Err(ApiError::MethodNotAllowed);
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [] => Ok(discovery::paths(call)),
        ["openapi", "v2"] => Ok(openapi::v2(call)),
        ["openapi", "v3", rest @ ..] => openapi::document(call, rest),
        [root @ ("api" | "apis"), rest @ ..] => discovery::document(call, root, rest),
        _ => Err(ApiError::UnknownPath),
    }
}

async fn resource(call: &mut Call, target: Target) -> Answer {
    if let Some(subresource) = target.subresource {
        return subresource::serve(call, &target, subresource).await;
    }
    if target.resource.storage == podlab_api::registry::Storage::None {
        return review::serve(call, &target).await;
    }
    let Some(verb) = target.verb else { return Err(ApiError::MethodNotAllowed) };
    if !target.resource.verbs.contains(&verb.name()) {
        return Err(ApiError::MethodNotAllowed);
    }
    match verb {
        Verb::Get => read::get(call, &target),
        Verb::List => read::list(call, &target).await,
        Verb::Watch => watch::watch(call, &target).await,
        Verb::Create => write::create(call, &target).await,
        Verb::Update => write::replace(call, &target).await,
        Verb::Patch => patch::patch(call, &target).await,
        Verb::Delete => delete::delete(call, &target).await,
        Verb::DeleteCollection => delete::collection(call, &target).await,
    }
}
