//! Images that nobody runs go when the disk fills up (k8s.io/kubernetes/pkg/kubelet/images/image_gc_manager.go).
//!
//! Each kubelet of a real cluster looks after its own images. Here the nodes share one store, so it is done once for all of
//! them; each node says what it has to say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use podlab_client::events::{EventType, Now, Recorder};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Client, ListOptions, Object};
use podlab_images::{ImageRecord, Store};
use podlab_runtime::clock::Clock;
use serde::{Deserialize, Serialize};

use crate::directory::StateDirectory;
use crate::images_in_use;

/// How often it is looked, and how old an image is before it may go (ImageGCPeriod, `imageMinimumGCAge`).
const PERIOD: Duration = Duration::from_secs(5 * 60);
const YOUNGEST: Duration = Duration::from_secs(2 * 60);

/// How full the disk may become, and how full it is left, in percent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Thresholds {
    pub(crate) high: u8,
    pub(crate) low: u8,
}

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// `None` for those that were there from the start: it is not known since when.
    first_seen: Option<Duration>,
    last_used: Option<Duration>,
    size: u64,
}

/// What is known of all images, by their ids.
#[derive(Debug, Default)]
struct Records {
    images: BTreeMap<String, Known>,
    begun: bool,
}

impl Records {
    /// Takes in which images there are, and which are used. The built-in ones take no space of their own.
    fn look(&mut self, images: &[ImageRecord], used: &BTreeSet<String>, now: Duration) {
        let first_seen = self.begun.then_some(now);
        let own = images.iter().filter(|image| image.built_in.is_none());
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        for image in own {
            let before = self.images.remove(&image.id);
            let mut image_known = before.unwrap_or(Known { first_seen, last_used: None, size: 0 });
            image_known.size = image.size;
            if used.contains(&image.id) {
                image_known.last_used = Some(now);
            }
            known.insert(image.id.clone(), image_known);
        }
        self.images = known;
        self.begun = true;
    }

    /// Those that go to free so much: the longest unused first, and never one that is used or that came a moment ago.
    fn choose(&self, amount: u64, now: Duration) -> BTreeSet<String> {
        let may_go = |known: &Known| {
            known.last_used != Some(now) && known.first_seen.is_none_or(|seen| now.saturating_sub(seen) >= YOUNGEST)
        };
        let mut candidates: Vec<_> = self.images.iter().filter(|(_, known)| may_go(known)).collect();
        candidates.sort_by_key(|(_, known)| (known.last_used, known.first_seen));
        let mut freed = 0;
        let enough = candidates.into_iter().take_while(|(_, known)| {
            let more = freed < amount;
            freed += known.size;
            more
        });
        enough.map(|(id, _)| id.clone()).collect()
    }

    fn size(&self, ids: &BTreeSet<String>) -> u64 {
        ids.iter().filter_map(|id| self.images.get(id)).map(|known| known.size).sum()
    }
}

/// How many bytes are to be freed on a disk of which so many bytes are available.
fn amount(capacity: u64, available: u64, thresholds: Thresholds) -> Option<u64> {
    let available = available.min(capacity);
    let used = 100 - (u128::from(available) * 100).checked_div(u128::from(capacity))?;
    if used < u128::from(thresholds.high) {
        return None;
    }
    let wanted = u128::from(capacity) * (100 - u128::from(thresholds.low)) / 100;
    u64::try_from(wanted.saturating_sub(u128::from(available))).ok()
}

/// Looks now and then, until the future is dropped.
pub(super) async fn keep<C: Clock>(directory: StateDirectory, client: Client, clock: Arc<C>, thresholds: Thresholds) {
    let mut records = Records::default();
    let mut failed_before = false;
    loop {
        match look(&directory, &client, clock.elapsed(), thresholds, &mut records).await {
            Ok(None) => failed_before = false,
            Ok(Some(short)) => {
                let mut told = vec![("FreeDiskSpaceFailed", short.as_str())];
                if failed_before {
                    told.push(("ImageGCFailed", short.as_str()));
                }
                tell(&client, &clock, &told).await;
                failed_before = true;
            }
            Err(error) => tracing::warn!("unused images are not removed: {error:#}"),
        }
        clock.sleep_until(clock.elapsed() + PERIOD).await;
    }
}

/// Removes what is to go. Returns what there is to say when that was not enough.
async fn look(
    directory: &StateDirectory,
    client: &Client,
    now: Duration,
    thresholds: Thresholds,
    records: &mut Records,
) -> anyhow::Result<Option<String>> {
    let pods = client.list::<Pod>(None, &ListOptions::default()).await?.items;
    let (directory, mut taken) = (directory.clone(), std::mem::take(records));
    let looked = tokio::task::spawn_blocking(move || {
        let result = free(&directory, &pods, now, thresholds, &mut taken);
        (taken, result)
    });
    let (taken, result) = looked.await?;
    *records = taken;
    result
}

fn free(
    directory: &StateDirectory,
    pods: &[Pod],
    now: Duration,
    thresholds: Thresholds,
    records: &mut Records,
) -> anyhow::Result<Option<String>> {
    let images: PathBuf = directory.images();
    let store = Store::open(&images, Path::new("/proc/self/exe"))?;
    let mut used = images_in_use::of_nodes(directory);
    used.extend(images_in_use::of_pods(&store, pods.iter()));
    records.look(&store.list()?, &used, now);
    let disk = rustix::fs::statvfs(&images)?;
    let Some(amount) = amount(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize, thresholds) else {
        return Ok(None);
    };
    let chosen = records.choose(amount, now);
    let freed = records.size(&chosen);
    if !chosen.is_empty() && !store.discard(&chosen)? {
        // An image is being added; the next look is soon enough.
        return Ok(None);
    }
    for id in &chosen {
        tracing::info!(id, "an image that nobody runs is removed");
    }
    Ok((freed < amount).then(|| {
        format!(
            "Failed to garbage collect required amount of images. Attempted to free {amount} bytes, but only found {freed} \
             bytes eligible to free."
        )
    }))
}

/// Each node has the same disk, and says the same.
async fn tell<C: Clock>(client: &Client, clock: &Arc<C>, events: &[(&str, &str)]) {
    let nodes = match client.list::<Node>(None, &ListOptions::default()).await {
        Ok(nodes) => nodes.items,
        Err(error) => return tracing::warn!("what became of the images is not said: {error}"),
    };
    for node in nodes {
        let clock = clock.clone();
        let now: Now = Arc::new(move || clock.now());
        let (recorder, write) = Recorder::new(client.clone(), "kubelet", node.name(), now, Sleeper::wall());
        // A kubelet names its node so: by its name, where other objects have a uid.
        let about = ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.name().to_owned()),
            uid: Some(node.name().to_owned()),
            ..ObjectReference::default()
        };
        for (reason, message) in events {
            recorder.event(&about, EventType::Warning, reason, message);
        }
        drop(recorder);
        write.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Thresholds = Thresholds { high: 85, low: 80 };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn image(id: &str, size: u64) -> ImageRecord {
        ImageRecord {
            id: id.to_owned(),
            repo_tags: Vec::new(),
            repo_digest: String::new(),
            size,
            config: podlab_images::ImageConfig::default(),
            built_in: None,
        }
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn so_much_is_freed_that_the_disk_is_as_full_as_it_may_be() {
        assert_eq!(amount(1000, 160, USUAL), None);
        assert_eq!(amount(1000, 150, USUAL), Some(50));
        assert_eq!(amount(1000, 0, USUAL), Some(200));
        assert_eq!(amount(1000, 2000, USUAL), None);
        assert_eq!(amount(0, 0, USUAL), None);
        assert_eq!(amount(u64::MAX, 0, USUAL), Some(u64::MAX / 5));
    }

    #[test]
    fn the_longest_unused_goes_first_and_never_one_that_is_used() {
        let mut records = Records::default();
        let all = [image("a", 10), image("b", 10), image("c", 10), image("running", 10)];
        records.look(&all, &ids(&["a", "b", "c", "running"]), seconds(0));
        records.look(&all, &ids(&["b", "c", "running"]), seconds(300));
        records.look(&all, &ids(&["c", "running"]), seconds(600));
        records.look(&all, &ids(&["running"]), seconds(900));
        assert_eq!(records.choose(1, seconds(900)), ids(&["a"]));
        assert_eq!(records.choose(15, seconds(900)), ids(&["a", "b"]));
        assert_eq!(records.choose(1000, seconds(900)), ids(&["a", "b", "c"]));
        assert_eq!(records.size(&ids(&["a", "b", "c"])), 30);
    }

    #[test]
    fn what_came_a_moment_ago_stays_and_what_was_there_before_us_does_not() {
        let mut records = Records::default();
        records.look(&[image("old", 1)], &BTreeSet::new(), seconds(1));
        records.look(&[image("old", 1), image("new", 1)], &BTreeSet::new(), seconds(60));
        assert_eq!(records.choose(9, seconds(179)), ids(&["old"]));
        assert_eq!(records.choose(9, seconds(180)), ids(&["new", "old"]));
        // One that is built in is no image of the store's own.
        let built_in = ImageRecord { built_in: Some("itself"), ..image("old", 1) };
        records.look(&[built_in], &BTreeSet::new(), seconds(400));
        assert_eq!(records.choose(9, seconds(400)), BTreeSet::new());
    }
}
