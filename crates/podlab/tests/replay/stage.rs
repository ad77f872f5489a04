//! Where the scenarios play: a cluster, a folder with the manifests, and a shell that has the real kubectl in front.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use podlab_testkit::Cluster;

use crate::golden::{Answer, Question, folder};

/// What the shell of the scenarios has beside the machine's own commands.
const COMMANDS: [(&str, &str); 8] = [
    // The reference's host is its node; here the node is reached as one logs in to it.
    (
        "curl",
        "#!/bin/bash\ncase \"$*\" in\n*10.244.*) exec \"$PODLAB\" node exec node1 -- /usr/bin/curl \"$@\" ;;\n\
         *) exec /usr/bin/curl \"$@\" ;;\nesac\n",
    ),
    // `await PATTERN COMMAND…`: until the command, which goes on printing, has printed a line like this.
    (
        "await",
        "#!/bin/bash\npattern=$1; shift\nexec 3< <(exec \"$@\"); pid=$!\nfound=1\n\
         while IFS= read -r -t 110 line <&3; do\n  [[ $line =~ $pattern ]] && { found=0; break; }\ndone\n\
         kill $pid 2>/dev/null; wait $pid 2>/dev/null\nexit $found\n",
    ),
    // `event POD REASON [COUNT [WORDS]]`: until it was recorded so often, with these words, of this Pod and not of an
    // earlier one of its name.
    (
        "event",
        "#!/bin/bash\nif uid=$(kubectl get pod \"$1\" -o 'jsonpath={.metadata.uid}' 2>/dev/null)\n\
         then object=involvedObject.uid=$uid; else object=involvedObject.name=$1; fi\n\
         exec await \"^${3:-[0-9]*} .*$4\" kubectl get events -w \\\n\
         --field-selector \"$object,reason=$2\" -o 'jsonpath={.count} {.message}{\"\\n\"}'\n",
    ),
    // `started POD [CONTAINER]`: until it was told that its last container, or this one, was started, and all before it.
    ("started", "#!/bin/bash\nevent \"$1\" Started '' \"container $2\" && event \"$1\" Scheduled\n"),
    // `hold POINT`: whoever on the node comes to this point of a Pod's life (`podlab_linux::fail_point`) is held there;
    // `pass POINT [COMMAND…]`: waits until somebody is, runs the command, and lets that one go on;
    // `release POINT [COMMAND…]`: and nobody is held there again.
    ("hold", "#!/bin/bash\nmkdir -p \"$POINTS\" && mkfifo \"$POINTS/$1\"\n"),
    // The pipe of whoever is held is put away before that one goes on: the next `pass` is for the next who comes.
    (
        "pass",
        "#!/bin/bash\nexec 9> \"$POINTS/$1\"\nmkfifo \"$POINTS/next\" && mv \"$POINTS/next\" \"$POINTS/$1\"; shift\n\"$@\"\n",
    ),
    ("release", "#!/bin/bash\nexec 9> \"$POINTS/$1\" && rm \"$POINTS/$1\"; shift\n\"$@\"\n"),
    // `on-node SCRIPT`: in a shell as one has it who logs in to the node.
    ("on-node", "#!/bin/bash\nexec \"$PODLAB\" node exec node1 -- sh -c \"$1\"\n"),
];

pub(crate) struct Stage {
    cluster: Cluster,
    commands: PathBuf,
}

impl Stage {
    /// A cluster, and a shell in which `kubectl` is this program.
    pub(crate) fn start(kubectl: &Path) -> Self {
        let cluster = Cluster::start();
        let commands = cluster.scratch().join("commands");
        std::fs::create_dir(&commands).expect("a folder");
        for (name, text) in COMMANDS {
            let path = commands.join(name);
            std::fs::write(&path, text).expect("a script");
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
        }
        let program = kubectl.canonicalize().unwrap_or_else(|_| kubectl.to_owned());
        std::os::unix::fs::symlink(program, commands.join("kubectl")).expect("a link");
        let stage = Self { cluster, commands };
        stage.certificates();
        // The reference begins with a cluster that has forgotten how it began.
        let forgotten = stage.run("event node1 RegisteredNode && kubectl delete events --all", stage.cluster.scratch());
        assert_eq!(forgotten.exit, Some(0), "{forgotten}");
        stage
    }

    pub(crate) fn stop(self) {
        self.cluster.stop();
    }

    /// A folder of its own for a scenario, with the manifests.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let own = self.cluster.scratch().join(name);
        std::fs::create_dir(&own).expect("a folder");
        for entry in std::fs::read_dir(folder().join("manifests")).expect("the manifests") {
            let entry = entry.expect("a manifest");
            std::fs::copy(entry.path(), own.join(entry.file_name())).expect("a copy");
        }
        own
    }

    /// What the question is answered with here.
    pub(crate) fn ask(&self, question: &Question, own: &Path, enough: &dyn Fn(&Answer) -> bool) -> Answer {
        match question {
            Question::Command(command) => self.run(command, own),
            Question::Watch { command, meanwhile, seconds } => {
                self.watch(command, meanwhile, own, enough, Duration::from_secs(*seconds))
            }
            Question::Http { method, path, headers, body } => {
                let Answer { stdout, stderr, .. } = self.curl(method, path, headers, body.as_deref(), own);
                Answer { stdout, stderr, exit: None }
            }
        }
    }

    /// Runs a command of the shell to its end.
    pub(crate) fn run(&self, command: &str, own: &Path) -> Answer {
        let output = podlab_testkit::run(&mut self.shell(command, own));
        Answer { stdout: output.stdout, stderr: output.stderr, exit: output.status.code() }
    }

    fn shell(&self, command: &str, own: &Path) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.arg("-c").arg(command).current_dir(own);
        shell
            .env("PATH", format!("{}:{path}", self.commands.display()))
            .env("PODLAB", podlab_testkit::podlab())
            .env("PODLAB_DIR", self.cluster.directory())
            .env("POINTS", self.cluster.directory().join("nodes/node1/fail-points"))
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("HOME", self.cluster.home())
            .env("TMPDIR", self.cluster.scratch().join("tmp"))
            .envs([("TZ", "UTC"), ("LC_ALL", "C.UTF-8"), ("TERM", "dumb")])
            .env("PORT", free_port().to_string())
            // The words that are compared, without advice.
            .env("PODLAB_PLAIN", "true")
            .env_remove("KUBECTL_EXTERNAL_DIFF");
        shell
    }

    /// Starts the watch; when it watches does what is to be done; takes lines until they are enough, or what comes in so
    /// much time.
    fn watch(
        &self,
        command: &str,
        meanwhile: &str,
        own: &Path,
        enough: &dyn Fn(&Answer) -> bool,
        time: Duration,
    ) -> Answer {
        // At this verbosity kubectl says on standard error when the watch is answered.
        let mut shell = self.shell(&format!("exec {command} -v=6"), own);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().expect("a shell");
        let said = lines(child.stderr.take());
        let printed = lines(child.stdout.take());
        let end = Instant::now() + podlab_testkit::DEADLINE;
        while let Some(line) = next(&said, end) {
            if line.contains("watch=true") && line.contains(" 200 ") {
                break;
            }
        }
        self.run(meanwhile, own);
        let end = Instant::now() + time;
        let mut answer = Answer::default();
        while let Some(line) = next(&printed, end) {
            answer.stdout.push_str(&line);
            if enough(&answer) {
                break;
            }
        }
        finish(&mut child);
        answer
    }

    /// The administrator's certificate, in files for curl.
    fn certificates(&self) {
        let view = |path: &str| format!("kubectl config view --raw -o jsonpath='{{{path}}}' | base64 -d");
        let ca = view(".clusters[0].cluster.certificate-authority-data");
        let (cert, key) = (view(".users[0].user.client-certificate-data"), view(".users[0].user.client-key-data"));
        let command = format!("umask 077; {ca} > ca.crt; {cert} > admin.crt; {key} > admin.key");
        let answer = self.run(&command, self.cluster.scratch());
        assert_eq!(answer.exit, Some(0), "{answer}");
    }

    fn curl(&self, method: &str, path: &str, headers: &[String], body: Option<&str>, own: &Path) -> Answer {
        let scratch = self.cluster.scratch().display();
        let server = "$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')";
        let mut command = format!("/usr/bin/curl -sS -i --http2 -X {method}");
        for (option, file) in [("cacert", "ca.crt"), ("cert", "admin.crt"), ("key", "admin.key")] {
            command.push_str(&format!(" --{option} {scratch}/{file}"));
        }
        for header in headers {
            command.push_str(&format!(" -H '{header}'"));
        }
        if let Some(body) = body {
            command.push_str(&format!(" --data '{body}'"));
        }
        self.run(&format!("{command} \"{server}\"'{path}'"), own)
    }
}

/// Lines of a stream, read on a thread, with their ends.
fn lines(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let Some(stream) = stream else { return };
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

fn next(lines: &Receiver<String>, end: Instant) -> Option<String> {
    lines.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
}

fn finish(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().expect("waiting for a child of ours");
}

/// A port nobody listens on; the near end of port forwarding.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
