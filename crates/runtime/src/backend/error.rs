//! What a node could not do.

use super::PodUid;

/// What a node could not do. The messages are those that appear in events and statuses.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// There is no such Pod on this node.
    #[error("pod {0} is not on this node")]
    NoSuchPod(PodUid),
    /// There is no such container in the Pod.
    #[error("container {container} of pod {pod} is not running")]
    NoSuchContainer { pod: PodUid, container: String },
    /// The reference names nothing that the store or a registry has.
    #[error("{0}")]
    Image(#[source] ImageError),
    /// The container's process could not be started; `message` is the runtime's text for the status.
    #[error("{message}")]
    Start { reason: StartFailure, message: String },
    /// A volume could not be set up; the text goes into the `FailedMount` event.
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {message}")]
    Volume { volume: String, message: String },
    /// A port of a Pod could not be reached; the text is what `kubectl port-forward` prints.
    #[error("{0}")]
    Forward(String),
    /// The host does not let us do this.
    #[error("this host does not allow {what}: {why}")]
    Refused { what: String, why: String },
    /// Talking to the node's init or to the Pod's supervisor failed.
    #[error("{what} of pod {pod}: {source}")]
    Io {
        pod: PodUid,
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("couldn't parse image name \"{0}\": invalid reference format")]
    InvalidName(String),
    #[error("{0}")]
    Pull(String),
}

/// Which of the container status reasons a failed start gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// `StartError`: the process could not be executed.
    Start,
    /// `CreateContainerConfigError`: the configuration cannot be met (runAsNonRoot with a root image, say).
    Config,
    /// `CreateContainerError`: the container could not be made.
    Create,
    /// `RunContainerError`.
    Run,
}
