//! Every command of the reference once more, on a cluster of ours: kubectl must print what it printed there.
//!
//! `reference/golden` holds what a real Kubernetes 1.32.13 answered; [`scenarios`] the order in which the commands are
//! run and the set-up between them; [`known`] what may differ, with reasons. `PODLAB_REPLAY=basics,zoo` plays only these
//! stages, for a short loop while mending; then the lists are held against what was played.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

mod golden;
mod known;
mod same;
mod scenario;
mod scenarios;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use podlab_testkit::Kubectl;
use similar::TextDiff;

use golden::{Golden, Question};
use scenario::{Scenario, Step};
use stage::Stage;

/// How a transcript was answered: `None` as there, else the difference.
type Played = Mutex<BTreeMap<String, Option<String>>>;

/// One after the other: each has a cluster a stage.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn kubectl_prints_what_it_prints_on_a_real_cluster() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    judge(&replay(kubectl.program()), &[]);
}

/// The same commands, typed to the kubectl that is built in.
#[test]
fn the_built_in_kubectl_prints_the_same() {
    judge(&replay(&podlab_testkit::podlab()), known::BUILT_IN);
}

fn replay(kubectl: &Path) -> BTreeMap<String, Option<String>> {
    // What the other test has to say is its own.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let goldens = golden::all();
    let only = std::env::var("PODLAB_REPLAY").unwrap_or_default();
    let wanted = |stage: &str| only.is_empty() || only.split(',').any(|name| name == stage);
    let mut stages: BTreeMap<&str, Vec<&Scenario>> = BTreeMap::new();
    for scenario in scenarios::all().into_iter().filter(|scenario| wanted(scenario.stage)) {
        stages.entry(scenario.stage).or_default().push(scenario);
    }
    let played = Played::default();
    std::thread::scope(|scope| {
        for scenarios in stages.values() {
            scope.spawn(|| play_stage(kubectl, scenarios, &goldens, &played));
        }
    });
    played.into_inner().unwrap()
}

fn play_stage(kubectl: &Path, scenarios: &[&Scenario], goldens: &BTreeMap<String, Golden>, played: &Played) {
    let stage = Stage::start(kubectl);
    std::thread::scope(|scope| {
        let stage = &stage;
        let mut playing = Vec::new();
        for &scenario in scenarios {
            playing.push((scenario.name, scope.spawn(move || play(stage, scenario, goldens, played))));
        }
        for (name, thread) in playing {
            if thread.join().is_err() {
                played.lock().unwrap().insert(format!("scenario {name}"), Some("did not come to its end".into()));
            }
        }
    });
    stage.stop();
}

fn play(stage: &Stage, scenario: &Scenario, goldens: &BTreeMap<String, Golden>, played: &Played) {
    let own = stage.folder(scenario.name);
    for step in scenario.steps {
        if let Step::Do(command) = step {
            let answer = stage.run(command, &own);
            // What follows will differ too, and say more.
            if answer.exit != Some(0) {
                eprintln!("{}: {command}: {answer}", scenario.name);
            }
        }
        for name in step.goldens() {
            let golden = &goldens[*name];
            let question = question(step, name, &golden.question);
            let expected = same::comparable(name, &golden.answer);
            let mut answer = stage.ask(&question, &own, &|answer| same::comparable(name, answer) == expected);
            answer.exit = answer.exit.filter(|_| golden.answer.exit.is_some());
            let found = same::comparable(name, &answer);
            let differs = (expected != found).then(|| difference(&expected, &found));
            played.lock().unwrap().insert((*name).to_owned(), differs);
        }
    }
}

/// What is asked here in place of what was asked there.
fn question(step: &Step, name: &str, there: &Question) -> Question {
    let mut here = there.clone();
    if let Question::Watch { seconds, .. } = &mut here
        && !known::NOT_YET.iter().any(|(known, _)| *known == name)
    {
        // It ends when it is equal, however long that takes on a slow machine.
        *seconds = podlab_testkit::DEADLINE.as_secs().max(*seconds);
    }
    match (step, &mut here) {
        (Step::With(_, other), Question::Watch { meanwhile, .. }) => (*other).clone_into(meanwhile),
        (Step::With(_, command), _) => here = Question::Command((*command).to_owned()),
        _ => {}
    }
    here
}

fn difference(expected: &str, found: &str) -> String {
    TextDiff::from_lines(expected, found).unified_diff().context_radius(1).header("there", "here").to_string()
}

/// Holds what was played against the lists; `more` is what differs with this client only.
fn judge(played: &BTreeMap<String, Option<String>>, more: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (name, differs) in played {
        let listed = known::NOT_YET.iter().chain(more).find(|(known, _)| known == name);
        match (differs, listed) {
            (Some(difference), None) => wrong.push(format!("{name} differs:\n{difference}")),
            (None, Some((_, why))) => wrong.push(format!("{name} is equal, and still listed as different ({why})")),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    let equal = played.values().filter(|differs| differs.is_none()).count();
    eprintln!("{equal} of {} transcripts are equal", played.len());
    assert!(wrong.is_empty(), "{equal} of {} are equal; {} wrong\n{}", played.len(), wrong.len(), wrong.join("\n"));
}

/// Nothing is left out silently, nothing is listed twice, and the list of differences stays short.
#[test]
fn every_transcript_is_replayed_or_has_a_reason() {
    let mut seen = BTreeSet::new();
    for name in scenarios::all().iter().flat_map(|scenario| scenario.steps).flat_map(Step::goldens) {
        assert!(seen.insert(*name), "{name} is replayed twice");
    }
    let goldens = golden::all();
    for name in &seen {
        assert!(goldens.contains_key(*name), "{name} is not in the reference");
    }
    let absent = |name: &str| known::ABSENT.iter().any(|(beginning, _)| name.starts_with(beginning));
    let left: Vec<&String> = goldens.keys().filter(|name| seen.contains(name.as_str()) == absent(name)).collect();
    assert!(left.is_empty(), "neither replayed nor in the list of the absent, or both: {left:?}");
    assert!(known::SET_UP.iter().all(|known| !known.why.is_empty()), "a difference without a reason");
    for (name, why) in known::NOT_YET {
        assert!(seen.contains(name) && !why.is_empty(), "{name} is listed and not replayed");
    }
    assert!(known::NOT_YET.len() <= known::NOT_YET_MOST, "{} may differ", known::NOT_YET.len());
    for (name, why) in known::BUILT_IN {
        assert!(seen.contains(name) && !why.is_empty(), "{name} is listed and not replayed");
    }
    assert!(known::BUILT_IN.len() <= known::BUILT_IN_MOST, "{} may differ", known::BUILT_IN.len());
}
