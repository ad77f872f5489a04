//! Makes the checks of an exercise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podlab_client::{Client, Error};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::changes::Changes;
use super::command::{self, Commands, Expects, Ran};
use super::evidence::Seen;
use super::http::{self, Answer};
use super::{CheckResult, Feedback, Grade, Manifest, Verdict, facts, namespace};
use crate::Cluster;
use crate::condition::{Expression, Variables};
use crate::format::{Check, Diagnosis, Exercise, Http, Observe, Run};
use crate::words::visible;
use crate::{needs, yaml};

/// A grade, and the namespace of its checks, which is still there.
#[derive(Debug)]
#[must_use = "the namespace of the checks has to be taken away"]
pub struct Graded {
    /// What the checks said.
    pub grade: Grade,
    left: Option<(Client, String)>,
}

impl Graded {
    /// Takes the namespace away. Where that fails, the grade says so.
    pub async fn clean(self) -> Grade {
        let Graded { mut grade, left } = self;
        let Some((client, namespace)) = left else { return grade };
        if let Err(error) = namespace::delete(&client, &namespace).await {
            let reason = format!("the namespace {namespace} is still there: {error}");
            grade.results.push(CheckResult {
                name: "clean-up".to_owned(),
                title: "The namespace of the check is deleted again".to_owned(),
                points: 0,
                verdict: could_not(&reason),
            });
        }
        grade
    }
}

/// Grades `answer`, the text of a learner's file that is shown as `path`, and takes away what that made.
///
/// It never fails: what cannot be done is a check that could not be made. Once `stop` resolves, it ends early.
pub async fn grade(
    exercise: &Exercise,
    path: &Path,
    answer: &str,
    cluster: &Cluster,
    stop: impl Future<Output = ()>,
) -> Grade {
    graded(exercise, path, answer, cluster, stop).await.clean().await
}

/// The same, as soon as the checks are made: nobody has to wait for their Pods to go.
pub async fn graded(
    exercise: &Exercise,
    path: &Path,
    answer: &str,
    cluster: &Cluster,
    stop: impl Future<Output = ()>,
) -> Graded {
    let unmade = |reason: &str| Graded { grade: unchecked(exercise, reason), left: None };
    let client = match Client::from_kubeconfig(&cluster.kubeconfig) {
        Ok(client) => client,
        Err(error) => return unmade(&error.to_string()),
    };
    match needs::missing(&exercise.needs, cluster, &client).await {
        Ok(None) => {}
        Ok(Some(missing)) => return unmade(&missing.to_string()),
        Err(error) => return unmade(&error.to_string()),
    }
    let namespace = match namespace::create(&client, &exercise.name).await {
        Ok(namespace) => namespace,
        Err(error) => return unmade(&error.to_string()),
    };
    let grading =
        Grading { exercise, client: &client, namespace: &namespace, path, answer, cluster, facts: Value::Null };
    let results = tokio::select! {
        results = grading.checks() => results,
        () = stop => {
            exercise.checks.iter().map(|check| result(check, could_not("it was interrupted"))).collect()
        }
    };
    // Whatever ended this early (Ctrl-C, say), the namespace goes.
    Graded { grade: Grade { exercise: exercise.name.clone(), results }, left: Some((client, namespace)) }
}

/// The grade when no check can be made.
pub fn unchecked(exercise: &Exercise, reason: &str) -> Grade {
    let results = exercise.checks.iter().map(|check| result(check, could_not(reason))).collect();
    Grade { exercise: exercise.name.clone(), results }
}

fn could_not(reason: &str) -> Verdict {
    Verdict::CouldNotCheck { reason: reason.to_owned() }
}

fn result(check: &Check, verdict: Verdict) -> CheckResult {
    CheckResult { name: check.name.clone(), title: check.title.clone(), points: check.points, verdict }
}

struct Grading<'a> {
    exercise: &'a Exercise,
    client: &'a Client,
    namespace: &'a str,
    path: &'a Path,
    answer: &'a str,
    cluster: &'a Cluster,
    /// The learner's facts, where the exercise asks for facts.
    facts: Value,
}

/// What a check saw, before it is put in words.
#[derive(Default)]
struct Failure {
    seen: Seen,
    observed: String,
    before: Value,
    http: Option<Answer>,
    ran: Option<Ran>,
}

/// Why a check did not pass: the learner's file, or something that keeps it from being made.
enum NotPassed {
    Failed(Box<Failure>),
    CouldNot(String),
}

impl From<Failure> for NotPassed {
    fn from(failure: Failure) -> NotPassed {
        NotPassed::Failed(Box::new(failure))
    }
}

impl From<Error> for NotPassed {
    fn from(error: Error) -> NotPassed {
        NotPassed::CouldNot(error.to_string())
    }
}

impl From<String> for NotPassed {
    fn from(reason: String) -> NotPassed {
        NotPassed::CouldNot(reason)
    }
}

/// The name of the setup's file in the folder of the commands.
const SETUP: &str = ".setup.yaml";

impl Grading<'_> {
    async fn checks(mut self) -> Vec<CheckResult> {
        let (commands, accepted) = match self.prepare().await {
            Ok(prepared) => prepared,
            Err(reason) => {
                return self.exercise.checks.iter().map(|check| result(check, could_not(&reason))).collect();
            }
        };
        let mut results: Vec<CheckResult> = Vec::with_capacity(self.exercise.checks.len());
        for check in &self.exercise.checks {
            let not_passed = |name: &&String| {
                !results.iter().any(|earlier| earlier.name == **name && matches!(earlier.verdict, Verdict::Passed))
            };
            let verdict = match check.after.iter().find(not_passed) {
                Some(because) => Verdict::Skipped { because: because.clone() },
                None => match self.check(check, &commands, &accepted).await {
                    Ok(()) => Verdict::Passed,
                    Err(NotPassed::Failed(failure)) => Verdict::Failed(Box::new(self.feedback(check, &failure))),
                    Err(NotPassed::CouldNot(reason)) => Verdict::CouldNotCheck { reason },
                },
            };
            results.push(result(check, verdict));
        }
        results
    }

    /// Applies the setup, and the answer when it is a manifest, with the learner's tool, so that a refusal reads as it
    /// does in their terminal. The second value is that refusal.
    async fn prepare(&mut self) -> Result<(Commands, Result<(), String>), String> {
        let read = |file: &PathBuf| self.exercise.read(file).map_err(|error| error.to_string());
        let setup = self.exercise.setup.as_ref().map(read).transpose()?;
        let mut files = vec![(self.exercise.answer.clone(), self.answer.to_owned())];
        for file in &self.exercise.files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, read(file)?));
        }
        files.extend(setup.iter().map(|setup| (SETUP.to_owned(), setup.clone())));
        let commands = Commands::new(self.cluster, self.namespace, &files).map_err(|error| error.to_string())?;
        if setup.is_some() {
            let applied = commands.apply(SETUP).await?;
            if applied.exit != Some(0) {
                return Err(format!("the setup cannot be applied: {}", applied.output().trim()));
            }
        }
        if self.exercise.kind.asks_for_facts() {
            let starter = self.exercise.read(&self.exercise.starter).map_err(|error| error.to_string())?;
            let read = facts::read(self.answer, &starter);
            let accepted = read.map(|facts| self.facts = facts);
            return Ok((commands, accepted));
        }
        let applied = commands.apply(&self.exercise.answer).await?;
        let accepted = match applied.exit {
            Some(0) => Ok(()),
            _ => Err(applied.output().replace(self.namespace, "default").trim().to_owned()),
        };
        Ok((commands, accepted))
    }

    async fn check(&self, check: &Check, commands: &Commands, accepted: &Result<(), String>) -> Result<(), NotPassed> {
        let mut before = Value::Null;
        let mut with = BTreeMap::new();
        if check.first.is_some() || !check.with.is_empty() {
            let seen = self.look().await?;
            before = seen.pods();
            with = match command::variables(&check.with, &self.variables(&seen, &before, None, None)) {
                Ok(with) => with,
                // What the command is about is not there: the learner's to mend.
                Err(reason) => return Err(Failure { observed: reason, seen, before, ..Failure::default() }.into()),
            };
        }
        if let Some(first) = &check.first {
            let done = commands.run(first, &with).await?;
            if done.exit != Some(0) {
                let observed = format!("$ {first}\n{}", done.output().replace(self.namespace, "default").trim());
                if self.exercise.kind.asks_for_facts() {
                    return Err(unobserved(check, &observed));
                }
                return Err(Failure { observed, seen: self.look().await?, before, ..Failure::default() }.into());
            }
        }
        let patience = commands.patient(check.within);
        let observed = match &check.observe {
            Observe::Accepted => {
                return accepted.clone().map_err(|observed| Failure { observed, ..Failure::default() }.into());
            }
            Observe::Until(condition) => self.until(check, condition, patience, before).await,
            Observe::Http(wanted) => self.http(check, wanted, patience, before).await,
            Observe::Run(wanted) => self.run(check, wanted, commands, &with, before).await,
        };
        match observed {
            // Nothing there is the learner's, and nothing depends on what they wrote.
            Err(NotPassed::Failed(failure)) if self.exercise.kind.asks_for_facts() && check.points == 0 => {
                Err(unobserved(check, &format!("{}: {}", check.expected.trim(), failure.observed)))
            }
            observed => observed,
        }
    }

    async fn look(&self) -> Result<Seen, Error> {
        Seen::look(self.client, self.namespace, &self.exercise.sees).await
    }

    /// Waits for the condition; a recognised wrong state ends the wait, for it does not heal.
    async fn until(
        &self,
        check: &Check,
        condition: &Expression,
        within: Duration,
        before: Value,
    ) -> Result<(), NotPassed> {
        let deadline = Instant::now() + within;
        let mut changes = Changes::new(self.client, self.namespace, &self.exercise.sees);
        loop {
            let seen = self.look().await?;
            let variables = self.variables(&seen, &before, None, None);
            if condition.holds(&variables) {
                return Ok(());
            }
            // Where something changes all the time, waiting for a change is no look at the clock.
            let over = self.is_recognised(check, &variables) || Instant::now() >= deadline;
            let changed = if over { None } else { timeout_at(deadline, changes.next()).await.ok() };
            match changed {
                Some(changed) => changed?,
                None => {
                    let observed = observed(check, &seen, &variables);
                    return Err(Failure { seen, observed, before, ..Failure::default() }.into());
                }
            }
        }
    }

    async fn http(&self, check: &Check, wanted: &Http, patience: Duration, before: Value) -> Result<(), NotPassed> {
        let seen = self.look().await?;
        let name = wanted.pod.evaluate(&self.variables(&seen, &before, None, None)).ok();
        let name = name.as_ref().and_then(Value::as_str);
        let pod = seen.pods.iter().find(|pod| pod.metadata.name.as_deref() == name && name.is_some());
        let answer = match pod {
            Some(pod) => http::get(self.client, pod, wanted, check.within, patience).await?,
            None => Answer::Unanswered("there is no such Pod".to_owned()),
        };
        if answer.satisfies(wanted) {
            return Ok(());
        }
        let (seen, observed) = (self.look().await?, answer.words());
        Err(Failure { seen, observed, before, http: Some(answer), ran: None }.into())
    }

    /// Runs the command until it does as it should; a recognised wrong state ends that, as in `until`.
    async fn run(
        &self,
        check: &Check,
        wanted: &Run,
        commands: &Commands,
        with: &BTreeMap<String, String>,
        before: Value,
    ) -> Result<(), NotPassed> {
        let seen = self.look().await?;
        let satisfied = |seen: &Seen, ran: &Ran| match &wanted.until {
            Some(condition) => condition.holds(&self.variables(seen, &before, None, Some(ran))),
            None => ran.exit == wanted.exit && wanted.says.as_ref().is_none_or(|text| ran.out.contains(text)),
        };
        let recognised = |ran: &Ran| {
            let variables = self.variables(&seen, &before, None, Some(ran));
            self.is_recognised(check, &variables)
        };
        let enough = |ran: &Ran| satisfied(&seen, ran) || recognised(ran);
        let facts = self.exercise.kind.asks_for_facts();
        let expects = if facts { Expects::Answer } else { Expects::Anything };
        let ran = commands.observe(&wanted.command, with, check.within, expects, enough).await?;
        if facts && !ran.answers() {
            return Err(unobserved(check, &format!("$ {}\n{}", wanted.command.trim(), ran.words())));
        }
        let seen = self.look().await?;
        if satisfied(&seen, &ran) {
            return Ok(());
        }
        let observed = match &check.observed {
            Some(_) => observed(check, &seen, &self.variables(&seen, &before, None, Some(&ran))),
            None => ran.words(),
        };
        Err(Failure { seen, observed, before, http: None, ran: Some(ran) }.into())
    }

    fn feedback(&self, check: &Check, failure: &Failure) -> Feedback {
        let Failure { seen, before, http, ran, .. } = failure;
        let variables = self.variables(seen, before, http.as_ref(), ran.as_ref());
        let diagnosis: Option<&Diagnosis> =
            self.exercise.diagnoses_of(check).find(|diagnosis| diagnosis.when.holds(&variables));
        let at = diagnosis.and_then(|diagnosis| diagnosis.at.as_deref()).or(check.at.as_deref());
        if check.hidden {
            return Feedback {
                diagnosis: diagnosis.map(|diagnosis| (diagnosis.name.clone(), diagnosis.says.trim().to_owned())),
                expected: check.title.clone(),
                observed: "it is not so; this check is not shown to learners".to_owned(),
                evidence: Vec::new(),
                location: None,
                next: diagnosis.map_or(&check.r#try, |diagnosis| &diagnosis.r#try).trim().to_owned(),
                section: self.exercise.section.clone(),
            };
        }
        Feedback {
            diagnosis: diagnosis.map(|diagnosis| (diagnosis.name.clone(), diagnosis.says.trim().to_owned())),
            expected: check.expected.trim().to_owned(),
            observed: visible(&failure.observed),
            evidence: evidence(check, &variables)
                .into_iter()
                .chain(self.events(seen))
                .map(|line| visible(&line))
                .collect(),
            location: at.and_then(|at| self.location(at)).map(|lines| visible(&lines)),
            next: diagnosis.map_or(&check.r#try, |diagnosis| &diagnosis.r#try).trim().to_owned(),
            section: self.exercise.section.clone(),
        }
    }

    /// Whether the check has failed for good.
    fn is_recognised(&self, check: &Check, variables: &Variables) -> bool {
        self.exercise.diagnoses_of(check).any(|diagnosis| !diagnosis.patient && diagnosis.when.holds(variables))
    }

    /// The events as they would read in the learner's own namespace.
    fn events(&self, seen: &Seen) -> impl Iterator<Item = String> {
        seen.lines().into_iter().map(|line| line.replace(self.namespace, "default"))
    }

    /// The line of the learner's file that `at` leads to.
    fn location(&self, at: &str) -> Option<String> {
        let manifest = Manifest::parse(self.answer).ok()?;
        let found = manifest.find(at)?;
        let label = match found.missing {
            Some(missing) if missing.contains('[') => "somewhere in here".to_owned(),
            Some(missing) => format!("there is no `{missing}` in here"),
            None => "this".to_owned(),
        };
        Some(yaml::excerpt(self.path, self.answer, found.location, &label))
    }

    /// What an expression may name.
    fn variables(&self, seen: &Seen, before: &Value, http: Option<&Answer>, ran: Option<&Ran>) -> Variables {
        let http = http.map_or(Value::Null, Answer::variable);
        let ran = ran.map_or(Value::Null, Ran::variable);
        let seen = seen.variables();
        let ours = [("before", before), ("answer", &self.facts), ("http", &http), ("run", &ran)];
        Variables::new(seen.iter().map(|(name, value)| (name.as_str(), value)).chain(ours))
    }
}

/// The cluster did not answer what was asked, so that there is nothing to hold the learner's answer against.
fn unobserved(check: &Check, what: &str) -> NotPassed {
    let what = if check.hidden { "what this check looks at was not there" } else { what };
    NotPassed::CouldNot(visible(what))
}

/// The lines that the check itself shows of the live objects.
fn evidence(check: &Check, variables: &Variables) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match check.evidence.as_ref().map(|expression| expression.evaluate(variables)) {
        Some(Ok(Value::Array(lines))) => lines.iter().map(text).collect(),
        Some(Ok(line)) => vec![text(&line)],
        Some(Err(_)) | None => Vec::new(),
    }
}

/// What was seen, in the check's own words.
fn observed(check: &Check, seen: &Seen, variables: &Variables) -> String {
    match check.observed.as_ref().map(|expression| expression.evaluate(variables)) {
        Some(Ok(Value::String(text))) => text,
        Some(Ok(value)) => value.to_string(),
        Some(Err(_)) | None if seen.pods.is_empty() => "there is no Pod".to_owned(),
        Some(Err(_)) | None => format!("it was not so within {} s", check.within.as_secs()),
    }
}
