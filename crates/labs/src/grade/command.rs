//! The shell commands of an exercise: they see the learner's tool, and a namespace of their own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use podlab_client::kubeconfig::Kubeconfig;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::Cluster;
use crate::condition::{Expression, Variables};
use crate::runner::{Shell, Stream};
use crate::transcript::Transcript;
use crate::yaml;

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(60);

/// Nothing tells when the output of a command would change, so it is run again this often.
const AGAIN: Duration = Duration::from_millis(250);

/// So long a command that has to answer is run again when it fails, whatever its check says: an exec whose connection is
/// refused once says nothing about what it would have found.
const UNANSWERED: Duration = Duration::from_secs(10);

/// How long `kubectl apply` takes on a machine that has little else to do.
const QUICK: Duration = Duration::from_millis(500);

/// A check waits so many times longer than it says, at most.
const MOST_PATIENT: f64 = 6.0;

/// `within`, which is meant for a quick machine, on one where `kubectl apply` took as long as `applied`.
fn patient(within: Duration, applied: Duration) -> Duration {
    within.mul_f64((applied.as_secs_f64() / QUICK.as_secs_f64()).clamp(1.0, MOST_PATIENT))
}

/// What came of a command.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) exit: i32,
    pub(super) out: String,
}

/// What the end of a command means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    /// It is a part of what is observed, whatever it is.
    Anything,
    /// A command that fails, or says nothing, has not observed anything.
    Answer,
}

impl Ran {
    /// Whether it ended well and said something.
    pub(super) fn answers(&self) -> bool {
        self.exit == 0 && !self.out.trim().is_empty()
    }

    /// As expressions see it.
    pub(super) fn variable(&self) -> Value {
        json!({ "exit": self.exit, "out": self.out })
    }

    /// In words, for a learner.
    pub(super) fn words(&self) -> String {
        let text = self.out.trim();
        let start: String = text.chars().take(300).collect();
        let status = if self.exit == 0 { String::new() } else { format!("exit status {}: ", self.exit) };
        if start.is_empty() { format!("{status}it printed nothing") } else { format!("{status}{start}") }
    }
}

/// Runs the commands of one grading.
#[derive(Debug)]
pub(super) struct Commands {
    shell: Shell,
    namespace: String,
    /// How long the slowest `kubectl apply` took, in milliseconds.
    applied: AtomicU64,
}

impl Commands {
    /// `files`, names and texts, are what the commands find in their folder.
    pub(super) fn new(
        cluster: &Cluster,
        namespace: &str,
        files: &[(String, String)],
    ) -> Result<Commands, Box<dyn std::error::Error>> {
        let empty = tempfile::tempdir()?;
        let mut shell = Shell::new(cluster, empty.path())?;
        for (name, text) in files {
            std::fs::write(shell.folder().join(name), text)?;
        }
        let context = shell.folder().join(".kubeconfig");
        std::fs::write(&context, in_namespace(&cluster.kubeconfig, namespace)?)?;
        // kubectl takes each value from the first file that has it: the context from ours, the rest from theirs.
        let theirs = std::path::absolute(&cluster.kubeconfig)?;
        let both: OsString = std::env::join_paths([context, theirs])?;
        shell.set("KUBECONFIG", both);
        shell.set("NAMESPACE", namespace.into());
        Ok(Commands { shell, namespace: namespace.to_owned(), applied: AtomicU64::new(0) })
    }

    /// Applies a file of the folder. A namespace that the file itself names is refused, as anywhere but in ours it would
    /// stay behind.
    pub(super) async fn apply(&self, file: &str) -> Result<Transcript, String> {
        let begun = Instant::now();
        let applied =
            self.run(&format!("kubectl apply --namespace {} -f {file}", self.namespace), &BTreeMap::new()).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.applied.fetch_max(took, Ordering::Relaxed);
        applied
    }

    /// How long a check waits that says `within`: longer on a machine that was slow so far, for what it waits for is slow
    /// there too.
    pub(super) fn patient(&self, within: Duration) -> Duration {
        patient(within, Duration::from_millis(self.applied.load(Ordering::Relaxed)))
    }

    /// Runs `command` once, to its end.
    pub(super) async fn run(&self, command: &str, with: &BTreeMap<String, String>) -> Result<Transcript, String> {
        let mut running = self.shell.start_with(command, with).map_err(|error| error.to_string())?;
        let transcript = running.finish(Instant::now() + self.patient(COMMAND), &mut |_: Stream, _: &[u8]| {}).await;
        match transcript {
            Ok(transcript) if transcript.exit == Some(127) => Err("there is no kubectl on the PATH".to_owned()),
            Ok(transcript) => Ok(transcript),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Runs the command until `enough` says that it does what it should, or never will, or until `within` is over.
    pub(super) async fn observe(
        &self,
        command: &str,
        with: &BTreeMap<String, String>,
        within: Duration,
        expects: Expects,
        enough: impl Fn(&Ran) -> bool,
    ) -> Result<Ran, String> {
        let begun = Instant::now();
        let mut pace = interval(AGAIN);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace.tick().await;
        loop {
            let transcript = self.run(command, with).await?;
            let out = transcript.output().replace(&self.namespace, "default");
            let ran = Ran { exit: transcript.exit.unwrap_or_default(), out };
            let answered = expects == Expects::Anything || ran.answers();
            let deadline = begun + self.patient(if answered { within } else { within.max(UNANSWERED) });
            // The time is looked at, too: a command that takes longer than the pace finds the next tick there already.
            let over = Instant::now() >= deadline;
            if answered && enough(&ran) || over || timeout_at(deadline, pace.tick()).await.is_err() {
                return Ok(ran);
            }
        }
    }
}

/// The values of a command's variables.
pub(super) fn variables(
    with: &BTreeMap<String, Expression>,
    variables: &Variables,
) -> Result<BTreeMap<String, String>, String> {
    let value = |(name, expression): (&String, &Expression)| {
        let value = expression.evaluate(variables)?;
        Ok((name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    with.iter().map(value).collect()
}

/// A kubeconfig with nothing but a context: that of `file`, in another namespace. JSON is YAML.
fn in_namespace(file: &Path, namespace: &str) -> Result<String, Box<dyn std::error::Error>> {
    let text = yaml::read(file)?;
    let config: Kubeconfig = serde_saphyr::from_str(&text)?;
    let current = config.current_context.unwrap_or_default();
    let context = config.contexts.into_iter().find(|context| context.name == current);
    let context = context.ok_or_else(|| format!("{} has no current context", PathBuf::from(file).display()))?.context;
    let name = "podlab-check";
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{
            "name": name,
            "context": { "cluster": context.cluster, "user": context.user, "namespace": namespace },
        }],
    })
    .to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_the_current_one_in_another_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "current-context: b\ncontexts:\n- {name: a, context: {cluster: x, user: y}}\n- {name: b, context: {cluster: v, user: w, namespace: u}}\n";
        std::fs::write(&file, text).unwrap();
        let ours: Value = serde_json::from_str(&in_namespace(&file, "check-1").unwrap()).unwrap();
        let context = json!({"cluster": "v", "user": "w", "namespace": "check-1"});
        assert_eq!(ours["contexts"][0]["context"], context);
        assert_eq!(ours["contexts"][0]["name"], ours["current-context"]);
        std::fs::write(&file, "contexts: []\n").unwrap();
        assert!(in_namespace(&file, "check-1").is_err());
    }

    #[tokio::test]
    async fn a_command_that_is_slower_than_the_pace_ends_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "current-context: b\ncontexts:\n- {name: b, context: {cluster: v, user: w}}\n").unwrap();
        let commands = Commands::new(&Cluster::new(file), "check-1", &[]).unwrap();
        let slow = format!("sleep {}", AGAIN.as_secs_f64() * 2.0);
        let with = BTreeMap::new();
        let observing = commands.observe(&slow, &with, AGAIN, Expects::Anything, |_| false);
        let ran = tokio::time::timeout(Duration::from_secs(60), observing).await.unwrap();
        assert_eq!(ran.unwrap().exit, 0);
    }

    #[tokio::test]
    async fn a_command_that_fails_once_is_asked_again_and_what_it_said_then_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "current-context: b\ncontexts:\n- {name: b, context: {cluster: v, user: w}}\n").unwrap();
        let commands = Commands::new(&Cluster::new(file), "check-1", &[]).unwrap();
        let refused_once = "test -e again && echo kept || { touch again; echo lost; exit 1; }";
        let with = BTreeMap::new();
        let observe = |expects| commands.observe(refused_once, &with, Duration::ZERO, expects, |_| true);
        assert_eq!(observe(Expects::Answer).await.unwrap().out.trim(), "kept");
        std::fs::remove_file(commands.shell.folder().join("again")).unwrap();
        assert_eq!(observe(Expects::Anything).await.unwrap().out.trim(), "lost");
    }

    #[test]
    fn a_slow_machine_is_given_more_time_up_to_a_limit() {
        let [second, long] = [1, 10_000].map(Duration::from_secs);
        assert_eq!(patient(second, Duration::from_millis(100)), second);
        assert_eq!(patient(second, Duration::from_millis(1500)), Duration::from_secs(3));
        assert_eq!(patient(second, long), Duration::from_secs(6));
        assert_eq!(patient(Duration::ZERO, long), Duration::ZERO);
    }

    #[test]
    fn a_command_is_told_by_its_status_and_the_start_of_its_output() {
        let ran = |exit, out: &str| Ran { exit, out: out.to_owned() }.words();
        assert_eq!(ran(0, "hello\n"), "hello");
        assert_eq!(ran(1, ""), "exit status 1: it printed nothing");
        assert_eq!(ran(0, &"x".repeat(1000)).len(), 300);
    }
}
