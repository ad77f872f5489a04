//! One machine for a state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;

use crate::directory::StateDirectory;
use crate::record::MachineRecord;

/// Another machine has the directory.
#[derive(Debug, thiserror::Error)]
#[error(
    "Podlab already runs in {directory}{process}\n\
     use it:  export KUBECONFIG={kubeconfig}\n\
     see it:  podlab status      end it:  podlab stop\n\
     for a second cluster beside it, name another directory: podlab --dir DIR start"
)]
pub(super) struct AlreadyRuns {
    directory: String,
    process: String,
    kubeconfig: String,
}

/// Takes the directory's lock; the kernel gives it back when the process is gone, whatever way it went.
///
/// # Errors
///
/// When another process has it, or the file cannot be opened.
pub(super) fn take(directory: &StateDirectory) -> anyhow::Result<File> {
    let path = directory.lock_file();
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let record = MachineRecord::of_running(directory);
            Err(AlreadyRuns {
                directory: directory.path().display().to_string(),
                process: record.map(|record| format!(" (process {})", record.machine.pid)).unwrap_or_default(),
                kubeconfig: directory.kubeconfig().display().to_string(),
            }
            .into())
        }
        Err(TryLockError::Error(error)) => Err(anyhow::anyhow!("{}: {error}", path.display())),
    }
}

/// Whether a machine has the directory now.
pub(crate) fn is_locked(directory: &StateDirectory) -> bool {
    let Ok(file) = File::open(directory.lock_file()) else { return false };
    // The lock is given back at once: this handle is closed on return.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
