//! What has to be told before the present state: nothing is left out because the next thing came quickly.
//!
//! A program may end before anybody was told that it runs, be started again before anybody was told that it ended, and
//! have its Pod's namespaces taken down before that. Whether a status that shows the state between was written would
//! then depend on how fast the API server answers. So each of them is told, in its order: what is known is taken back to
//! the first state that nobody has heard of.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use super::super::members::{self, Member};
use super::super::observed::{ContainerRecord, Observed, Run, probers};

/// What was known when the first thing happened that is not in `told`; `None` if `observed` itself comes next.
#[must_use]
pub(crate) fn first(pod: &Pod, observed: &Observed, told: Option<&PodStatus>) -> Option<Observed> {
    if observed.rejected {
        return None;
    }
    let mut earlier = observed.clone();
    let mut ends = false;
    for member in members::all(pod) {
        let record = observed.container(&member.spec.name);
        let before = told.and_then(|told| told_of(told, &member.spec.name));
        if let Some(record) = earlier_record(&member, record, before) {
            earlier.containers.insert(member.spec.name.clone(), record);
            ends = true;
        }
        ends |= record.exit().is_some() && before.is_some_and(runs);
    }
    // Taken down because the containers had ended, which is the news.
    if let Some(sandbox) = earlier.sandbox.as_mut().filter(|sandbox| ends && observed.stopped && !sandbox.alive) {
        sandbox.alive = true;
    }
    (earlier != *observed).then_some(earlier)
}

/// A container's record of the moment after the one that `told` shows; `None` if that is the present.
fn earlier_record(
    member: &Member<'_>,
    record: &ContainerRecord,
    told: Option<&ContainerStatus>,
) -> Option<ContainerRecord> {
    let run = record.run.as_ref()?;
    let told_id = told.and_then(|told| told.container_id.as_deref());
    let is_told = |run: &Run| told_id.is_some_and(|id| id.rsplit('/').next() == Some(run.id.as_str()));
    if is_told(run) {
        return None;
    }
    // What a probe or a new image ended is told together with its next start (golden 211), and so is what went with its
    // namespaces.
    let counts = |run: &Run| run.exit.is_some() && !run.probed && !run.replaced && !run.stale;
    if let Some(previous) = record.previous.as_ref().filter(|previous| is_told(previous) && counts(previous))
        && told.is_some_and(runs)
    {
        return Some(ContainerRecord { run: Some(previous.clone()), ..ContainerRecord::default() });
    }
    // It runs for others once its postStart hook is done, which is not known of a run that has ended.
    let hook = member.spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.post_start.is_some());
    if run.exit.is_none() || run.reason.is_some() || run.stale || hook {
        return None;
    }
    let run = Run { exit: None, probed: false, replaced: false, ..run.clone() };
    let probes = probers(&member.spec, run.started_at);
    Some(ContainerRecord { run: Some(run), previous: record.previous.clone(), probes, ..ContainerRecord::default() })
}

fn told_of<'a>(told: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    let all = [&told.init_container_statuses, &told.container_statuses, &told.ephemeral_container_statuses];
    all.into_iter().flatten().flatten().find(|status| status.name == name)
}

fn runs(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::super::status;
    use super::*;
    use crate::backend::Exit;
    use crate::kubelet::decide::Action;
    use crate::kubelet::observed::Sandbox;

    fn pod(container: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "uid": "u"},
            "spec": {"restartPolicy": "OnFailure", "containers": [container]},
        }))
        .unwrap()
    }

    fn run(attempt: u32, code: Option<i32>) -> Run {
        let started_at = Timestamp::from_second(1_000 + i64::from(attempt)).unwrap();
        let exit =
            |code| Exit { code, signal: None, finished_at: started_at, oom_killed: false, message: String::new() };
        Run {
            id: format!("id-{attempt}"),
            attempt,
            image: "i".to_owned(),
            image_id: String::new(),
            started_at,
            exit: code.map(exit),
            reason: None,
            stale: false,
            replaced: false,
            probed: false,
        }
    }

    fn observed(previous: Option<Run>, run: Run) -> Observed {
        let mut observed = Observed::default();
        observed.sandbox = Some(Sandbox { ip: "10.244.0.2".into(), alive: true });
        let record = ContainerRecord { run: Some(run), previous, ..ContainerRecord::default() };
        observed.containers.insert("c".to_owned(), record);
        observed
    }

    /// What is told one after the other, if nothing more happens: restarts, state, whether ready, whether it has an address.
    fn words(pod: &Pod, observed: &Observed, mut told: Option<PodStatus>) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            let earlier = first(pod, observed, told.as_ref());
            let next = status(pod, earlier.as_ref().unwrap_or(observed), told.as_ref(), "h", Timestamp::UNIX_EPOCH);
            if told.as_ref() == Some(&next) {
                return words;
            }
            let container = &next.container_statuses.as_ref().unwrap()[0];
            let state = serde_json::to_value(&container.state).unwrap();
            let state = state.as_object().unwrap().keys().next().unwrap().clone();
            let sandbox = &next.conditions.as_ref().unwrap()[0].status;
            words.push(format!("{} {state} ready={} sandbox={sandbox}", container.restart_count, container.ready));
            told = Some(next);
            assert!(words.len() < 10, "{words:?}");
        }
    }

    #[test]
    fn a_program_that_ends_at_once_is_told_to_run() {
        let pod = pod(json!({"name": "c"}));
        let mut observed = observed(None, run(0, Some(0)));
        assert_eq!(
            words(&pod, &observed, None),
            ["0 running ready=true sandbox=True", "0 terminated ready=false sandbox=True"]
        );
        observed.stopped = true;
        observed.sandbox.as_mut().unwrap().alive = false;
        assert_eq!(
            words(&pod, &observed, None),
            [
                "0 running ready=true sandbox=True",
                "0 terminated ready=false sandbox=True",
                "0 terminated ready=false sandbox=False"
            ]
        );
    }

    #[test]
    fn namespaces_that_are_being_taken_down_are_gone_when_that_is_done() {
        let mut observed = observed(None, run(0, Some(0)));
        observed.busy.insert(Action::StopPod);
        let before = observed.clone();
        assert!(observed.died(Timestamp::UNIX_EPOCH).is_empty(), "no event tells of it");
        assert_eq!(observed, before, "and the status goes on telling how the container ended");
    }

    #[test]
    fn who_is_asked_whether_it_is_ready_was_not() {
        let pod = pod(json!({"name": "c", "readinessProbe": {"exec": {"command": ["true"]}}}));
        let observed = observed(None, run(0, Some(0)));
        assert_eq!(words(&pod, &observed, None)[0], "0 running ready=false sandbox=True");
    }

    #[test]
    fn an_end_is_told_before_the_next_start() {
        let pod = pod(json!({"name": "c"}));
        let running = observed(None, run(0, None));
        let told = status(&pod, &running, None, "h", Timestamp::UNIX_EPOCH);
        let again = observed(Some(run(0, Some(1))), run(1, Some(1)));
        let rest = ["1 running ready=true sandbox=True", "1 terminated ready=false sandbox=True"];
        assert_eq!(
            words(&pod, &again, Some(told.clone())),
            [&["0 terminated ready=false sandbox=True"][..], &rest].concat()
        );
        // Unless a probe ended it.
        let probed = observed(Some(Run { probed: true, ..run(0, Some(1)) }), run(1, Some(1)));
        assert_eq!(words(&pod, &probed, Some(told)), rest);
    }

    #[test]
    fn what_never_ran_is_not_told_to_run() {
        let refused = Run { reason: Some("StartError"), ..run(0, Some(128)) };
        let pod = pod(json!({"name": "c"}));
        assert_eq!(words(&pod, &observed(None, refused), None), ["0 terminated ready=false sandbox=True"]);
        let hook = self::pod(json!({"name": "c", "lifecycle": {"postStart": {"exec": {"command": ["false"]}}}}));
        assert_eq!(words(&hook, &observed(None, run(0, Some(1))), None), ["0 terminated ready=false sandbox=True"]);
    }
}
