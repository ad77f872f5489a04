//! Images of registries. A node has no way out of the cluster's network: the control plane pulls for it.

use podlab_images::registry::Credentials;
use podlab_images::registry::door::{self, PullReply, PullRequest};

use super::{BackendError, Image, ImageError, Linux};
use crate::backend::Backend;

impl Linux {
    /// Has an image brought into the store. What is built in no registry can have newer: it is there.
    pub(super) async fn pull_image(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
    ) -> Result<Image, BackendError> {
        if let Some(image) = self.image(reference).await?.filter(|image| image.built_in) {
            return Ok(image);
        }
        let failed = |text: String| BackendError::Image(ImageError::Pull(text));
        let unavailable = |why: &dyn std::fmt::Display| failed(format!("rpc error: code = Unavailable desc = {why}"));
        let socket = self.inner.config.api_socket.with_file_name(door::SOCKET);
        let node = self.inner.facts.name.clone();
        let request = PullRequest { reference: reference.to_owned(), node, credentials };
        match door::ask(&socket, &request).await {
            Ok(PullReply::Pulled) => match self.image(reference).await? {
                Some(image) => Ok(image),
                None => Err(unavailable(&format!("{reference} was pulled and is gone again"))),
            },
            Ok(PullReply::Failed(text)) => Err(failed(text)),
            Err(error) => Err(unavailable(&format!("the control plane does not pull: {error}"))),
        }
    }
}
