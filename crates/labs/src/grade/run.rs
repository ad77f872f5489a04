//! Makes the checks of an exercise.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use podlab_client::{Client, Error, ListOptions, Watch};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::evidence::Seen;
use super::http::{self, Answer};
use super::{CheckResult, Feedback, Grade, Manifest, Verdict, namespace};
use crate::Cluster;
use crate::condition::{Expression, Variables};
use crate::format::{Check, Diagnosis, Exercise, Http, Observe};
use crate::runner::{Shell, Stream};
use crate::transcript::Transcript;
use crate::yaml;

/// How long `kubectl apply` may take.
const APPLY: Duration = Duration::from_secs(60);

/// Grades `answer`, the text of a learner's file that is shown as `path`.
///
/// It never fails: what cannot be done is a check that could not be made.
pub async fn grade(exercise: &Exercise, path: &Path, answer: &str, cluster: &Cluster) -> Grade {
    let unchecked = |reason: String| Grade {
        exercise: exercise.name.clone(),
        results: exercise
            .checks
            .iter()
            .map(|check| result(check, Verdict::CouldNotCheck { reason: reason.clone() }))
            .collect(),
    };
    let client = match Client::from_kubeconfig(&cluster.kubeconfig) {
        Ok(client) => client,
        Err(error) => return unchecked(error.to_string()),
    };
    let namespace = match namespace::create(&client, &exercise.name).await {
        Ok(namespace) => namespace,
        Err(error) => return unchecked(error.to_string()),
    };
    let grading = Grading { exercise, client: &client, namespace: &namespace, path, answer, cluster };
    // Whatever ends this early (Ctrl-C, say), the namespace goes.
    let results = tokio::select! {
        results = grading.checks() => results,
        () = crate::commands::interrupted() => {
            exercise.checks.iter().map(|check| result(check, could_not("it was interrupted"))).collect()
        }
    };
    let mut grade = Grade { exercise: exercise.name.clone(), results };
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
}

/// What a check saw, before it is put in words.
struct Failure {
    seen: Seen,
    observed: String,
    http: Option<Answer>,
}

impl Grading<'_> {
    async fn checks(&self) -> Vec<CheckResult> {
        let applied = self.apply().await;
        let mut results: Vec<CheckResult> = Vec::with_capacity(self.exercise.checks.len());
        for check in &self.exercise.checks {
            let not_passed = |name: &&String| {
                !results.iter().any(|earlier| earlier.name == **name && matches!(earlier.verdict, Verdict::Passed))
            };
            let verdict = match check.after.iter().find(not_passed) {
                Some(because) => Verdict::Skipped { because: because.clone() },
                None => match self.check(check, &applied).await {
                    Ok(None) => Verdict::Passed,
                    Ok(Some(failure)) => Verdict::Failed(Box::new(self.feedback(check, &failure))),
                    Err(reason) => Verdict::CouldNotCheck { reason },
                },
            };
            results.push(result(check, verdict));
        }
        results
    }

    /// Applies the learner's file with the learner's tool, so that a refusal reads as it does in their terminal.
    async fn apply(&self) -> Result<Transcript, String> {
        let empty = tempfile::tempdir().map_err(|error| error.to_string())?;
        let shell = Shell::new(self.cluster, empty.path()).map_err(|error| error.to_string())?;
        let file = &self.exercise.answer;
        std::fs::write(shell.folder().join(file), self.answer).map_err(|error| error.to_string())?;
        let command = format!("kubectl apply --namespace {} -f {file}", self.namespace);
        let mut running = shell.start(&command).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + APPLY;
        running.finish(deadline, &mut |_: Stream, _: &[u8]| {}).await.map_err(|error| error.to_string())
    }

    /// `None` when the check passes.
    async fn check(&self, check: &Check, applied: &Result<Transcript, String>) -> Result<Option<Failure>, String> {
        match &check.observe {
            Observe::Accepted => match applied {
                Err(reason) => Err(reason.clone()),
                Ok(transcript) if transcript.exit == Some(0) => Ok(None),
                Ok(transcript) if transcript.exit == Some(127) => Err("there is no kubectl on the PATH".to_owned()),
                Ok(transcript) => Ok(Some(Failure {
                    seen: Seen::default(),
                    observed: transcript.output().replace(self.namespace, "default").trim().to_owned(),
                    http: None,
                })),
            },
            Observe::Until(condition) => self.until(check, condition).await.map_err(|error| error.to_string()),
            Observe::Http(wanted) => self.http(check, wanted).await.map_err(|error| error.to_string()),
        }
    }

    /// Waits for the condition; a recognised wrong state ends the wait, for it does not heal.
    async fn until(&self, check: &Check, condition: &Expression) -> Result<Option<Failure>, Error> {
        let deadline = Instant::now() + check.within;
        let mut watch: Option<Watch<Pod>> = None;
        loop {
            let seen = Seen::look(self.client, self.namespace).await?;
            let variables = variables(&seen, None);
            if condition.holds(&variables) {
                return Ok(None);
            }
            let recognised = self.exercise.diagnoses_of(check).any(|diagnosis| diagnosis.when.holds(&variables));
            let changed = async {
                match &mut watch {
                    Some(watch) => watch.next().await.map(|event| event.is_some()),
                    None => Ok(false),
                }
            };
            match timeout_at(deadline, changed).await {
                _ if recognised => return Ok(Some(failure(check, seen, &variables))),
                Err(_) => return Ok(Some(failure(check, seen, &variables))),
                Ok(Ok(true)) => {}
                // The first watch, or the next one after the server closed it; then look again, so that no change is lost.
                Ok(Ok(false)) => {
                    watch = Some(self.client.watch::<Pod>(self.namespace, &ListOptions::default()).await?);
                }
                Ok(Err(error)) if error.is_gone() => watch = None,
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    async fn http(&self, check: &Check, wanted: &Http) -> Result<Option<Failure>, Error> {
        let seen = Seen::look(self.client, self.namespace).await?;
        let name = wanted.pod.evaluate(&variables(&seen, None)).ok();
        let name = name.as_ref().and_then(Value::as_str);
        let pod = seen.pods.iter().find(|pod| pod.metadata.name.as_deref() == name && name.is_some());
        let answer = match pod {
            Some(pod) => http::get(self.client, pod, wanted, check.within).await?,
            None => Answer::Unanswered("there is no such Pod".to_owned()),
        };
        if answer.satisfies(wanted) {
            return Ok(None);
        }
        let observed = answer.words();
        Ok(Some(Failure { seen, observed, http: Some(answer) }))
    }

    fn feedback(&self, check: &Check, failure: &Failure) -> Feedback {
        let variables = variables(&failure.seen, failure.http.as_ref());
        let diagnosis: Option<&Diagnosis> =
            self.exercise.diagnoses_of(check).find(|diagnosis| diagnosis.when.holds(&variables));
        let at = diagnosis.and_then(|diagnosis| diagnosis.at.as_deref()).or(check.at.as_deref());
        Feedback {
            diagnosis: diagnosis.map(|diagnosis| (diagnosis.name.clone(), diagnosis.says.trim().to_owned())),
            expected: check.expected.trim().to_owned(),
            observed: failure.observed.clone(),
            evidence: evidence(check, &variables).into_iter().chain(failure.seen.lines()).collect(),
            location: at.and_then(|at| self.location(at)),
            next: diagnosis.map_or(&check.r#try, |diagnosis| &diagnosis.r#try).trim().to_owned(),
            section: self.exercise.section.clone(),
        }
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

fn variables(seen: &Seen, http: Option<&Answer>) -> Variables {
    let (pods, events) = seen.variables();
    let http = http.map_or(Value::Null, Answer::variable);
    Variables::new(BTreeMap::from([("pods", &pods), ("events", &events), ("http", &http)]))
}

fn failure(check: &Check, seen: Seen, variables: &Variables) -> Failure {
    let observed = match check.observed.as_ref().map(|expression| expression.evaluate(variables)) {
        Some(Ok(Value::String(text))) => text,
        Some(Ok(value)) => value.to_string(),
        Some(Err(_)) | None if seen.pods.is_empty() => "there is no Pod".to_owned(),
        Some(Err(_)) | None => format!("it was not so within {} s", check.within.as_secs()),
    };
    Failure { seen, observed, http: None }
}
