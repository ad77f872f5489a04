//! The control loops: scheduler and controllers, each a client of the API in this process.

use std::sync::Arc;

use podlab_apiserver::{Identity, Server};
use podlab_client::Client;
use podlab_controllers::Config;
use podlab_runtime::clock::Clock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts them all; they end when `stop` is cancelled.
pub(super) fn start<C: Clock>(
    server: &Server,
    ca_certificate: String,
    clock: Arc<C>,
    stop: &CancellationToken,
) -> TaskTracker {
    let config = Config {
        scheduler: Client::from_service(server.service(Identity::scheduler())).user_agent("kube-scheduler"),
        controllers: Client::from_service(server.service(Identity::controller_manager()))
            .user_agent("kube-controller-manager"),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        ca_certificate,
    };
    let tracker = TaskTracker::new();
    tracker.spawn(stop.clone().run_until_cancelled_owned(podlab_controllers::run(config, clock)));
    tracker
}
