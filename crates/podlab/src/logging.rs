//! Logs of the parts: lines on standard error, which is a file under `DIR/log` or the terminal of `start`.
//!
//! A line that cannot be written (the disk is full) is lost. To say so on standard error, as the library would, is to
//! panic, for that is the same disk.

/// Writes events of this program's crates at level info and above; `$PODLAB_LOG` names another level.
pub(crate) fn to_standard_error() {
    // A second call (there is none) would leave the first one in place.
    let format = tracing_subscriber::fmt().with_max_level(level()).with_ansi(false).with_writer(std::io::stderr);
    let _ = format.log_internal_errors(false).try_init();
}

/// The same, to the end of a file that only its owner reads.
///
/// # Errors
///
/// When the file cannot be opened.
pub(crate) fn to_file(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let writer = std::sync::Mutex::new(file);
    let format = tracing_subscriber::fmt().with_max_level(level()).with_ansi(false).with_writer(writer);
    let _ = format.log_internal_errors(false).try_init();
    Ok(())
}

fn level() -> tracing::Level {
    std::env::var("PODLAB_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO)
}
