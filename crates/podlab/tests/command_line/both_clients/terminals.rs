//! Into a container that runs: a terminal that changes its size, a debugger beside it, and what a program reads.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{Both, CLIENTS, Client, compare};
use crate::run_kuard;

/// A program that reads: one container for each client, whose standard input ends with the first who attaches.
fn reader(name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  containers:\n  \
         - name: main\n    image: busybox\n    stdin: true\n    stdinOnce: true\n    \
         command: [sh, -c, 'while read line; do echo \"heard $line\"; done; echo bad >&2; exit 3']\n"
    )
}

#[test]
fn what_is_typed_to_an_attached_program_is_read_by_it() {
    let Some(both) = Both::start(|builder| builder) else { return };
    let name = |client| if client == Client::Real { "theirs" } else { "ours" };
    both.apply(&CLIENTS.map(|client| reader(name(client))).concat());
    both.run(Client::Real, &["wait", "pod", "--all", "--for=condition=Ready", "--timeout=100s"]).success();
    let outputs = CLIENTS
        .map(|client| both.shell(client, &format!("printf 'one\\ntwo\\n' | kubectl attach -i {}", name(client))));
    assert!(outputs[0].stdout.contains("heard one\nheard two\n"), "{}", outputs[0]);
    compare(&outputs[0], &outputs[1], &["theirs", "ours"]);
    // It has ended, and there is nothing more to attach to.
    let ended = "--for=jsonpath={.status.containerStatuses[0].state.terminated.exitCode}=3";
    both.run(Client::Real, &["wait", "pod", "--all", ended, "--timeout=100s"]).success();
    let outputs = CLIENTS.map(|client| both.run(client, &["attach", name(client)]).failure(1));
    compare(&outputs[0], &outputs[1], &["theirs", "ours"]);
    both.same(&["attach", "ghost"]).failure(1);
    both.same(&["attach"]).failure(1);
    both.cluster.stop();
}

/// Until its terminal has the size that it was made with; reads; until it has another.
const WATCHED: &str = "until [ \"$(stty size)\" = '33 77' ]; do :; done; stty size; read word; echo got $word; \
    until [ \"$(stty size)\" = '44 132' ]; do :; done; stty size; exit 5";

#[test]
fn a_terminal_has_the_size_that_it_has_here_and_learns_of_another() {
    let Some(both) = Both::start(|builder| builder) else { return };
    run_kuard(&both.cluster, &both.real);
    let file = both.cluster.scratch().join("watched");
    std::fs::write(&file, WATCHED).unwrap();
    for (name, into) in [
        ("exec", "kubectl exec -it kuard -- sh -c \"$(cat $WATCHED)\""),
        ("debug", "kubectl debug kuard -q -it --image=busybox --target=kuard -- sh -c \"$(cat $WATCHED)\""),
    ] {
        for client in CLIENTS {
            // `script` makes a terminal of its own around the shell, which says its name first.
            let inner = both.shell_command(client, &format!("tty; stty rows 33 cols 77; {into}; echo ended $?"));
            let mut terminal = Command::new("script");
            terminal.args(["-q", "-c", "exec sh -c \"$INNER\"", "/dev/null"]).env("WATCHED", &file);
            terminal.env("INNER", inner.get_args().nth(1).unwrap());
            for (name, value) in inner.get_envs() {
                match value {
                    Some(value) => terminal.env(name, value),
                    None => terminal.env_remove(name),
                };
            }
            let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
            let mut heard = Vec::new();
            let mut until = |wanted: &str| {
                for line in lines.by_ref() {
                    let line = line.trim_end().to_owned();
                    heard.push(line.clone());
                    if line.contains(wanted) {
                        return line;
                    }
                }
                panic!("{name} with the {client:?} one: no {wanted} in {heard:#?}");
            };
            let device = until("/dev/pts/");
            until("33 77");
            child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
            until("got hello");
            let resized = Command::new("stty").args(["-F", &device, "rows", "44", "cols", "132"]).status().unwrap();
            assert!(resized.success());
            until("44 132");
            let ended = until("ended ");
            // Whoever attaches does not hear with which code it ended.
            let expected = if name == "exec" { "ended 5" } else { "ended 0" };
            assert_eq!(ended, expected, "{name} with the {client:?} one");
            child.wait().unwrap();
        }
    }
    both.cluster.stop();
}

#[test]
fn a_debugger_is_put_beside_the_program_by_both() {
    let Some(both) = Both::start(|builder| builder) else { return };
    run_kuard(&both.cluster, &both.real);
    let name = |client| if client == Client::Real { "theirs" } else { "ours" };
    let outputs = CLIENTS.map(|client| {
        let put = ["debug", "kuard", "--image=busybox", "--target=kuard", "-c", name(client), "--", "ps"];
        both.run(client, &put).success()
    });
    compare(&outputs[0], &outputs[1], &["theirs", "ours"]);
    for client in CLIENTS {
        let ended = format!(
            "--for=jsonpath={{.status.ephemeralContainerStatuses[?(@.name==\"{}\")].state.terminated.exitCode}}=0",
            name(client)
        );
        both.run(Client::Real, &["wait", "pod/kuard", &ended, "--timeout=100s"]).success();
        let seen = both.same(&["logs", "kuard", "-c", name(client)]).success();
        assert!(seen.stdout.contains("/kuard"), "{seen}");
    }
    // Both have asked for the same container.
    let spec = |client| {
        let path = format!("jsonpath={{.spec.ephemeralContainers[?(@.name==\"{}\")]}}", name(client));
        both.run(Client::Real, &["get", "pod", "kuard", "-o", &path]).success().stdout.replace(name(client), "<name>")
    };
    assert_eq!(spec(Client::Real), spec(Client::BuiltIn));
    both.same(&["debug", "kuard", "--image=busybox", "--target=nobody", "-c", "lost", "--", "ps"]).failure(1);
    both.same(&["debug", "ghost", "--image=busybox"]).failure(1);
    both.same(&["debug", "kuard"]).failure(1);
    both.cluster.stop();
}
