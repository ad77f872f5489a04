//! The image of the repository's `Dockerfile`, in a container engine, without `--privileged`.
//!
//! The first stage of the `Dockerfile` compiles; here the program is compiled already and takes that stage's place. The
//! stages after it are built as they are written. Without an engine the tests say that they did not run.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use podlab_testkit::{DEADLINE, Kubectl, could_not_run};
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::core::{CmdWaitFor, ExecCommand, WaitFor};
use testcontainers::runners::{SyncBuilder, SyncRunner};
use testcontainers::{Container, ContainerRequest, GenericBuildableImage, GenericImage, ImageExt};

/// What a container needs, as the README names it.
const CAPABILITIES: [&str; 2] = ["SYS_ADMIN", "NET_ADMIN"];
const SECURITY: [&str; 2] = ["seccomp=unconfined", "apparmor=unconfined"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Whether an engine answers; if not, that has been said.
fn engine() -> bool {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
    // An engine elsewhere is somebody's choice, and will be found or not.
    let answers = host.starts_with("tcp://") || UnixStream::connect(socket).is_ok();
    if !answers {
        could_not_run(format_args!("needs a container engine: nobody listens on {socket}"));
    }
    answers
}

/// Builds the image up to the stage `last`, with `files` in place of what the first stage would have made.
fn build(last: &str, files: &[(PathBuf, &str)]) -> GenericImage {
    let text = std::fs::read_to_string(repository().join("Dockerfile")).unwrap();
    let stages: Vec<_> = text.split("\nFROM ").skip(2).map(|stage| format!("FROM {stage}\n")).collect();
    let wanted = stages.iter().position(|stage| stage.lines().next().unwrap().ends_with(last)).unwrap();
    let dockerfile = format!("FROM scratch AS build\nCOPY . /src\n{}", stages[..=wanted].concat());
    let image = GenericBuildableImage::new("podlab-test", last).with_dockerfile_string(dockerfile);
    let podlab = (podlab_testkit::podlab(), "podlab");
    let files = [podlab].into_iter().chain(files.iter().cloned());
    files.fold(image, |image, (source, target)| image.with_file(source, target)).build_image().unwrap()
}

/// A container of the image as the README starts one, but for one of the options, and without a network: it needs none.
fn request(image: impl Into<ContainerRequest<GenericImage>>, without: &str) -> ContainerRequest<GenericImage> {
    let request = image.into().with_network("none").with_startup_timeout(DEADLINE);
    let request = request.with_host_config_modifier(|config| config.init = Some(true));
    let chosen = |options: [&'static str; 2]| options.into_iter().filter(|option| *option != without);
    let request = chosen(CAPABILITIES).fold(request, ContainerRequest::with_cap_add);
    // An engine without AppArmor refuses to be told about it.
    let apparmor = Path::new("/sys/kernel/security/apparmor").exists();
    let options = chosen(SECURITY).filter(|option| apparmor || !option.starts_with("apparmor"));
    options.fold(request, ContainerRequest::with_security_opt)
}

/// Runs a command in the container to its end: what it said, and whether it succeeded.
#[track_caller]
fn run(container: &Container<GenericImage>, command: &[&str]) -> (bool, String) {
    let command = ExecCommand::new(command.iter().copied()).with_cmd_ready_condition(CmdWaitFor::exit());
    let mut result = container.exec(command).unwrap();
    let said = [result.stdout_to_vec().unwrap(), result.stderr_to_vec().unwrap()].concat();
    (result.exit_code().unwrap() == Some(0), String::from_utf8_lossy(&said).into_owned())
}

#[track_caller]
fn succeeds(container: &Container<GenericImage>, command: &[&str]) -> String {
    let (success, said) = run(container, command);
    assert!(success, "{command:?}: {said}\n{}", said_by(container));
    said
}

fn said_by(container: &Container<GenericImage>) -> String {
    let said = [container.stdout_to_vec().unwrap(), container.stderr_to_vec().unwrap()].concat();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn the_one_binary_is_an_image() {
    if !engine() {
        return;
    }
    let image = build("podlab", &[]).with_wait_for(WaitFor::message_on_stdout("Stop it with Ctrl-C"));
    let container = request(image, "").start().unwrap();
    let status = succeeds(&container, &["podlab", "status"]);
    assert!(status.contains("node1") && status.contains("Ready"), "{status}");
    // Limits hold here, too.
    let (_, findings) = run(&container, &["podlab", "doctor", "--output", "json"]);
    for item in ["cgroup cpu", "cgroup memory", "cgroup pids"] {
        assert!(findings.contains(&format!("\"item\": \"{item}\",\n    \"verdict\": \"works\"")), "{findings}");
    }
    // The container is the cluster: who stops one has stopped the other. It may be gone before `stop` has told.
    let stop = ExecCommand::new(["podlab", "stop"]);
    container.exec(stop).unwrap();
    let end = Instant::now() + DEADLINE;
    while container.is_running().unwrap() {
        assert!(Instant::now() < end, "{}", said_by(&container));
        std::thread::yield_now();
    }
    assert_eq!(container.exit_code().unwrap(), Some(0), "{}", said_by(&container));
}

#[test]
fn a_lab_runs_in_a_container_and_leaves_nothing_there() {
    if !engine() {
        return;
    }
    let Some(kubectl) = Kubectl::find("1.32") else { return };
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.exists());
    let Some(busybox) = busybox else { return could_not_run("needs busybox-static") };
    let kubectl = kubectl.program().canonicalize().unwrap();
    let (book, labs) = (repository().join("book"), repository().join("labs"));
    let files = [(busybox, "busybox"), (kubectl, "kubectl"), (book, "book"), (labs, "labs")];
    // Something that waits; everything else is done by hand.
    let image = build("classroom", &files).with_entrypoint("/bin/sh");
    let container = request(image.with_cmd(["-c", "sleep infinity"]), "").start().unwrap();
    // The shell itself is the only process of a listing, and left out.
    let processes = "for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || { read -r name <$p/comm; echo $p $name; }; done";
    let ledger = || {
        [processes, "cat /proc/mounts", "find /sys/fs/cgroup -name 'podlab-*'", "ls /sys/class/net /tmp"]
            .map(|command| succeeds(&container, &["sh", "-c", command]))
    };
    let before = ledger();
    let started = succeeds(&container, &["podlab", "start", "--detach"]);
    assert!(started.contains("Node node1 is Ready") && started.contains("The book:  http://127.0.0.1:"), "{started}");
    assert_eq!(succeeds(&container, &["podlab", "lab", "verify", "kuard"]), "kuard … as recorded\n");
    succeeds(&container, &["podlab", "stop"]);
    // What has ended is there until the first process has taken its exit status.
    let end = Instant::now() + DEADLINE;
    while ledger() != before {
        assert!(Instant::now() < end, "before: {before:#?}\nafter: {:#?}", ledger());
    }
}

#[test]
fn without_any_one_of_its_rights_it_says_what_is_refused() {
    if !engine() {
        return;
    }
    let image = build("podlab", &[]);
    for (missing, refused) in
        [("SYS_ADMIN", "unshare"), ("NET_ADMIN", "link"), ("seccomp=unconfined", "operation not permitted")]
    {
        let exit = ExitWaitStrategy::new().with_exit_code(1).with_poll_interval(Duration::from_millis(50));
        let image = image.clone().with_wait_for(WaitFor::Exit(exit));
        let container = request(image.with_cmd(["start", "--no-book"]), missing).start().unwrap();
        let said = said_by(&container);
        assert!(said.contains("error: ") && said.contains(refused), "without {missing}: {said}");
    }
}

#[test]
fn the_documents_name_the_same_rights() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let (readme, devcontainer) = (read("README.md"), read(".devcontainer/devcontainer.json"));
    let capabilities = CAPABILITIES.map(|name| ("--cap-add", name));
    for (option, value) in capabilities.into_iter().chain(SECURITY.map(|name| ("--security-opt", name))) {
        assert!(readme.contains(&format!("{option} {value}")), "README.md: {option} {value}");
        assert!(devcontainer.contains(&format!("{option}={value}")), "devcontainer.json: {option}={value}");
    }
}
