//! The containers of a Pod, with the part each one plays.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

/// What part a container plays in its Pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs before the others, to its end.
    Init,
    /// An init container with `restartPolicy: Always`: started in its turn, then kept running beside the others.
    Sidecar,
    /// One of `spec.containers`.
    Main,
    /// Put into the running Pod by `kubectl debug`; never restarted.
    Ephemeral,
}

/// A container of a Pod.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    pub spec: Cow<'a, Container>,
    pub role: Role,
}

impl Member<'_> {
    /// Where the container stands in its Pod, as the events about it say: `spec.containers{kuard}`.
    #[must_use]
    pub fn field_path(&self) -> String {
        let list = match self.role {
            Role::Init | Role::Sidecar => "initContainers",
            Role::Main => "containers",
            Role::Ephemeral => "ephemeralContainers",
        };
        format!("spec.{list}{{{}}}", self.spec.name)
    }
}

/// The init containers and sidecars, in the order in which they start.
pub fn init(pod: &Pod) -> impl DoubleEndedIterator<Item = Member<'_>> {
    pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten()).map(|container| Member {
        role: if container.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init },
        spec: Cow::Borrowed(container),
    })
}

/// The containers the Pod is about.
pub fn main(pod: &Pod) -> impl Iterator<Item = Member<'_>> {
    pod.spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| Member { role: Role::Main, spec: Cow::Borrowed(container) })
}

/// The containers that were put into the Pod while it ran.
pub fn ephemeral(pod: &Pod) -> impl Iterator<Item = Member<'_>> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.ephemeral_containers.iter().flatten())
        .map(|container| Member { role: Role::Ephemeral, spec: Cow::Owned(as_container(container)) })
}

/// All containers: init containers and sidecars, then the others, then the ephemeral ones.
pub fn all(pod: &Pod) -> impl Iterator<Item = Member<'_>> {
    init(pod).chain(main(pod)).chain(ephemeral(pod))
}

/// The container of a name.
#[must_use]
pub fn find<'a>(pod: &'a Pod, name: &str) -> Option<Member<'a>> {
    all(pod).find(|member| member.spec.name == name)
}

/// The container whose processes an ephemeral container is to see.
#[must_use]
pub fn target<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let mut all = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    let ephemeral = all.find(|container| container.name == name)?;
    ephemeral.target_container_name.as_deref().filter(|target| !target.is_empty())
}

/// An ephemeral container has the fields of any other, less what makes no sense for it (ports, probes, resources).
fn as_container(ephemeral: &EphemeralContainer) -> Container {
    Container {
        name: ephemeral.name.clone(),
        image: ephemeral.image.clone(),
        image_pull_policy: ephemeral.image_pull_policy.clone(),
        command: ephemeral.command.clone(),
        args: ephemeral.args.clone(),
        working_dir: ephemeral.working_dir.clone(),
        env: ephemeral.env.clone(),
        env_from: ephemeral.env_from.clone(),
        volume_mounts: ephemeral.volume_mounts.clone(),
        security_context: ephemeral.security_context.clone(),
        stdin: ephemeral.stdin,
        stdin_once: ephemeral.stdin_once,
        tty: ephemeral.tty,
        termination_message_path: ephemeral.termination_message_path.clone(),
        termination_message_policy: ephemeral.termination_message_policy.clone(),
        ..Container::default()
    }
}
