//! What is requested on a node never exceeds what the node has.

use super::super::diagnosis::Rejection;
use super::super::snapshot::{Incoming, Snapshot};
use super::Check;

pub(super) fn prepare<'a>(pod: &'a Incoming, _: &'a Snapshot) -> Result<Option<Check<'a>>, Rejection> {
    let wanted = &pod.info.requests;
    Ok(Some(Box::new(move |node| {
        // What is not asked for is not looked at: a Pod without requests fits on a node that is overbooked.
        let short = |wanted: i64, has: i64, taken: i64| wanted > 0 && wanted > has - taken;
        let mut reasons = Vec::new();
        if i64::try_from(node.pods().len()).unwrap_or(i64::MAX) >= node.max_pods {
            reasons.push("Too many pods".to_owned());
        }
        let (has, taken) = (&node.allocatable, &node.requested);
        if short(wanted.milli_cpu, has.milli_cpu, taken.milli_cpu) {
            reasons.push("Insufficient cpu".to_owned());
        }
        if short(wanted.memory, has.memory, taken.memory) {
            reasons.push("Insufficient memory".to_owned());
        }
        if short(wanted.ephemeral_storage, has.ephemeral_storage, taken.ephemeral_storage) {
            reasons.push("Insufficient ephemeral-storage".to_owned());
        }
        for (name, amount) in &wanted.extended {
            let of = |amounts: &std::collections::BTreeMap<String, i64>| amounts.get(name).copied().unwrap_or_default();
            if short(*amount, of(&has.extended), of(&taken.extended)) {
                reasons.push(format!("Insufficient {name}"));
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(Rejection { reasons, resolvable: true }) }
    })))
}
