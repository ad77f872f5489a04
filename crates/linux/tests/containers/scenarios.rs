//! What happens inside the node: each scenario is a kubelet's part, played by hand.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use podlab_linux::container::ContainerSpec;
use podlab_linux::paths::inside;
use podlab_linux::protocol::{Exec, InitReply, InitRequest, PodSpec, Reply, Request};
use podlab_linux::supervisor::record;
use podlab_linux::wire::Connection;

use crate::pod::{Pod, container, ended, equal, exec, init, kill, pod_spec, text, until};

type Scenario = fn() -> Result<(), String>;

pub(crate) const ALL: &[(&str, Scenario)] = &[
    ("a_program_runs_and_ends", a_program_runs_and_ends),
    ("exit_codes_and_signals", exit_codes_and_signals),
    ("start_errors", start_errors),
    ("what_containers_share", what_containers_share),
    ("nothing_of_the_host", nothing_of_the_host),
    ("powers_are_limited", powers_are_limited),
    ("users", users),
    ("exec_in_a_container", exec_in_a_container),
    ("terminals", terminals),
    ("attach_and_stdin", attach_and_stdin),
    ("ports", ports),
    ("out_of_memory", out_of_memory),
    ("a_limit_on_processes", crate::limits::a_limit_on_processes),
    ("a_limit_on_the_processor", crate::limits::a_limit_on_the_processor),
    ("what_a_container_uses", crate::limits::what_a_container_uses),
    ("all_of_a_container_is_killed", crate::limits::all_of_a_container_is_killed),
    ("a_killed_supervisor", a_killed_supervisor),
    ("shared_processes", shared_processes),
    ("a_line_without_end", crate::logs::a_line_without_end),
    ("a_slow_reader_holds_the_writer_up", crate::logs::a_slow_reader_holds_the_writer_up),
    ("last_words_from_the_log", crate::logs::last_words_from_the_log),
    ("a_long_log_is_several_files", crate::logs::a_long_log_is_several_files),
    ("mounts_arrive_later", crate::mounts::mounts_arrive_later),
    ("addresses_rise", addresses_rise),
    ("connections_are_shared", crate::balanced::connections_are_shared),
    ("clients_are_kept", crate::balanced::clients_are_kept),
    ("hostile_images", crate::hostile::hostile_images),
    ("nobody_looks_into_an_exec", crate::escapes::nobody_looks_into_an_exec),
    ("the_own_program_is_not_written", crate::escapes::the_own_program_is_not_written),
    ("a_sub_path_is_exchanged", crate::escapes::a_sub_path_is_exchanged),
    ("small_files_stay_small", crate::escapes::small_files_stay_small),
    ("no_abstract_sockets", crate::escapes::no_abstract_sockets),
    ("attaching_leaves_nothing", crate::escapes::attaching_leaves_nothing),
    ("directories_are_closed", crate::escapes::directories_are_closed),
    ("the_user_stays_the_same", crate::escapes::the_user_stays_the_same),
    (crate::cluster::SWEPT, a_pod_is_left),
];

/// The exit code of a scenario that this machine does not let us play. It did not pass.
pub(crate) const COULD_NOT_CHECK: u8 = 77;

pub(crate) fn could_not_check(why: &str) -> Result<(), String> {
    println!("{why}");
    std::process::exit(COULD_NOT_CHECK.into())
}

/// Whether root is the only user that there is.
pub(crate) fn single_id() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().last() == Some("1")
}

pub(crate) fn run(name: &str) -> ExitCode {
    let Some((_, scenario)) = ALL.iter().find(|(known, _)| *known == name) else { return ExitCode::from(97) };
    match scenario() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn a_program_runs_and_ends() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let exit = pod.run("main", &["print", "hello", "world"])?;
    equal(&exit.code, &0)?;
    equal(&pod.log("main"), &"stdout F hello\nstdout F world\n".to_owned())?;
    // A second start of the same container starts nothing.
    equal(&pod.start(container("main", &["print", "again"]))?, &Ok(()))?;
    equal(&pod.log("main").lines().count(), &2)?;
    // What was told is also written down.
    let written = record::containers(&pod.directory());
    equal(&written.len(), &1)?;
    equal(&written[0].exit, &Some(exit))
}

fn exit_codes_and_signals() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.run("seven", &["exit", "7"])?.code, &7)?;
    let mut watch = pod.watch()?;
    equal(&pod.start(container("wait", &["wait"]))?, &Ok(()))?;
    pod.ask(&Request::Signal { container: "id-wait".to_owned(), signal: libc::SIGKILL })?;
    let exit = ended(&mut watch, "id-wait")?;
    equal(&(exit.code, exit.signal), &(137, Some(libc::SIGKILL)))?;
    // A container that has ended needs no signal, and one that never was is not there.
    equal(&pod.ask(&Request::Signal { container: "id-wait".to_owned(), signal: 15 })?, &Reply::Done)?;
    equal(&pod.ask(&Request::Signal { container: "id-no".to_owned(), signal: 15 })?, &Reply::NoSuchContainer)?;
    equal(&pod.ask(&Request::Remove { container: "id-wait".to_owned() })?, &Reply::Done)
}

fn start_errors() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let refused = |spec: ContainerSpec| pod.start(spec).map(|result| result.err().map(|error| error.message));
    let no_binary = ContainerSpec { arguments: vec!["/no/such/binary".to_owned()], ..container("a", &[]) };
    let text = r#"exec: "/no/such/binary": stat /no/such/binary: no such file or directory"#;
    equal(&refused(no_binary)?, &Some(text.to_owned()))?;
    let not_found = ContainerSpec { arguments: vec!["bash".to_owned()], ..container("b", &[]) };
    equal(&refused(not_found)?, &Some(r#"exec: "bash": executable file not found in $PATH"#.to_owned()))?;
    for number in [0, 3, 10, 20] {
        let path = format!("/proc/self/fd/{number}");
        let message = refused(ContainerSpec { working_directory: path.clone(), ..container("c", &[]) })?;
        if message.is_none() {
            return Err(format!("{path} was a working directory"));
        }
    }
    // Nothing is left of what did not start, and the Pod goes on.
    equal(&pod.reports()?.len(), &0)?;
    equal(&pod.run("fine", &["exit", "0"])?.code, &0)
}

fn what_containers_share() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    for name in ["one", "two"] {
        equal(&pod.start(container(name, &["wait"]))?, &Ok(()))?;
    }
    let see = |name: &str, path: &str| pod.exec(name, &["read", path]);
    equal(&see("one", "/etc/hostname")?.1, &"pod-name\n".to_owned())?;
    equal(&see("one", "/proc/sys/kernel/hostname")?.1, &"pod-name\n".to_owned())?;
    equal(&see("one", "/etc/resolv.conf")?.1, &"nameserver 10.96.0.10\n".to_owned())?;
    let hosts = see("two", "/etc/hosts")?.1;
    if !hosts.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
        || !hosts.contains("10.244.0.2\tpod-name\n")
    {
        return Err(format!("hosts file: {hosts}"));
    }
    // Shared memory is shared, the file system is not, and neither sees the other's processes.
    equal(&pod.exec("one", &["write", "/dev/shm/note", "for two"])?.0, &0)?;
    equal(&see("two", "/dev/shm/note")?.1, &"for two".to_owned())?;
    equal(&pod.exec("one", &["write", "/note", "mine"])?.0, &0)?;
    equal(&see("two", "/note")?.1, &"/note: No such file or directory (os error 2)\n".to_owned())?;
    let first = see("one", "/proc/1/cmdline")?.1;
    if !first.ends_with("in-container\0wait\0") {
        return Err(format!("process 1 is {first:?}"));
    }
    Ok(())
}

fn nothing_of_the_host() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["wait"]))?, &Ok(()))?;
    // Of an exec, too: 3 is the directory that is being listed.
    equal(&pod.exec("main", &["descriptors"])?.1, &"0 1 2\n".to_owned())?;
    equal(&pod.run("second", &["descriptors"])?.code, &0)?;
    equal(&pod.log("second"), &"stdout F 0 1 2\n".to_owned())?;
    equal(&pod.exec("main", &["list", "/"])?.1, &"bin dev etc home proc sys tmp\n".to_owned())?;
    equal(&pod.exec("main", &["environment"])?.1.lines().count(), &3)?;
    let mounts = pod.exec("main", &["read", "/proc/self/mountinfo"])?.1;
    match mounts.lines().find(|line| line.split(' ').nth(4).is_some_and(|point| point.contains("podlab"))) {
        Some(line) => Err(format!("the container sees {line}")),
        None => Ok(()),
    }
}

fn powers_are_limited() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["wait"]))?, &Ok(()))?;
    equal(&pod.exec("main", &["refused"])?, &(0, String::new()))?;
    equal(&pod.exec("main", &["mknod-disk"])?, &(0, String::new()))?;
    let status = pod.exec("main", &["read", "/proc/1/status", "/proc/self/status"])?.1;
    let field = |name: &str| -> Vec<String> {
        let lines = status.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    equal(&field("CapInh:"), &vec!["0000000000000000".to_owned(); 2])?;
    equal(&field("CapEff:"), &vec!["00000000a80425fb".to_owned(); 2])?;
    equal(&field("CapBnd:"), &vec!["00000000a80425fb".to_owned(); 2])?;
    equal(&field("Seccomp:"), &vec!["2".to_owned(); 2])
}

fn users() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let mut spec = container("main", &["wait"]);
    spec.user.image = "user".to_owned();
    spec.privileges.no_new_privileges = true;
    spec.read_only_root = true;
    let result = pod.start(spec)?;
    if single_id() {
        let message = result.err().map(|error| error.message).unwrap_or_default();
        return if message.starts_with("user 1000: ") {
            could_not_check("the cluster has one id")
        } else {
            Err(message)
        };
    }
    equal(&result, &Ok(()))?;
    let status = pod.exec("main", &["read", "/proc/1/status"])?.1;
    for expected in ["Uid:\t1000\t1000\t1000\t1000", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Groups:\t1000 "] {
        if !status.contains(expected) {
            return Err(format!("no {expected:?} in {status}"));
        }
    }
    equal(&pod.exec("main", &["write", "/home/user/x", ""])?.0, &1)?;
    let environment = pod.exec("main", &["environment"])?.1;
    if environment.contains("HOME=/home/user\n") { Ok(()) } else { Err(environment) }
}

fn exec_in_a_container() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["wait"]))?, &Ok(()))?;
    equal(&pod.exec("main", &["exit", "7"])?.0, &7)?;
    equal(&pod.exec("main", &["print", "out"])?, &(0, "out\n".to_owned()))?;
    let error = pod.exec_raw("main", &["bash"]).err().unwrap_or_default();
    equal(&error, &r#"exec: "bash": executable file not found in $PATH"#.to_owned())?;
    let gone = pod.ask(&Request::Exec(Exec { container: "id-none".to_owned(), ..exec("main", &[]) }))?;
    equal(&gone, &Reply::NoSuchContainer)?;

    // With its client gone, a program that shall be killed is.
    let mut connection = pod.connect()?;
    let request =
        Request::Exec(Exec { kill_on_close: true, ..exec("main", &["/bin/program", "in-container", "wait"]) });
    let (reply, _) = connection.ask::<_, Reply>(&request, &[]).map_err(text)?;
    equal(&reply, &Reply::ExecStarted { terminal: false })?;
    let before = pod.exec("main", &["list", "/proc"])?.1;
    drop(connection);
    // Its end is an event for the supervisor only; what can be seen from here is that the process goes.
    until(|| Ok(processes(&pod.exec("main", &["list", "/proc"])?.1) < processes(&before)))
}

pub(crate) fn processes(list: &str) -> usize {
    list.split_whitespace().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).count()
}

fn terminals() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["wait"]))?, &Ok(()))?;
    let mut connection = pod.connect()?;
    let command = ["/bin/program", "in-container", "first-line"];
    let request = Request::Exec(Exec { terminal: true, ..exec("main", &command) });
    let (reply, descriptors) = connection.ask::<_, Reply>(&request, &[]).map_err(text)?;
    equal(&reply, &Reply::ExecStarted { terminal: true })?;
    let master = descriptors.into_iter().next().ok_or("no terminal")?;
    // The supervisor reads it without waiting; here waiting is what is wanted.
    rustix::io::ioctl_fionbio(&master, false).map_err(text)?;
    let mut terminal = std::fs::File::from(master);
    terminal.write_all(b"typed\n").map_err(text)?;
    let mut shown = Vec::new();
    let _ = terminal.read_to_end(&mut shown);
    equal(&String::from_utf8_lossy(&shown).into_owned(), &"typed\r\ngot typed\r\n".to_owned())?;

    let mut spec = container("tty", &["print", "to the terminal"]);
    spec.terminal = true;
    let mut watch = pod.watch()?;
    equal(&pod.start(spec)?, &Ok(()))?;
    equal(&ended(&mut watch, "id-tty")?.code, &0)?;
    equal(&pod.log("tty"), &"stdout F to the terminal\r\n".to_owned())
}

fn attach_and_stdin() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let mut spec = container("main", &["cat"]);
    (spec.stdin, spec.stdin_once) = (true, true);
    let mut watch = pod.watch()?;
    equal(&pod.start(spec)?, &Ok(()))?;
    let mut connection = pod.connect()?;
    let (mut reader, writer) = std::io::pipe().map_err(text)?;
    let request = Request::Attach { container: "id-main".to_owned(), stdin: true, stdout: true, stderr: false };
    let (reply, descriptors) = connection.ask::<_, Reply>(&request, &[writer.as_fd()]).map_err(text)?;
    drop(writer);
    equal(&reply, &Reply::Attached { stdin: true, terminal: false })?;
    let mut stdin = std::fs::File::from(descriptors.into_iter().next().ok_or("no stdin")?);
    stdin.write_all(b"through\n").map_err(text)?;
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes).map_err(text)?;
    equal(&bytes, b"through\n")?;
    // Both holders of the input let go: the container's input ends, and so does it.
    drop((stdin, connection));
    equal(&ended(&mut watch, "id-main")?.code, &0)?;
    equal(&pod.log("main"), &"stdout F through\n".to_owned())
}

fn ports() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["serve", "8080"]))?, &Ok(()))?;
    until(|| Ok(pod.log("main").contains("listening")))?;
    let mut connection = pod.connect()?;
    let (reply, descriptors) = connection.ask::<_, Reply>(&Request::Connect { port: 8080 }, &[]).map_err(text)?;
    equal(&reply, &Reply::Connected)?;
    let socket = descriptors.into_iter().next().ok_or("no socket")?;
    rustix::io::ioctl_fionbio(&socket, false).map_err(text)?;
    equal(&talk(std::net::TcpStream::from(socket))?, &"hello there\n".to_owned())?;
    // From the node by the Pod's address.
    let direct = std::net::TcpStream::connect("10.244.0.2:8080").map_err(text)?;
    equal(&talk(direct)?, &"hello there\n".to_owned())?;
    let refused = pod.ask(&Request::Connect { port: 81 })?;
    equal(&refused, &Reply::Failed { message: "dial tcp4 127.0.0.1:81: connect: connection refused".to_owned() })
}

pub(crate) fn talk(mut stream: std::net::TcpStream) -> Result<String, String> {
    stream.write_all(b"there\n").map_err(text)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(text)?;
    Ok(answer)
}

fn out_of_memory() -> Result<(), String> {
    let cgroup = std::fs::read_dir(inside::CGROUPS).map_err(text)?.count();
    if cgroup == 0 {
        return could_not_check("no cgroup could be made");
    }
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("other", &["wait"]))?, &Ok(()))?;
    let mut spec = container("main", &["eat", "1000000000"]);
    spec.limits.memory = Some(32 << 20);
    let mut watch = pod.watch()?;
    equal(&pod.start(spec)?, &Ok(()))?;
    let exit = ended(&mut watch, "id-main")?;
    equal(&(exit.code, exit.out_of_memory), &(137, true))?;
    equal(&pod.exec("other", &["exit", "0"])?.0, &0)
}

fn a_killed_supervisor() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["wait"]))?, &Ok(()))?;
    let mut watch = Connection::open(Path::new(inside::INIT_SOCKET)).map_err(text)?;
    equal(&watch.ask::<_, InitReply>(&InitRequest::Watch, &[]).map_err(text)?.0, &InitReply::Watching)?;
    let supervisor = rustix::process::Pid::from_raw(pod.supervised.pid).ok_or("pid")?;
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).map_err(text)?;
    let (told, _) = watch.receive::<InitReply>().map_err(text)?.ok_or("nothing was told")?;
    equal(&told, &InitReply::Gone { uid: "uid-1".to_owned() })?;
    let reports = record::containers(&pod.directory());
    equal(&reports[0].exit.as_ref().map(|exit| exit.code), &Some(137))?;
    // The container's process has ended with its Pod, and so have its cgroups and mounts.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(text)?;
    equal(&mounts.contains("uid-1"), &false)?;
    // The Pod can be made again, and gets the next address.
    equal(&Pod::create("uid-1")?.supervised.address, &Some([10, 244, 0, 3].into()))
}

fn shared_processes() -> Result<(), String> {
    let pod = Pod::create_with(PodSpec { share_processes: true, ..pod_spec("uid-1") })?;
    let mut watch = pod.watch()?;
    equal(&pod.start(container("one", &["wait"]))?, &Ok(()))?;
    equal(&pod.start(container("two", &["wait"]))?, &Ok(()))?;
    equal(&pod.exec("one", &["read", "/proc/1/comm"])?.1, &"pause\n".to_owned())?;
    equal(&processes(&pod.exec("one", &["list", "/proc"])?.1), &4)?;
    pod.ask(&Request::Signal { container: "id-one".to_owned(), signal: libc::SIGKILL })?;
    equal(&ended(&mut watch, "id-one")?.code, &137)?;
    equal(&pod.exec("two", &["exit", "3"])?.0, &3)
}

/// Leaves a running Pod behind; the test goes on outside.
fn a_pod_is_left() -> Result<(), String> {
    equal(&Pod::create("uid-1")?.start(container("main", &["wait"]))?, &Ok(()))
}

fn addresses_rise() -> Result<(), String> {
    let mut addresses = Vec::new();
    for number in 1..=3 {
        addresses.push(Pod::create(&format!("uid-{number}"))?.supervised.address);
    }
    kill("uid-2")?;
    addresses.push(Pod::create("uid-4")?.supervised.address);
    let expected: Vec<_> = (2..=5).map(|last| Some(std::net::Ipv4Addr::new(10, 244, 0, last))).collect();
    equal(&addresses, &expected)?;
    // Asked for twice, a Pod is there once.
    equal(&Pod::create("uid-1")?.supervised.address, &expected[0])?;
    let failed = init(&InitRequest::CreatePod(Box::new(pod_spec("../uid"))))?;
    if matches!(failed, InitReply::Failed { .. }) { Ok(()) } else { Err(format!("{failed:?}")) }
}
