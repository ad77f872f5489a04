//! A port of the node can be taken once.

use super::super::diagnosis::Rejection;
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;

pub(super) fn prepare<'a>(pod: &'a Incoming, _: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let wanted = &pod.info.ports;
    if wanted.is_empty() {
        return Ok(None);
    }
    Ok(Some(Box::new(move |node| {
        let taken =
            node.pods().flat_map(|other| &other.ports).any(|taken| wanted.iter().any(|port| port.conflicts(taken)));
        if taken {
            Err(Rejection::resolvable("node(s) didn't have free ports for the requested pod ports"))
        } else {
            Ok(())
        }
    })))
}
