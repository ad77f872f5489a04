//! The store as its users see it: in memory and in a file, the same.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::json;

use super::*;

const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
const NODES: GroupResource = GroupResource { group: "", resource: "nodes" };

fn draft(name: &str, mark: u32) -> Draft {
    Draft::new(&json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, "spec": {"mark": mark}}))
}

fn pod(namespace: &str, name: &str) -> Key {
    Key::new(PODS, namespace, name)
}

/// A store in memory, and one in a file that goes away with the returned folder.
fn both() -> (tempfile::TempDir, [Store; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let file = Store::open(&folder.path().join("store"), &[PODS, NODES]).unwrap();
    (folder, [Store::in_memory(&[PODS, NODES]), file])
}

#[tokio::test]
async fn every_write_has_the_next_revision() {
    let (_folder, stores) = both();
    for store in stores {
        let created = store.create(pod("a", "x"), draft("x", 1)).await.unwrap();
        assert_eq!(created.revision, 2);
        assert_eq!(created.value()["metadata"]["resourceVersion"], "2");
        assert_eq!(store.create(pod("a", "x"), draft("x", 2)).await.unwrap_err(), WriteError::Exists);
        let updated = store.update(pod("a", "x"), 2, draft("x", 3)).await.unwrap();
        assert_eq!(updated.revision, 3);
        let stale = store.update(pod("a", "x"), 2, draft("x", 4)).await.unwrap_err();
        assert_eq!(stale, WriteError::Conflict { current: 3 });
        let deleted = store.delete(pod("a", "x"), 3).await.unwrap();
        assert_eq!(deleted.value()["metadata"]["resourceVersion"], "4");
        assert_eq!(deleted.value()["spec"]["mark"], 3);
        assert_eq!(store.delete(pod("a", "x"), 4).await.unwrap_err(), WriteError::NotFound);
        assert_eq!(store.revision(), 4);
    }
}

#[tokio::test]
async fn lists_are_of_one_namespace_in_pages() {
    let (_folder, stores) = both();
    for store in stores {
        // `a` is a prefix of `ab`: neither may show in the other.
        for (namespace, name) in [("a", "x"), ("ab", "y"), ("a", "z"), ("a", "y"), ("b", "x")] {
            store.create(pod(namespace, name), draft(name, 0)).await.unwrap();
        }
        let names = |snapshot: &Snapshot| {
            snapshot
                .objects
                .iter()
                .map(|object| object.value()["metadata"]["name"].as_str().unwrap().to_owned())
                .collect::<String>()
        };
        let all = store.list(PODS, &Range::default());
        assert_eq!((names(&all).as_str(), all.revision, all.remaining), ("xyzyx", 6, 0));
        let first = store.list(PODS, &Range { namespace: Some("a"), limit: 2, after: None });
        assert_eq!((names(&first).as_str(), first.remaining), ("xy", 1));
        let after = Some(ObjectName::new("a", "y"));
        let second = store.list(PODS, &Range { namespace: Some("a"), limit: 2, after });
        assert_eq!((names(&second).as_str(), second.remaining), ("z", 0));
        assert_eq!(store.list(NODES, &Range::default()).objects.len(), 0);
    }
}

#[tokio::test]
async fn a_watch_tells_what_came_after_its_revision() {
    let (_folder, stores) = both();
    for store in stores {
        store.create(pod("a", "x"), draft("x", 1)).await.unwrap();
        let mut watch = store.watch(PODS, store.revision()).unwrap();
        store.create(Key::new(NODES, "", "n"), draft("n", 1)).await.unwrap();
        let waiting = tokio::spawn(async move {
            let mut told = Vec::new();
            while told.len() < 2 {
                told.extend(watch.next().await.unwrap().iter().map(|change| (change.revision, change.kind)));
            }
            (told, watch.catch_up())
        });
        store.update(pod("a", "x"), 2, draft("x", 2)).await.unwrap();
        store.delete(pod("a", "x"), 4).await.unwrap();
        let (told, position) = waiting.await.unwrap();
        assert_eq!(told, [(4, ChangeKind::Modified), (5, ChangeKind::Deleted)]);
        assert_eq!(position, 5);
        let past = store.watch(PODS, 1).unwrap().next().await.unwrap();
        assert_eq!(past.len(), 3);
        assert_eq!(past[1].previous.as_ref().unwrap().value()["spec"]["mark"], 1);
    }
}

#[tokio::test]
async fn a_slow_watch_loses_its_place_and_costs_nothing() {
    let store = Store::in_memory(&[PODS]);
    let mut slow = store.watch(PODS, store.revision()).unwrap();
    store.create(pod("a", "x"), draft("x", 0)).await.unwrap();
    for mark in 0..5000 {
        let revision = store.revision();
        store.update(pod("a", "x"), revision, draft("x", mark)).await.unwrap();
    }
    let lost = slow.next().await.unwrap_err();
    assert_eq!(lost.requested, 1);
    assert_eq!(lost.oldest, store.revision() - 4096);
    assert_eq!(store.watch(PODS, 1).err(), Some(lost));
    assert!(store.watch(PODS, lost.oldest).is_ok());
}

#[tokio::test]
async fn a_file_has_everything_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::open(&path, &[PODS, NODES]).unwrap();
    let writes = (0..200).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.create(pod("a", &format!("p{n:03}")), draft("x", n)).await.unwrap().revision })
    });
    let mut revisions = Vec::new();
    for write in writes {
        revisions.push(write.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (2..202).collect::<Vec<u64>>(), "each write has its own revision");
    let first = store.get(&pod("a", "p000")).unwrap();
    store.delete(pod("a", "p000"), first.revision).await.unwrap();
    store.close().await;
    assert_eq!(store.create(pod("a", "late"), draft("x", 0)).await.unwrap_err(), WriteError::Closed);
    drop(store);

    // A server that does not know nodes leaves their rows alone.
    let store = Store::open(&path, &[PODS]).unwrap();
    assert_eq!((store.revision(), store.count(PODS)), (202, 199));
    assert_eq!(store.get(&pod("a", "p007")).unwrap().value()["spec"]["mark"], 7);
    let lost = store.watch(PODS, 201).err().unwrap();
    assert_eq!(lost, WindowLost { requested: 201, oldest: 202 });
    assert_eq!(store.create(pod("a", "p000"), draft("x", 0)).await.unwrap().revision, 203);
}

/// The folder that the child of the next test writes to.
const CHILD: &str = "PODLAB_STORE_OF_THE_CHILD";

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    for round in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "store::tests::write_until_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // At another moment each time.
        let mut acknowledged: Vec<String> =
            lines.by_ref().filter(|line| line.starts_with("acknowledged ")).take(50 + round * 97).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        // What the pipe still held was said before the end, too; the last line may be cut off.
        acknowledged.extend(lines.filter(|line| line.ends_with('.')));
        assert!(acknowledged.len() >= 50, "the child ended early: {acknowledged:?}");

        let store = Store::open(&path, &[PODS]).unwrap();
        for line in &acknowledged {
            let words: Vec<&str> = line.trim_end_matches('.').split(' ').collect();
            let [_, name, revision] = words[..] else { panic!("{line}") };
            let object = store.get(&pod("a", name)).unwrap_or_else(|| panic!("{name} was acknowledged and is gone"));
            let revision: u64 = revision.parse().unwrap();
            assert!(object.revision >= revision, "{name} was at {revision} and is at {}", object.revision);
            assert!(store.revision() >= revision);
        }
        // And it goes on where it was.
        let next = store.create(pod("a", "after"), draft("after", 0)).await.unwrap();
        assert_eq!(next.revision, store.revision());
    }
}

/// Several writers at once, each telling what was acknowledged, until somebody ends them.
#[tokio::test]
#[ignore = "the child of what_was_acknowledged_survives_a_kill"]
async fn write_until_killed() {
    let store = Store::open(Path::new(&std::env::var_os(CHILD).unwrap()), &[PODS]).unwrap();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..10_000 {
                let name = format!("w{writer}-{}", round % 50);
                let object = match store.get(&pod("a", &name)) {
                    Some(known) => store.update(pod("a", &name), known.revision, draft(&name, round)).await,
                    None => store.create(pod("a", &name), draft(&name, round)).await,
                };
                let line = format!("acknowledged {name} {}.\n", object.unwrap().revision);
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
