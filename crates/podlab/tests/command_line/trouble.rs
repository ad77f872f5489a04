//! A disk that is full or read-only, and no memory left: a clear error each time, and nothing is lost.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use podlab_client::{Error, ListOptions};
use podlab_linux::cgroups::{Controller, Limits, Tree};
use podlab_testkit::{Cluster, Output};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use serde_json::json;

use crate::plug::rig::{Part, Rig};
use crate::plug::{marker, steady};

/// A small disk of a test's own as a cluster's state directory.
struct Disk(PathBuf);

impl Disk {
    /// With room for the program, which the image store has a copy of, and for little else.
    fn of(cluster: &Cluster) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            podlab_testkit::could_not_run("only root can make a small disk");
            return None;
        }
        let program = std::fs::metadata(podlab_testkit::podlab()).unwrap().len();
        let options = std::ffi::CString::new(format!("size={}", program + (64 << 20))).unwrap();
        let place = cluster.directory();
        std::fs::create_dir(&place).unwrap();
        mount("tmpfs", &place, "tmpfs", MountFlags::empty(), &*options).unwrap();
        Some(Self(place))
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Adds ConfigMaps of this size to `known` until one is refused; returns the refusal. What is known was acknowledged.
#[track_caller]
fn create_until_refused(rig: &Rig, known: &mut BTreeSet<String>, size: usize) -> Error {
    for _ in 0..1000 {
        let name = format!("map-{}", known.len());
        let map = json!({"metadata": {"name": name, "namespace": "default"}, "data": {"x": "x".repeat(size)}});
        let map: ConfigMap = serde_json::from_value(map).unwrap();
        match rig.attempt(|client| async move { client.create(&map).await }) {
            Ok(_) => known.insert(name),
            Err(error) => return error,
        };
    }
    panic!("there is no end of the room")
}

#[track_caller]
fn all_are_there(rig: &Rig, known: &BTreeSet<String>) {
    let maps = rig.api(|client| async move { client.list::<ConfigMap>("default", &ListOptions::default()).await });
    let found: BTreeSet<_> = maps.unwrap().items.into_iter().filter_map(|map| map.metadata.name).collect();
    assert!(known.is_subset(&found), "lost: {:?}", known.difference(&found));
}

/// Refused in words, once, and without a backtrace or a word about our own insides.
#[track_caller]
fn refused(output: Output, why: &str) {
    let output = output.failure(1);
    let errors: Vec<_> = output.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].matches(why).count() == 1, "{output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
}

#[test]
fn a_full_disk_refuses_and_forgets_nothing() {
    let cluster = Cluster::builder().prepare();
    let Some(disk) = Disk::of(&cluster) else { return };
    cluster.start_again();
    let rig = Rig::of(cluster);
    let marker = marker(&rig, "steady");
    rig.create::<Pod>(&steady("steady", &marker));
    let before = rig.until_ready("steady");

    disk.fill();
    let mut known = BTreeSet::new();
    for _ in 0..2 {
        let error = create_until_refused(&rig, &mut known, 100_000).to_string();
        assert!(error.contains("No space left on device"), "{error}");
    }
    all_are_there(&rig, &known);
    rig.cluster.podlab(["status"]).success();

    // With room again it goes on as if nothing had been.
    disk.make_room();
    rig.create::<ConfigMap>(&json!({"metadata": {"name": "after", "namespace": "default"}}));
    known.insert("after".to_owned());
    all_are_there(&rig, &known);
    assert_eq!(rig.until_ready("steady").status, before.status, "the Pod did not notice");

    rig.cluster.podlab(["stop"]).success();
    disk.fill();
    refused(rig.cluster.podlab(["start", "--detach", "--no-book"]), "No space left on device");
    disk.make_room();
    rig.cluster.start_again();
    all_are_there(&rig, &known);
    rig.until_ready("steady");
    rig.cluster.podlab(["stop"]).success();
    drop(disk);
    rig.cluster.gone();
}

#[test]
fn a_read_only_disk_is_refused_with_the_way_out() {
    let cluster = Cluster::builder().prepare();
    let Some(disk) = Disk::of(&cluster) else { return };
    cluster.start_again();
    cluster.podlab(["stop"]).success();
    mount_remount(&disk.0, MountFlags::RDONLY, "").unwrap();
    let start = cluster.podlab(["start", "--detach", "--no-book"]);
    assert!(start.stderr.contains("podlab --dir DIR"), "{start}");
    refused(start, "Read-only file system");
    cluster.podlab(["status"]).failure(1);
    drop(disk);
    cluster.gone();
}

/// A command that runs in this cgroup.
fn within(cgroup: &Path, command: Command) -> Command {
    let mut inside = Command::new("sh");
    inside.args(["-c", r#"echo 0 > "$0" && exec "$@""#]).arg(cgroup.join("cgroup.procs"));
    inside.arg(command.get_program()).args(command.get_args());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside
}

#[test]
fn without_memory_the_control_plane_is_killed_and_nothing_is_forgotten() {
    let tree = Tree::discover(&format!("podlab-test-{}", std::process::id()));
    let Some(memory) = tree.hierarchies.iter().find(|place| place.controllers.contains(&Controller::Memory)) else {
        podlab_testkit::could_not_run(format_args!("needs a memory cgroup: {:?}", tree.could_not));
        return;
    };
    let limit = |bytes| tree.cgroup("").set(&Limits { memory: Some(bytes), ..Limits::default() }).unwrap();
    limit(1 << 30);
    let cluster = Cluster::builder().prepare();
    let start = within(&memory.base, cluster.command(["start", "--detach", "--no-book"])).output().unwrap();
    assert!(start.status.success(), "{}", String::from_utf8_lossy(&start.stderr));
    let rig = Rig::of(cluster);
    let control_plane = rig.pids(Part::ControlPlane);
    rig.create::<Pod>(&steady("steady", &marker(&rig, "steady")));
    rig.until_ready("steady");

    // Room for little more than there is.
    limit(tree.cgroup("").usage().memory + (24 << 20));
    let mut known = BTreeSet::new();
    let error = create_until_refused(&rig, &mut known, 900_000);
    assert!(matches!(error, Error::Transport { .. }), "nothing answers: {error}");
    // It is started again, where it has as little room.
    rig.until("its end to be noticed", |rig| {
        let now = rig.cluster.record()?.pointer("/control_plane/pid")?.as_i64()?;
        (i64::from(control_plane[0]) != now).then_some(())
    });
    let log = std::fs::read_to_string(rig.cluster.directory().join("log/machine.log")).unwrap();
    assert!(log.contains("control plane") && log.contains("signal 9"), "{log}");
    rig.cluster.podlab(["stop"]).success();
    rig.cluster.settle();
    rig.cluster.start_again();
    all_are_there(&rig, &known);
    rig.until_ready("steady");
    rig.cluster.stop();
    tree.cgroup("").remove().unwrap();
}
