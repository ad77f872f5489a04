//! Which images somebody runs on, or is about to.
//!
//! The nodes share one store, so it is asked of all of them: their directories say which containers there are, also those
//! that have ended and those of Pods that are being deleted; and the API says what Pods will want.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use podlab_images::Store;
use podlab_linux::paths::PodDirectory;
use podlab_linux::supervisor::record;

use crate::directory::StateDirectory;

/// The ids of the images of all containers that are on a node, whether it is up or not.
pub(crate) fn of_nodes(directory: &StateDirectory) -> BTreeSet<String> {
    let nodes = std::fs::read_dir(directory.nodes()).into_iter().flatten().flatten();
    let mut ids = BTreeSet::new();
    for node in nodes {
        let pods = node.path().join("pods");
        for pod in std::fs::read_dir(&pods).into_iter().flatten().flatten() {
            let directory = PodDirectory::new(&pods, &pod.file_name().to_string_lossy());
            ids.extend(record::containers(&directory).into_iter().map(|container| container.image_id));
        }
    }
    ids
}

/// The ids of the images, among those that the store has, that Pods name which have not ended: for their containers, and
/// for volumes.
pub(crate) fn of_pods<'a>(store: &Store, pods: impl Iterator<Item = &'a Pod>) -> BTreeSet<String> {
    let mut references = BTreeSet::new();
    for pod in pods {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let Some(spec) = pod.spec.as_ref().filter(|_| !matches!(phase, Some("Succeeded" | "Failed"))) else { continue };
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        references.extend(containers.filter_map(|container| container.image.as_deref()));
        let ephemeral = spec.ephemeral_containers.iter().flatten();
        references.extend(ephemeral.filter_map(|container| container.image.as_deref()));
        let volumes = spec.volumes.iter().flatten().filter_map(|volume| volume.image.as_ref());
        references.extend(volumes.filter_map(|image| image.reference.as_deref()));
    }
    let known = references.into_iter().filter_map(|reference| store.resolve(reference).ok().flatten());
    known.map(|image| image.id).collect()
}
