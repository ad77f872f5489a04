//! `podlab explain schedule`: what the scheduler thinks of each node.
//!
//! It is the scheduler's own code, on what the API shows now. What the Pod takes where it is, if it has a node, does not
//! count: the question is where it would go.

use std::process::ExitCode;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_client::{Client, ListOptions};
use podlab_controllers::objects::{has_ended, node_of};
use podlab_runtime::scheduler::{Incoming, PodInfo, Snapshot, Verdict, explain, siblings};
use serde_json::{Value, json};

use super::xray::PodName;
use super::{Context, Format};

/// # Errors
///
/// When no cluster runs, or there is no such Pod.
pub(crate) fn schedule(context: &Context, pod: &PodName, namespace: &str, format: Format) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    let (pod, verdicts) = super::runtime()?.block_on(async {
        let client = Client::from_kubeconfig(directory.kubeconfig())?;
        ask(&client, namespace, &pod.0).await
    })?;
    match format {
        Format::Json => println!("{:#}", json(&pod, &verdicts)),
        Format::Text => print!("{}", text(&pod, &verdicts)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(client: &Client, namespace: &str, name: &str) -> anyhow::Result<(Pod, Vec<Verdict>)> {
    let all = ListOptions::default();
    let pods = client.list::<Pod>(None, &all).await?.items;
    let is_it =
        |pod: &&Pod| pod.metadata.namespace.as_deref() == Some(namespace) && pod.metadata.name.as_deref() == Some(name);
    let pod = pods.iter().find(is_it).with_context(|| format!("there is no Pod {name} in namespace {namespace}"))?;
    let mut snapshot = Snapshot::default();
    for node in client.list::<Node>(None, &all).await?.items {
        snapshot.set_node(&node);
    }
    for other in pods.iter().filter(|other| !is_it(other) && !has_ended(other)) {
        if let Some(node) = node_of(other) {
            snapshot.place(PodInfo::of(other), node);
        }
    }
    for claim in client.list::<PersistentVolumeClaim>(None, &all).await?.items {
        let metadata = claim.metadata.clone();
        let key = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
        snapshot.claims.insert(key, claim.into());
    }
    for volume in client.list::<PersistentVolume>(None, &all).await?.items {
        snapshot.volumes.insert(volume.metadata.name.clone().unwrap_or_default(), volume.into());
    }
    for class in client.list::<StorageClass>(None, &all).await?.items {
        snapshot.classes.insert(class.metadata.name.clone().unwrap_or_default(), class.into());
    }
    let services = client.list::<Service>(Some(namespace), &all).await?.items;
    let sets = client.list::<ReplicaSet>(Some(namespace), &all).await?.items;
    let mut free = pod.clone();
    // A Pod that was placed names its node, as one does that is meant for no other.
    free.spec.get_or_insert_default().node_name = None;
    let mut incoming = Incoming::of(&free);
    incoming.siblings = siblings::of(
        &incoming.info.labels,
        services.iter().filter_map(|service| service.spec.as_ref()?.selector.as_ref()),
        sets.iter().filter_map(|set| Some(&set.spec.as_ref()?.selector)),
    );
    let mut verdicts = explain(&snapshot, &incoming);
    verdicts.sort_by_key(|verdict| (verdict.rejection.is_some(), -verdict.total(), verdict.node.clone()));
    Ok((pod.clone(), verdicts))
}

fn placed(pod: &Pod) -> String {
    match node_of(pod) {
        Some(node) => format!("is on {node}"),
        None => "has no node".to_owned(),
    }
}

fn text(pod: &Pod, verdicts: &[Verdict]) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let feasible = verdicts.iter().filter(|verdict| verdict.rejection.is_none()).count();
    let mut text = format!("Pod {name} {}. {feasible} of {} nodes would take it.\n", placed(pod), verdicts.len());
    for Verdict { node, rejection, scores } in verdicts {
        match rejection {
            Some((filter, rejection)) => {
                text += &format!("\n{node}: refused by {filter}\n    {}\n", rejection.reasons.join("\n    "));
            }
            None => {
                let total: i64 = scores.iter().map(|(_, score, weight)| score * weight).sum();
                text += &format!("\n{node}: {total} points\n");
                for (score, rate, weight) in scores {
                    text += &format!("    {score:<32} {rate:>3} x {weight}\n");
                }
            }
        }
    }
    text
}

fn json(pod: &Pod, verdicts: &[Verdict]) -> Value {
    let node = |verdict: &Verdict| {
        let scores = verdict
            .scores
            .iter()
            .map(|(name, score, weight)| json!({ "name": name, "score": score, "weight": weight }));
        json!({
            "name": verdict.node,
            "fits": verdict.rejection.is_none(),
            "refusedBy": verdict.rejection.as_ref().map(|(filter, _)| filter),
            "reasons": verdict.rejection.as_ref().map(|(_, rejection)| &rejection.reasons),
            "total": verdict.total(),
            "scores": scores.collect::<Vec<_>>(),
        })
    };
    json!({
        "namespace": pod.metadata.namespace,
        "pod": pod.metadata.name,
        "node": node_of(pod),
        "nodes": verdicts.iter().map(node).collect::<Vec<_>>(),
    })
}
