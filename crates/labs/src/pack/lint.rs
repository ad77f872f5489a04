//! What can be said of a pack without running anything.

use std::collections::BTreeMap;

use super::Finding;
use crate::format::{Exercise, Lab, Library};
use crate::grade::Manifest;

/// Everything that is wrong with the labs and exercises of a library, beyond what their format refuses.
pub fn lint(library: &Library) -> Vec<Finding> {
    let mut findings = Vec::new();
    for lab in library.labs() {
        let exercises = library.exercises().iter().filter(|exercise| exercise.lab == lab.name);
        of_lab(lab, &exercises.collect::<Vec<_>>(), &mut findings);
    }
    for exercise in library.exercises() {
        of_exercise(exercise, &mut findings);
    }
    shared_diagnoses(library.exercises(), &mut findings);
    findings
}

fn of_lab(lab: &Lab, exercises: &[&Exercise], findings: &mut Vec<Finding>) {
    let mut found = |what: String| findings.push(Finding { place: lab.name.clone(), what });
    if lab.objectives.is_empty() {
        found("it has no objectives".to_owned());
    }
    for (number, objective) in (1..).zip(&lab.objectives) {
        if !exercises.iter().any(|exercise| exercise.objectives.contains(&number)) {
            found(format!("objective {number} is practised by no exercise: {objective}"));
        }
    }
    for exercise in exercises {
        for number in exercise.objectives.iter().filter(|number| **number == 0 || **number > lab.objectives.len()) {
            found(format!("exercise {} names objective {number}, and there is none", exercise.name));
        }
    }
}

fn of_exercise(exercise: &Exercise, findings: &mut Vec<Finding>) {
    let mut found = |what: String| findings.push(Finding { place: exercise.name.clone(), what });
    if exercise.minutes == 0 {
        found("it takes no time: `minutes` is 0".to_owned());
    }
    if exercise.points() == 0 {
        found("it is worth nothing: no check has points".to_owned());
    }
    if exercise.solutions.is_empty() {
        found("it has no solution".to_owned());
    }
    for (name, hint) in
        [("where", &exercise.hints.r#where), ("concept", &exercise.hints.concept), ("field", &exercise.hints.field)]
    {
        if hint.trim().is_empty() {
            found(format!("the hint `{name}` is empty"));
        }
    }
    if exercise.read(&exercise.folder.join("task.md")).is_ok_and(|task| task.trim().is_empty()) {
        found("its task.md is empty".to_owned());
    }
    let Ok(starter) = exercise.read(&exercise.starter) else { return };
    for solution in exercise.solutions.iter().filter(|file| exercise.read(file).is_ok_and(|text| text == starter)) {
        found(format!("{} is the starter", solution.display()));
    }
    for wrong in &exercise.wrong {
        let diagnosis = exercise.diagnoses.iter().find(|diagnosis| diagnosis.name == wrong.diagnosis);
        let (Some(at), Ok(text)) = (diagnosis.and_then(|found| found.at.as_deref()), exercise.read(&wrong.file)) else {
            continue;
        };
        let there = Manifest::parse(&text).ok().and_then(|manifest| manifest.find(at).map(|found| found.missing));
        if there != Some(None) {
            found(format!("{}: {at}, where {} points to, is not there", wrong.file.display(), wrong.diagnosis));
        }
    }
}

fn shared_diagnoses(exercises: &[Exercise], findings: &mut Vec<Finding>) {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for exercise in exercises {
        for diagnosis in &exercise.diagnoses {
            if let Some(other) = first.insert(&diagnosis.name, &exercise.name) {
                let what = format!("{} is a diagnosis of {other} too; two exercises need two names", diagnosis.name);
                findings.push(Finding { place: exercise.name.clone(), what });
            }
        }
    }
}
