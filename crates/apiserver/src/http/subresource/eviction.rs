//! `pods/NAME/eviction`: a deletion that could be refused for the sake of a disruption budget. There are none here.

use http::StatusCode;
use podlab_api::error::ApiError;

use super::success;
use crate::http::body::kind_of;
use crate::http::delete::{self, Options};
use crate::http::write::{dry_run, same_name};
use crate::http::{Answer, Call, Target};

pub(super) async fn evict(call: &mut Call, target: &Target) -> Answer {
    let Some(subresource) = target.subresource else { return Err(ApiError::UnknownPath) };
    let dry_run = dry_run(call)?;
    let (eviction, _) = call.decode(&kind_of(target.resource, subresource)).await?;
    same_name(target, &eviction)?;
    let mut options = Options::read(&eviction["deleteOptions"])?;
    options.dry_run |= dry_run;
    delete::remove(&call.server, target, &options).await?;
    success(call, StatusCode::CREATED)
}
