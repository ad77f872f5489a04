//! Volumes of a file server: mounted and taken off by a process that may hang for as long as the server does.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use podlab_linux::nfs::{self, MounterConfig};
use podlab_linux::paths::PodDirectory;
use tokio::process::Command;
use tokio::time::timeout;

/// How long mounting may take, and how long the kubelet waits for a mount to be gone. A kubelet's own limit for the first
/// is two minutes; by the second the mount is out of everybody's sight, even when the kernel still has work with it.
const MOUNTING: Duration = Duration::from_secs(60);
const UNMOUNTING: Duration = Duration::from_secs(5);

/// Where a volume of a server is mounted: not among the Pod's own, so that nobody who measures or empties those comes here. A
/// kubelet calls it the same.
pub(super) fn place(directory: &PodDirectory, name: &str) -> PathBuf {
    directory.volumes().join("kubernetes.io~nfs").join(name)
}

/// Mounts a directory of a server on a volume's place, unless it is mounted there. The error is that of a kubelet.
pub(super) async fn mount(target: &Path, server: &str, path: &str, read_only: bool) -> Result<(), String> {
    if mounts()?.iter().any(|mount| mount == target) {
        return Ok(());
    }
    tokio::fs::create_dir_all(target).await.map_err(|error| error.to_string())?;
    let (server, path) = (server.to_owned(), path.to_owned());
    let arguments = format!("-t nfs {server}:{path} {}", target.display());
    let output = run(&MounterConfig::Mount { server, path, target: target.to_owned(), read_only }, MOUNTING).await;
    output.map_err(|(status, output)| {
        format!("mount failed: {status}\nMounting command: mount\nMounting arguments: {arguments}\nOutput: {output}\n")
    })
}

/// Takes off what file servers have below a Pod's directory.
pub(super) async fn unmount_below(directory: &PodDirectory) -> std::io::Result<()> {
    for target in mounts().map_err(std::io::Error::other)? {
        if target.starts_with(directory.path()) {
            // Whether it is gone shows when the directory is removed.
            if let Err((status, output)) = run(&MounterConfig::Unmount { target }, UNMOUNTING).await {
                tracing::warn!("{status}: {output}");
            }
        }
    }
    Ok(())
}

/// The places where this node has mounted something of a file server. Read from the kernel's list: a look at the place
/// itself would ask the server.
fn mounts() -> Result<Vec<PathBuf>, String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    Ok(of_servers(&text))
}

/// Those in the text of `/proc/self/mountinfo`. The names below a Pod's directory have no characters that it escapes.
fn of_servers(mountinfo: &str) -> Vec<PathBuf> {
    let of_server = |line: &&str| {
        line.split_once(" - ").is_some_and(|(_, kind)| ["nfs", nfs::BRIDGED].iter().any(|nfs| kind.starts_with(nfs)))
    };
    let targets = mountinfo.lines().filter(of_server).filter_map(|line| line.split(' ').nth(4));
    targets.map(PathBuf::from).collect()
}

/// Runs the role, or says how it ended and what it wrote.
async fn run(config: &MounterConfig, limit: Duration) -> Result<(), (String, String)> {
    let failed = |error: &dyn std::fmt::Display| ("fork/exec failed".to_owned(), error.to_string());
    let config = serde_json::to_string(config).map_err(|error| failed(&error))?;
    let child = Command::new("/proc/self/exe")
        .args(["internal", nfs::ROLE, &config])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    match timeout(limit, child.wait_with_output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let status =
                output.status.code().map_or_else(|| output.status.to_string(), |code| format!("exit status {code}"));
            Err((status, String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
        }
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(("signal: killed".to_owned(), "mount.nfs: Connection timed out".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_from_servers_is_told_from_the_rest() {
        let text = "\
36 35 98:0 / /pods/u/volumes/data rw,nosuid,nodev shared:1 - nfs my.nfs.server.local:/exports rw,vers=3
37 35 98:1 / /pods/u/volumes/other rw - tmpfs tmpfs rw
38 35 98:2 / /pods/u/volumes/bridged rw - fuse.nfs server:/ rw
39 35 98:2 / /pods/u/volumes/overlay rw - fuse.overlayfs overlay rw
";
        assert_eq!(of_servers(text), [Path::new("/pods/u/volumes/data"), Path::new("/pods/u/volumes/bridged")]);
    }
}
