//! What labs and exercises ask of the host or the cluster beyond the API, and whether it is there.

use k8s_openapi::api::core::v1::Node;
use podlab_client::{Client, Error, ListOptions};
use serde::Deserialize;

use crate::Cluster;

/// One thing that a lab or an exercise cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The `podlab` command and a state directory: not on a borrowed cluster.
    Podlab,
    /// Limits that the kernel enforces.
    Cgroups,
    /// More than one node.
    Nodes,
    /// Containers whose users are not root.
    Users,
    /// File systems in containers.
    Fuse,
    /// Volumes of a network file server.
    Nfs,
    /// An order in which the kernel ends Pods when memory runs out.
    OomScore,
}

impl Need {
    /// In words, after "needs".
    pub fn words(self) -> &'static str {
        match self {
            Need::Podlab => "a cluster of Podlab's own",
            Need::Cgroups => "limits that the kernel enforces",
            Need::Nodes => "more than one node",
            Need::Users => "containers that are not root",
            Need::Fuse => "file systems in containers",
            Need::Nfs => "a kernel that can mount a file server",
            Need::OomScore => "an order in which Pods are ended when memory runs out",
        }
    }
}

/// Tries whether the host has something, or says why not.
pub type Trial = fn(Need) -> Result<(), String>;

/// Something that is needed and is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs {}: {why}", need.words())]
pub struct Missing {
    /// What.
    pub need: Need,
    /// What was seen.
    pub why: String,
}

/// The first of `needs` that is not there.
///
/// # Errors
///
/// When the cluster does not answer.
pub async fn missing(needs: &[Need], cluster: &Cluster, client: &Client) -> Result<Option<Missing>, Error> {
    for need in needs.iter().copied() {
        let seen = match need {
            Need::Podlab if cluster.dir.is_none() => Err("this is another one (--kubeconfig)".to_owned()),
            Need::Podlab => Ok(()),
            Need::Nodes => match client.list::<Node>(None, &ListOptions::default()).await?.items.len() {
                0 | 1 => Err("there is one".to_owned()),
                _ => Ok(()),
            },
            // What another cluster's hosts allow cannot be tried from here.
            _ if cluster.dir.is_none() => Ok(()),
            _ => (cluster.trial)(need).map_err(|why| format!("{why}\nhow to mend it: podlab doctor")),
        };
        if let Err(why) = seen {
            return Ok(Some(Missing { need, why }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_trial_refuses_is_missing_on_our_own_cluster() {
        let client = Client::unix("/nonexistent");
        let refuse = |need: Need| if need == Need::Fuse { Err("no such device".to_owned()) } else { Ok(()) };
        let own = Cluster::new("kubeconfig").with_dir("state").trying(refuse);
        let needs = [Need::Podlab, Need::Cgroups, Need::Fuse];
        let found = missing(&needs, &own, &client).await.unwrap().unwrap();
        assert_eq!(found.need, Need::Fuse);
        assert!(found.to_string().contains("no such device") && found.to_string().contains("podlab doctor"), "{found}");
        assert_eq!(missing(&needs[..2], &own, &client).await.unwrap(), None);
        let borrowed = Cluster::new("kubeconfig").trying(refuse);
        assert_eq!(missing(&needs[1..], &borrowed, &client).await.unwrap(), None);
        assert_eq!(missing(&needs, &borrowed, &client).await.unwrap().unwrap().need, Need::Podlab);
        assert!(
            missing(&[Need::Nodes], &own, &client).await.is_err(),
            "a cluster that does not answer is another matter"
        );
    }
}
