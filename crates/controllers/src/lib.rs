//! The control loops: each makes one thing about the cluster true, again and again.
//!
//! A controller is two functions. The *decision* is pure: what the cache shows and the time go in, what to write comes
//! out; tests are tables of it. Around it the *loop* takes keys from a [`queue::WorkQueue`], looks the object up, decides,
//! and writes. Nothing is remembered between two turns that could not be read from the API again, so a controller may be
//! killed at any moment and goes on where it was.
//!
//! | file | makes true that |
//! |---|---|
//! | [`scheduling`] | a Pod without a node gets one, or an event that says why not |
//! | [`service_accounts`] | every namespace has the service account `default` and the cluster's certificate |
//! | [`namespaces`] | a namespace that is deleted is emptied, then gone |
//! | [`node_lifecycle`] | a node that is not heard of is NotReady, and tainted |
//! | [`taint_eviction`] | Pods leave it when they no longer tolerate that |
//! | [`pod_gc`] | Pods end that nobody is left to end |
//! | [`deployment`] | a Deployment's Pods are of its newest template |
//! | [`replica_set`] | a ReplicaSet has as many Pods as it asks for |
//! | [`endpoints`] | a Service's addresses are those of its Ready Pods |
//! | [`volume_binder`] | a claim has a volume of its own |
//! | [`local_path`] | a claim of the class local-path has a directory on a node |
//! | [`volume_protection`] | claims and volumes in use stay |
//! | [`garbage_collector`] | what an object owns goes with it |
//! | [`event_ttl`] | events are forgotten after an hour |

pub mod context;
pub mod deployment;
pub mod endpoints;
pub mod event_ttl;
pub mod garbage_collector;
pub mod local_path;
pub mod namespaces;
pub mod node_lifecycle;
pub mod objects;
pub mod pod_gc;
pub mod queue;
pub mod replica_set;
pub mod scheduling;
pub mod service_accounts;
pub mod taint_eviction;
pub mod volume_binder;
pub mod volume_protection;
pub mod worker;

use std::sync::Arc;

use podlab_client::Client;
use podlab_runtime::clock::Clock;
use tokio::task::JoinSet;

use context::{Context, Time};

/// What the control loops are started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// In the name of `system:kube-scheduler`.
    pub scheduler: Client,
    /// In the name of `system:kube-controller-manager`.
    pub controllers: Client,
    /// The machine's name; part of the scheduler's in its events.
    pub host: String,
    /// The certificate (PEM) by which Pods know the API server.
    pub ca_certificate: String,
}

/// Runs all control loops until the returned future is dropped.
pub async fn run<C: Clock>(config: Config, clock: Arc<C>) {
    let time = Time::of(clock);
    let context = Context::new(config.controllers, time.clone());
    let mut loops = JoinSet::new();
    loops.spawn(scheduling::run(config.scheduler, config.host, time));
    loops.spawn(service_accounts::run(context.clone(), config.ca_certificate));
    loops.spawn(namespaces::run(context.clone()));
    loops.spawn(node_lifecycle::run(context.clone()));
    loops.spawn(taint_eviction::run(context.clone()));
    loops.spawn(pod_gc::run(context.clone()));
    loops.spawn(deployment::run(context.clone()));
    loops.spawn(replica_set::run(context.clone()));
    loops.spawn(endpoints::run(context.clone()));
    loops.spawn(volume_binder::run(context.clone()));
    loops.spawn(volume_protection::run(context.clone()));
    loops.spawn(local_path::run(context.clone()));
    loops.spawn(garbage_collector::run(context.clone()));
    loops.spawn(event_ttl::run(context));
    while let Some(ended) = loops.join_next().await {
        // A loop never returns; it can only have panicked. The others go on.
        if let Err(error) = ended {
            tracing::error!(%error, "a control loop ended");
        }
    }
}
