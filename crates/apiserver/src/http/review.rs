//! Questions that are answered and not stored: who am I, may I, is this token good.

use http::StatusCode;
use podlab_api::error::ApiError;
use podlab_api::selector::FieldSelector;
use serde_json::{Map, Value, json};

use super::negotiate::Accepted;
use super::respond::{self, Shape};
use super::{Answer, Call, Target, Verb, metrics};
use crate::auth::{self, Action, Identity, token};

pub(super) async fn serve(call: &mut Call, target: &Target) -> Answer {
    let resource = target.resource;
    let Some(verb) = target.verb else { return Err(ApiError::MethodNotAllowed) };
    if !resource.verbs.contains(&verb.name()) {
        return Err(ApiError::MethodNotAllowed);
    }
    if resource.group == "metrics.k8s.io" {
        return metrics::serve(call, target, verb).await;
    }
    if verb != Verb::Create {
        return Err(ApiError::MethodNotAllowed);
    }
    let accepted = Accepted::of(&call.parts.headers)?;
    let (mut review, warnings) = call.decode(&resource.into()).await?;
    review["status"] = match resource.plural {
        "selfsubjectreviews" => json!({"userInfo": user_info(&call.identity)}),
        "selfsubjectaccessreviews" => access(call, &call.identity, &review["spec"], None)?,
        "subjectaccessreviews" => access(call, &subject(&review["spec"]), &review["spec"], None)?,
        "localsubjectaccessreviews" => {
            access(call, &subject(&review["spec"]), &review["spec"], Some(target.namespace()))?
        }
        "selfsubjectrulesreviews" => rules(&call.identity),
        "tokenreviews" => token_status(call, &review["spec"]),
        _ => return Err(ApiError::UnknownPath),
    };
    let shape = Shape::of(&call.parts);
    let mut response = respond::value(&shape, accepted.encoding, StatusCode::CREATED, &review);
    respond::warn(&mut response, &warnings);
    Ok(response)
}

/// authentication.k8s.io/v1 UserInfo.
fn user_info(identity: &Identity) -> Value {
    let mut info = json!({"username": identity.user, "groups": identity.groups});
    if let Some(uid) = &identity.uid {
        info["uid"] = uid.as_str().into();
    }
    if !identity.extra.is_empty() {
        let extra: Map<String, Value> =
            identity.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        info["extra"] = extra.into();
    }
    info
}

/// The identity that a review asks about.
fn subject(spec: &Value) -> Identity {
    let groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let mut identity = Identity::anonymous();
    identity.user = spec["user"].as_str().unwrap_or_default().to_owned();
    identity.groups = groups.collect();
    identity
}

fn access(call: &Call, identity: &Identity, spec: &Value, namespace: Option<&str>) -> Result<Value, ApiError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let action = match (resource.is_object(), path.is_object()) {
        (true, false) => Action::Resource {
            verb: text(&resource["verb"]),
            group: text(&resource["group"]),
            resource: text(&resource["resource"]),
            subresource: text(&resource["subresource"]),
            namespace: namespace.map_or_else(|| text(&resource["namespace"]), str::to_owned),
            name: text(&resource["name"]),
            fields: selected(&resource["fieldSelector"]),
        },
        (false, true) => Action::Path { verb: text(&path["verb"]), path: text(&path["path"]) },
        _ => {
            return Err(ApiError::BadRequest(
                "exactly one of nonResourceAttributes or resourceAttributes must be specified".to_owned(),
            ));
        }
    };
    Ok(match auth::may(&call.server, identity, &action) {
        Ok(()) => json!({"allowed": true}),
        Err(refusal) if refusal.reason().is_empty() => json!({"allowed": false}),
        Err(refusal) => json!({"allowed": false, "reason": refusal.reason()}),
    })
}

/// The field selector that a review asks about. What cannot be understood selects nothing: that is never allowed more.
fn selected(attributes: &Value) -> FieldSelector {
    FieldSelector::parse(attributes["rawSelector"].as_str().unwrap_or_default()).unwrap_or_default()
}

/// What `kubectl auth can-i --list` prints. Rights are not made of rules here, so only the plain cases are told.
fn rules(identity: &Identity) -> Value {
    if identity.is_in("system:masters") {
        return json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        });
    }
    json!({
        "resourceRules": [
            {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
            {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
                "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
        ],
        "nonResourceRules": [
            {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez",
                "/openapi", "/openapi/*", "/readyz", "/version", "/version/"]},
        ],
        "incomplete": true,
    })
}

/// Whether a token is one of ours, and whose.
fn token_status(call: &Call, spec: &Value) -> Value {
    let asked: Vec<&str> = spec["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let audiences = if asked.is_empty() { vec![token::ISSUER] } else { asked };
    let claims = spec["token"].as_str().and_then(|token| call.server.inner.signer.verify(token));
    let held = claims.and_then(|claims| {
        let identity = token::current(&call.server, &claims, &audiences)?;
        Some((claims, identity))
    });
    match held {
        Some((claims, identity)) => {
            let common: Vec<&String> =
                claims.aud.iter().filter(|audience| audiences.contains(&audience.as_str())).collect();
            json!({"authenticated": true, "user": user_info(&identity), "audiences": common})
        }
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}
