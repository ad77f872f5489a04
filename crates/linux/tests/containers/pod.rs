//! What scenarios are written with: a Pod, played by hand.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use podlab_linux::capabilities;
use podlab_linux::cgroups::Limits;
use podlab_linux::container::{ContainerSpec, Privileges, Seccomp, StartError, User};
use podlab_linux::paths::{PodDirectory, inside};
use podlab_linux::protocol::{
    ContainerReport, Exec, ExitReport, InitReply, InitRequest, PodSpec, Reply, Request, SupervisedPod,
};
use podlab_linux::wire::Connection;

use crate::cluster::LAYER;

pub(crate) struct Pod {
    pub(crate) supervised: SupervisedPod,
}

impl Pod {
    pub(crate) fn create(uid: &str) -> Result<Self, String> {
        Self::create_with(pod_spec(uid))
    }

    pub(crate) fn create_with(spec: PodSpec) -> Result<Self, String> {
        let InitReply::Created(supervised) = init(&InitRequest::CreatePod(Box::new(spec)))? else {
            return Err("the Pod was not created".to_owned());
        };
        let pod = Self { supervised };
        match pod.ask(&Request::State)? {
            Reply::State(_) => Ok(pod),
            other => Err(format!("the Pod was not set up: {other:?}")),
        }
    }

    pub(crate) fn directory(&self) -> PodDirectory {
        PodDirectory::new(Path::new(inside::PODS), &self.supervised.uid)
    }

    pub(crate) fn connect(&self) -> Result<Connection, String> {
        Connection::open(&Path::new(inside::SUPERVISORS).join(&self.supervised.uid)).map_err(text)
    }

    pub(crate) fn ask(&self, request: &Request) -> Result<Reply, String> {
        Ok(self.connect()?.ask(request, &[]).map_err(text)?.0)
    }

    pub(crate) fn reports(&self) -> Result<Vec<ContainerReport>, String> {
        match self.ask(&Request::State)? {
            Reply::State(reports) => Ok(reports),
            other => Err(format!("{other:?}")),
        }
    }

    pub(crate) fn watch(&self) -> Result<Connection, String> {
        let mut connection = self.connect()?;
        connection.ask::<_, Reply>(&Request::Watch, &[]).map_err(text)?;
        Ok(connection)
    }

    pub(crate) fn start(&self, spec: ContainerSpec) -> Result<Result<(), StartError>, String> {
        match self.ask(&Request::Start(Box::new(spec)))? {
            Reply::Started => Ok(Ok(())),
            Reply::StartFailed(error) => Ok(Err(error)),
            other => Err(format!("{other:?}")),
        }
    }

    /// Starts a container and waits for its end.
    pub(crate) fn run(&self, name: &str, words: &[&str]) -> Result<ExitReport, String> {
        let mut watch = self.watch()?;
        self.start(container(name, words))?.map_err(text)?;
        ended(&mut watch, &format!("id-{name}"))
    }

    /// Runs our program in a container; its exit code and output.
    pub(crate) fn exec(&self, name: &str, words: &[&str]) -> Result<(i32, String), String> {
        self.exec_raw(name, &[&["/bin/program", "in-container"], words].concat())
    }

    pub(crate) fn exec_raw(&self, name: &str, command: &[&str]) -> Result<(i32, String), String> {
        let mut connection = self.connect()?;
        let (mut reader, writer) = std::io::pipe().map_err(text)?;
        let writer: OwnedFd = writer.into();
        let request = Request::Exec(Exec { stdout: true, ..exec(name, command) });
        let (reply, _) = connection.ask::<_, Reply>(&request, &[writer.as_fd()]).map_err(text)?;
        drop(writer);
        match reply {
            Reply::ExecStarted { .. } => {}
            Reply::StartFailed(error) => return Err(error.message),
            other => return Err(format!("{other:?}")),
        }
        let mut output = String::new();
        reader.read_to_string(&mut output).map_err(text)?;
        match connection.receive::<Reply>().map_err(text)? {
            Some((Reply::ExecEnded { code }, _)) => Ok((code, output)),
            other => Err(format!("{other:?}")),
        }
    }

    /// A container's log without its times.
    pub(crate) fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.directory().log(name, 0)).unwrap_or_default();
        text.split_inclusive('\n').filter_map(|line| line.split_once(' ')).map(|(_, rest)| rest).collect()
    }
}

pub(crate) fn init(request: &InitRequest) -> Result<InitReply, String> {
    // Its init may still be on its way.
    let mut connection = None;
    until(|| {
        connection = Connection::open(Path::new(inside::INIT_SOCKET)).ok();
        Ok(connection.is_some())
    })?;
    let mut connection = connection.ok_or("no init")?;
    Ok(connection.ask(request, &[]).map_err(text)?.0)
}

pub(crate) fn kill(uid: &str) -> Result<(), String> {
    equal(&init(&InitRequest::KillPod { uid: uid.to_owned() })?, &InitReply::Gone { uid: uid.to_owned() })
}

pub(crate) fn ended(watch: &mut Connection, id: &str) -> Result<ExitReport, String> {
    loop {
        let (reply, _) = watch.receive::<Reply>().map_err(text)?.ok_or("closed")?;
        if let Reply::Ended(report) = reply
            && report.id == id
        {
            return report.exit.ok_or_else(|| "ended without an end".to_owned());
        }
    }
}

pub(crate) fn pod_spec(uid: &str) -> PodSpec {
    PodSpec {
        uid: uid.to_owned(),
        namespace: "default".to_owned(),
        name: "pod-name".to_owned(),
        hostname: "pod-name".to_owned(),
        host_names: vec!["pod-name".to_owned()],
        host_network: false,
        share_processes: false,
        sysctls: BTreeMap::new(),
        cgroup: format!("kubepods/besteffort/pod{uid}"),
        limits: Limits { cpu_request_millis: Some(0), ..Limits::default() },
        hosts: Vec::new(),
        resolv_conf: "nameserver 10.96.0.10\n".to_owned(),
    }
}

pub(crate) fn container(name: &str, words: &[&str]) -> ContainerSpec {
    let arguments = ["/bin/program", "in-container"].iter().chain(words).map(|&word| word.to_owned());
    ContainerSpec {
        id: format!("id-{name}"),
        name: name.to_owned(),
        attempt: 0,
        image_id: "sha256:test".to_owned(),
        layers: vec![PathBuf::from(LAYER)],
        arguments: arguments.collect(),
        environment: vec![("GREETING".to_owned(), "hello".to_owned())],
        working_directory: "/".to_owned(),
        user: User::default(),
        mounts: Vec::new(),
        privileges: Privileges {
            capabilities: capabilities::DEFAULT.bits(),
            no_new_privileges: false,
            seccomp: Seccomp::Default,
            unmasked: false,
        },
        read_only_root: false,
        limits: Limits::default(),
        oom_score_adj: Some(1000),
        stdin: false,
        stdin_once: false,
        terminal: false,
        termination_message_path: "/dev/termination-log".to_owned(),
        last_words_from_log: false,
        target: None,
    }
}

pub(crate) fn exec(name: &str, command: &[&str]) -> Exec {
    Exec {
        container: format!("id-{name}"),
        command: command.iter().map(|&word| word.to_owned()).collect(),
        terminal: false,
        stdin: false,
        stdout: false,
        stderr: false,
        kill_on_close: false,
    }
}

/// Waits for something that has no event of its own.
pub(crate) fn until(mut condition: impl FnMut() -> Result<bool, String>) -> Result<(), String> {
    let deadline = std::time::Instant::now() + crate::cluster::PATIENCE;
    while !condition()? {
        if std::time::Instant::now() > deadline {
            return Err("it did not happen".to_owned());
        }
        std::thread::yield_now();
    }
    Ok(())
}

pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(is: &T, should: &T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("is:     {is:?}\nshould: {should:?}")) }
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
