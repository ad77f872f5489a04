//! Parts of objects with routes of their own.

mod binding;
mod eviction;
mod scale;
mod token;

use http::{Method, StatusCode};
use podlab_api::error::ApiError;
use podlab_api::registry::Subresource;
use serde_json::{Value, json};

use super::body::kind_of;
use super::negotiate::{Accepted, View};
use super::respond::{self, Shape};
use super::write::{Update, dry_run, same_name};
use super::{Answer, Call, Target, Verb, patch, read};
use crate::streaming;

/// Answers a request for a subresource.
pub(super) async fn serve(call: &mut Call, target: &Target, subresource: &'static Subresource) -> Answer {
    let Some(verb) = target.verb else { return Err(ApiError::MethodNotAllowed) };
    if !subresource.verbs.contains(&verb.name()) {
        return Err(ApiError::MethodNotAllowed);
    }
    match subresource.name {
        "binding" => binding::bind(call, target).await,
        "eviction" => eviction::evict(call, target).await,
        "scale" => scale::serve(call, target, verb).await,
        "token" => token::create(call, target).await,
        "log" => streaming::log(call, target).await,
        "exec" | "attach" => streaming::exec(call, target, subresource.name).await,
        "portforward" => streaming::port_forward(call, target).await,
        "proxy" => streaming::proxy(call, target).await,
        _ => part(call, target, subresource, verb).await,
    }
}

/// `status`, `finalize`, `ephemeralcontainers`: the object itself, of which a write changes one part.
async fn part(call: &mut Call, target: &Target, subresource: &'static Subresource, verb: Verb) -> Answer {
    match verb {
        Verb::Get => read::get(call, target),
        Verb::Patch => patch::patch(call, target).await,
        Verb::Update => {
            let accepted = Accepted::of(&call.parts.headers)?;
            let update = Update { subresource: Some(subresource.name), dry_run: dry_run(call)? };
            let (object, warnings) = call.decode(&kind_of(target.resource, subresource)).await?;
            same_name(target, &object)?;
            let stored = update.run(call, target, |_| Ok(object.clone())).await?;
            let shape = Shape::of(&call.parts);
            let mut response = read::one(call, target, &shape, accepted, StatusCode::OK, &stored);
            respond::warn(&mut response, &warnings);
            Ok(response)
        }
        _ => Err(ApiError::MethodNotAllowed),
    }
}

/// The answer to what has been done and has no object to show.
fn success(call: &Call, code: StatusCode) -> Answer {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code.as_u16()});
    answer(call, code, &status)
}

/// An answer with an object that is not in the store.
fn answer(call: &Call, code: StatusCode, value: &Value) -> Answer {
    let accepted = Accepted::of(&call.parts.headers).unwrap_or(Accepted::JSON);
    if accepted.view != View::Whole && call.parts.method == Method::GET {
        return Err(ApiError::NotAcceptable(vec!["application/json".into(), "application/yaml".into()]));
    }
    Ok(respond::value(&Shape::of(&call.parts), accepted.encoding, code, value))
}
