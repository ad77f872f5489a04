//! The address of an object or a collection on the server.

use k8s_openapi::Resource;

/// Path and query of a request, each part escaped as it is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    path: String,
    has_query: bool,
}

impl Path {
    /// The collection of a kind: `/api/v1/namespaces/default/pods`, `/apis/apps/v1/deployments`.
    #[must_use]
    pub fn collection<K: Resource>(namespace: Option<&str>) -> Self {
        Self::collection_of(K::GROUP, K::VERSION, namespace, K::URL_PATH_SEGMENT)
    }

    /// The same for a kind that is known only at run time. The core group is the empty string.
    #[must_use]
    pub fn collection_of(group: &str, version: &str, namespace: Option<&str>, plural: &str) -> Self {
        let path = match group {
            "" => Path::new("/api"),
            group => Path::new("/apis").segment(group),
        };
        let path = path.segment(version);
        let path = match namespace {
            Some(namespace) => path.segment("namespaces").segment(namespace),
            None => path,
        };
        path.segment(plural)
    }

    /// An object of a kind.
    #[must_use]
    pub fn object<K: Resource>(namespace: Option<&str>, name: &str) -> Self {
        Self::collection::<K>(namespace).segment(name)
    }

    /// A path as it stands, possibly with a query.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        let path = path.into();
        Path { has_query: path.contains('?'), path }
    }

    /// Adds a segment. Call it before any [`query`](Path::query).
    #[must_use]
    pub fn segment(mut self, segment: &str) -> Self {
        debug_assert!(!self.has_query, "a segment after the query");
        self.path.push('/');
        escape(&mut self.path, segment);
        self
    }

    /// Adds `name=value` to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        escape(&mut self.path, name);
        self.path.push('=');
        escape(&mut self.path, value);
        self
    }

    /// The namespace that the path leads into. (Escaping changes no valid name.)
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let (_, rest) = self.path.split_once("/namespaces/")?;
        rest.split_once('/').map(|(namespace, _)| namespace)
    }

    /// Path and query, escaped.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }
}

/// Percent-encodes everything that RFC 3986 does not call unreserved. A segment of `.` or `..` would be taken for a
/// step in the path, so its dots are encoded as well.
fn escape(to: &mut String, text: &str) {
    let dots = matches!(text, "." | "..");
    for byte in text.bytes() {
        match byte {
            b'.' if dots => to.push_str("%2E"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => to.push(char::from(byte)),
            _ => {
                to.push('%');
                to.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
                to.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{apps::v1::Deployment, core::v1::Node, core::v1::Pod};

    #[test]
    fn addresses_follow_group_scope_and_name() {
        assert_eq!(Path::object::<Pod>(Some("default"), "kuard").as_str(), "/api/v1/namespaces/default/pods/kuard");
        assert_eq!(Path::collection::<Pod>(None).as_str(), "/api/v1/pods");
        assert_eq!(Path::object::<Node>(None, "node1").segment("status").as_str(), "/api/v1/nodes/node1/status");
        assert_eq!(Path::collection::<Deployment>(Some("web")).as_str(), "/apis/apps/v1/namespaces/web/deployments");
    }

    #[test]
    fn no_part_can_leave_its_place() {
        assert_eq!(Path::object::<Pod>(Some(".."), "a/b?c").as_str(), "/api/v1/namespaces/%2E%2E/pods/a%2Fb%3Fc");
        assert_eq!(Path::new("/x").query("a", "1&b=2").query("c", "é").as_str(), "/x?a=1%26b%3D2&c=%C3%A9");
        assert_eq!(Path::new("/x?a=1").query("b", "2").as_str(), "/x?a=1&b=2");
    }
}
