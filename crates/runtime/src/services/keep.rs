//! The loop around the decision.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use podlab_client::sleeper::{Backoff, Sleeper};
use podlab_client::{Cache, Client, ListOptions};

use super::{Here, SERVICE_RANGE, pools};
use crate::backend::Backend;

/// How soon a node that refused its rules is asked again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Keeps a node's pools true, until the future is dropped. What is done about a change of a Pod's readiness is one
/// transaction of packet rules; connections that exist are left alone.
pub async fn keep<B: Backend>(backend: Arc<B>, services: Cache<Service>, client: Client) {
    let facts = backend.facts();
    let address = facts.internal_ip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let here = Here { name: facts.name, address };
    let slices = Cache::<EndpointSlice>::spawn(client, None, ListOptions::default(), Sleeper::wall());
    // Rules of half of the Services would refuse connections that the rules of an earlier kubelet let pass.
    tokio::join!(services.synced(), slices.synced());
    let mut changed = (services.version(), slices.version());
    let mut pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut told = None;
    loop {
        changed.0.mark_unchanged();
        changed.1.mark_unchanged();
        let wanted = pools(&here, &services.all(), &slices.all());
        let mut wait = None;
        if told.as_ref() != Some(&wanted) {
            match backend.balance(SERVICE_RANGE, &wanted).await {
                Ok(()) => {
                    told = Some(wanted);
                    pause.reset();
                }
                Err(error) => {
                    tracing::warn!(%error, "Services have no addresses on this node");
                    told = None;
                    wait = Some(pause.step());
                }
            }
        }
        let again = async {
            match wait {
                Some(wait) => Sleeper::wall().sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            alive = changed.0.changed() => if alive.is_err() { return },
            alive = changed.1.changed() => if alive.is_err() { return },
            () = again => {}
        }
    }
}
