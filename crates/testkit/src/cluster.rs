//! A cluster of a test's own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::program::{self, DEADLINE};
use crate::user::{self, User};
use crate::{Kubectl, Ledger, Output};

/// How a [`Cluster`] is made.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    book: bool,
    dns: bool,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    user: Option<User>,
}

/// A running cluster in a directory of its own, stopped and held against its ledger when it is dropped.
///
/// Everything it starts has the directory's unique name in its arguments or environment; that is what scopes the
/// [`Ledger`]. It sees a home directory of its own too, so a test notices when anything writes there.
#[derive(Debug)]
pub struct Cluster {
    /// `None` once stopped.
    ledger: Option<Ledger>,
    root: TempDir,
    start: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    user: Option<User>,
}

impl Builder {
    /// Serve the book too. Off unless asked for.
    pub fn book(mut self) -> Self {
        self.book = true;
        self
    }

    /// Set up the cluster's DNS too. Off unless asked for: its Pods would be in the way of tests that count.
    pub fn dns(mut self) -> Self {
        self.dns = true;
        self
    }

    /// One more argument to `podlab start`.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// One more variable in the environment of every `podlab` command of this cluster.
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Run every `podlab` command of this cluster as this user.
    pub fn user(mut self, user: User) -> Self {
        self.user = Some(user);
        self
    }

    /// Starts it, and returns once its node is Ready.
    ///
    /// # Panics
    ///
    /// When it does not start; its logs are in the message.
    #[track_caller]
    pub fn start(self) -> Cluster {
        let cluster = self.prepare();
        cluster.start_again();
        cluster
    }

    /// The directories and the ledger, with nothing started yet.
    pub fn prepare(mut self) -> Cluster {
        let root = tempfile::Builder::new().prefix("podlab-test-").tempdir().expect("a temporary directory");
        for directory in ["home", "tmp"] {
            std::fs::create_dir(root.path().join(directory)).expect("a directory in a temporary one");
        }
        let mut start: Vec<OsString> = vec!["start".into()];
        if !self.book {
            start.push("--no-book".into());
        }
        if !self.dns {
            start.push("--no-dns".into());
        }
        start.append(&mut self.arguments);
        if let Some(user) = self.user {
            user.settle_in(root.path()).expect("a place for another user");
        }
        let ledger = Ledger::open(root.path());
        Cluster { ledger: Some(ledger), root, start, environment: self.environment, user: self.user }
    }
}

impl Cluster {
    /// A cluster of one node without the book.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The state directory, as `--dir` names it.
    pub fn directory(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// The home directory that everything of this cluster sees. Empty, and must stay so.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// A place for the test's own files; gone with the cluster.
    pub fn scratch(&self) -> &Path {
        self.root.path()
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.directory().join("kubeconfig")
    }

    /// A `podlab` command for this cluster, to be run by the test itself.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = match self.user {
            Some(user) => {
                let mut command = user.command(self.root.path(), user::program_in(self.root.path()));
                command.env("PODLAB_WORKBOOK", self.root.path().join("workbook")).current_dir(self.root.path());
                command
            }
            None => Command::new(program::podlab()),
        };
        command
            .args(arguments)
            .env("PODLAB_DIR", self.directory())
            .env("HOME", self.home())
            .env("TMPDIR", self.root.path().join("tmp"))
            .env("TZ", "UTC")
            // What a test sees must not depend on the networks of the machine.
            .env("PODLAB_OFFLINE", "1")
            .env_remove("KUBECONFIG")
            .env_remove("XDG_STATE_HOME")
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs another program to its end, as the user the cluster belongs to.
    #[track_caller]
    pub fn as_its_user<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
        let mut command = match self.user {
            Some(user) => user.command(self.root.path(), program),
            None => Command::new(program),
        };
        program::run(command.args(arguments).current_dir("/"))
    }

    /// Runs `podlab ARGUMENTS` to its end.
    #[track_caller]
    pub fn podlab<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        program::run(&mut self.command(arguments))
    }

    /// Runs `kubectl ARGUMENTS` to its end.
    #[track_caller]
    pub fn kubectl<S: AsRef<OsStr>>(&self, kubectl: &Kubectl, arguments: impl IntoIterator<Item = S>) -> Output {
        program::run(&mut kubectl.command(&self.kubeconfig(), &self.home(), arguments))
    }

    /// `podlab start --detach` with the arguments the cluster was built with: the first start, or one after a crash.
    #[track_caller]
    pub fn start_again(&self) -> Output {
        let mut arguments = self.start.clone();
        arguments.push("--detach".into());
        let output = self.podlab(arguments);
        assert!(output.status.success(), "{output}\n{}", self.logs());
        output
    }

    /// `start` and its arguments, for a test that starts in the foreground.
    pub fn start_arguments(&self) -> &[OsString] {
        &self.start
    }

    /// The pid in `machine.json`, which is what `podlab stop` ends.
    pub fn machine(&self) -> Option<i32> {
        self.record()?.pointer("/machine/pid")?.as_i64()?.try_into().ok()
    }

    /// What `machine.json` says.
    pub fn record(&self) -> Option<serde_json::Value> {
        let text = std::fs::read(self.directory().join("machine.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Waits until `machine.json` satisfies `wanted`, each time the machine writes it, and returns it.
    ///
    /// # Panics
    ///
    /// When it has not after [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_record(&self, mut wanted: impl FnMut(&serde_json::Value) -> bool) -> serde_json::Value {
        let watch = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::CLOEXEC).expect("inotify");
        // It is written under another name and moved into place.
        let moved = rustix::fs::inotify::WatchFlags::MOVED_TO;
        rustix::fs::inotify::add_watch(&watch, self.directory(), moved).expect("watching the state directory");
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(record) = self.record().filter(|record| wanted(record)) {
                return record;
            }
            let left = end.saturating_duration_since(Instant::now());
            let changed = program::readable(&watch, left);
            assert!(changed, "machine.json is still {:?}\n{}", self.record(), self.logs());
            let mut events = [0; 4096];
            rustix::io::read(&watch, &mut events).expect("reading what changed");
        }
    }

    /// Waits until nothing of the cluster is left, after a test ended it in a way of its own; it may start again.
    ///
    /// # Panics
    ///
    /// When anything is left.
    #[track_caller]
    pub fn settle(&self) {
        let leaks = self.ledger.as_ref().map(|ledger| ledger.settle(DEADLINE)).unwrap_or_default();
        assert!(leaks.is_empty(), "left over: {leaks:#?}\n{}", self.logs());
    }

    /// The ends of all logs, for the message of a failed test.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let entries = std::fs::read_dir(self.directory().join("log")).into_iter().flatten().flatten();
        for entry in entries {
            let log = std::fs::read(entry.path()).unwrap_or_default();
            let tail = &log[log.len().saturating_sub(4096)..];
            text.push_str(&format!("--- {}\n{}\n", entry.file_name().display(), String::from_utf8_lossy(tail)));
        }
        text
    }

    /// Stops the cluster and closes the ledger.
    ///
    /// # Panics
    ///
    /// When stopping fails, when anything is left, or when something was written to the home directory.
    #[track_caller]
    pub fn stop(mut self) {
        if let Some(ledger) = self.ledger.take() {
            let stopped = self.podlab(["stop"]);
            let leaks = ledger.settle(DEADLINE);
            assert!(stopped.status.success(), "{stopped}\n{}", self.logs());
            assert!(leaks.is_empty(), "left over after `podlab stop`: {leaks:#?}\n{}", self.logs());
            self.check_home();
        }
    }

    /// Closes the ledger without stopping anything: after a test ended the cluster in a way of its own.
    ///
    /// # Panics
    ///
    /// When anything is left, or when something was written to the home directory.
    #[track_caller]
    pub fn gone(mut self) {
        self.settle();
        self.ledger = None;
        self.check_home();
    }

    #[track_caller]
    fn check_home(&self) {
        let written: Vec<_> = std::fs::read_dir(self.home()).expect("the home directory").flatten().collect();
        // kubectl keeps its own cache below ~/.kube; `podlab` must not write even there.
        let written: Vec<_> = written.iter().filter(|entry| !only_kubectl_cache(&entry.path())).collect();
        assert!(written.is_empty(), "written to the home directory: {written:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(ledger) = self.ledger.take() else { return };
        let mut command = self.command(["stop"]);
        if std::thread::panicking() {
            // The test has failed already: clean up, and add what the cluster said.
            eprintln!("{}", self.logs());
            let _ = command.output();
            ledger.clean_up();
            return;
        }
        let stopped = program::run(&mut command);
        let leaks = ledger.settle(DEADLINE);
        assert!(stopped.status.success() && leaks.is_empty(), "{stopped}\nleft over: {leaks:#?}\n{}", self.logs());
        self.check_home();
    }
}

/// Whether this is a `.kube` that holds nothing but kubectl's own `cache`.
fn only_kubectl_cache(path: &Path) -> bool {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    path.ends_with(".kube") && entries.into_iter().all(|entry| entry.file_name() == "cache")
}
