use crate::http::{Answer, Call, Target};
use podlab_api::error::ApiError;
pub(crate) async fn proxy(_: &mut Call, _: &Target) -> Answer {
    Err(ApiError::UnknownPath)
}
