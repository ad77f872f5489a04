//! What happens in a simulated cluster, and what its parts say to each other.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, PodStatus, Taint};
use podlab_client::cache::Key;
use podlab_runtime::kubelet::decide::Action;

/// A part of the cluster that may fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Scheduler,
    Controllers,
    /// By the node's number.
    Kubelet(usize),
}

/// What a part asks of the API server.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Create {
        set: usize,
    },
    Bind {
        pod: Key,
        uid: String,
        node: String,
    },
    /// `grace`: as the Pod says, or so many seconds.
    Delete {
        pod: Key,
        uid: String,
        grace: Option<i64>,
    },
    Status {
        pod: Key,
        uid: String,
        status: Box<PodStatus>,
    },
    Renew {
        node: usize,
        time: Timestamp,
    },
    /// The kubelet tells how its node is.
    Report {
        node: usize,
        time: Timestamp,
    },
    /// The node controller's: both lists are replaced, if nobody else has changed the node.
    Judge {
        node: usize,
        revision: u64,
        conditions: Vec<NodeCondition>,
        taints: Vec<Taint>,
    },
}

/// Why the API server did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NotFound,
    Conflict,
    /// Nothing is known of what became of it.
    Unavailable,
}

/// What a write leaves: the object's new state, or that it is gone.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Pod { revision: u64, pod: Arc<Pod>, gone: bool },
    Node { revision: u64, node: Arc<Node>, index: usize },
    Lease { node: usize, time: Timestamp },
}

/// An answer to a request.
pub(crate) type Answer = Result<Option<Change>, Refused>;

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request reaches the API server. `life` is which of the part's lives asked.
    Arrive {
        from: Part,
        life: u64,
        request: Request,
    },
    /// The store writes what has come together, durably.
    Commit {
        life: u64,
    },
    Answer {
        to: Part,
        life: u64,
        request: Request,
        answer: Answer,
    },
    /// News by a watch; of an older `stream` nothing is heard any more.
    News {
        to: Part,
        stream: u64,
        change: Change,
    },
    /// A part lists everything and begins to watch.
    List {
        part: Part,
        stream: u64,
    },
    /// A part looks at what is due.
    Wake {
        part: Part,
        life: u64,
    },
    /// A Pod's loop on a node looks at what is due.
    Look {
        node: usize,
        life: u64,
        uid: String,
    },
    /// What a kubelet had done on its node is done. Of another `boot`, nothing of it is left.
    Done {
        node: usize,
        boot: u64,
        life: u64,
        pod: Arc<Pod>,
        action: Action,
        begun: Timestamp,
    },
    /// A container's program ends.
    Exit {
        node: usize,
        boot: u64,
        uid: String,
        container: String,
        code: i32,
        signal: Option<i32>,
    },
    Fault(Fault),
    /// What was crashed starts again.
    Start(Part),
    Boot {
        node: usize,
    },
    /// Somebody uses the cluster.
    Use(Use),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Crash(Part),
    /// API server, scheduler and controllers are one process.
    ControlPlane,
    /// A node's plug is pulled, and it boots again so much later.
    Node(usize, Duration),
    /// A part hears nothing and reaches nobody for so long.
    Cut(Part, Duration),
    /// A node's clock is set forward.
    Jump(usize, Duration),
    /// For so long the store refuses every third write.
    Store(Duration),
}

/// What somebody does with the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Scale {
        set: usize,
        replicas: i32,
    },
    /// Deletes one of a set's Pods.
    Delete {
        set: usize,
    },
}
