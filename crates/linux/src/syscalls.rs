//! System calls that neither `rustix` nor `std` wraps. All the `unsafe` of process creation is here.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::Pid;

/// `struct clone_args` of clone3(2), as far as it is used here (the first 88 bytes, since Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The two returns of [`clone3`].
pub(crate) enum Clone {
    Parent { pid: Pid, pidfd: OwnedFd },
    Child,
}

/// clone3(2) without a stack, which makes it a fork into the namespaces of `flags`.
///
/// # Safety
/// The calling process must have exactly one thread: in the child only that thread exists, and a lock another one
/// held (the allocator's, say) would stay locked for ever.
pub(crate) unsafe fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Clone, Errno> {
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArguments {
        flags: flags | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the structure is of the size told, and lives across the call; without CLONE_VM the child gets a copy of
    // all memory, so that no reference is shared; the caller promises that there is one thread.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>()) };
    match result {
        0 => Ok(Clone::Child),
        pid if pid > 0 => {
            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = Pid::from_raw(pid as i32).ok_or(Errno::INVAL)?;
            Ok(Clone::Parent { pid, pidfd })
        }
        _ => Err(last_errno()),
    }
}

/// Marks every descriptor from `first` on close-on-exec: close_range(2) with `CLOSE_RANGE_CLOEXEC`.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: takes three numbers; setting a flag invalidates no descriptor that someone owns.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Closes every descriptor but those of `keep`.
///
/// # Safety
/// Whoever owns one of the others must never use or drop it again: for the child of a fork that holds copies of its
/// parent's objects, leaves them alone, and ends with [`exit_now`].
pub(crate) unsafe fn close_all_except(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|descriptor| u32::try_from(*descriptor).ok()).collect();
    keep.sort_unstable();
    let mut first = 0;
    for descriptor in keep.into_iter().chain([u32::MAX]) {
        if first < descriptor {
            // SAFETY: takes three numbers; who owned these descriptors is the caller's promise.
            unsafe { libc::syscall(libc::SYS_close_range, first, descriptor - 1, 0) };
        }
        first = descriptor.saturating_add(1);
    }
}

/// Opens `/dev/null` as each of the descriptors 0, 1 and 2 that is free, so that nothing else will be opened as one.
pub(crate) fn reserve_stdio() {
    use rustix::fs::{Mode, OFlags, open};
    while let Ok(descriptor) = open("/dev/null", OFlags::RDWR, Mode::empty()) {
        if descriptor.as_raw_fd() > 2 {
            return;
        }
        // It stays open for as long as the process lives.
        let _ = std::os::fd::IntoRawFd::into_raw_fd(descriptor);
    }
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// mount_setattr(2) on the mount that a descriptor stands for.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> Result<(), Errno> {
    let attributes = MountAttributes { set, clear, propagation, userns: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, the structure is of the size told, and both live across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// A descriptor that becomes readable when one of `signals` arrives: signalfd(2). The signals are blocked, so that
/// they come no other way.
pub(crate) fn signal_descriptor(signals: &[i32]) -> Result<OwnedFd, Errno> {
    let set = signal_set(signals);
    // SAFETY: `set` is a full signal set and lives across the call; no old set is asked for.
    if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } != 0 {
        return Err(last_errno());
    }
    // SAFETY: as above; -1 asks for a new descriptor.
    let descriptor = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Gives every signal its default action and unblocks all: exec(2) resets handlers, but keeps ignored signals ignored
/// (Rust's runtime ignores `SIGPIPE`) and blocked ones blocked.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is no function that could run; refusals (SIGKILL, the C library's own) change nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let set = signal_set(&[]);
    // SAFETY: `set` is a full signal set and lives across the call.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset writes the whole set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has just written it.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: `set` is initialised; an impossible number is refused without effect.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

/// unshare(2): moves this process into new namespaces.
pub(crate) fn unshare(flags: rustix::thread::UnshareFlags) -> Result<(), Errno> {
    debug_assert!(!flags.contains(rustix::thread::UnshareFlags::FILES));
    // SAFETY: only sharing the descriptor table differently would be unsafe (rustix's own documentation), and none of
    // our callers asks for that.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Replaces the program by `program`, with exactly these arguments and variables. Returns only when refused.
pub(crate) fn execute(
    program: &std::ffi::CStr,
    arguments: &[std::ffi::CString],
    variables: &[std::ffi::CString],
) -> Errno {
    let pointers = |strings: &[std::ffi::CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, variables) = (pointers(arguments), pointers(variables));
    // SAFETY: both arrays end with a null pointer, and what they point to lives across the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    last_errno()
}

/// Ends the process at once: no destructor, no buffered output. What a forked child has to do.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit runs nothing of ours.
    unsafe { libc::_exit(code) }
}

pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
