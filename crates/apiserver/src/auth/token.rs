//! The tokens of service accounts: JWTs signed with the cluster's own key (RFC 7515 and 7519, ES256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Identity;
use crate::pki::PkiError;
use crate::server::Server;
use crate::store::{GroupResource, Key};

/// Who signs, and who tokens are for unless they say otherwise.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Bytes of a token that are looked at.
const LONGEST: usize = 16 * 1024;

const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
const SERVICE_ACCOUNTS: GroupResource = GroupResource { group: "", resource: "serviceaccounts" };

/// Signs tokens, and knows its own signature.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

/// The claims of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: Vec<String>,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iss: String,
    pub(crate) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) kubernetes: Kubernetes,
    pub(crate) nbf: i64,
    pub(crate) sub: String,
}

/// What the token stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kubernetes {
    pub(crate) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    pub(crate) serviceaccount: Reference,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Signer {
    pub(crate) fn new(pem: &str) -> Result<Self, PkiError> {
        let unusable = |error: &dyn std::fmt::Display| PkiError::Unusable(format!("sa.key: {error}"));
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| unusable(&error))?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der(), &random)
            .map_err(|error| unusable(&error))?;
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_key().as_ref()));
        Ok(Self { key, key_id, random })
    }

    /// The token with these claims; None when the system has no random numbers.
    pub(crate) fn sign(&self, claims: &Claims) -> Option<String> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(&serde_json::to_vec(claims).ok()?));
        let signature = self.key.sign(&self.random, signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", encode(signature.as_ref())))
    }

    /// The claims of a token that this key signed.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        // The algorithm is ours to choose, not the token's: anything else was not signed here.
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        if header["alg"] != "ES256" {
            return None;
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &decode(signature)?)
            .ok()?;
        serde_json::from_slice(&decode(claims)?).ok()
    }
}

/// The identity of a token for this server, if it holds: signed here, in its time, and what it stands for still there.
pub(crate) fn authenticate(server: &Server, token: &str) -> Option<Identity> {
    let claims = server.inner.signer.verify(token)?;
    current(server, &claims, &[ISSUER])
}

/// The identity of verified claims, if they hold now for one of the audiences.
pub(crate) fn current(server: &Server, claims: &Claims, audiences: &[&str]) -> Option<Identity> {
    // Tokens are for real processes: the wall clock counts, whatever the cluster's clock says.
    let now = Timestamp::now().as_second();
    let in_time = in_time(claims, now);
    let for_us = claims.aud.iter().any(|audience| audiences.contains(&audience.as_str()));
    if claims.iss != ISSUER || !in_time || !for_us {
        return None;
    }
    let Kubernetes { namespace, pod, serviceaccount, node } = &claims.kubernetes;
    let still_there = |resource, reference: &Reference| {
        let object = server.store().get(&Key::new(resource, namespace, &reference.name))?;
        (object.value()["metadata"]["uid"] == *reference.uid).then_some(())
    };
    still_there(SERVICE_ACCOUNTS, serviceaccount)?;
    if let Some(pod) = pod {
        still_there(PODS, pod)?;
    }
    let mut identity = Identity::user(
        format!("system:serviceaccount:{namespace}:{}", serviceaccount.name),
        ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
    );
    identity.uid = Some(serviceaccount.uid.clone());
    let mut extra = vec![("authentication.kubernetes.io/credential-id", format!("JTI={}", claims.jti))];
    if let Some(node) = node {
        extra.push(("authentication.kubernetes.io/node-name", node.name.clone()));
        extra.push(("authentication.kubernetes.io/node-uid", node.uid.clone()));
    }
    if let Some(pod) = pod {
        extra.push(("authentication.kubernetes.io/pod-name", pod.name.clone()));
        extra.push(("authentication.kubernetes.io/pod-uid", pod.uid.clone()));
    }
    identity.extra = extra.into_iter().map(|(key, value)| (key.to_owned(), vec![value])).collect();
    Some(identity)
}

/// Whether the claims hold at `now`. Only their end counts: `nbf` is when we signed them, and those from the future were
/// signed before the clock was set back.
fn in_time(claims: &Claims, now: i64) -> bool {
    now < claims.exp
}

/// New claims, good from now on for `seconds`.
pub(crate) fn claims(audiences: Vec<String>, seconds: i64, kubernetes: Kubernetes) -> Claims {
    let now = Timestamp::now();
    let expires = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    Claims {
        aud: audiences,
        exp: expires.as_second(),
        iat: now.as_second(),
        iss: ISSUER.to_owned(),
        jti: uuid::Uuid::new_v4().to_string(),
        sub: format!("system:serviceaccount:{}:{}", kubernetes.namespace, kubernetes.serviceaccount.name),
        kubernetes,
        nbf: now.as_second(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pki;

    fn some_claims() -> Claims {
        let serviceaccount = Reference { name: "default".into(), uid: "u".into() };
        let kubernetes = Kubernetes { namespace: "a".into(), node: None, pod: None, serviceaccount };
        claims(vec![ISSUER.into()], 600, kubernetes)
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out() {
        let claims = some_claims();
        for (now, holds) in [(claims.iat, true), (claims.iat - 3600, true), (claims.exp - 1, true), (claims.exp, false)]
        {
            assert_eq!(in_time(&claims, now), holds, "{now}");
        }
    }

    #[test]
    fn only_what_this_key_signed_is_believed() {
        let signer = Signer::new(&Pki::ephemeral().unwrap().service_account_key).unwrap();
        let other = Signer::new(&Pki::ephemeral().unwrap().service_account_key).unwrap();
        let token = signer.sign(&some_claims()).unwrap();
        let claims = signer.verify(&token).unwrap();
        assert_eq!((claims.sub.as_str(), claims.exp - claims.iat), ("system:serviceaccount:a:default", 600));
        assert!(other.verify(&token).is_none());
        let (head, rest) = token.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let mut more = some_claims();
        more.sub = "system:serviceaccount:kube-system:root".into();
        let forged = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&more).unwrap());
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        for forgery in [
            format!("{head}.{forged}.{signature}"),
            format!("{none}.{forged}."),
            format!("{none}.{rest}"),
            String::new(),
            "a.b.c".into(),
            "x".repeat(LONGEST + 1),
        ] {
            assert!(signer.verify(&forgery).is_none(), "{forgery}");
        }
    }
}
