//! Prefers nodes that have the Pod's images already, large ones before all.

use super::super::snapshot::{Incoming, NodeInfo, Snapshot};
use super::MAX;

const MEGABYTE: i64 = 1024 * 1024;
/// Images smaller than this are no reason to prefer a node.
const SMALLEST: i64 = 23 * MEGABYTE;
/// More than this, for each container, makes no difference.
const LARGEST: i64 = 1000 * MEGABYTE;

pub(super) fn rate(pod: &Incoming, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> Vec<i64> {
    let images: Vec<String> =
        pod.spec.containers.iter().filter_map(|container| container.image.as_deref()).map(with_tag).collect();
    let containers = i64::try_from(images.len()).unwrap_or(i64::MAX);
    if images.is_empty() || snapshot.images().is_empty() {
        return Vec::new();
    }
    let all = i64::try_from(snapshot.nodes().len()).unwrap_or(i64::MAX).max(1);
    // An image on few nodes counts less, or all its Pods would crowd there.
    let spread: Vec<(&String, i64)> = images
        .iter()
        .filter_map(|image| Some((image, i64::try_from(*snapshot.images().get(image)?).unwrap_or(i64::MAX))))
        .collect();
    nodes
        .iter()
        .map(|node| {
            let sum: i64 = spread
                .iter()
                .map(|(image, having)| node.images.get(*image).map_or(0, |size| size * having / all))
                .sum();
            let largest = LARGEST * containers;
            (sum.clamp(SMALLEST, largest) - SMALLEST) * MAX / (largest - SMALLEST)
        })
        .collect()
}

/// Nodes list images with their tags; a Pod may leave `:latest` out.
fn with_tag(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') || name.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}
