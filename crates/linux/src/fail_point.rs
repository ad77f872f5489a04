//! Places between two effects of a Pod's life where a test can have the process end as if it were killed.
//!
//! A test arms a point by making a file of its name in the node's directory, `nodes/NODE/fail-points/NAME`; who comes to
//! the point first takes the file away and ends. Where the file is a named pipe, who comes to the point is held there until
//! somebody has opened the pipe for writing and closed it again. Only debug builds look.

/// All of them, in the order of a Pod's life: who ends, and what it has just done.
pub const ALL: [&str; 26] = [
    "kubelet-volume-set-up",
    "init-socket-bound",
    "init-supervisor-started",
    "supervisor-directories-made",
    "supervisor-cgroup-made",
    "supervisor-namespaces-made",
    "supervisor-network-made",
    "supervisor-recorded",
    "kubelet-pod-created",
    "kubelet-image-found",
    "supervisor-container-prepared",
    "supervisor-container-forked",
    "supervisor-container-running",
    "supervisor-container-recorded",
    "kubelet-container-started",
    "kubelet-post-start-done",
    "kubelet-probed",
    "kubelet-status-written",
    "kubelet-pre-stop-done",
    "kubelet-container-asked",
    "supervisor-container-drained",
    "supervisor-end-recorded",
    "init-supervisor-ended",
    "kubelet-pod-stopped",
    "kubelet-pod-removed",
    "kubelet-object-deleted",
];

/// Ends or holds this process here if a test has armed the point.
#[cfg(debug_assertions)]
pub fn reached(name: &'static str) {
    debug_assert!(ALL.contains(&name), "{name} is not in the table");
    let file = std::path::Path::new(crate::paths::inside::NODE).join("fail-points").join(name);
    let is_pipe = |file: std::fs::Metadata| std::os::unix::fs::FileTypeExt::is_fifo(&file.file_type());
    if std::fs::symlink_metadata(&file).is_ok_and(is_pipe) {
        // Whatever is wrong with the pipe, nobody is to be ended by it.
        let _ = std::fs::read(file);
        return;
    }
    if std::fs::remove_file(file).is_ok() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The first process of a pid namespace cannot kill itself with a signal.
        crate::syscalls::exit_now(137)
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub fn reached(_: &'static str) {}
