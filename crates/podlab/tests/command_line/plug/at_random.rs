//! Killed 200 times, at moments that a seed decides. `PODLAB_SEED=N` repeats a run's choices.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use podlab_client::ListOptions;
use serde_json::json;

use super::rig::{Part, Rig, kill, processes_with, restarts};
use super::{marker, pod, steady};

/// Kills in each of the two tests.
const KILLS: usize = 100;
const KILLS_A_ROUND: usize = 5;

/// SplitMix64: small, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    /// From `PODLAB_SEED`, else from the kernel; said either way.
    pub(super) fn new() -> Self {
        let named = std::env::var("PODLAB_SEED").ok().map(|seed| seed.parse().unwrap());
        let mut drawn = [0; 8];
        rustix::rand::getrandom(&mut drawn, rustix::rand::GetRandomFlags::empty()).unwrap();
        let seed = named.unwrap_or(u64::from_ne_bytes(drawn));
        println!("PODLAB_SEED={seed}");
        Self(seed)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Kills processes of parts that Pods do not depend on, one or several at a time.
pub(super) struct Killer {
    pub(super) random: Random,
    pub(super) left: usize,
}

impl Killer {
    /// At most `count` of these parts at the same time, those that run; says which were killed.
    pub(super) fn kill(&mut self, rig: &Rig, count: usize, parts: &[Part]) -> BTreeSet<Part> {
        let mut killed = BTreeSet::new();
        for _ in 0..count.min(self.left) {
            let part = self.random.one_of(parts);
            let pids = rig.pids(part);
            // Between its death and its return a part cannot be killed.
            if pids.is_empty() {
                continue;
            }
            kill(self.random.one_of(&pids));
            killed.insert(part);
            self.left -= 1;
        }
        killed
    }
}

/// Whatever happens to control plane, kubelet and janitor: Pods go on, nothing starts twice, and no line of a log and no
/// exit code is lost.
#[test]
fn pods_do_not_notice_the_deaths_of_those_who_only_look_after_them() {
    const PARTS: [Part; 3] = [Part::ControlPlane, Part::Kubelet, Part::Janitor];
    const LINES: usize = 300;
    let rig = Rig::start();
    let mut killer = Killer { random: Random::new(), left: KILLS };
    let markers = ["steady-0", "steady-1"].map(|name| (name, marker(&rig, name)));
    let before = markers.each_ref().map(|(name, marker)| {
        rig.create::<Pod>(&steady(name, marker));
        rig.until_ready(name)
    });

    let script = format!(
        "echo begin; n=0; while [ $n -lt {LINES} ]; do n=$((n+1)); echo line $n; done; read go < /data/go; echo end; exit"
    );
    let mut round = 0;
    while killer.left > 0 {
        round += 1;
        let (name, code) = (format!("ends-{round}"), i32::try_from(killer.random.below(200)).unwrap());
        killer.kill(&rig, 1, &PARTS);
        rig.create::<Pod>(&pod(&name, "Never", &format!("mkfifo /data/go 2>/dev/null; {script} {code}")));
        let count = killer.random.below(3);
        killer.kill(&rig, count, &PARTS);
        let running = rig.until_ready(&name);
        killer.kill(&rig, 1, &PARTS);
        // It waits for this, or finds it there.
        std::fs::write(rig.pod_directory(&running).join("volumes/data/go"), "go\n").unwrap();
        let count = killer.random.below(3);
        killer.kill(&rig, count, &PARTS);

        let ended = rig.until_pod(&name, |pod| {
            let phase = pod?.status.as_ref()?.phase.as_deref()?;
            (phase == "Succeeded" || phase == "Failed").then(|| pod.cloned()).flatten()
        });
        let state = ended.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0].state.clone().unwrap();
        assert_eq!(state.terminated.unwrap().exit_code, code, "{name}");
        assert_eq!(restarts(&ended), 0, "{name}");
        let mut wanted = vec!["begin".to_owned()];
        wanted.extend((1..=LINES).map(|number| format!("line {number}")));
        wanted.push("end".to_owned());
        assert_eq!(rig.logs(&ended, "main"), [wanted], "{name}");
        rig.delete(&name, 0);
        killer.kill(&rig, 1, &PARTS);
        rig.until_gone(&name);
    }

    rig.until_all_run();
    for ((name, marker), before) in markers.iter().zip(before) {
        let after = rig.until_ready(name);
        let statuses = |pod: &Pod| {
            let statuses = pod.status.clone().unwrap().container_statuses.unwrap();
            statuses
                .into_iter()
                .map(|status| (status.container_id, status.state, status.restart_count))
                .collect::<Vec<_>>()
        };
        assert_eq!(statuses(&after), statuses(&before), "{name} was not touched");
        assert_eq!(rig.logs(&after, "main"), [["begin"]], "{name}");
        assert_eq!(processes_with(marker), 1, "{name}");
    }
    println!("{round} Pods lived and died");
    rig.cluster.stop();
}

/// Whatever is killed, one or several at a time: what was acknowledged is there, what was deleted is gone, and what is to
/// run does, once.
#[test]
fn everything_that_was_acknowledged_survives_every_death() {
    use Part::{ControlPlane, Fabric, Janitor, Kubelet, Machine, NodeInit, Supervisor};
    const PARTS: [Part; 9] =
        [Machine, ControlPlane, ControlPlane, Fabric, Janitor, NodeInit, Kubelet, Kubelet, Supervisor];
    let rig = Rig::start();
    let mut killer = Killer { random: Random::new(), left: KILLS };
    let (mut maps, mut pods) = (BTreeSet::new(), BTreeSet::new());
    let mut round = 0;
    while killer.left > 0 {
        round += 1;
        let mut left = KILLS_A_ROUND;
        while left > 0 && killer.left > 0 {
            let count = 1 + killer.random.below(left);
            left -= count;
            let killed = killer.kill(&rig, count, &PARTS);
            if killed.contains(&Machine) {
                // Sometimes the dust settles first. Without a janitor it does not settle by itself.
                if killer.random.below(2) == 0 && killed.len() == 1 {
                    rig.cluster.settle();
                }
                rig.cluster.start_again();
            }
            let name = format!("r{round}-{left}");
            match killer.random.below(3) {
                0 => {
                    rig.create::<ConfigMap>(&json!({"metadata": {"name": name, "namespace": "default"}}));
                    maps.insert(name);
                }
                1 if pods.len() < 4 => {
                    rig.create::<Pod>(&steady(&name, &marker(&rig, &name)));
                    pods.insert(name);
                }
                _ => {
                    if let Some(name) = pods.pop_first() {
                        rig.delete(&name, 0);
                        rig.until_gone(&name);
                        // Deleted by force, the object is gone before the processes are.
                        rig.until_ended(&marker(&rig, &name));
                    }
                }
            }
        }
        rig.until_all_run();
        let found = rig.api(|client| async move { client.list::<ConfigMap>("default", &ListOptions::default()).await });
        let found: BTreeSet<_> = found.unwrap().items.into_iter().filter_map(|map| map.metadata.name).collect();
        assert!(maps.is_subset(&found), "lost: {:?}", maps.difference(&found));
        for name in &pods {
            // Ready according to a kubelet that knows of the last death, not to one from before.
            let marker = marker(&rig, name);
            rig.until_pod(name, |pod| (processes_with(&marker) == 1).then(|| pod.cloned()).flatten());
            rig.until_ready(name);
            assert_eq!(processes_with(&marker), 1, "{name} runs once");
        }
    }
    println!("{round} rounds, {} objects acknowledged", maps.len());
    rig.cluster.stop();
}
