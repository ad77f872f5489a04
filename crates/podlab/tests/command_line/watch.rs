//! `podlab watch`: with input piped, and in a terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use podlab_testkit::{Cluster, Kubectl};
use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process};

use crate::workspace::{Desk, of_kuard};

/// A `podlab watch` that runs.
struct Watch {
    child: Child,
    keys: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Watch {
    fn start(mut command: Command) -> Watch {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (keys, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Watch { child, keys, said }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// What it says until, and with, a line that contains `text`.
    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let mut all = String::new();
        while !all.lines().last().is_some_and(|line| line.contains(text)) {
            let read = self.said.read_line(&mut all).unwrap();
            assert_ne!(read, 0, "it ended without saying {text:?}:\n{all}");
        }
        all
    }

    /// Its last words and its exit status.
    fn end(mut self) -> (String, Option<i32>) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        let output = self.child.wait_with_output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        (rest, output.status.code())
    }
}

const LEGEND: &str = "q quit";

fn start(kubectl: &Kubectl) -> Cluster {
    Cluster::builder().environment("PODLAB_KUBECTL", kubectl.program()).start()
}

fn watch(desk: &Desk<'_>) -> Command {
    let mut command = desk.cluster.command(["watch"]);
    command.current_dir(&desk.folder);
    command
}

#[track_caller]
fn no_namespaces_of_checks(cluster: &Cluster, kubectl: &Kubectl) {
    let namespaces = cluster.kubectl(kubectl, ["get", "namespaces", "-o", "name"]).success();
    assert!(!namespaces.stdout.contains("check-"), "{namespaces}");
}

#[test]
fn a_save_is_checked_and_only_a_key_goes_on() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    let desk = Desk::new(&cluster);
    let mut watch = Watch::start(watch(&desk));
    let red = watch.until(LEGEND);
    assert!(red.contains("registry-switched-off") && !red.contains('\u{1b}'), "{red}");
    watch.press("n\n");
    watch.until("first-pod is not passed yet");
    watch.press("h\n");
    watch.until("first-pod, hint 1 of 3");
    watch.press("?\n");
    watch.until(LEGEND);

    // Saved as editors do: another file, renamed.
    desk.write("first-pod/.first-pod.yaml.swp", &of_kuard("first-pod/solutions/solution.yaml"));
    std::fs::rename(desk.folder.join("first-pod/.first-pod.yaml.swp"), desk.folder.join("first-pod/first-pod.yaml"))
        .unwrap();
    let green = watch.until(LEGEND);
    assert!(
        green.contains("first-pod: passed, 2 of 2 points") && green.contains("n goes on to kuard-ports"),
        "{green}"
    );
    assert_eq!(desk.progress("first-pod").unwrap(), "first-pod passed 2/2 hints:1");

    watch.press("l\n");
    let list = watch.until("points\n".trim());
    assert!(list.contains("> first-pod"), "it does not go on by itself: {list}");
    watch.press("n\n");
    let next = watch.until(LEGEND);
    assert!(next.contains("Two doors with names: checking") && next.contains("3 of 8 points"), "{next}");
    watch.press("c\n");
    let all = watch.until(LEGEND);
    assert!(all.contains("first-pod: passed") && all.contains("kuard-ports: not begun"), "{all}");
    watch.press("q\n");
    assert_eq!(watch.end().1, Some(0));
    no_namespaces_of_checks(&cluster, &kubectl);
    cluster.stop();
}

/// A Pod that does not go until its finalizer is taken away: the verdict is there long before.
#[test]
fn nobody_waits_for_the_pods_of_a_check_to_go() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    let desk = Desk::new(&cluster);
    let solution = of_kuard("first-pod/solutions/solution.yaml");
    let staying = solution.replacen("metadata:\n", "metadata:\n  finalizers: [example.com/stays]\n", 1);
    assert_ne!(solution, staying);
    desk.write("first-pod/first-pod.yaml", &staying);
    let mut watch = Watch::start(watch(&desk));
    watch.until("first-pod: passed, 2 of 2 points");
    let words = ["get", "pods", "--all-namespaces", "--no-headers", "-o"];
    let columns = ["custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name"];
    let pods = cluster.kubectl(&kubectl, words.into_iter().chain(columns)).success();
    let place = pods.stdout.lines().find(|line| line.starts_with("check-")).expect("it is still there");
    let (namespace, pod) = place.split_once(char::is_whitespace).unwrap();
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    cluster.kubectl(&kubectl, ["patch", "pod", pod.trim(), "-n", namespace, "-p", patch]).success();
    watch.until(LEGEND);
    assert_eq!(desk.progress("first-pod").unwrap(), "first-pod passed 2/2");
    watch.press("q\n");
    assert_eq!(watch.end().1, Some(0));
    no_namespaces_of_checks(&cluster, &kubectl);
    cluster.stop();
}

#[test]
fn a_save_during_a_check_begins_a_new_one_and_ctrl_c_leaves_nothing() {
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let cluster = start(&kubectl);
    let desk = Desk::new(&cluster);
    // Never ready, and none of the known mistakes: the check waits its whole time.
    let solution = of_kuard("first-pod/solutions/solution.yaml");
    let slow = format!("{solution}      readinessProbe: {{httpGet: {{path: /nowhere, port: 8080}}}}\n");
    desk.write("first-pod/first-pod.yaml", &slow);
    let mut watch = Watch::start(watch(&desk));
    watch.until("checking");
    desk.write("first-pod/first-pod.yaml", &solution);
    let said = watch.until(LEGEND);
    assert!(said.contains("first-pod: passed") && !said.contains("FAIL"), "{said}");

    desk.write("first-pod/first-pod.yaml", &slow);
    watch.until("checking");
    kill_process(Pid::from_child(&watch.child), Signal::INT).unwrap();
    assert_eq!(watch.end().1, Some(0));
    no_namespaces_of_checks(&cluster, &kubectl);
    cluster.stop();
}

#[test]
fn without_a_cluster_it_says_so_and_waits_for_one() {
    let cluster = Cluster::builder().prepare();
    let desk = Desk::new(&cluster);
    let mut watch = Watch::start(watch(&desk));
    let said = watch.until("r checks again");
    assert!(said.contains("could not check") && said.contains("podlab start"), "{said}");
    watch.press("r\n");
    watch.until("r checks again");
    watch.press("q\n");
    assert_eq!(watch.end().1, Some(0));
    let elsewhere = &mut crate::podlab(&cluster, ["watch", "first-pod"]);
    elsewhere.current_dir(cluster.scratch()).assert().code(1).stderr(contains("podlab init"));
}

#[test]
fn in_a_terminal_a_key_is_enough_and_plain_moves_no_cursor() {
    let cluster = Cluster::builder().prepare();
    let desk = Desk::new(&cluster);
    let terminal = |words: &str| {
        let program = podlab_testkit::podlab();
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{} {words}", program.display()), "/dev/null"]).current_dir(&desk.folder);
        command.env("PODLAB_DIR", cluster.directory()).env("HOME", cluster.home()).env("TERM", "xterm");
        Watch::start(command)
    };
    let mut watch = terminal("watch");
    assert!(watch.until("r checks again").contains("\u{1b}[2J"), "the screen is its own");
    watch.press("h");
    watch.until("first-pod, hint 1 of 3");
    watch.press("q");
    assert_eq!(watch.end().1, Some(0));

    let mut watch = terminal("watch --plain");
    assert!(!watch.until("r checks again").contains("\u{1b}["), "nothing moves");
    watch.press("h\n");
    watch.until("first-pod, hint 2 of 3");
    watch.press("q\n");
    let (rest, status) = watch.end();
    assert_eq!(status, Some(0), "{rest}");
    assert!(!rest.contains("\u{1b}["));
}
