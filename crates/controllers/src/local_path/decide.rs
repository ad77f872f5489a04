//! What is next for a volume: a pure function of all that there is about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use podlab_runtime::scheduler::persistent::{SELECTED_NODE, annotation, named_volume, waits_for_pod};

use super::{NAME, RETRY, helper};
use crate::objects::{has_ended, phase};
use crate::volume_binder::{PROVISIONED_BY, PROVISIONER, is_temporary};

/// Everything about one volume.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) claim: Option<Arc<PersistentVolumeClaim>>,
    pub(super) class: Option<Arc<StorageClass>>,
    pub(super) volume: Option<Arc<PersistentVolume>>,
    /// The helpers that there are.
    pub(super) make: Option<Arc<Pod>>,
    pub(super) remove: Option<Arc<Pod>>,
    /// A node that is Ready, for a claim that is bound before a Pod needs it.
    pub(super) a_node: Option<String>,
    pub(super) nodes: BTreeSet<String>,
    pub(super) now: Timestamp,
}

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, or nothing yet.
    Rest,
    /// The claim asks for what a directory is not.
    Refuse(String),
    /// A helper makes the directory.
    Make {
        node: String,
    },
    /// The directory is there: the volume is told.
    Publish {
        node: String,
    },
    /// A helper removes the directory.
    Remove {
        node: Option<String>,
        path: String,
    },
    /// The directory is gone, and so is the volume.
    Forget,
    /// The helpers are needed no more.
    Clean,
    /// A helper failed a moment ago.
    Later,
    /// A helper failed, and is replaced.
    MakeAgain,
    RemoveAgain,
}

impl Seen {
    /// What follows a failure, as soon as some time has passed since it was begun.
    fn after(&self, helper: &Pod, step: Step) -> Step {
        let begun = helper.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let due = begun.is_none_or(|begun| self.now.duration_since(begun) >= RETRY);
        if due { step } else { Step::Later }
    }
}

pub(super) fn decide(seen: &Seen) -> Step {
    match (&seen.volume, wanted(seen)) {
        (Some(volume), _) => of_volume(volume, seen),
        (None, true) => of_claim(seen),
        (None, false) => of_remains(seen),
    }
}

/// Whether the claim is to have a volume of ours, and has none.
fn wanted(seen: &Seen) -> bool {
    seen.claim.as_deref().is_some_and(|claim| {
        claim.metadata.deletion_timestamp.is_none()
            && named_volume(claim).is_none()
            && annotation(claim, PROVISIONER[1]) == Some(NAME)
    })
}

fn of_claim(seen: &Seen) -> Step {
    let Some(claim) = seen.claim.as_deref() else { return Step::Rest };
    match &seen.make {
        Some(pod) if phase(pod) == "Failed" => seen.after(pod, Step::MakeAgain),
        Some(pod) if has_ended(pod) => helper::node_of(pod).map_or(Step::Clean, |node| Step::Publish { node }),
        Some(_) => Step::Rest,
        None => {
            if let Some(why) = refused(claim) {
                return Step::Refuse(why);
            }
            let selected = annotation(claim, SELECTED_NODE).map(str::to_owned);
            let any = || seen.a_node.clone().filter(|_| !waits_for_pod(seen.class.as_deref()));
            selected.or_else(any).map_or(Step::Rest, |node| Step::Make { node })
        }
    }
}

fn refused(claim: &PersistentVolumeClaim) -> Option<String> {
    let spec = claim.spec.as_ref()?;
    if spec.selector.is_some() {
        return Some("claim.Spec.Selector is not supported".to_owned());
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return Some("block volumes are not supported".to_owned());
    }
    let of_one_node = |mode: &String| mode == "ReadWriteOnce" || mode == "ReadWriteOncePod";
    let all = spec.access_modes.iter().flatten().all(of_one_node);
    (!all).then(|| "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes".to_owned())
}

fn of_volume(volume: &PersistentVolume, seen: &Seen) -> Step {
    let Some((node, path)) = removable(volume) else {
        return if seen.make.is_some() { Step::Clean } else { Step::Rest };
    };
    if node.as_ref().is_some_and(|node| !seen.nodes.contains(node)) {
        return Step::Forget;
    }
    match &seen.remove {
        None => Step::Remove { node, path },
        Some(pod) if phase(pod) == "Failed" => seen.after(pod, Step::RemoveAgain),
        Some(pod) if has_ended(pod) => Step::Forget,
        Some(_) => Step::Rest,
    }
}

/// The node and the directory of a volume that is released, and ours to take away.
fn removable(volume: &PersistentVolume) -> Option<(Option<String>, String)> {
    let spec = volume.spec.as_ref()?;
    let released = volume.status.as_ref()?.phase.as_deref() == Some("Released");
    let delete = spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete");
    if !released || !delete || volume.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let path = spec.host_path.as_ref()?.path.clone();
    let annotations = volume.metadata.annotations.as_ref();
    let annotated = |name: &str| annotations.and_then(|annotations| annotations.get(name)).cloned();
    match annotated(PROVISIONED_BY) {
        Some(by) if by == NAME && helper::is_own(&path) => Some((Some(annotated(helper::NODE)?), path)),
        None if is_temporary(&path) => Some((None, path)),
        _ => None,
    }
}

/// There is no volume, and none is to be: what a claim left behind that was deleted while its directory was made.
fn of_remains(seen: &Seen) -> Step {
    let Some(make) = &seen.make else {
        let ended = seen.remove.as_ref().is_some_and(|pod| has_ended(pod));
        return if ended { Step::Clean } else { Step::Rest };
    };
    let (Some(node), Some(path)) = (helper::node_of(make), helper::path_of(make)) else { return Step::Clean };
    if !seen.nodes.contains(&node) {
        return Step::Clean;
    }
    match &seen.remove {
        None if has_ended(make) => Step::Remove { node: Some(node), path },
        None => Step::Rest,
        Some(pod) if phase(pod) == "Failed" => seen.after(pod, Step::RemoveAgain),
        Some(pod) if has_ended(pod) => Step::Clean,
        Some(_) => Step::Rest,
    }
}
