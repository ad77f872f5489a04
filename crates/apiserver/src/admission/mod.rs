//! What happens to an object between decoding and storing, because of other objects: the built-in admission plugins of
//! the real server that the texts show (k8s.io/kubernetes/plugin/pkg/admission).
//!
//! Order matters and is the real one's: the namespace first, then what fills the object in (limits, service account,
//! tolerations, priority), then, after validation, the quotas.

mod limits;
mod namespace;
mod node_restriction;
mod pod;
mod priority;
mod quota;
mod service_account;
mod services;
mod storage;
mod tolerations;

use podlab_api::error::ApiError;
use podlab_api::registry::Resource;
use serde_json::Value;

use crate::auth::Identity;
use crate::server::Server;
use crate::store::{GroupResource, Key, Object, Range};
pub(crate) use quota::{Charge, Charging, settle};

/// An object on its way in.
pub(crate) struct Admission<'a> {
    pub(crate) server: &'a Server,
    pub(crate) identity: &'a Identity,
    pub(crate) resource: &'static Resource,
    /// Empty for an object outside namespaces.
    pub(crate) namespace: &'a str,
    /// What the client should tell its user.
    pub(crate) warnings: Vec<String>,
}

impl Admission<'_> {
    fn is(&self, group: &str, plural: &str) -> bool {
        self.resource.group == group && self.resource.plural == plural
    }

    /// A core object that admission has to look at.
    fn core(&self, resource: &'static str, namespace: &str, name: &str) -> Option<Value> {
        let key = Key::new(GroupResource { group: "", resource }, namespace, name);
        self.server.store().get(&key).map(|object| object.value())
    }

    /// All core objects of a resource in the namespace of the request.
    fn core_list(&self, resource: &'static str) -> Vec<Value> {
        let range = Range { namespace: Some(self.namespace), ..Range::default() };
        let objects = self.server.store().list(GroupResource { group: "", resource }, &range).objects;
        objects.iter().map(|object| Object::value(object)).collect()
    }

    fn forbidden(&self, object: &Value, message: impl Into<String>) -> ApiError {
        crate::http::forbidden(self.resource, object["metadata"]["name"].as_str().unwrap_or_default(), message)
    }
}

/// The containers in one of a Pod's lists. Looking must not make a list that is not there.
fn containers_mut<'a>(pod: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = pod.get_mut("spec").and_then(|spec| spec.get_mut(list));
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

/// Fills a new object in, or refuses it.
///
/// # Errors
/// What the plugin that refuses says.
pub(crate) async fn create(admission: &mut Admission<'_>, object: &mut Value) -> Result<(), ApiError> {
    namespace::create(admission, object)?;
    node_restriction::create(admission, object)?;
    if admission.is("", "pods") {
        limits::pod(admission, object)?;
        pod::create(admission, object)?;
        service_account::pod(admission, object).await?;
        tolerations::add(object);
        priority::pod(admission, object)?;
    }
    if admission.is("", "persistentvolumeclaims") {
        limits::claim(admission, object)?;
        storage::class(admission, object);
    }
    storage::protect(admission, object);
    Ok(())
}

/// Fills in what a changed object has of the cluster already.
pub(crate) fn update(admission: &Admission<'_>, object: &mut Value, old: &Value, subresource: Option<&str>) {
    if admission.is("", "services") {
        services::keep(object, old);
    }
    if admission.is("", "pods") && subresource.is_none() {
        // A Pod that is replaced by its manifest keeps what it got here. The service account's volume is not among that:
        // upstream, too, such a Pod is refused for it.
        tolerations::add(object);
        priority::keep(object, old);
    }
}

/// Gives a valid new object what the cluster has to give: addresses and ports.
///
/// # Errors
/// When what it asks for is taken.
pub(crate) async fn allocate(admission: &Admission<'_>, object: &mut Value) -> Result<services::Allocation, ApiError> {
    if admission.is("", "services") { services::allocate(admission, object).await } else { Ok(None) }
}

/// Charges the quotas of the namespace with a valid new object.
///
/// # Errors
/// When a quota is exceeded, or does not know what to charge.
pub(crate) async fn charge(admission: &Admission<'_>, object: &Value) -> Result<Charge, ApiError> {
    quota::charge(admission, object).await
}

/// Whether an object may be deleted at all.
///
/// # Errors
/// For the namespaces that every cluster needs.
pub(crate) fn delete(resource: &'static Resource, name: &str) -> Result<(), ApiError> {
    namespace::delete(resource, name)
}
