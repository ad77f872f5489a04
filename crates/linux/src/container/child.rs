//! The way of a child from its fork to its program.
//!
//! The order is not free; each step needs what a later one takes away:
//!
//! 1. cgroup, so that everything after is counted; then the cgroup namespace, rooted there
//! 2. the root file system, in the new mount namespace, ending in pivot_root(2)
//! 3. a session, and the terminal if there is one
//! 4. the capability bounding set, while root may still change it
//! 5. the system call filter when it has to be installed with root's rights; else it is step 9
//! 6. groups, group, user: from here on what is done, is done as the container's user
//! 7. the capabilities themselves, and `no_new_privs`
//! 8. the working directory, checked to be inside; the program, looked up
//! 9. the filter, when `no_new_privs` allows to install it this late
//! 10. every descriptor but the first three is marked close-on-exec, signals are reset, execve(2)

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::DumpableBehavior;
use rustix::pty::OpenptFlags;
use rustix::thread::CapabilitySet;

use super::error::StartError;
use super::program::{DEFAULT_PATH, Program};
use super::{ContainerSpec, Privileges, Seccomp, Stdio, Surroundings, User};
use crate::error::{During, Refusal, errno_text};
use crate::namespaces::{Namespaces, unshare};
use crate::rootfs::{self, RootFs};
use crate::seccomp::Filter;
use crate::wire::Connection;
use crate::{capabilities, cgroups, syscalls};

/// The exit code of a child that did not reach its program; its report says why.
pub(crate) const FAILED: i32 = 128;

/// Becomes the first process of a container.
pub(crate) fn run_container(
    spec: &ContainerSpec,
    around: &Surroundings<'_>,
    stdio: &Stdio,
) -> Result<Infallible, StartError> {
    set_oom_score(spec.oom_score_adj);
    cgroups::enter(around.doors)?;
    unshare(Namespaces::CONTROL_GROUP)?;
    rootfs::enter(&RootFs {
        layers: &spec.layers,
        directory: &around.directory,
        read_only: spec.read_only_root,
        mounts: &spec.mounts,
        shared_memory: &around.shared_memory,
        cgroups: around.hierarchies,
        unmasked: spec.privileges.unmasked,
        user_namespace: around.user_namespace,
        working_directory: &spec.working_directory,
    })?;
    let mut environment = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())];
    if matches!(stdio, Stdio::Terminal { .. }) {
        environment.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    environment.extend(spec.environment.iter().cloned());
    become_program(&Command {
        arguments: &spec.arguments,
        environment,
        working_directory: &spec.working_directory,
        user: &spec.user,
        privileges: &spec.privileges,
        stdio,
    })
}

/// What is executed, by whom, with what rights. The same for a container's first process and for an exec.
pub(crate) struct Command<'a> {
    pub(crate) arguments: &'a [String],
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_directory: &'a str,
    pub(crate) user: &'a User,
    pub(crate) privileges: &'a Privileges,
    pub(crate) stdio: &'a Stdio,
}

/// Steps 3 to 10, in the container's namespaces.
pub(crate) fn become_program(command: &Command<'_>) -> Result<Infallible, StartError> {
    // Until the program runs, nobody in the container may look into this copy of the supervisor (CVE-2016-9962).
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).during("make", "undumpable")?;
    rustix::process::setsid().during("start", "session")?;
    connect(command.stdio)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));

    let Privileges { no_new_privileges, .. } = *command.privileges;
    let allowed = CapabilitySet::from_bits_retain(command.privileges.capabilities);
    let filter = match command.privileges.seccomp {
        Seccomp::Default => Some(filter_for(allowed)?),
        Seccomp::Unconfined => None,
    };
    capabilities::bound(allowed)?;
    if let (Some(filter), false) = (&filter, no_new_privileges) {
        filter.install()?;
    }

    let identity = command.user.look_up()?;
    own_streams(identity.user);
    identity.become_it()?;
    capabilities::limit(allowed)?;
    rustix::thread::set_no_new_privs(no_new_privileges)
        .or_else(|errno| if no_new_privileges { Err(errno) } else { Ok(()) })
        .during("give up", "new privileges")?;

    enter_working_directory(command.working_directory)?;
    let mut environment = command.environment.clone();
    if !environment.iter().any(|(name, _)| name == "HOME") {
        environment.push(("HOME".to_owned(), identity.home));
    }
    let program = Program::find(command.arguments, &environment)?;
    if let (Some(filter), true) = (&filter, no_new_privileges) {
        filter.install()?;
    }
    syscalls::close_on_exec_from(3).during("close", "descriptors")?;
    syscalls::reset_signals();

    let refused = program.execute();
    // The runtimes have told that the container runs when they come to this point. Who reads its log finds the reason.
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("{refused}\n").as_bytes());
    syscalls::exit_now(1)
}

fn filter_for(allowed: CapabilitySet) -> Result<Filter, Refusal> {
    if allowed == capabilities::DEFAULT {
        return crate::seccomp::default_filter().cloned();
    }
    Filter::compile(allowed)
}

/// Makes the streams descriptors 0, 1 and 2.
fn connect(stdio: &Stdio) -> Result<(), StartError> {
    match stdio {
        Stdio::Streams { stdin, stdout, stderr } => {
            let null;
            let stdin = match stdin {
                Some(stdin) => stdin.as_fd(),
                None => {
                    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
                    null =
                        rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).during("open", "/dev/null")?;
                    null.as_fd()
                }
            };
            become_stdio(stdin, stdout.as_fd(), stderr.as_fd())
        }
        Stdio::Terminal { master } => {
            let terminal = make_terminal(master)?;
            become_stdio(terminal.as_fd(), terminal.as_fd(), terminal.as_fd())?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).during("take", "the terminal")?;
            Ok(())
        }
    }
}

fn become_stdio(stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>, stderr: BorrowedFd<'_>) -> Result<(), StartError> {
    // The sources may themselves be 0, 1 or 2: out of the way first.
    let copies: Vec<OwnedFd> = [stdin, stdout, stderr]
        .into_iter()
        .map(|stream| rustix::io::fcntl_dupfd_cloexec(stream, 3).during("duplicate", "stream"))
        .collect::<Result<_, _>>()?;
    rustix::stdio::dup2_stdin(&copies[0]).during("set", "standard input")?;
    rustix::stdio::dup2_stdout(&copies[1]).during("set", "standard output")?;
    rustix::stdio::dup2_stderr(&copies[2]).during("set", "standard error")?;
    Ok(())
}

/// Gives the streams to the container's user, who may want to open them again (`/dev/stdout`). Those that are shared
/// with the node, as `/dev/null` is, are not ours to give: only pipes and terminals are.
fn own_streams(user: u32) {
    use rustix::fs::{FileType, Uid};
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let kind = rustix::fs::fstat(stream).map(|status| FileType::from_raw_mode(status.st_mode));
        if user != 0 && (kind == Ok(FileType::Fifo) || rustix::termios::isatty(stream)) {
            let _ = rustix::fs::fchown(stream, Some(Uid::from_raw(user)), None);
        }
    }
}

/// Makes a terminal among the container's own (`/dev/pts`) and sends its master side to the supervisor.
///
/// The side for the container comes from the master's descriptor, not from a path under `/dev/pts`, where the container
/// could have put something else (CVE-2025-52565).
fn make_terminal(socket: &OwnedFd) -> Result<OwnedFd, StartError> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let path = "/dev/pts/ptmx";
    let open = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let master = rustix::fs::open(path, open, rustix::fs::Mode::empty()).during("open", path)?;
    rustix::pty::unlockpt(&master).during("unlock", path)?;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags).during("open the other side of", path)?;
    let socket = socket.try_clone().during("duplicate", "socket")?;
    Connection::from(std::os::unix::net::UnixStream::from(socket))
        .send(&TerminalMade, &[master.as_fd()])
        .map_err(StartError::create)?;
    Ok(terminal)
}

/// The master side of a terminal comes with this.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct TerminalMade;

impl crate::wire::Message for TerminalMade {
    fn descriptors(&self) -> usize {
        1
    }
}

/// Changes to the working directory, as the container's user, and makes sure that it is one in the container: a path
/// through `/proc/self/fd` could lead out (CVE-2024-21626).
fn enter_working_directory(path: &str) -> Result<(), StartError> {
    let path = if path.is_empty() { "/" } else { path };
    rustix::process::chdir(path).map_err(|errno| {
        StartError::start(format!("chdir to cwd ({path:?}) set in config.json failed: {}", errno_text(errno)))
    })?;
    let inside = rustix::process::getcwd(Vec::new()).is_ok_and(|real| real.to_bytes().starts_with(b"/"));
    if inside {
        Ok(())
    } else {
        Err(StartError::start("current working directory is outside of container mount namespace root"))
    }
}

/// Best effort: lowering the value needs a right (`CAP_SYS_RESOURCE`) that not every host gives.
fn set_oom_score(value: Option<i32>) {
    if let Some(value) = value {
        let _ = std::fs::write("/proc/self/oom_score_adj", value.to_string());
    }
}
