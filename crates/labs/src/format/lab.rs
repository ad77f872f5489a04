//! `lab.yaml`.
//!
//! ```yaml
//! title: Your first Pod
//! chapter: your-first-pod.md
//! source: ["Kubernetes: Up and Running, chapter 5, Example 5-1"]
//! minutes: 30
//! objectives: [Start a Pod from a manifest, and say what each part of the cluster did]
//! needs: []                         # what a host may refuse: podlab, cgroups, nodes, users, fuse, nfs, oom-score
//! creates: [pod/kuard]
//! steps:
//!   - name: apply                     # a command: its transcript is a snapshot of this name
//!     run: kubectl apply -f kuard-pod.yaml
//!     expect: [created]               # what the output must contain, on any cluster
//!     exit: 0
//!     within: 60s
//!   - wait: pod/kuard                 # an object and a condition (CEL; `object` is null while there is none)
//!     until: object.status.phase == 'Running'
//!     within: 30s
//!   - name: watch                     # a command that goes on while the next steps run
//!     start: kubectl get pods --watch
//!     shows: kuard                    # go on once it has printed this
//!   - stop: watch                     # ends it; its transcript is the snapshot
//!     after: Running                  # once it has printed this
//!   - note: A remark that `lab run` prints.
//! exercises: [kuard-ports]
//! ```

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::Span;
use crate::api::ObjectName;
use crate::condition::Expression;
use crate::needs::Need;
use crate::yaml::{self, FileError};

/// How long a command or a wait may take when the step does not say.
const WITHIN: Duration = Duration::from_secs(60);

/// A lab: commands in order, what must be true between them, and the exercises that go with it.
#[derive(Debug)]
pub struct Lab {
    /// The name of its folder.
    pub name: String,
    /// The heading a learner sees.
    pub title: String,
    /// The file in `book/src` that shows it.
    pub chapter: String,
    /// Which text, which example.
    pub source: Vec<String>,
    /// How long a learner needs, in minutes, exercises apart.
    pub minutes: u32,
    /// What a learner can do afterwards.
    pub objectives: Vec<String>,
    /// What the host must allow.
    pub needs: Vec<Need>,
    /// The namespace its commands work in.
    pub namespace: String,
    /// The objects it makes: they must not exist before, and are deleted when a run is cut short.
    pub creates: Vec<ObjectName>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Folders under `exercises/`.
    pub exercises: Vec<String>,
}

/// One step.
#[derive(Debug)]
pub enum Step {
    /// A command, with a transcript.
    Run(Command),
    /// Go on when a condition holds.
    Wait(Wait),
    /// Start a command and leave it running.
    Start(Background),
    /// End it.
    Stop(StopBackground),
    /// A remark.
    Note(String),
}

/// A command that ends by itself.
#[derive(Debug)]
pub struct Command {
    /// The name of its snapshot.
    pub name: String,
    /// What a shell runs, with the lab's folder as the working directory.
    pub command: String,
    /// The exit status it must have.
    pub exit: i32,
    /// What its output must contain, whatever the cluster.
    pub expect: Vec<String>,
    /// How long it may take.
    pub within: Duration,
}

/// A wait for an object to be in a state.
#[derive(Debug)]
pub struct Wait {
    /// The object that is watched.
    pub object: ObjectName,
    /// What must hold, with `object` bound to it.
    pub until: Expression,
    /// How long that may take.
    pub within: Duration,
}

/// A command that is left running.
#[derive(Debug)]
pub struct Background {
    /// The name of its snapshot.
    pub name: String,
    /// What a shell runs.
    pub command: String,
    /// The next step begins once the output contains this.
    pub shows: Option<String>,
    /// How long that may take.
    pub within: Duration,
}

/// The end of a command that was left running.
#[derive(Debug)]
pub struct StopBackground {
    /// Which one.
    pub name: String,
    /// It is ended once the output contains this.
    pub after: Option<String>,
    /// How long that may take.
    pub within: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLab {
    title: String,
    chapter: String,
    source: Vec<String>,
    minutes: Spanned<u32>,
    objectives: Vec<String>,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default = "default_namespace")]
    namespace: String,
    #[serde(default)]
    creates: Vec<ObjectName>,
    steps: Vec<Spanned<RawStep>>,
    #[serde(default)]
    exercises: Vec<String>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// A step as it is written. One struct and not an enum, so that a mistake is shown in its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    name: Option<String>,
    run: Option<String>,
    exit: Option<i32>,
    expect: Option<Vec<String>>,
    wait: Option<ObjectName>,
    until: Option<Expression>,
    start: Option<String>,
    shows: Option<String>,
    stop: Option<String>,
    after: Option<String>,
    note: Option<String>,
    within: Option<Span>,
}

impl RawStep {
    /// The keys that are there, for a message.
    fn keys(&self) -> Vec<&'static str> {
        let present = [
            ("name", self.name.is_some()),
            ("run", self.run.is_some()),
            ("exit", self.exit.is_some()),
            ("expect", self.expect.is_some()),
            ("wait", self.wait.is_some()),
            ("until", self.until.is_some()),
            ("start", self.start.is_some()),
            ("shows", self.shows.is_some()),
            ("stop", self.stop.is_some()),
            ("after", self.after.is_some()),
            ("note", self.note.is_some()),
            ("within", self.within.is_some()),
        ];
        present.into_iter().filter_map(|(key, there)| there.then_some(key)).collect()
    }

    /// The step it means, or why it means none.
    fn meaning(self) -> Result<Step, String> {
        let keys = self.keys();
        let allow = |what: &str, allowed: &[&str]| match keys.iter().find(|key| !allowed.contains(key)) {
            Some(key) => Err(format!("`{key}` does not belong to a `{what}` step")),
            None => Ok(()),
        };
        let within = self.within.map_or(WITHIN, |span| span.0);
        let need_name = "needs a `name`: its snapshot is called so";
        match self {
            RawStep { run: Some(command), name, exit, expect, .. } => {
                allow("run", &["run", "name", "exit", "expect", "within"])?;
                let name = name.ok_or_else(|| format!("a `run` step {need_name}"))?;
                let (exit, expect) = (exit.unwrap_or(0), expect.unwrap_or_default());
                Ok(Step::Run(Command { name: step_name(name)?, command, exit, expect, within }))
            }
            RawStep { wait: Some(object), until, .. } => {
                allow("wait", &["wait", "until", "within"])?;
                let until = until.ok_or("a `wait` step needs `until`: a condition on `object`")?;
                Ok(Step::Wait(Wait { object, until, within }))
            }
            RawStep { start: Some(command), name, shows, .. } => {
                allow("start", &["start", "name", "shows", "within"])?;
                let name = name.ok_or_else(|| format!("a `start` step {need_name}"))?;
                Ok(Step::Start(Background { name: step_name(name)?, command, shows, within }))
            }
            RawStep { stop: Some(name), after, .. } => {
                allow("stop", &["stop", "after", "within"])?;
                Ok(Step::Stop(StopBackground { name, after, within }))
            }
            RawStep { note: Some(text), .. } => {
                allow("note", &["note"])?;
                Ok(Step::Note(text))
            }
            _ => Err("a step is one of `run`, `wait`, `start`, `stop` and `note`".to_owned()),
        }
    }
}

/// Names become file names and parts of addresses.
fn step_name(name: String) -> Result<String, String> {
    let fits = !name.is_empty()
        && name.len() <= 40
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(name) } else { Err(format!("the name {name:?}: use at most 40 of a-z, 0-9 and -")) }
}

impl Lab {
    /// Decodes `lab.yaml`, whose text is `text`, of the lab called `name`.
    ///
    /// # Errors
    ///
    /// With the line of the mistake.
    pub fn decode(name: &str, path: &Path, text: &str) -> Result<Lab, FileError> {
        let raw: RawLab = yaml::decode(path, text)?;
        if raw.minutes.value == 0 {
            let label = "a lab takes at least a minute";
            return Err(yaml::invalid(path, text, raw.minutes.referenced, "no time to do it in", label));
        }
        let mut steps: Vec<Step> = Vec::with_capacity(raw.steps.len());
        for step in raw.steps {
            let at = step.referenced;
            let wrong = |label: &str| yaml::invalid(path, text, at, "this step cannot be used", label);
            let step = step.value.meaning().map_err(|label| wrong(&label))?;
            if let Some(name) = step.name()
                && steps.iter().any(|earlier| earlier.name() == Some(name))
            {
                return Err(wrong(&format!("an earlier step is called {name} too")));
            }
            if let Step::Stop(stop) = &step
                && !steps.iter().any(|earlier| matches!(earlier, Step::Start(start) if start.name == stop.name))
            {
                return Err(wrong(&format!("no `start` step before this one is called {}", stop.name)));
            }
            steps.push(step);
        }
        Ok(Lab {
            name: name.to_owned(),
            title: raw.title,
            chapter: raw.chapter,
            source: raw.source,
            minutes: raw.minutes.value,
            objectives: raw.objectives,
            needs: raw.needs,
            namespace: raw.namespace,
            creates: raw.creates,
            steps,
            exercises: raw.exercises,
        })
    }

    /// The names of the steps that have a transcript.
    pub fn transcripts(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(Step::name)
    }

    /// Where the step of this name stands.
    pub fn position(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|candidate| candidate.name() == Some(step))
    }
}

impl Step {
    /// The name of the step's transcript, when it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Step::Run(command) => Some(&command.name),
            Step::Start(background) => Some(&background.name),
            Step::Wait(_) | Step::Stop(_) | Step::Note(_) => None,
        }
    }
}
