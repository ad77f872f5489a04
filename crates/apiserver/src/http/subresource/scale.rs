//! `scale`: the number of replicas of a workload, without the workload (autoscaling/v1 Scale).

use http::StatusCode;
use podlab_api::decode;
use podlab_api::error::ApiError;
use podlab_api::selector::LabelSelector;
use serde_json::{Value, json};

use super::answer;
use crate::http::body::kind_of;
use crate::http::object::text;
use crate::http::patch::Patch;
use crate::http::write::{Update, dry_run, same_name};
use crate::http::{Answer, Call, Target, Verb, read};

pub(super) async fn serve(call: &mut Call, target: &Target, verb: Verb) -> Answer {
    let Some(subresource) = target.subresource else { return Err(ApiError::UnknownPath) };
    let kind = kind_of(target.resource, subresource);
    let update = Update { subresource: Some("scale"), dry_run: dry_run(call)? };
    let stored = match verb {
        Verb::Get => read::find(call, target)?,
        Verb::Update => {
            let (scale, _) = call.decode(&kind).await?;
            same_name(target, &scale)?;
            update.run(call, target, |object| scaled(object, &scale)).await?
        }
        Verb::Patch => {
            let patch = Patch::of(call).await?;
            let make = |object: &Value| {
                let patched = patch.apply(kind.schema, &scale_of(object))?;
                let scale = decode::check(&kind, patched, b"")?.object;
                scaled(object, &scale)
            };
            update.run(call, target, make).await?
        }
        _ => return Err(ApiError::MethodNotAllowed),
    };
    answer(call, StatusCode::OK, &scale_of(&stored.value()))
}

/// The scale of a workload.
fn scale_of(object: &Value) -> Value {
    let selector = LabelSelector::from_object(&object["spec"]["selector"]).map(|selector| selector.to_string());
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": text(object, "name"),
            "namespace": text(object, "namespace"),
            "uid": text(object, "uid"),
            "resourceVersion": text(object, "resourceVersion"),
            "creationTimestamp": object["metadata"]["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {
            "replicas": object["status"]["replicas"].as_i64().unwrap_or(0),
            "selector": selector.unwrap_or_default(),
        },
    })
}

/// The workload at that scale.
fn scaled(object: &Value, scale: &Value) -> Result<Value, ApiError> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        return Err(ApiError::Invalid {
            group: "autoscaling".into(),
            kind: "Scale".into(),
            name: text(object, "name").into(),
            errors: vec![podlab_api::error::FieldError::invalid(
                &podlab_api::error::FieldPath::new("spec.replicas"),
                replicas,
                "must be greater than or equal to 0",
            )],
        });
    }
    let mut object = object.clone();
    object["spec"]["replicas"] = replicas.into();
    for field in ["uid", "resourceVersion"] {
        let given = text(scale, field).to_owned();
        object["metadata"][field] = given.into();
    }
    Ok(object)
}
