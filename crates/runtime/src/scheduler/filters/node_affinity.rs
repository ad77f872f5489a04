//! `nodeSelector`, and what node affinity requires.

use super::super::diagnosis::Rejection;
use super::super::selector::{contains, selects_node};
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;

pub(super) fn prepare<'a>(pod: &'a Incoming, _: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let labels = pod.spec.node_selector.as_ref().filter(|labels| !labels.is_empty());
    let required = pod
        .spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    if labels.is_none() && required.is_none() {
        return Ok(None);
    }
    Ok(Some(Box::new(move |node| {
        let selected = labels.is_none_or(|labels| contains(labels, &node.labels))
            && required.is_none_or(|required| selects_node(&required.node_selector_terms, node));
        if selected { Ok(()) } else { Err(Rejection::permanent("node(s) didn't match Pod's node affinity/selector")) }
    })))
}
