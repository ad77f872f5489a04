//! The real kubectl and the built-in one do the same things beside each other, and say the same of it.

mod copies;
mod drains;
mod generators;
mod rollouts;
mod terminals;

use std::process::Command;
use std::sync::LazyLock;

use podlab_testkit::{Cluster, Kubectl, Output, run};
use regex::Regex;

/// What is random in what is said: the hashes and suffixes in the names of Pods and revisions, and times.
static RANDOM: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
    [
        (r"\b(web-(?:node\d-)?)[0-9a-f]{8,10}(?:-[a-z0-9]{5})?\b", "$1<hash>"),
        (r"\b(pod-template-hash=)[0-9a-f]+", "$1<hash>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    ]
    .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
});

/// A cluster and two clients.
struct Both {
    cluster: Cluster,
    real: Kubectl,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Real,
    BuiltIn,
}

const CLIENTS: [Client; 2] = [Client::Real, Client::BuiltIn];

impl Both {
    /// `None` where there is no real one of the version that the built-in one is like.
    fn start(build: impl FnOnce(podlab_testkit::Builder) -> podlab_testkit::Builder) -> Option<Self> {
        let real = Kubectl::find("1.32")?;
        Some(Self { cluster: build(Cluster::builder()).start(), real })
    }

    fn command(&self, client: Client, arguments: &[&str]) -> Command {
        match client {
            Client::Real => self.real.command(&self.cluster.kubeconfig(), &self.cluster.home(), arguments),
            Client::BuiltIn => {
                let mut command = self.cluster.command(["kubectl"].iter().chain(arguments));
                // The words that are compared, without advice.
                command.env("PODLAB_PLAIN", "true").env("KUBECONFIG", self.cluster.kubeconfig());
                command
            }
        }
    }

    fn run(&self, client: Client, arguments: &[&str]) -> Output {
        run(&mut self.command(client, arguments))
    }

    /// Runs a command of the shell in which `kubectl` is this client.
    fn shell(&self, client: Client, script: &str) -> Output {
        run(&mut self.shell_command(client, script))
    }

    fn shell_command(&self, client: Client, script: &str) -> Command {
        let kubectl = self.command(client, &[]);
        let words = std::iter::once(kubectl.get_program()).chain(kubectl.get_args());
        let words: Vec<_> = words.map(|word| word.to_str().unwrap().to_owned()).collect();
        let script = format!("kubectl() {{ {} \"$@\"; }}\n{script}", words.join(" "));
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script);
        for (name, value) in kubectl.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    }

    /// Runs the same with both, and returns what the real one said.
    #[track_caller]
    fn same(&self, arguments: &[&str]) -> Output {
        let [real, built_in] = CLIENTS.map(|client| self.run(client, arguments));
        compare(&real, &built_in, &[]);
        real
    }

    /// Applies a manifest with the real one.
    #[track_caller]
    fn apply(&self, manifest: &str) {
        let path = self.cluster.scratch().join("manifest.yaml");
        std::fs::write(&path, manifest).unwrap();
        self.run(Client::Real, &["apply", "-f", path.to_str().unwrap()]).success();
    }
}

/// Holds the two against each other, but for what is random and for these words, which are one and the same.
#[track_caller]
fn compare(real: &Output, built_in: &Output, alike: &[&str]) {
    let told = |output: &Output, text: &str| {
        let mut text = text.to_owned();
        for word in alike {
            text = text.replace(word, "<name>");
        }
        for (pattern, name) in RANDOM.iter() {
            text = pattern.replace_all(&text, *name).into_owned();
        }
        format!("{:?}: {text}", output.status.code())
    };
    let all = |output: &Output| [told(output, &output.stdout), told(output, &output.stderr)];
    let [there, here] = [real, built_in].map(all);
    assert!(there == here, "they differ\n--- the real one\n{real}\n--- the built-in one\n{built_in}");
}
