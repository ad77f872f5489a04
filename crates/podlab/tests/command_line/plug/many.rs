//! Pods by the batch, created and deleted while those who look after them are killed: nothing is left of any of them.
//!
//! `PODLAB_SEED=N` repeats a run's choices, `PODLAB_PODS=1000` makes it as long as it is promised for; the gate runs fewer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use podlab_client::{ListOptions, Object};
use podlab_linux::fail_point;

use super::at_random::{Killer, Random};
use super::rig::{Part, Rig};
use super::{marker, pod};

/// Unless another number is asked for: each costs its start, its end, and its part of what is killed and begun again.
const PODS: usize = 150;
/// At the same time, on one node.
const BATCH: usize = 50;

/// Below this folder, directories that are called after one of these Pods.
fn named_after(folder: &Path, uids: &BTreeSet<String>, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace('_', "-");
        if uids.iter().any(|uid| name.contains(uid.as_str())) {
            found.push(path);
        } else {
            named_after(&path, uids, found);
        }
    }
}

#[test]
fn nothing_is_left_of_many_pods_whoever_dies() {
    const PARTS: [Part; 7] = [
        Part::ControlPlane,
        Part::Kubelet,
        Part::Kubelet,
        Part::Supervisor,
        Part::Supervisor,
        Part::Janitor,
        Part::NodeInit,
    ];
    let pods: usize = std::env::var("PODLAB_PODS").map_or(PODS, |pods| pods.parse().unwrap());
    let rig = Rig::start();
    let mut killer = Killer { random: Random::new(), left: usize::MAX };
    let points = rig.cluster.directory().join("nodes/node1/fail-points");
    std::fs::create_dir_all(&points).unwrap();
    let (mut uids, mut kills) = (BTreeSet::new(), 0);
    // Each point is armed once in a thousand, in an order that the seed decides.
    let mut unarmed: Vec<&str> = Vec::new();
    for first in (0..pods).step_by(BATCH) {
        if unarmed.is_empty() {
            unarmed = fail_point::ALL.to_vec();
        }
        let armed = [(); 2].map(|()| unarmed.swap_remove(killer.random.below(unarmed.len())));
        for point in armed {
            std::fs::write(points.join(point), "").unwrap();
        }
        let mut names: Vec<String> = (first..pods.min(first + BATCH)).map(|number| format!("pod-{number}")).collect();
        let mut perhaps_kill = |killer: &mut Killer, one_in: usize| {
            if killer.random.below(one_in) == 0 {
                kills += killer.kill(&rig, 1, &PARTS).len();
            }
        };
        for name in &names {
            perhaps_kill(&mut killer, 25);
            let marker = marker(&rig, name);
            // Some go on, some end by themselves.
            let script = match killer.random.below(3) {
                0 => format!(": {marker}; exit 0"),
                _ => format!("echo begin > /tmp/{marker}; exec tail -f /tmp/{marker}"),
            };
            rig.create::<Pod>(&pod(name, "Never", &script));
        }
        let found = rig.api(|client| async move { client.list::<Pod>("default", &ListOptions::default()).await });
        uids.extend(found.unwrap().items.iter().map(|pod| pod.uid().to_owned()));
        // Once one of them runs at least; deleted are some that run, some that are begun, and some that nobody has seen.
        if killer.random.below(2) == 0 {
            let name = names[killer.random.below(names.len())].clone();
            rig.until_pod(&name, |pod| {
                let phase = pod?.status.as_ref()?.phase.as_deref()?;
                (phase != "Pending").then_some(())
            });
        }
        let gone = names.clone();
        while !names.is_empty() {
            perhaps_kill(&mut killer, 25);
            let name = names.swap_remove(killer.random.below(names.len()));
            // By force, or as one asks.
            let grace = i64::try_from(killer.random.below(2)).unwrap();
            rig.delete(&name, grace);
        }
        for name in &gone {
            rig.until_gone(name);
        }
        for point in armed {
            // Whoever comes to it by now takes it away.
            let _ = std::fs::remove_file(points.join(point));
        }
    }
    rig.until_all_run();
    println!("{} Pods lived, {kills} kills beside those at the points", uids.len());
    assert!(uids.len() >= pods * 9 / 10, "only {} Pods were seen", uids.len());
    // While the cluster runs: no process, no directory and no cgroup of any of them.
    rig.until_ended(&marker(&rig, "pod-"));
    let places = [rig.cluster.directory().join("nodes/node1/pods"), PathBuf::from("/sys/fs/cgroup")];
    rig.until_changed("the last trace of the Pods to go", &places[0], || {
        let mut left = Vec::new();
        places.iter().for_each(|place| named_after(place, &uids, &mut left));
        left
    });
    rig.cluster.stop();
}
