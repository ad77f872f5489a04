//! What objects are found by. Keys are structured: no name can be the prefix of another's key.

/// A resource: `("", "pods")`, `("apps", "deployments")`. Its versions share the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    pub group: &'static str,
    pub resource: &'static str,
}

/// The name of an object within its resource; objects outside namespaces have an empty one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    namespace: Box<str>,
    name: Box<str>,
}

/// The place of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub resource: GroupResource,
    pub name: ObjectName,
}

impl ObjectName {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Key {
    pub fn new(resource: GroupResource, namespace: &str, name: &str) -> Self {
        Self { resource, name: ObjectName::new(namespace, name) }
    }
}
