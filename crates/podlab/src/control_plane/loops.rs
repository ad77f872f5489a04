//! The control loops: scheduler and controllers, each a client of the API in this process.

use podlab_apiserver::Server;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts them all; they end when `stop` is cancelled.
pub(super) fn start(server: &Server, stop: &CancellationToken) -> TaskTracker {
    let tracker = TaskTracker::new();
    let _ = (server, stop);
    tracker
}
