//! How many descriptors a process may have: the usual 1,024 are fewer than what serves a large node needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many descriptors as the system allows it, and returns what it was allowed before.
///
/// Where that is refused, it stays at what it has.
pub fn allow_many() -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    before
}

/// Sets the limit of this process and its children: what a container may have is not what its node needs.
pub(crate) fn allow(limit: Rlimit) {
    let _ = setrlimit(Resource::Nofile, limit);
}
