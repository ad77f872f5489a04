//! `serviceaccounts/NAME/token`: a token for an account, perhaps bound to a Pod.

use http::StatusCode;
use jiff::Timestamp;
use podlab_api::error::{ApiError, FieldError, FieldPath};
use serde_json::Value;

use super::answer;
use crate::auth::{
    self,
    token::{self, ISSUER, Kubernetes, Reference},
};
use crate::http::body::kind_of;
use crate::http::object::{conflict, forbidden, stamp, text};
use crate::http::{Answer, Call, Target, read};
use crate::store::{GroupResource, Key};

const HOUR: i64 = 3600;
/// Tokens live ten minutes at least, 2^32 seconds at most (k8s.io/kubernetes/pkg/apis/authentication/validation).
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
/// Audiences of a token at most.
const AUDIENCES: usize = 32;
const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
const NODES: GroupResource = GroupResource { group: "", resource: "nodes" };

pub(super) async fn create(call: &mut Call, target: &Target) -> Answer {
    let Some(subresource) = target.subresource else { return Err(ApiError::UnknownPath) };
    let account = read::find(call, target)?.value();
    let (mut request, _) = call.decode(&kind_of(target.resource, subresource)).await?;

    let spec = FieldPath::new("spec");
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(HOUR);
    let field = spec.child("expirationSeconds");
    if seconds < SHORTEST {
        return Err(invalid(FieldError::invalid(&field, seconds, "may not specify a duration less than 10 minutes")));
    }
    if seconds > LONGEST {
        let detail = "may not specify a duration larger than 2^32 seconds";
        return Err(invalid(FieldError::invalid(&field, seconds, detail)));
    }
    let asked = request["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut audiences: Vec<String> = asked.take(AUDIENCES).map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let (pod, node) = bound_to(call, target, &request["spec"]["boundObjectRef"])?;
    check_node(call, target, pod.as_ref())?;
    let serviceaccount = Reference { name: target.name().to_owned(), uid: text(&account, "uid").to_owned() };
    let kubernetes = Kubernetes { namespace: target.namespace().to_owned(), node, pod, serviceaccount };
    let claims = token::claims(audiences.clone(), seconds, kubernetes);
    let signed = call.server.inner.signer.sign(&claims);
    let signed = signed.ok_or_else(|| ApiError::Internal("no random numbers to sign a token with".to_owned()))?;

    let expires = Timestamp::from_second(claims.exp).map(stamp).unwrap_or_default();
    request["metadata"]["name"] = target.name().into();
    request["metadata"]["namespace"] = target.namespace().into();
    request["metadata"]["creationTimestamp"] = stamp(call.server.now()).into();
    request["spec"]["audiences"] = audiences.into();
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = serde_json::json!({"token": signed, "expirationTimestamp": expires});
    answer(call, StatusCode::CREATED, &request)
}

/// A kubelet gets tokens for the Pods it runs, and no others
/// (k8s.io/kubernetes/plugin/pkg/admission/noderestriction/admission.go).
fn check_node(call: &Call, target: &Target, pod: Option<&Reference>) -> Result<(), ApiError> {
    let Some(node) = auth::node_of(&call.identity) else { return Ok(()) };
    let refused = |message: &str| forbidden(target.resource, target.name(), message);
    let pod = pod.ok_or_else(|| refused("node requested token not bound to a pod"))?;
    let found = call.server.store().get(&Key::new(PODS, target.namespace(), &pod.name));
    if found.is_none_or(|pod| pod.value()["spec"]["nodeName"] != *node) {
        return Err(refused("node requested token bound to a pod scheduled on a different node"));
    }
    Ok(())
}

/// The Pod that a token is bound to: with its end, the token's ends.
fn bound_to(
    call: &Call,
    target: &Target,
    reference: &Value,
) -> Result<(Option<Reference>, Option<Reference>), ApiError> {
    if !reference.is_object() {
        return Ok((None, None));
    }
    let (kind, name) = (reference["kind"].as_str().unwrap_or_default(), reference["name"].as_str().unwrap_or_default());
    if kind != "Pod" {
        let message = format!("cannot bind token to object of type {kind:?}: only Pods are known here");
        return Err(ApiError::BadRequest(message));
    }
    let missing = || ApiError::NotFound { group: String::new(), plural: "pods".into(), name: name.into() };
    let pod = call.server.store().get(&Key::new(PODS, target.namespace(), name)).ok_or_else(missing)?.value();
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
    if account != target.name() {
        let message = format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            target.name()
        );
        return Err(ApiError::BadRequest(message));
    }
    let (given, uid) = (reference["uid"].as_str().unwrap_or_default(), text(&pod, "uid"));
    if !given.is_empty() && given != uid {
        let message = format!(
            "the UID in the bound object reference ({given}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(conflict(target.resource, target.name(), message));
    }
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    let node = call.server.store().get(&Key::new(NODES, "", node)).map(|found| {
        let found = found.value();
        Reference { name: node.to_owned(), uid: text(&found, "uid").to_owned() }
    });
    Ok((Some(Reference { name: name.to_owned(), uid: uid.to_owned() }), node))
}

fn invalid(error: FieldError) -> ApiError {
    ApiError::Invalid {
        group: "authentication.k8s.io".into(),
        kind: "TokenRequest".into(),
        name: String::new(),
        errors: vec![error],
    }
}
