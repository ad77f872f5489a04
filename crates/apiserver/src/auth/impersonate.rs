//! `kubectl --as`: a request in somebody else's name (k8s.io/apiserver/pkg/endpoints/filters/impersonation.go).

use std::sync::Arc;

use http::HeaderMap;
use podlab_api::error::ApiError;

use super::Identity;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
/// Values of these headers that are looked at.
const VALUES: usize = 64;

/// Who a request of `identity` is from: itself, or who it names. Only an administrator may name somebody. The headers that
/// say so go: whoever the request is handed on to shall not act on them again.
///
/// # Errors
/// [`ApiError::Forbidden`] for all others; [`ApiError::BadRequest`] when groups are named and no user.
pub(crate) fn taken(identity: Arc<Identity>, headers: &mut HeaderMap) -> Result<Arc<Identity>, ApiError> {
    let named = named(identity, headers)?;
    let says = |name: &str| matches!(name, USER | GROUP | UID) || name.starts_with(EXTRA);
    let names: Vec<_> = headers.keys().filter(|name| says(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    Ok(named)
}

fn named(identity: Arc<Identity>, headers: &HeaderMap) -> Result<Arc<Identity>, ApiError> {
    let all = |name: &'static str| headers.get_all(name).iter().take(VALUES).filter_map(|value| value.to_str().ok());
    let user = all(USER).next().unwrap_or_default();
    let others = headers.keys().any(|name| matches!(name.as_str(), GROUP | UID) || name.as_str().starts_with(EXTRA));
    if user.is_empty() && !others {
        return Ok(identity);
    }
    if user.is_empty() {
        return Err(ApiError::BadRequest("requested a group, a uid or more without impersonating a user".to_owned()));
    }
    if !identity.is_in("system:masters") {
        return Err(refusal(&identity, user));
    }
    let mut groups: Vec<String> = all(GROUP).map(str::to_owned).collect();
    let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let known = |group: &str| groups.iter().any(|given| given == group);
    let everyones = if user == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    if !known(everyones) && !known("system:unauthenticated") {
        groups.push(everyones.to_owned());
    }
    let mut extra: Vec<(String, Vec<String>)> = Vec::new();
    for name in headers.keys().take(VALUES) {
        let Some(key) = name.as_str().strip_prefix(EXTRA) else { continue };
        let values = headers.get_all(name).iter().take(VALUES).filter_map(|value| value.to_str().ok());
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
        extra.push((key, values.map(str::to_owned).collect()));
    }
    extra.sort();
    Ok(Arc::new(Identity { user: user.to_owned(), groups, uid: all(UID).next().map(str::to_owned), extra }))
}

/// A service account is asked for by its own resource, everybody else as a user.
fn refusal(identity: &Identity, user: &str) -> ApiError {
    let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    let (plural, name, scope) = match account {
        Some((namespace, name)) => ("serviceaccounts", name, format!("in the namespace {namespace:?}")),
        None => ("users", user, "at the cluster scope".to_owned()),
    };
    ApiError::Forbidden {
        group: String::new(),
        plural: plural.to_owned(),
        name: name.to_owned(),
        message: format!("User {:?} cannot impersonate resource {plural:?} in API group \"\" {scope}", identity.user),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn an_administrator_is_whom_they_name() {
        let admin = || Arc::new(Identity::admin());
        assert_eq!(named(admin(), &HeaderMap::new()).unwrap(), admin());
        for (given, user, groups) in [
            (&[("impersonate-user", "jane")][..], "jane", &["system:authenticated"][..]),
            (
                &[("impersonate-user", "jane"), ("impersonate-group", "dev"), ("impersonate-group", "ops")],
                "jane",
                &["dev", "ops", "system:authenticated"],
            ),
            (
                &[("impersonate-user", "system:serviceaccount:team:web")],
                "system:serviceaccount:team:web",
                &["system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated"],
            ),
            (&[("impersonate-user", "system:anonymous")], "system:anonymous", &["system:unauthenticated"]),
        ] {
            let named = named(admin(), &headers(given)).unwrap();
            assert_eq!(
                (named.user.as_str(), named.groups.as_slice()),
                (user, groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>().as_slice())
            );
        }
        let more = headers(&[("impersonate-user", "j"), ("impersonate-uid", "u"), ("impersonate-extra-a%2fb", "c")]);
        let named = named(admin(), &more).unwrap();
        assert_eq!((named.uid.as_deref(), &named.extra), (Some("u"), &vec![("a/b".to_owned(), vec!["c".to_owned()])]));
    }

    #[test]
    fn nobody_else_names_anybody() {
        let node = Arc::new(Identity::node("n"));
        let refused = |user| named(node.clone(), &headers(&[("impersonate-user", user)])).unwrap_err().to_string();
        assert_eq!(
            refused("kubernetes-admin"),
            "users \"kubernetes-admin\" is forbidden: User \"system:node:n\" cannot impersonate resource \"users\" in API \
             group \"\" at the cluster scope"
        );
        assert_eq!(
            refused("system:serviceaccount:a:b"),
            "serviceaccounts \"b\" is forbidden: User \"system:node:n\" cannot impersonate resource \"serviceaccounts\" in \
             API group \"\" in the namespace \"a\""
        );
        let groups = headers(&[("impersonate-group", "system:masters")]);
        assert!(matches!(named(node.clone(), &groups), Err(ApiError::BadRequest(_))));
    }
}
