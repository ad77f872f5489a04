use crate::http::{Answer, Call, Target};
use podlab_api::error::ApiError;
pub(crate) async fn port_forward(_: &mut Call, _: &Target) -> Answer {
    Err(ApiError::UnknownPath)
}
