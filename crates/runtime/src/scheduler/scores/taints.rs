//! Prefers nodes with few taints of the effect PreferNoSchedule that the Pod does not tolerate.

use k8s_openapi::api::core::v1::Toleration;

use super::super::filters::tolerated;
use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::normalize;

const EFFECT: &str = "PreferNoSchedule";

pub(super) fn rate(pod: &Incoming, _: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    let tolerations: Vec<Toleration> = pod
        .spec
        .tolerations
        .iter()
        .flatten()
        .filter(|toleration| matches!(toleration.effect.as_deref().unwrap_or_default(), "" | EFFECT))
        .cloned()
        .collect();
    let untolerated = |node: &NodeInfo| {
        let count =
            node.taints.iter().filter(|taint| taint.effect == EFFECT && !tolerated(taint, &tolerations)).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    };
    normalize(nodes.iter().map(|node| untolerated(node)).collect(), true)
}
