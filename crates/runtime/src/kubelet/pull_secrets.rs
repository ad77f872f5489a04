//! `imagePullSecrets`: who a Pod is to registries.
//!
//! Upstream: pkg/credentialprovider/config.go and keyring.go. A Secret holds what `docker login` writes: entries by
//! registry, each with a user and a password, plain or together in base64.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Secret};
use podlab_images::Reference;
use podlab_images::registry::Credentials;
use serde::Deserialize;

/// `.dockerconfigjson`
#[derive(Deserialize)]
struct Logins {
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
}

/// The names of a Pod's pull Secrets.
pub(super) fn names(pod: &Pod) -> impl Iterator<Item = &str> {
    let secrets = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    secrets.map(|secret| secret.name.as_str()).filter(|name| !name.is_empty())
}

/// What the Secrets say about an image's registry; the entry that names most of the image counts.
pub(super) fn credentials(secrets: &[Secret], image: &str) -> Option<Credentials> {
    let image: Reference = image.parse().ok()?;
    let mut found: Vec<(usize, Credentials)> = secrets
        .iter()
        .flat_map(logins)
        .filter_map(|(registry, login)| Some((matching(&registry, &image)?, login.credentials()?)))
        .collect();
    found.sort_by_key(|(length, _)| *length);
    found.pop().map(|(_, credentials)| credentials)
}

/// What cannot be read says nothing: the pull may succeed without, and otherwise tells why it did not.
fn logins(secret: &Secret) -> BTreeMap<String, Login> {
    let data = |key: &str| secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice());
    match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => data(".dockerconfigjson")
            .and_then(|bytes| serde_json::from_slice::<Logins>(bytes).ok())
            .map(|logins| logins.auths)
            .unwrap_or_default(),
        Some("kubernetes.io/dockercfg") => {
            data(".dockercfg").and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
        }
        _ => BTreeMap::new(),
    }
}

/// How much of the image's name an entry matches; `None` when it is for others.
fn matching(entry: &str, image: &Reference) -> Option<usize> {
    let entry = entry.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    // What `docker login` calls its default registry.
    let entry = match entry {
        "index.docker.io/v1" | "index.docker.io" | "registry-1.docker.io" => "docker.io",
        entry => entry.trim_end_matches("/v1").trim_end_matches("/v2"),
    };
    let rest = image.repository();
    let rest = rest.strip_prefix(entry)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(entry.len())
}

impl Login {
    fn credentials(&self) -> Option<Credentials> {
        if !self.username.is_empty() {
            return Some(Credentials { user: self.username.clone(), password: self.password.clone() });
        }
        // It is what a basic Authorization header carries.
        let plain = podlab_images::registry::decode_basic(&self.auth)?;
        let (user, password) = plain.split_once(':')?;
        Some(Credentials { user: user.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secret(auths: serde_json::Value) -> Secret {
        let content = json!({"auths": auths}).to_string();
        Secret {
            type_: Some("kubernetes.io/dockerconfigjson".to_owned()),
            data: Some(BTreeMap::from([(".dockerconfigjson".to_owned(), k8s_openapi::ByteString(content.into()))])),
            ..Secret::default()
        }
    }

    #[test]
    fn the_entry_that_names_most_of_the_image_counts() {
        let secrets = [
            secret(json!({
                "https://index.docker.io/v1/": {"auth": "aHViOmh1YnBhc3M="},
                "localhost:5000": {"username": "all", "password": "a"},
                "localhost:5000/team": {"username": "team", "password": "t"},
            })),
            Secret { type_: Some("Opaque".to_owned()), ..secret(json!({"quay.io": {"username": "no"}})) },
        ];
        let user = |image: &str| credentials(&secrets, image).map(|found| format!("{}:{}", found.user, found.password));
        assert_eq!(user("nginx").as_deref(), Some("hub:hubpass"));
        assert_eq!(user("localhost:5000/app:1").as_deref(), Some("all:a"));
        assert_eq!(user("localhost:5000/team/app").as_deref(), Some("team:t"));
        assert_eq!(user("localhost:5000/teams/app").as_deref(), Some("all:a"));
        assert_eq!(user("localhost:50001/app"), None);
        assert_eq!(user("quay.io/app"), None, "an Opaque Secret is no pull Secret");
        assert_eq!(user("No Image"), None);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let mut broken = secret(json!({}));
        broken.data = Some(BTreeMap::from([(".dockerconfigjson".to_owned(), k8s_openapi::ByteString(b"{".to_vec()))]));
        assert_eq!(credentials(&[broken, secret(json!({"a.b": {"auth": "%"}}))], "a.b/c"), None);
    }
}
