//! The API server and its store, in small: conditional writes, grouped commits, and news for those who watch.
//!
//! A write is validated and takes effect for later writes at once, but it is acknowledged, and told to watchers, only
//! after the group it is in is durable. A crash takes back what was not.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podlab_client::cache::Key;
use podlab_controllers::objects::{has_ended, node_of};
use podlab_controllers::replica_set;

use crate::check::{self, Violation};
use crate::event::{Answer, Change, Part, Refused, Request};
use crate::objects::{complete, conditions, node_name, whole};

/// An object and the revision that wrote it.
#[derive(Debug)]
pub(crate) struct Stored<T> {
    pub(crate) revision: u64,
    pub(crate) object: Arc<T>,
}

impl<T> Clone for Stored<T> {
    fn clone(&self) -> Self {
        Stored { revision: self.revision, object: Arc::clone(&self.object) }
    }
}

/// A write that is not durable yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) from: Part,
    pub(crate) life: u64,
    pub(crate) request: Request,
    pub(crate) change: Change,
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    Pod(Key, Option<Stored<Pod>>),
    Node(usize, Stored<Node>),
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) pods: BTreeMap<Key, Stored<Pod>>,
    pub(crate) nodes: Vec<Stored<Node>>,
    pub(crate) leases: Vec<Timestamp>,
    pub(crate) sets: Vec<Arc<ReplicaSet>>,
    pub(crate) revision: u64,
    /// Which of the API server's lives this is.
    pub(crate) life: u64,
    created: u64,
    pending: Vec<Pending>,
    /// The newest revision of each Pod that somebody was promised.
    acknowledged: BTreeMap<Key, u64>,
}

impl Store {
    /// Takes a write in. `Ok(None)`: it is in the group that is committed next.
    pub(crate) fn take(
        &mut self,
        from: Part,
        life: u64,
        request: Request,
        now: Timestamp,
    ) -> Result<Option<(Request, Answer)>, Violation> {
        if let Request::Renew { node, time } = request {
            // A lease that is lost with the server is renewed in ten seconds.
            self.leases[node] = time;
            return Ok(Some((request, Ok(Some(Change::Lease { node, time })))));
        }
        match self.apply(&request, now)? {
            Ok((change, undo)) => {
                self.pending.push(Pending { from, life, request, change, undo });
                Ok(None)
            }
            Err(refused) => Ok(Some((request, Err(refused)))),
        }
    }

    pub(crate) fn is_first_of_group(&self) -> bool {
        self.pending.len() == 1
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn apply(&mut self, request: &Request, now: Timestamp) -> Result<Result<(Change, Undo), Refused>, Violation> {
        let applied = match request {
            Request::Create { set } => {
                self.created += 1;
                let pod = complete(replica_set::pod_of(&self.sets[*set]), self.created, now);
                Ok(self.write_pod(Key::of(&pod), Some(pod)))
            }
            Request::Bind { pod: key, uid, node } => match self.pod(key, uid) {
                None => Err(Refused::NotFound),
                Some(pod) if node_of(&pod).is_some() || pod.metadata.deletion_timestamp.is_some() => {
                    Err(Refused::Conflict)
                }
                Some(mut pod) => {
                    pod.spec.get_or_insert_default().node_name = Some(node.clone());
                    let scheduled = PodCondition {
                        type_: "PodScheduled".to_owned(),
                        status: "True".to_owned(),
                        last_transition_time: Some(Time(whole(now))),
                        ..PodCondition::default()
                    };
                    pod.status.get_or_insert_default().conditions.get_or_insert_default().push(scheduled);
                    Ok(self.write_pod(key.clone(), Some(pod)))
                }
            },
            Request::Delete { pod: key, uid, grace } => match self.pod(key, uid) {
                None => Err(Refused::NotFound),
                Some(mut pod) => {
                    let said = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
                    let nobody = node_of(&pod).is_none() || has_ended(&pod);
                    let grace = if nobody { 0 } else { grace.unwrap_or(said) };
                    let before = pod.metadata.deletion_grace_period_seconds;
                    if grace == 0 {
                        Ok(self.write_pod(key.clone(), None))
                    } else if before.is_some_and(|before| before <= grace) {
                        Err(Refused::Conflict)
                    } else {
                        let at = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
                        pod.metadata.deletion_timestamp = Some(Time(whole(at)));
                        pod.metadata.deletion_grace_period_seconds = Some(grace);
                        Ok(self.write_pod(key.clone(), Some(pod)))
                    }
                }
            },
            Request::Status { pod: key, uid, status } => match self.pod(key, uid) {
                None => Err(Refused::NotFound),
                Some(mut pod) => {
                    let before = pod.clone();
                    pod.status = Some(status.as_ref().clone());
                    check::legal(&before, &pod)?;
                    Ok(self.write_pod(key.clone(), Some(pod)))
                }
            },
            Request::Report { node, time } => {
                let mut object = self.nodes[*node].object.as_ref().clone();
                object.status.get_or_insert_default().conditions = Some(conditions(*time));
                Ok(self.write_node(*node, object))
            }
            Request::Judge { node, revision, conditions, taints } => {
                let stored = &self.nodes[*node];
                if stored.revision == *revision {
                    let mut object = stored.object.as_ref().clone();
                    object.status.get_or_insert_default().conditions = Some(conditions.clone());
                    object.spec.get_or_insert_default().taints = Some(taints.clone());
                    Ok(self.write_node(*node, object))
                } else {
                    Err(Refused::Conflict)
                }
            }
            Request::Renew { .. } => Err(Refused::Conflict),
        };
        Ok(applied)
    }

    /// A copy of the Pod, if it is still the same one.
    fn pod(&self, key: &Key, uid: &str) -> Option<Pod> {
        let stored = self.pods.get(key)?;
        (stored.object.metadata.uid.as_deref() == Some(uid)).then(|| stored.object.as_ref().clone())
    }

    fn write_pod(&mut self, key: Key, pod: Option<Pod>) -> (Change, Undo) {
        self.revision += 1;
        let revision = self.revision;
        let before = self.pods.get(&key).cloned();
        let change = match pod {
            Some(pod) => {
                let object = Arc::new(pod);
                self.pods.insert(key.clone(), Stored { revision, object: Arc::clone(&object) });
                Change::Pod { revision, pod: object, gone: false }
            }
            None => {
                self.pods.remove(&key);
                let pod = before.as_ref().map(|before| Arc::clone(&before.object)).unwrap_or_default();
                Change::Pod { revision, pod, gone: true }
            }
        };
        (change, Undo::Pod(key, before))
    }

    fn write_node(&mut self, index: usize, node: Node) -> (Change, Undo) {
        self.revision += 1;
        let node = Arc::new(node);
        let new = Stored { revision: self.revision, object: Arc::clone(&node) };
        let before = std::mem::replace(&mut self.nodes[index], new);
        (Change::Node { revision: self.revision, node, index }, Undo::Node(index, before))
    }

    /// The group is durable: what was in it may be acknowledged and told.
    pub(crate) fn commit(&mut self) -> Vec<Pending> {
        for pending in &self.pending {
            if let (Undo::Pod(key, _), Change::Pod { revision, .. }) = (&pending.undo, &pending.change) {
                self.acknowledged.insert(key.clone(), *revision);
            }
        }
        std::mem::take(&mut self.pending)
    }

    /// The disk refused the group, or the process ended before it was durable.
    pub(crate) fn take_back(&mut self) -> Vec<Pending> {
        let pending = std::mem::take(&mut self.pending);
        for pending in pending.iter().rev() {
            match &pending.undo {
                Undo::Pod(key, Some(before)) => drop(self.pods.insert(key.clone(), before.clone())),
                Undo::Pod(key, None) => drop(self.pods.remove(key)),
                Undo::Node(index, before) => self.nodes[*index] = before.clone(),
            }
        }
        pending
    }

    /// Nothing that was promised is lost: each Pod is as it was acknowledged, or newer; what was acknowledged as gone is.
    pub(crate) fn check_acknowledged(&self) -> Result<(), Violation> {
        for (key, promised) in &self.acknowledged {
            let now = self.pods.get(key).map(|stored| stored.revision);
            if now.is_some_and(|now| now < *promised) {
                return Err(Violation(format!("Pod {key} was acknowledged at revision {promised} and is older now")));
            }
        }
        for (key, stored) in &self.pods {
            let promised = self.acknowledged.get(key).copied().unwrap_or_default();
            let pending =
                self.pending.iter().any(|pending| matches!(&pending.undo, Undo::Pod(other, _) if other == key));
            if stored.revision != promised && !pending {
                return Err(Violation(format!(
                    "Pod {key} is at revision {} and {promised} was acknowledged",
                    stored.revision
                )));
            }
        }
        Ok(())
    }

    /// By a node's name, its number.
    pub(crate) fn node_index(&self, name: &str) -> Option<usize> {
        let index = name.strip_prefix("node")?.parse::<usize>().ok()?.checked_sub(1)?;
        (index < self.nodes.len() && node_name(index) == name).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects;
    use crate::random::Random;

    fn store() -> (Store, Key) {
        let set = objects::set(0, 1, false, &mut Random::new(1));
        let mut store = Store { sets: vec![Arc::new(set)], ..Store::default() };
        let taken = store.take(Part::Controllers, 0, Request::Create { set: 0 }, Timestamp::UNIX_EPOCH);
        assert!(taken.is_ok_and(|answer| answer.is_none()), "it waits for its group");
        let key = store.pods.keys().next().cloned().expect("a Pod");
        (store, key)
    }

    #[test]
    fn what_is_not_durable_is_taken_back_and_nobody_was_promised_it() {
        let (mut store, _) = store();
        assert_eq!(store.take_back().len(), 1);
        assert!(store.pods.is_empty() && store.check_acknowledged().is_ok());
    }

    #[test]
    fn what_is_lost_is_found() {
        let (mut store, key) = store();
        assert_eq!(store.commit().len(), 1);
        assert!(store.check_acknowledged().is_ok());
        // As if a write that was acknowledged had been taken back.
        let uid = store.pods[&key].object.metadata.uid.clone().unwrap_or_default();
        let bind = Request::Bind { pod: key, uid, node: "node1".to_owned() };
        let taken = store.take(Part::Scheduler, 0, bind, Timestamp::UNIX_EPOCH);
        assert!(taken.is_ok());
        let durable = store.pods.clone();
        store.commit();
        store.pods = durable.into_iter().map(|(key, stored)| (key, Stored { revision: 1, ..stored })).collect();
        assert!(store.check_acknowledged().is_err());
    }
}
