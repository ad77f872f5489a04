//! Setting a volume up: what its files are made from is asked of the API server, all at once, and given to the node.

use futures_util::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, ServiceAccount, Volume,
};
use podlab_client::Object;

use super::{Context, Effects};
use crate::backend::{Backend, BackendError, PodUid};
use crate::clock::Clock;
use crate::kubelet::decide::volumes::renew_after;
use crate::kubelet::restart::later;
use crate::kubelet::sources::Sources;
use crate::volumes;

impl<B: Backend, C: Clock> Effects<B, C> {
    /// Returns when a token in the volume is to be renewed.
    pub(super) async fn set_up_volume(
        &self,
        context: &Context,
        uid: &PodUid,
        name: &str,
    ) -> Result<Option<Timestamp>, String> {
        let spec = context.pod.spec.as_ref();
        let volume = spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).find(|volume| volume.name == name);
        let volume = volume.ok_or_else(|| format!("no volume of the name {name}"))?;
        let (sources, renew_at) = self.volume_sources(context, volume).await?;
        let volume = volumes::resolve(&context.pod, volume, &sources, &self.around(context))?;
        let set_up = self.backend.set_up_volume(uid, &volume).await;
        set_up.map(|()| renew_at).map_err(|error| match error {
            BackendError::Volume { message, .. } => message,
            error => error.to_string(),
        })
    }

    /// What a volume refers to, and when the first of its tokens is to be renewed.
    async fn volume_sources(&self, context: &Context, volume: &Volume) -> Result<(Sources, Option<Timestamp>), String> {
        let pod = &*context.pod;
        let references = volumes::references(volume);
        let namespace = pod.namespace().unwrap_or_default();
        let config_maps = references.config_maps.into_iter().map(async |name| {
            let found = self.find::<ConfigMap>(namespace, &name).await?;
            Ok::<_, String>((name, found))
        });
        let secrets = references.secrets.into_iter().map(async |name| {
            let found = self.find::<Secret>(namespace, &name).await?;
            Ok::<_, String>((name, found))
        });
        let claims = references.claims.into_iter().map(async |name| {
            let found = self.claim(namespace, &name).await?;
            Ok::<_, String>((name, found))
        });
        let images = references.images.into_iter().map(async |reference| {
            let id = self.image_id(context, &reference).await?;
            Ok::<_, String>((reference, id))
        });
        let now = self.clock.now();
        let renew_at = references.tokens.iter().map(|(_, _, seconds)| later(now, renew_after(*seconds))).min();
        let tokens = references.tokens.into_iter().map(async |(place, audience, seconds)| {
            let token = self.token(pod, audience, seconds).await?;
            Ok::<_, String>(((volume.name.clone(), place), token))
        });
        let (config_maps, secrets, claims, images, tokens) = tokio::try_join!(
            try_join_all(config_maps),
            try_join_all(secrets),
            try_join_all(claims),
            try_join_all(images),
            try_join_all(tokens),
        )?;
        let sources = Sources {
            config_maps: config_maps.into_iter().collect(),
            secrets: secrets.into_iter().collect(),
            claims: claims.into_iter().collect(),
            images: images.into_iter().collect(),
            tokens: tokens.into_iter().collect(),
            ..Sources::default()
        };
        Ok((sources, renew_at))
    }

    /// A claim, and the volume that it is bound to.
    async fn claim(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(PersistentVolumeClaim, Option<PersistentVolume>)>, String> {
        let Some(claim) = self.find::<PersistentVolumeClaim>(namespace, name).await? else { return Ok(None) };
        let bound = match claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()) {
            Some(bound) => self.find::<PersistentVolume>(None, bound).await?,
            None => None,
        };
        Ok(Some((claim, bound)))
    }

    /// The id of an image, which is pulled when it is not there.
    async fn image_id(&self, context: &Context, reference: &str) -> Result<String, String> {
        let found = self.backend.image(reference).await.map_err(|error| error.to_string())?;
        let image = match found {
            Some(image) => image,
            None => self.pull(context, reference).await?,
        };
        Ok(image.id)
    }

    /// A token of the Pod's service account, which ends with the Pod.
    async fn token(&self, pod: &Pod, audience: Option<String>, seconds: i64) -> Result<String, String> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        };
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audience.filter(|audience| !audience.is_empty()).into_iter().collect(),
                bound_object_ref: Some(bound),
                expiration_seconds: Some(seconds),
            },
            ..TokenRequest::default()
        };
        let answer: Result<TokenRequest, _> =
            self.client.create_subresource::<ServiceAccount, _, _>(pod.namespace(), account, "token", &request).await;
        let namespace = pod.namespace().unwrap_or_default();
        let answer =
            answer.map_err(|error| format!("failed to fetch token: \"{namespace}\"/\"{account}\": {error}"))?;
        answer.status.map(|status| status.token).ok_or_else(|| "failed to fetch token: the answer has none".to_owned())
    }
}
