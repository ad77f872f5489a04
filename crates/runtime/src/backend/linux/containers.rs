//! Containers: from what the API says to what a supervisor needs.

use podlab_images::{ImageConfig, ImageRecord};
use podlab_linux::capabilities;
use podlab_linux::container::{ContainerSpec, Privileges, Seccomp, StartError, Step, User};
use podlab_linux::paths::PodDirectory;
use podlab_linux::protocol::{Reply, Request};
use podlab_linux::rootfs::BindMount;
use podlab_linux::supervisor::log::rotate;
use podlab_linux::supervisor::record::{self, PodRecord};

use super::conversation::failed;
use super::{Linux, on_disk, pods, volumes};
use crate::backend::{
    BackendError, ContainerConfig, ContainerId, Image, Mount, NamedImage, PodUid, Propagation, Security, StartFailure,
    container_id,
};

impl Linux {
    pub(super) async fn start(&self, uid: &PodUid, config: &ContainerConfig) -> Result<ContainerId, BackendError> {
        let id = container_id(uid, &config.name, config.attempt);
        let directory = self.directory(uid);
        let record = PodRecord::read(&directory).ok_or_else(|| BackendError::NoSuchPod(uid.clone()))?;
        let image = self.inner.store.resolve(&config.image_id).ok().flatten().ok_or_else(|| {
            refuse(
                StartFailure::Create,
                format!("failed to create containerd container: image {:?}: not found", config.image_id),
            )
        })?;
        let layers =
            self.inner.store.layers(&config.image_id).map_err(|error| {
                refuse(StartFailure::Create, format!("failed to create containerd container: {error}"))
            })?;
        let mounts = config.mounts.iter().map(|mount| bind(&directory, mount)).collect::<Result<_, _>>()?;
        let arguments = arguments(config, &image.config);
        if arguments.is_empty() {
            return Err(refuse(
                StartFailure::Create,
                "failed to generate container spec: no command specified".to_owned(),
            ));
        }
        let spec = ContainerSpec {
            id: id.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            image_id: config.image_id.clone(),
            layers,
            arguments,
            environment: environment(config, &image.config, &record.spec.hostname),
            working_directory: working_directory(config, &image.config),
            user: user(&config.security, &image.config),
            mounts,
            privileges: privileges(&config.security)?,
            read_only_root: config.security.read_only_root,
            limits: podlab_linux::cgroups::Limits { kill_all_on_memory: true, ..pods::limits(&config.resources) },
            oom_score_adj: config.resources.oom_score_adj,
            stdin: config.stdin,
            stdin_once: config.stdin_once,
            terminal: config.tty,
            termination_message_path: config.termination_message_path.clone(),
            last_words_from_log: config.termination_message_from_log,
            target: config.target.clone(),
        };
        match self.ask_supervisor(uid, &Request::Start(Box::new(spec))).await? {
            Reply::Started => Ok(id),
            Reply::StartFailed(error) => Err(refuse(StartFailure::Start, start_message(&error))),
            // The one whose processes it should see has ended meanwhile.
            Reply::NoSuchContainer => Err(refuse(StartFailure::Config, "unable to find target container".to_owned())),
            other => Err(failed(uid, "starting a container", other)),
        }
    }

    pub(super) async fn send_signal(&self, uid: &PodUid, id: &ContainerId, signal: i32) -> Result<(), BackendError> {
        let reply = self.ask_supervisor(uid, &Request::Signal { container: id.clone(), signal }).await;
        match reply {
            // Gone with its Pod, or never started here: nobody is left to be signalled.
            Ok(Reply::Done | Reply::NoSuchContainer) | Err(BackendError::NoSuchPod(_)) => Ok(()),
            Ok(other) => Err(failed(uid, "signalling a container", other)),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn forget_container(&self, uid: &PodUid, id: &ContainerId) -> Result<(), BackendError> {
        match self.ask_supervisor(uid, &Request::Remove { container: id.clone() }).await {
            Ok(Reply::Done) | Err(BackendError::NoSuchPod(_)) => {}
            Ok(other) => return Err(failed(uid, "removing a container", other)),
            Err(error) => return Err(error),
        }
        let (directory, id) = (self.directory(uid), id.clone());
        on_disk(move || remove(&directory, &id)).await.map_err(|source| BackendError::Io {
            pod: uid.clone(),
            what: "removing a container",
            source,
        })
    }
}

/// Removes a container's root file system and its logs; its record, by which they are found, last.
fn remove(directory: &PodDirectory, id: &ContainerId) -> std::io::Result<()> {
    let gone = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let known = record::containers(directory).into_iter().find(|known| known.id == *id);
    if let Some(known) = known {
        let log = directory.log(&known.name, known.attempt);
        (0..rotate::MAX_FILES).try_for_each(|age| gone(std::fs::remove_file(rotate::older(&log, age))))?;
    }
    gone(std::fs::remove_dir_all(directory.container(id)))
}

fn refuse(reason: StartFailure, message: String) -> BackendError {
    BackendError::Start { reason, message }
}

/// The text that a status shows: that of a node with containerd and runc, which is what readers will meet.
fn start_message(error: &StartError) -> String {
    let during = match error.step {
        Step::Create => "error during container init: ",
        Step::Start => "",
    };
    format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: {during}{}: unknown",
        error.message
    )
}

pub(super) fn describe_image(record: &ImageRecord) -> Image {
    Image {
        id: record.id.clone(),
        repo_digest: record.repo_digest.clone(),
        size: record.size,
        user: record.config.user.clone(),
        stop_signal: signal_number(&record.config.stop_signal),
        built_in: record.built_in.is_some(),
    }
}

/// The digest comes first, as a kubelet has it.
pub(super) fn name_image(record: ImageRecord) -> NamedImage {
    let ImageRecord { repo_digest, repo_tags, size, .. } = record;
    NamedImage { names: std::iter::once(repo_digest).chain(repo_tags).collect(), size }
}

/// The number of a signal written as `SIGQUIT`, `QUIT` or `3`.
fn signal_number(text: &str) -> Option<i32> {
    let names =
        [("HUP", 1), ("INT", 2), ("QUIT", 3), ("KILL", 9), ("USR1", 10), ("USR2", 12), ("TERM", 15), ("WINCH", 28)];
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let known = names.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known.or_else(|| name.parse().ok().filter(|number| (1..=64).contains(number)))
}

fn user(security: &Security, image: &ImageConfig) -> User {
    let mut supplementary = security.supplemental_groups.clone();
    supplementary.extend(security.fs_group);
    User { image: image.user.clone(), user: security.user, group: security.group, supplementary }
}

fn privileges(security: &Security) -> Result<Privileges, BackendError> {
    let unknown = |name: &str| {
        refuse(StartFailure::Create, format!("failed to generate container spec: unknown capability \"CAP_{name}\""))
    };
    let capabilities = if security.privileged {
        capabilities::every()
    } else {
        capabilities::compute(&security.capabilities_add, &security.capabilities_drop).map_err(unknown)?
    };
    let seccomp = match &security.seccomp {
        _ if security.privileged => Seccomp::Unconfined,
        crate::backend::Seccomp::RuntimeDefault => Seccomp::Default,
        crate::backend::Seccomp::Unconfined => Seccomp::Unconfined,
        // Fail closed: a profile that cannot be applied must not mean none (CVE-2023-2431).
        crate::backend::Seccomp::Localhost(profile) => {
            let path = format!("/var/lib/kubelet/seccomp/{profile}");
            let why = match std::fs::metadata(&path) {
                Err(error) => format!("open {path}: {}", podlab_linux::errno_text(errno(&error))),
                Ok(_) => "this node knows the profiles RuntimeDefault and Unconfined only".to_owned(),
            };
            let message = format!("failed to generate seccomp spec opts: cannot load seccomp profile {path:?}: {why}");
            return Err(refuse(StartFailure::Create, message));
        }
    };
    Ok(Privileges {
        capabilities: capabilities.bits(),
        no_new_privileges: !security.allow_privilege_escalation && !security.privileged,
        seccomp,
        unmasked: security.unmasked_proc || security.privileged,
    })
}

fn errno(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}

/// A `command` replaces the image's entrypoint and its arguments; `args` alone replace the arguments.
fn arguments(config: &ContainerConfig, image: &ImageConfig) -> Vec<String> {
    let (entrypoint, image_arguments) = match config.command.is_empty() {
        true => (&image.entrypoint, &image.cmd),
        false => (&config.command, &Vec::new()),
    };
    let arguments = if config.args.is_empty() { image_arguments } else { &config.args };
    entrypoint.iter().chain(arguments).cloned().collect()
}

fn environment(config: &ContainerConfig, image: &ImageConfig, hostname: &str) -> Vec<(String, String)> {
    let of_image = image.env.iter().filter_map(|line| line.split_once('='));
    let of_image = of_image.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let hostname = ("HOSTNAME".to_owned(), hostname.to_owned());
    std::iter::once(hostname).chain(of_image).chain(config.env.iter().cloned()).collect()
}

fn working_directory(config: &ContainerConfig, image: &ImageConfig) -> String {
    let given = [&config.working_dir, &image.working_dir].into_iter().find(|directory| !directory.is_empty());
    given.map_or("/", String::as_str).to_owned()
}

fn bind(directory: &PodDirectory, mount: &Mount) -> Result<BindMount, BackendError> {
    let propagation = match mount.propagation {
        Propagation::None => podlab_linux::rootfs::Propagation::Private,
        Propagation::HostToContainer => podlab_linux::rootfs::Propagation::FromNode,
        Propagation::Bidirectional => podlab_linux::rootfs::Propagation::Both,
    };
    let volume = volumes::find(directory, &mount.volume)
        .ok_or_else(|| refuse(StartFailure::Create, format!("volume {:?} has not been set up", mount.volume)))?;
    Ok(BindMount {
        source: volume.path,
        sub_path: mount.sub_path.clone(),
        target: mount.path.clone(),
        read_only: mount.read_only || volume.read_only,
        recursive: true,
        propagation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn config(command: &str, args: &str) -> ContainerConfig {
        ContainerConfig {
            name: "main".to_owned(),
            attempt: 0,
            image_id: String::new(),
            command: words(command),
            args: words(args),
            working_dir: String::new(),
            env: vec![("A".to_owned(), "pod".to_owned())],
            mounts: Vec::new(),
            security: Security::default(),
            resources: crate::backend::Resources::default(),
            stdin: false,
            stdin_once: false,
            tty: false,
            termination_message_path: String::new(),
            termination_message_from_log: false,
            target: None,
        }
    }

    #[test]
    fn command_and_args_against_entrypoint_and_cmd() {
        let image = ImageConfig { entrypoint: words("entry e"), cmd: words("cmd"), ..ImageConfig::default() };
        for (command, args, expected) in
            [("", "", "entry e cmd"), ("", "arg", "entry e arg"), ("own", "", "own"), ("own", "arg", "own arg")]
        {
            assert_eq!(arguments(&config(command, args), &image), words(expected), "{command:?} {args:?}");
        }
    }

    #[test]
    fn signals_by_name_and_number() {
        assert_eq!(
            ["SIGQUIT", "QUIT", "3", "", "SIGNO", "0", "65"].map(signal_number),
            [Some(3), Some(3), Some(3), None, None, None, None]
        );
    }

    #[test]
    fn a_profile_that_cannot_be_applied_prevents_the_start() {
        for profile in ["no-such-profile.json", "../../../../etc/passwd"] {
            let seccomp = crate::backend::Seccomp::Localhost(profile.to_owned());
            let refused = privileges(&Security { seccomp, ..Security::default() }).unwrap_err().to_string();
            let start = format!(
                "failed to generate seccomp spec opts: cannot load seccomp profile \"/var/lib/kubelet/seccomp/{profile}\": "
            );
            assert!(refused.starts_with(&start), "{refused}");
        }
    }

    #[test]
    fn the_text_of_a_failed_start() {
        let error = StartError { step: Step::Start, message: "exec: \"x\": why".to_owned() };
        assert!(
            start_message(&error)
                .ends_with("runc create failed: unable to start container process: exec: \"x\": why: unknown")
        );
    }
}
