//! The labs, exercises, claims and chapters of this repository, as far as no cluster is needed.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use podlab_labs::book;
use podlab_labs::claims::{Claims, Shown};
use podlab_labs::format::{Kind, Lab, Library, Step};
use podlab_labs::grade::Manifest;
use podlab_labs::{Workbook, snapshot};

fn workbook() -> Workbook {
    Workbook::at(Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap())
}

fn library() -> Library {
    Library::load(&workbook().labs()).unwrap()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_recorded_step_has_a_snapshot_and_every_snapshot_a_step() {
    let library = library();
    for lab in library.labs() {
        let steps: BTreeSet<String> = lab.transcripts().map(|name| format!("{name}.snap")).collect();
        let snapshots = files(&library.folder(lab).join("snapshots"));
        assert_eq!(snapshots, steps, "lab {}: snapshots on the left, steps on the right", lab.name);
        for step in lab.transcripts() {
            let transcript = snapshot::read(&library.snapshot(lab, step)).unwrap().unwrap();
            assert_eq!(transcript.normalised(), transcript, "{}/{step} is not normalised", lab.name);
            assert_eq!(transcript.command, command(lab, step), "{}/{step} was recorded with another command", lab.name);
        }
    }
}

fn command(lab: &Lab, name: &str) -> String {
    let command = lab.steps.iter().find_map(|step| match step {
        Step::Run(run) if run.name == name => Some(&run.command),
        Step::Start(start) if start.name == name => Some(&start.command),
        _ => None,
    });
    command.unwrap().trim_end().to_owned()
}

#[test]
fn every_lab_has_a_chapter_and_every_step_is_shown_in_it() {
    let library = library();
    for lab in library.labs() {
        let chapter = std::fs::read_to_string(workbook().book().join("src").join(&lab.chapter)).unwrap();
        let summary = std::fs::read_to_string(workbook().book().join("src/SUMMARY.md")).unwrap();
        assert!(summary.contains(&format!("({})", lab.chapter)), "{} is not in the table of contents", lab.chapter);
        for step in lab.transcripts() {
            assert!(
                chapter.contains(&format!("{{{{#lab {} {step}}}}}", lab.name)),
                "{} does not show {step}",
                lab.chapter
            );
        }
        for exercise in &lab.exercises {
            assert!(
                chapter.contains(&format!("{{{{#exercise {exercise}}}}}")),
                "{} does not show {exercise}",
                lab.chapter
            );
        }
    }
}

/// What stands on a page for teachers, in this order.
const FOR_TEACHERS: [&str; 6] =
    ["## Goal", "## Misconceptions", "## Demonstration", "## Questions to ask", "## When time is short", "## Minutes"];

#[test]
fn every_lab_has_a_page_for_teachers() {
    let library = library();
    for lab in library.labs() {
        let page = std::fs::read_to_string(library.folder(lab).join("teacher.md")).unwrap();
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, FOR_TEACHERS, "labs/{}/teacher.md", lab.name);
    }
}

#[test]
fn no_two_exercises_share_a_diagnosis() {
    let library = library();
    let mut names = BTreeSet::new();
    for exercise in library.exercises() {
        for diagnosis in &exercise.diagnoses {
            assert!(names.insert(&diagnosis.name), "{} is a diagnosis of two exercises", diagnosis.name);
        }
    }
}

/// Five kinds, sixty exercises, and each says what it is good for.
#[test]
fn there_is_practice_enough_and_each_says_what_it_practises() {
    let library = library();
    assert!(library.exercises().len() >= 60, "only {} exercises", library.exercises().len());
    for exercise in library.exercises() {
        let objectives = library.lab(&exercise.lab).unwrap().objectives.len();
        let named = !exercise.objectives.is_empty();
        assert!(
            named && exercise.objectives.iter().all(|number| (1..=objectives).contains(number)),
            "{}",
            exercise.name
        );
        assert!(exercise.wrong.len() >= 2, "{} has not two wrong answers", exercise.name);
    }
    for kind in [Kind::Fix, Kind::Build, Kind::Predict, Kind::Find, Kind::Decide] {
        assert!(library.exercises().iter().any(|exercise| exercise.kind == kind), "nothing to {kind:?}");
    }
}

#[test]
fn every_claim_names_a_step_that_exists_or_a_lab_of_the_plan() {
    let library = library();
    let claims = Claims::load(&workbook().labs().join("claims.yaml")).unwrap();
    let dangling: Vec<_> = claims.dangling(&library).map(|claim| &claim.id).collect();
    assert!(dangling.is_empty(), "no such step: {dangling:?}");
    let labs = [
        "what-is-a-pod",
        "kuard",
        "manifest",
        "webserver",
        "access",
        "sidecar",
        "emptydir",
        "git-sync",
        "patterns",
        "health",
        "resources",
        "volumes",
        "nfs",
        "lifecycle",
        "scheduling",
        "namespaces",
        "thinking-with-pods",
        "capstone",
    ];
    for claim in &claims.claims {
        if let Shown::Pending(lab) = &claim.shown {
            assert!(labs.contains(&lab.as_str()), "{} waits for a lab that nobody plans: {lab}", claim.id);
        }
    }
}

#[test]
fn every_place_that_feedback_points_to_is_found_in_the_answers() {
    for exercise in library().exercises() {
        let answers = exercise.wrong.iter().map(|wrong| (&wrong.file, &wrong.diagnosis));
        for (file, name) in answers {
            let text = std::fs::read_to_string(file).unwrap();
            let manifest = Manifest::parse(&text).unwrap();
            let diagnosis = exercise.diagnoses.iter().find(|diagnosis| diagnosis.name == *name).unwrap();
            let at = diagnosis.at.as_deref().unwrap();
            let found = manifest.find(at).unwrap();
            assert_eq!(found.missing, None, "{}: {at} is not in {}", diagnosis.name, file.display());
        }
    }
}

#[test]
fn example_5_1_is_what_the_text_prints() {
    let printed = "\
apiVersion: v1
kind: Pod
metadata:
  name: kuard
spec:
  containers:
    - image: gcr.io/kuar-demo/kuard-amd64:1
      name: kuard
      ports:
        - containerPort: 8080
          name: http
          protocol: TCP
";
    assert_eq!(std::fs::read_to_string(workbook().labs().join("kuard/kuard-pod.yaml")).unwrap(), printed);
}

/// The whole book, built once; its pages.
fn pages() -> (tempfile::TempDir, Vec<(PathBuf, String)>) {
    let folder = tempfile::tempdir().unwrap();
    book::build(&workbook(), book::Edition::Reader, folder.path()).unwrap();
    let html =
        |path: PathBuf| (path.extension()? == "html").then(|| (path.clone(), std::fs::read_to_string(&path).unwrap()));
    let pages = std::fs::read_dir(folder.path()).unwrap().filter_map(|entry| html(entry.unwrap().path())).collect();
    (folder, pages)
}

#[test]
fn the_book_builds_and_its_links_lead_somewhere() {
    let (folder, pages) = pages();
    let link = regex::Regex::new(r#"(?:href|src)="([^":]+)""#).unwrap();
    let anchors = |page: &Path| std::fs::read_to_string(page).unwrap();
    let mut followed = 0;
    for (page, html) in &pages {
        assert!(!html.contains("{{#"), "{} has a directive left", page.display());
        for found in link.captures_iter(html) {
            let (file, anchor) = found[1].split_once('#').unwrap_or((&found[1], ""));
            let target = if file.is_empty() { page.clone() } else { folder.path().join(file) };
            assert!(target.exists(), "{} links to {file}, which is not there", page.display());
            if !anchor.is_empty() && target.extension().is_some_and(|extension| extension == "html") {
                let there = anchors(&target).contains(&format!("id=\"{anchor}\""));
                assert!(there, "{} links to {file}#{anchor}, and there is no such place", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "only {followed} links");
    for exercise in library().exercises() {
        let (file, anchor) = exercise.section.split_once('#').unwrap();
        let page = anchors(&folder.path().join(file.replace(".md", ".html")));
        assert!(page.contains(&format!("id=\"{anchor}\"")), "{} names a section that is not there", exercise.name);
    }
}

#[test]
fn the_book_needs_no_network() {
    let (_folder, pages) = pages();
    let remote = regex::Regex::new(r#"(?:src|href)="(?:https?:)?//[^"]*\.(?:js|css|woff2?|png|svg)"#).unwrap();
    for (page, html) in pages {
        assert!(remote.find(&html).is_none(), "{} loads something from elsewhere", page.display());
    }
}

#[test]
fn every_diagram_has_words_for_those_who_do_not_see_it() {
    for entry in std::fs::read_dir(workbook().book().join("src/diagrams")).unwrap() {
        let path = entry.unwrap().path();
        let svg = std::fs::read_to_string(&path).unwrap();
        for part in ["role=\"img\"", "<title id=", "<desc id=", "aria-labelledby="] {
            assert!(svg.contains(part), "{} has no {part}", path.display());
        }
    }
}
