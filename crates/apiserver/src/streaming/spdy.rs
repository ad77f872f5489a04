//! placeholder
use crate::http::{Answer, Call};
use http::request::Parts;
use podlab_api::error::ApiError;
pub(super) fn is_upgrade(_: &Parts) -> bool {
    false
}
pub(super) async fn exec(_: &mut Call, _: super::exec::Session) -> Answer {
    Err(ApiError::UnknownPath)
}
