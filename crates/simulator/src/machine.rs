//! What a kernel would do on a node: Pods and containers that are made, run their programs, and end.
//!
//! It outlives its kubelet. A container is started once for each of its attempts, however often that is asked for: the
//! promise of the real backend, by which nothing runs twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use podlab_runtime::backend::simulated::Program;
use podlab_runtime::backend::{ContainerState, Exit, Image, PodState, ProbeOutcome, container_id};
use podlab_runtime::kubelet::decide::Action;
use podlab_runtime::kubelet::observed::Done;
use podlab_runtime::scheduler::resources::Resources;

use crate::check::Violation;
use crate::objects::{NODE_CPU, NODE_MEMORY, program};

/// How long things take.
const PULL: Duration = Duration::from_millis(700);
const START: Duration = Duration::from_millis(15);
const STEP: Duration = Duration::from_millis(3);

#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Counts its boots: what was under way in an earlier one never ends.
    pub(crate) boot: u64,
    pub(crate) up: bool,
    pub(crate) pods: BTreeMap<String, OnNode>,
    images: BTreeSet<String>,
    made: u32,
}

#[derive(Debug)]
pub(crate) struct OnNode {
    pub(crate) state: PodState,
    requests: Resources,
    /// What each container runs.
    programs: BTreeMap<String, Program>,
}

/// A program will end by itself, or because it was asked to.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) after: Duration,
    pub(crate) container: String,
    pub(crate) code: i32,
    pub(crate) signal: Option<i32>,
}

/// How long an action takes.
pub(crate) fn cost(action: &Action) -> Duration {
    match action {
        Action::PullImage { .. } => PULL,
        Action::Start { .. } | Action::CreatePod => START,
        _ => STEP,
    }
}

impl OnNode {
    pub(crate) fn runs(&self) -> bool {
        self.state.alive && self.state.containers.iter().any(|container| container.exit.is_none())
    }
}

impl Machine {
    /// Does what a kubelet asked for.
    pub(crate) fn perform(
        &mut self,
        pod: &Pod,
        action: &Action,
        now: Timestamp,
    ) -> Result<(Done, Option<Ends>), Violation> {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let image = |container: &str| -> String {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let found = containers.into_iter().find(|known| known.name == container);
            found.and_then(|known| known.image.clone()).unwrap_or_default()
        };
        let done = match action {
            Action::SetUpVolume { .. } => Done::Volume { renew_at: None },
            Action::CreatePod => Done::Pod(self.create(pod, &uid, now)),
            Action::FindImage { container } => {
                let name = image(container);
                Done::Image(self.images.contains(&name).then(|| stored(&name)))
            }
            Action::PullImage { container } => {
                let name = image(container);
                self.images.insert(name.clone());
                Done::Pulled(stored(&name), PULL)
            }
            Action::Start { container, attempt } => {
                return self.start(&uid, container, *attempt, &image(container), now);
            }
            Action::Probe { .. } => Done::Probed(self.probe(&uid, now)),
            Action::Ask { container } => return Ok((Done::Ok, self.ask(&uid, container))),
            Action::Kill { container } => {
                let container = self.running(&uid, container);
                let ends = container.map(|(container, _)| Ends { after: STEP, container, code: 137, signal: Some(9) });
                return Ok((Done::Ok, ends));
            }
            Action::Forget { container, attempt } => {
                let id = container_id(&uid, container, *attempt);
                if let Some(pod) = self.pods.get_mut(&uid) {
                    pod.state.containers.retain(|known| known.id != id || known.exit.is_none());
                }
                Done::Ok
            }
            Action::StopPod => {
                if let Some(pod) = self.pods.get_mut(&uid) {
                    down(pod, now);
                }
                Done::Ok
            }
            Action::RemovePod => {
                self.pods.remove(&uid);
                Done::Ok
            }
            _ => Done::Ok,
        };
        Ok((done, None))
    }

    fn create(&mut self, pod: &Pod, uid: &str, now: Timestamp) -> PodState {
        if let Some(known) = self.pods.get(uid).filter(|known| known.state.alive) {
            return known.state.clone();
        }
        self.made += 1;
        let containers = self.pods.get(uid).map(|known| known.state.containers.clone()).unwrap_or_default();
        let state = PodState {
            uid: uid.to_owned(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            ip: format!("10.244.{}.{}", self.made / 250, self.made % 250 + 2),
            alive: true,
            created_at: now,
            containers,
        };
        let on_node = OnNode { state: state.clone(), requests: Resources::of_pod(pod), programs: BTreeMap::new() };
        self.pods.insert(uid.to_owned(), on_node);
        state
    }

    fn start(
        &mut self,
        uid: &str,
        name: &str,
        attempt: u32,
        image: &str,
        now: Timestamp,
    ) -> Result<(Done, Option<Ends>), Violation> {
        let id = container_id(&uid.to_owned(), name, attempt);
        let Some(pod) = self.pods.get_mut(uid).filter(|pod| pod.state.alive) else {
            return Ok((Done::Failed("the Pod is not there".to_owned()), None));
        };
        if pod.state.containers.iter().any(|known| known.id == id) {
            return Ok((Done::Ok, None));
        }
        if pod.state.containers.iter().any(|known| known.name == name && known.exit.is_none()) {
            return Err(Violation(format!("container {name} of Pod {} runs twice", pod.state.name)));
        }
        let program = program(image);
        pod.state.containers.push(ContainerState {
            id: id.clone(),
            name: name.to_owned(),
            attempt,
            image_id: stored(image).id,
            started_at: now,
            exit: None,
        });
        pod.programs.insert(id.clone(), program.clone());
        self.check_capacity()?;
        let ends = program.ends.map(|(after, code)| Ends { after, container: id, code, signal: None });
        Ok((Done::Ok, ends))
    }

    /// What the Pods that run were promised never exceeds what the node has.
    fn check_capacity(&self) -> Result<(), Violation> {
        let mut sum = Resources::default();
        for pod in self.pods.values().filter(|pod| pod.runs()) {
            sum.add(&pod.requests);
        }
        if sum.milli_cpu > NODE_CPU || sum.memory > NODE_MEMORY {
            return Err(Violation(format!(
                "a node's Pods request {}m and {} bytes: more than it has",
                sum.milli_cpu, sum.memory
            )));
        }
        Ok(())
    }

    fn running(&self, uid: &str, name: &str) -> Option<(String, Program)> {
        let pod = self.pods.get(uid)?;
        let container = pod.state.containers.iter().find(|known| known.name == name && known.exit.is_none())?;
        Some((container.id.clone(), pod.programs.get(&container.id).cloned().unwrap_or_default()))
    }

    fn ask(&self, uid: &str, name: &str) -> Option<Ends> {
        let (container, program) = self.running(uid, name)?;
        let (after, code) = program.ends_on_term?;
        Some(Ends { after: after.max(STEP), container, code, signal: None })
    }

    fn probe(&self, uid: &str, now: Timestamp) -> ProbeOutcome {
        let pod = self.pods.get(uid).filter(|pod| pod.state.alive);
        let running = pod.and_then(|pod| {
            let container = pod.state.containers.iter().find(|container| container.exit.is_none())?;
            Some((pod.programs.get(&container.id)?, now.duration_since(container.started_at)))
        });
        match running {
            Some((program, age)) if !program.is_unhealthy(Duration::try_from(age).unwrap_or_default()) => {
                ProbeOutcome::Success
            }
            _ => ProbeOutcome::Failure("no answer".to_owned()),
        }
    }

    /// A program ended. `None` when it had ended before.
    pub(crate) fn exit(&mut self, uid: &str, id: &str, code: i32, signal: Option<i32>, now: Timestamp) -> Option<Exit> {
        let pod = self.pods.get_mut(uid)?;
        let container = pod.state.containers.iter_mut().find(|known| known.id == id && known.exit.is_none())?;
        let exit = Exit { code, signal, finished_at: now, oom_killed: false, message: String::new() };
        container.exit = Some(exit.clone());
        Some(exit)
    }

    /// The plug is pulled. What was written to the disk stays.
    pub(crate) fn power_off(&mut self, now: Timestamp) {
        self.up = false;
        self.boot += 1;
        for pod in self.pods.values_mut() {
            down(pod, now);
        }
    }
}

fn down(pod: &mut OnNode, now: Timestamp) {
    pod.state.alive = false;
    for container in pod.state.containers.iter_mut().filter(|container| container.exit.is_none()) {
        let exit = Exit { code: 137, signal: Some(9), finished_at: now, oom_killed: false, message: String::new() };
        container.exit = Some(exit);
    }
}

fn stored(name: &str) -> Image {
    Image {
        id: format!("sha256:{name}"),
        repo_digest: format!("{name}@sha256:{name}"),
        size: 3_621_056,
        user: String::new(),
        stop_signal: None,
        built_in: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, cpu: &str) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": uid, "namespace": "default", "uid": uid },
            "spec": { "containers": [{ "name": "main", "image": "runs",
                "resources": { "requests": { "cpu": cpu } } }] },
        }))
        .expect("a Pod")
    }

    fn start(machine: &mut Machine, pod: &Pod, attempt: u32) -> Result<(Done, Option<Ends>), Violation> {
        machine.perform(pod, &Action::CreatePod, Timestamp::UNIX_EPOCH)?;
        let action = Action::Start { container: "main".to_owned(), attempt };
        machine.perform(pod, &action, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_would_run_twice_is_found() {
        let (mut machine, pod) = (Machine::default(), pod("a", "1"));
        assert!(start(&mut machine, &pod, 0).is_ok());
        assert!(start(&mut machine, &pod, 0).is_ok(), "asked for twice, started once");
        assert!(start(&mut machine, &pod, 1).is_err(), "while the first still runs");
    }

    #[test]
    fn more_than_the_node_has_is_found() {
        let mut machine = Machine::default();
        assert!(start(&mut machine, &pod("a", "5"), 0).is_ok());
        assert!(start(&mut machine, &pod("b", "5"), 0).is_err());
    }
}
