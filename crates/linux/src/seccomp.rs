//! Seccomp: which system calls a container may make (seccomp(2)).
//!
//! A filter is a small program that the kernel runs before every system call. Ours is an allow list in the manner of
//! the container runtimes' default: what programs need, and with a capability the calls that the capability is for.
//! Anything else fails with `EPERM`, as if the caller had no right to it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libc::*;
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use crate::capabilities;
use crate::error::{During, Refusal};
use crate::syscalls::last_errno;

/// A compiled filter: two programs, each of which may refuse.
#[derive(Clone, Debug)]
pub struct Filter {
    allowed: BpfProgram,
    unknown: BpfProgram,
}

/// The filter of the default capabilities. Compiled once, before a node's init forks, and shared by all its children.
pub fn default_filter() -> Result<&'static Filter, Refusal> {
    static FILTER: OnceLock<Filter> = OnceLock::new();
    if let Some(filter) = FILTER.get() {
        return Ok(filter);
    }
    let filter = Filter::compile(capabilities::DEFAULT)?;
    Ok(FILTER.get_or_init(|| filter))
}

impl Filter {
    /// The filter of a container with these capabilities.
    pub fn compile(capabilities: CapabilitySet) -> Result<Self, Refusal> {
        let architecture = || TargetArch::try_from(std::env::consts::ARCH).ok();
        let compile = |rules, otherwise, matched| {
            let filter = SeccompFilter::new(rules, otherwise, matched, architecture()?).ok()?;
            BpfProgram::try_from(filter).ok()
        };
        let refused = SeccompAction::Errno(libc::EPERM as u32);
        let programs = compile(allowed(capabilities), refused, SeccompAction::Allow).zip(compile(
            unknown(capabilities),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS as u32),
        ));
        let (allowed, unknown) = programs.ok_or(Errno::INVAL).during("compile", "the system call filter")?;
        Ok(Self { allowed, unknown })
    }

    /// Puts this thread, and whatever it executes, under the filter. Needs `CAP_SYS_ADMIN` or `no_new_privs`.
    pub fn install(&self) -> Result<(), Refusal> {
        // Of two programs that refuse, the one installed last chooses the error.
        install(&self.allowed).and_then(|()| install(&self.unknown)).during("install", "the system call filter")
    }
}

fn install(program: &BpfProgram) -> Result<(), Errno> {
    let header = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        filter: program.as_ptr() as *mut libc::sock_filter,
    };
    // SAFETY: `seccompiler::sock_filter` is the kernel's structure, as libc's is; the program and its header live
    // across the call, which copies them and writes to neither.
    let result = unsafe { libc::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const header) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// An empty list of rules for a call means: whatever its arguments.
fn allowed(capabilities: CapabilitySet) -> Rules {
    let mut rules: Rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    rules.extend(ALLOWED_X86_64.iter().map(|call| (*call, Vec::new())));
    for (capability, calls) in WITH_CAPABILITY {
        if capabilities.contains(*capability) {
            rules.extend(calls.iter().map(|call| (*call, Vec::new())));
        }
    }
    if !capabilities.contains(CapabilitySet::SYS_ADMIN) {
        // Threads and processes, but no namespaces: CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET.
        const NAMESPACES: u64 = 0x7e02_0000;
        rules.insert(SYS_clone, argument(0, SeccompCmpOp::MaskedEq(NAMESPACES), 0));
    }
    // Not AF_VSOCK: it reaches the hypervisor, past every network namespace.
    rules.insert(SYS_socket, argument(0, SeccompCmpOp::Ne, AF_VSOCK as u64));
    let personalities = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
    rules.insert(SYS_personality, personalities.iter().flat_map(|p| argument(0, SeccompCmpOp::Eq, *p)).collect());
    rules
}

/// Calls that pretend not to exist: clone3 takes its flags in memory, where no filter can look. A C library that is
/// told `ENOSYS` uses clone instead; told `EPERM` it would give up.
fn unknown(capabilities: CapabilitySet) -> Rules {
    let mut rules = Rules::new();
    if !capabilities.contains(CapabilitySet::SYS_ADMIN) {
        rules.insert(SYS_clone3, Vec::new());
    } else {
        // A filter needs a rule; this one is for a number that no call has.
        rules.insert(i64::from(i32::MAX), Vec::new());
    }
    rules
}

fn argument(index: u8, comparison: SeccompCmpOp, value: u64) -> Vec<SeccompRule> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, comparison, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).into_iter().collect()
}

const WITH_CAPABILITY: &[(CapabilitySet, &[c_long])] = &[
    (CapabilitySet::DAC_READ_SEARCH, &[SYS_open_by_handle_at]),
    (
        CapabilitySet::SYS_ADMIN,
        &[
            SYS_bpf,
            SYS_clone,
            SYS_clone3,
            SYS_fanotify_init,
            SYS_fsconfig,
            SYS_fsmount,
            SYS_fsopen,
            SYS_fspick,
            SYS_mount,
            SYS_mount_setattr,
            SYS_move_mount,
            SYS_open_tree,
            SYS_perf_event_open,
            SYS_pivot_root,
            SYS_quotactl,
            SYS_quotactl_fd,
            SYS_setdomainname,
            SYS_sethostname,
            SYS_setns,
            SYS_syslog,
            SYS_umount2,
            SYS_unshare,
        ],
    ),
    (CapabilitySet::SYS_BOOT, &[SYS_reboot]),
    (CapabilitySet::SYS_CHROOT, &[SYS_chroot]),
    (CapabilitySet::SYS_MODULE, &[SYS_delete_module, SYS_init_module, SYS_finit_module]),
    (CapabilitySet::SYS_PACCT, &[SYS_acct]),
    (
        CapabilitySet::SYS_PTRACE,
        &[SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise, SYS_process_vm_readv, SYS_process_vm_writev],
    ),
    (CapabilitySet::SYS_TIME, &[SYS_settimeofday, SYS_clock_settime]),
    (CapabilitySet::SYS_TTY_CONFIG, &[SYS_vhangup]),
    (CapabilitySet::SYS_NICE, &[SYS_get_mempolicy, SYS_mbind, SYS_set_mempolicy]),
    (CapabilitySet::SYSLOG, &[SYS_syslog]),
    (CapabilitySet::BPF, &[SYS_bpf]),
    (CapabilitySet::PERFMON, &[SYS_perf_event_open]),
];

/// Calls of every architecture.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    SYS_accept, SYS_accept4, SYS_adjtimex, SYS_bind, SYS_brk, SYS_capget, SYS_capset, SYS_chdir, SYS_clock_adjtime,
    SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_close_range, SYS_connect,
    SYS_copy_file_range, SYS_dup, SYS_dup3, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2,
    SYS_eventfd2, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_faccessat, SYS_faccessat2, SYS_fadvise64,
    SYS_fallocate, SYS_fanotify_mark, SYS_fchdir, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat,
    SYS_fcntl, SYS_fdatasync, SYS_fgetxattr, SYS_flistxattr, SYS_flock, SYS_fremovexattr, SYS_fsetxattr, SYS_fstat,
    SYS_fstatfs, SYS_fsync, SYS_ftruncate, SYS_futex, SYS_futex_waitv, SYS_get_robust_list, SYS_getcpu, SYS_getcwd,
    SYS_getdents64, SYS_getegid, SYS_geteuid, SYS_getgid, SYS_getgroups, SYS_getitimer, SYS_getpeername, SYS_getpgid,
    SYS_getpid, SYS_getppid, SYS_getpriority, SYS_getrandom, SYS_getresgid, SYS_getresuid, SYS_getrlimit,
    SYS_getrusage, SYS_getsid, SYS_getsockname, SYS_getsockopt, SYS_gettid, SYS_gettimeofday, SYS_getuid,
    SYS_getxattr, SYS_inotify_add_watch, SYS_inotify_init1, SYS_inotify_rm_watch, SYS_io_cancel, SYS_io_destroy,
    SYS_io_getevents, SYS_io_setup, SYS_io_submit, SYS_ioctl, SYS_ioprio_get, SYS_ioprio_set, SYS_kill,
    SYS_landlock_add_rule, SYS_landlock_create_ruleset, SYS_landlock_restrict_self, SYS_lgetxattr, SYS_linkat,
    SYS_listen, SYS_listxattr, SYS_llistxattr, SYS_lremovexattr, SYS_lseek, SYS_lsetxattr, SYS_madvise,
    SYS_membarrier, SYS_memfd_create, SYS_memfd_secret, SYS_mincore, SYS_mkdirat, SYS_mknodat, SYS_mlock, SYS_mlock2,
    SYS_mlockall, SYS_mmap, SYS_mprotect, SYS_mq_getsetattr, SYS_mq_notify, SYS_mq_open, SYS_mq_timedreceive,
    SYS_mq_timedsend, SYS_mq_unlink, SYS_mremap, SYS_msgctl, SYS_msgget, SYS_msgrcv, SYS_msgsnd, SYS_msync,
    SYS_munlock, SYS_munlockall, SYS_munmap, SYS_name_to_handle_at, SYS_nanosleep, SYS_newfstatat, SYS_openat,
    SYS_openat2, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_pipe2, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect,
    SYS_ppoll, SYS_prctl, SYS_pread64, SYS_preadv, SYS_preadv2, SYS_prlimit64, SYS_process_mrelease, SYS_pselect6,
    SYS_ptrace, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_read, SYS_readahead, SYS_readlinkat, SYS_readv,
    SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_remap_file_pages, SYS_removexattr, SYS_renameat, SYS_renameat2,
    SYS_restart_syscall, SYS_rseq, SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigqueueinfo,
    SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_rt_tgsigqueueinfo, SYS_sched_get_priority_max,
    SYS_sched_get_priority_min, SYS_sched_getaffinity, SYS_sched_getattr, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_sched_rr_get_interval, SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam, SYS_sched_setscheduler,
    SYS_sched_yield, SYS_seccomp, SYS_semctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_sendfile, SYS_sendmmsg,
    SYS_sendmsg, SYS_sendto, SYS_set_robust_list, SYS_set_tid_address, SYS_setfsgid, SYS_setfsuid, SYS_setgid,
    SYS_setgroups, SYS_setitimer, SYS_setpgid, SYS_setpriority, SYS_setregid, SYS_setresgid, SYS_setresuid,
    SYS_setreuid, SYS_setrlimit, SYS_setsid, SYS_setsockopt, SYS_setuid, SYS_setxattr, SYS_shmat, SYS_shmctl,
    SYS_shmdt, SYS_shmget, SYS_shutdown, SYS_sigaltstack, SYS_signalfd4, SYS_socketpair, SYS_splice, SYS_statfs,
    SYS_statx, SYS_symlinkat, SYS_sync, SYS_sync_file_range, SYS_syncfs, SYS_sysinfo, SYS_tee, SYS_tgkill,
    SYS_timer_create, SYS_timer_delete, SYS_timer_getoverrun, SYS_timer_gettime, SYS_timer_settime,
    SYS_timerfd_create, SYS_timerfd_gettime, SYS_timerfd_settime, SYS_times, SYS_tkill, SYS_truncate, SYS_umask,
    SYS_uname, SYS_unlinkat, SYS_utimensat, SYS_vmsplice, SYS_wait4, SYS_waitid, SYS_write, SYS_writev,
];

/// Older calls, which newer architectures have only in a newer form.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_X86_64: &[c_long] = &[
    SYS_access, SYS_alarm, SYS_arch_prctl, SYS_chmod, SYS_chown, SYS_creat, SYS_dup2, SYS_epoll_create,
    SYS_epoll_ctl_old, SYS_epoll_wait, SYS_epoll_wait_old, SYS_eventfd, SYS_fork, SYS_futimesat, SYS_get_thread_area,
    SYS_getdents, SYS_getpgrp, SYS_inotify_init, SYS_lchown, SYS_link, SYS_lstat, SYS_mkdir, SYS_mknod,
    SYS_modify_ldt, SYS_open, SYS_pause, SYS_pipe, SYS_poll, SYS_readlink, SYS_rename, SYS_rmdir, SYS_select,
    SYS_set_thread_area, SYS_signalfd, SYS_stat, SYS_symlink, SYS_time, SYS_unlink, SYS_utime, SYS_utimes, SYS_vfork,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_capability_is_for_comes_with_it() {
        let calls = |set| allowed(set);
        assert!(!calls(CapabilitySet::empty()).contains_key(&SYS_mount));
        assert!(calls(CapabilitySet::SYS_ADMIN).contains_key(&SYS_mount));
        assert!(!calls(CapabilitySet::empty())[&SYS_clone].is_empty());
        assert!(calls(CapabilitySet::SYS_ADMIN)[&SYS_clone].is_empty());
        assert!(unknown(capabilities::DEFAULT).contains_key(&SYS_clone3));
    }

    #[test]
    fn programs_fit_into_what_the_kernel_takes() {
        let filter = Filter::compile(capabilities::every()).unwrap();
        assert!(filter.allowed.len() < 4096, "{} instructions", filter.allowed.len());
        default_filter().unwrap();
    }
}
