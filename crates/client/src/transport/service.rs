//! A server in the same process: the request is a function call.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::BoxError;
use crate::client::Body;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Answer = Boxed<Result<http::Response<Body>, BoxError>>;

/// A tower service without its type.
pub(crate) struct Service(Box<dyn Fn(http::Request<Body>) -> Answer + Send + Sync>);

impl Service {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Service(Box::new(move |request| {
            let answer: Boxed<Result<http::Response<B>, S::Error>> = Box::pin(service.clone().oneshot(request));
            Box::pin(async move {
                let response = answer.await.map_err(Into::into)?;
                Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
            })
        }))
    }

    pub(crate) fn call(&self, request: http::Request<Body>) -> Answer {
        (self.0)(request)
    }
}
