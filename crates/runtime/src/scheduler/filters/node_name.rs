//! A Pod that names its node goes there or nowhere.

use super::super::diagnosis::Rejection;
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;

pub(super) fn prepare<'a>(pod: &'a Incoming, _: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let Some(wanted) = pod.spec.node_name.as_deref().filter(|name| !name.is_empty()) else { return Ok(None) };
    Ok(Some(Box::new(move |node| {
        if node.name == wanted {
            Ok(())
        } else {
            Err(Rejection::permanent("node(s) didn't match the requested node name"))
        }
    })))
}
