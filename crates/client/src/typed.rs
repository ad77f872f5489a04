//! The verbs, typed by the kinds of k8s-openapi.

use bytes::Bytes;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::Client;
use crate::error::{Error, Request};
use crate::params::{DeleteOptions, ListOptions, Patch};
use crate::path::Path;

const JSON: &str = "application/json";

/// A kind of object that is stored under a name. Every such type of k8s-openapi is one.
pub trait Object:
    k8s_openapi::Resource
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + Serialize
    + DeserializeOwned
    + Clone
    + Send
    + Sync
    + 'static
{
    /// The name, or nothing for an object that was never stored.
    fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// The namespace; `None` for a kind that has none.
    fn namespace(&self) -> Option<&str> {
        self.metadata().namespace.as_deref()
    }

    /// The uid, or nothing for an object that was never stored.
    fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }
}

impl<K> Object for K where
    K: k8s_openapi::Resource
        + k8s_openapi::Metadata<Ty = ObjectMeta>
        + Serialize
        + DeserializeOwned
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A list as the server sends it.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
pub struct ObjectList<K> {
    #[serde(default)]
    pub metadata: ListMeta,
    #[serde(default = "Vec::new", deserialize_with = "null_is_empty")]
    pub items: Vec<K>,
}

impl Client {
    /// Reads an object.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get<K: Object>(&self, namespace: impl Into<Option<&str>>, name: &str) -> Result<K, Error> {
        self.request(Method::GET, &Path::object::<K>(namespace.into(), name), None, Bytes::new()).await
    }

    /// Lists objects; `None` for the namespace means all namespaces.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn list<K: Object>(
        &self,
        namespace: impl Into<Option<&str>>,
        options: &ListOptions,
    ) -> Result<ObjectList<K>, Error> {
        let path = options.apply(Path::collection::<K>(namespace.into()));
        self.request(Method::GET, &path, None, Bytes::new()).await
    }

    /// Creates an object in the namespace that its metadata names.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_already_exists`].
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, Error> {
        self.write(Method::POST, &Path::collection::<K>(object.namespace()), object).await
    }

    /// Replaces an object; with a resourceVersion in its metadata only if unchanged since.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_conflict`].
    pub async fn replace<K: Object>(&self, object: &K) -> Result<K, Error> {
        self.write(Method::PUT, &Path::object::<K>(object.namespace(), object.name()), object).await
    }

    /// Replaces an object's status, and nothing else of it.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_conflict`].
    pub async fn replace_status<K: Object>(&self, object: &K) -> Result<K, Error> {
        let path = Path::object::<K>(object.namespace(), object.name()).segment("status");
        self.write(Method::PUT, &path, object).await
    }

    /// Changes an object, or one of its subresources (`Some("status")`).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn patch<K: Object>(
        &self,
        namespace: impl Into<Option<&str>>,
        name: &str,
        patch: &Patch,
        subresource: Option<&str>,
    ) -> Result<K, Error> {
        let path = Path::object::<K>(namespace.into(), name);
        let path = match subresource {
            Some(subresource) => path.segment(subresource),
            None => path,
        };
        self.patch_at(&path, patch).await
    }

    /// Deletes an object. The answer is the object while it has yet to end, else a Status.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn delete<K: Object>(
        &self,
        namespace: impl Into<Option<&str>>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Value, Error> {
        self.delete_at(&Path::object::<K>(namespace.into(), name), options).await
    }

    /// Deletes the objects of a collection that the selectors match.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn delete_collection<K: Object>(
        &self,
        namespace: impl Into<Option<&str>>,
        which: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Value, Error> {
        let path = which.apply(Path::collection::<K>(namespace.into()));
        self.write(Method::DELETE, &path, &options.body()).await
    }

    /// Creates a subresource of an object: a Binding, a TokenRequest, an Eviction.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn create_subresource<K: Object, T: Serialize, R: DeserializeOwned>(
        &self,
        namespace: impl Into<Option<&str>>,
        name: &str,
        subresource: &str,
        body: &T,
    ) -> Result<R, Error> {
        self.write(Method::POST, &Path::object::<K>(namespace.into(), name).segment(subresource), body).await
    }

    /// GETs what is at a path, for kinds that are known only at run time.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get_at<R: DeserializeOwned>(&self, path: &Path) -> Result<R, Error> {
        self.request(Method::GET, path, None, Bytes::new()).await
    }

    /// POSTs to a path.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn post_at<T: Serialize, R: DeserializeOwned>(&self, path: &Path, body: &T) -> Result<R, Error> {
        self.write(Method::POST, path, body).await
    }

    /// PUTs to a path.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn put_at<T: Serialize, R: DeserializeOwned>(&self, path: &Path, body: &T) -> Result<R, Error> {
        self.write(Method::PUT, path, body).await
    }

    /// PATCHes what is at a path.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn patch_at<R: DeserializeOwned>(&self, path: &Path, patch: &Patch) -> Result<R, Error> {
        let body = encode(Method::PATCH, path, patch.body())?;
        self.request(Method::PATCH, path, Some(patch.content_type()), body).await
    }

    /// DELETEs what is at a path.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn delete_at(&self, path: &Path, options: &DeleteOptions) -> Result<Value, Error> {
        self.write(Method::DELETE, path, &options.body()).await
    }

    /// Sends `body` as JSON.
    async fn write<T: Serialize, R: DeserializeOwned>(
        &self,
        method: Method,
        path: &Path,
        body: &T,
    ) -> Result<R, Error> {
        let body = encode(method.clone(), path, body)?;
        self.request(method, path, Some(JSON), body).await
    }
}

/// Go writes an empty list as `null`.
fn null_is_empty<'de, D: serde::Deserializer<'de>, K: Deserialize<'de>>(deserializer: D) -> Result<Vec<K>, D::Error> {
    Ok(Option::<Vec<K>>::deserialize(deserializer)?.unwrap_or_default())
}

fn encode<T: Serialize + ?Sized>(method: Method, path: &Path, body: &T) -> Result<Bytes, Error> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| Error::Encode {
        request: Request { method, path: path.as_str().to_owned() },
        reason: error.to_string(),
    })
}
