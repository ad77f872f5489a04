//! The machine: what `podlab start` becomes. It is the power supply of the cluster: small, dull, and when it is gone
//! everything is.
//!
//! It holds the lock of the state directory and the only write end of the [plug](plug::Plug), starts the control plane,
//! the fabric and the janitor, and starts each of them again when it dies. `SIGTERM`, `SIGINT` and `SIGHUP` mean an
//! orderly stop: the plug is pulled, the parts end by themselves, and the machine waits until all have.

pub(crate) mod detach;
mod lock;
mod part;
mod plug;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use podlab_linux::{cgroups, fabric, janitor, node};
use podlab_runtime::clock::Hand;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

pub(crate) use lock::is_locked;
pub(crate) use report::{Report, Summary};

use crate::control_plane::{self, ControlPlaneConfig, Message, Thresholds};
use crate::directory::StateDirectory;
use crate::record::{MachineRecord, Ports, ProcessId};
use part::{Event, Name, Part};
use plug::Plug;

/// The hidden role word: `podlab internal machine JSON`, with a [`MachineConfig`]; the background copy of `start --detach`.
pub(crate) const ROLE: &str = "machine";

/// How long the first node may take to become Ready. Only a defect, or a host that refuses something, uses it up.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// How many times a part may end before the node was ever Ready.
const EARLY_ENDS: u32 = 3;

/// What a machine is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MachineConfig {
    /// The state directory, absolute.
    pub(crate) directory: PathBuf,
    /// The folder of the labs and the book; `None` leaves the book out.
    pub(crate) workbook: Option<PathBuf>,
    /// The book's port, when it was named; then no other one will do.
    pub(crate) port: Option<u16>,
    /// Whether the cluster is to have a DNS.
    pub(crate) dns: bool,
    /// The class of claims that name none, where that is to change.
    pub(crate) default_storage_class: Option<String>,
    /// How full the disk may become before unused images go.
    pub(crate) image_garbage: Thresholds,
    pub(crate) nodes: Vec<node::NodeConfig>,
    /// How far in the past the clock of a new cluster starts.
    pub(crate) behind: Option<Duration>,
}

/// The background copy: reports go to standard output, which is a pipe to `start --detach`.
pub(crate) fn main(config: MachineConfig) -> ExitCode {
    // Out of the terminal's session: closing it must not reach us. It cannot fail for a process just forked.
    let _ = rustix::process::setsid();
    run(config, report::to_pipe)
}

/// Runs the machine to its end. `say` carries what a person should hear.
pub(crate) fn run(config: MachineConfig, say: impl FnMut(Report)) -> ExitCode {
    let mut say = say;
    match machine(config, &mut say) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(Report::Failed(format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn machine(config: MachineConfig, say: &mut dyn FnMut(Report)) -> anyhow::Result<()> {
    let mut directory = StateDirectory::at(config.directory.clone());
    directory.create()?;
    let _lock = lock::take(&directory)?;
    crate::logging::to_file(&directory.log("machine"))?;
    Hand::of(directory.path()).begin(config.behind)?;
    // For all parts together: what the fabric makes there the janitor has to be able to remove.
    if let Err(refusal) = cgroups::make_writable() {
        tracing::warn!(%refusal, "cgroups stay read-only");
    }
    MachineRecord::end_parts_of_the_last(&directory);
    for left in janitor::sweep(directory.path()) {
        say(Report::Notice(format!("left by a run that was killed, now gone: {left}")));
    }
    say(Report::Stage("setting up the built-in images (the first start of a build does)".to_owned()));
    // Here and not in the kubelet: a node's mounts keep it from linking the binary into the store, so it would copy it.
    let images = podlab_images::Store::open(&directory.images(), std::path::Path::new("/proc/self/exe"))?;
    if let Err(error) = images.sweep() {
        say(Report::Notice(format!("cannot tidy the image store: {error}")));
    }
    drop(images);
    // One thread: this process only waits.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Machine::new(config, directory)?.run(say))
}

/// The running machine.
struct Machine {
    directory: StateDirectory,
    config: MachineConfig,
    record: MachineRecord,
    started: Instant,
    /// Set once the node was Ready and `start` has said so.
    ready: bool,
    /// Parts that ended before that.
    early_ends: u32,
}

/// Why the loop goes on or ends.
enum Step {
    Continue,
    Stop,
}

impl Machine {
    fn new(config: MachineConfig, directory: StateDirectory) -> anyhow::Result<Self> {
        let pid = std::process::id().cast_signed();
        let machine = ProcessId::of(pid).ok_or_else(|| anyhow::anyhow!("/proc shows no process {pid}, which is me"))?;
        let record = MachineRecord {
            machine,
            control_plane: None,
            fabric: None,
            janitor: None,
            server: None,
            book: None,
            kubeconfig: directory.kubeconfig(),
            started_at: jiff::Timestamp::now().as_second(),
        };
        record.write(&directory)?;
        Ok(Self { directory, config, record, started: Instant::now(), ready: false, early_ends: 0 })
    }

    async fn run(mut self, say: &mut dyn FnMut(Report)) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let (plug, socket) = Plug::new()?;
        let (stop, stopping) = watch::channel(false);
        let (events, mut happened) = mpsc::channel(16);
        let parts: Vec<_> = self.parts()?.into_iter().map(|part| part.keep(&socket, &events, &stopping)).collect();
        drop((events, stopping));

        say(Report::Stage("starting the control plane and the node".to_owned()));
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        let mut result = Ok(());
        loop {
            let ready = self.ready;
            let step = tokio::select! {
                Some(event) = happened.recv() => self.handle(event, say),
                _ = interrupt.recv() => Ok(Step::Stop),
                _ = terminate.recv() => Ok(Step::Stop),
                _ = hang_up.recv() => Ok(Step::Stop),
                () = tokio::time::sleep_until(deadline), if !ready => Err(self.not_ready()),
            };
            match step {
                Ok(Step::Continue) => {}
                Ok(Step::Stop) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }

        say(Report::Stopping);
        say(Report::Stage("waiting for containers and the control plane to end".to_owned()));
        // Nothing may be started again from here on; then the power goes.
        let _ = stop.send(true);
        drop(plug);
        for part in parts {
            if let Err(error) = part.await? {
                say(Report::Notice(format!("{error:#}")));
            }
        }
        // `status` goes by the process in it, not by the file: a leftover would only be untidy.
        let _ = std::fs::remove_file(self.directory.machine_record());
        say(Report::Stopped);
        result
    }

    /// The janitor first: it must be there before anything that it may have to sweep.
    fn parts(&self) -> anyhow::Result<Vec<Part>> {
        let directory = self.directory.path().to_owned();
        let janitor = janitor::JanitorConfig { directory: directory.clone() };
        let control_plane = ControlPlaneConfig {
            directory: directory.clone(),
            workbook: self.config.workbook.clone(),
            port: self.config.port,
            dns: self.config.dns,
            default_storage_class: self.config.default_storage_class.clone(),
            image_garbage: self.config.image_garbage,
            nodes: self.config.nodes.iter().map(|node| node.name.clone()).collect(),
        };
        let user_namespace = fabric::UserNamespace::of_caller();
        let fabric = fabric::FabricConfig { directory, nodes: self.config.nodes.clone(), user_namespace, sealed: None };
        Ok(vec![
            Part::new(Name::Janitor, janitor::ROLE, &janitor, self.directory.log("janitor"))?,
            Part::new(Name::ControlPlane, control_plane::ROLE, &control_plane, self.directory.log("control-plane"))?,
            Part::new(Name::Fabric, fabric::ROLE, &fabric, self.directory.log("fabric"))?,
        ])
    }

    fn handle(&mut self, event: Event, say: &mut dyn FnMut(Report)) -> anyhow::Result<Step> {
        match event {
            Event::Started { part, process } => {
                match part {
                    Name::Janitor => self.record.janitor = Some(process),
                    Name::ControlPlane => self.record.control_plane = Some(process),
                    Name::Fabric => self.record.fabric = Some(process),
                }
                self.write_down(say);
            }
            Event::Ended { part, how } => {
                if part == Name::ControlPlane {
                    self.record.server = None;
                    self.write_down(say);
                }
                tracing::warn!(%part, %how, "a part ended");
                if !self.ready {
                    self.early_ends += 1;
                    if self.early_ends >= EARLY_ENDS {
                        return Err(self.could_not_start(part, &how));
                    }
                }
                say(Report::Notice(format!("the {part} {how}; started again")));
            }
            Event::Said(Message::Serving { server, api_port, book }) => {
                let ports = Ports { api: Some(api_port), book: book.as_ref().map(|book| book.port) };
                if let Err(error) = ports.remember(&self.directory) {
                    say(Report::Notice(error.to_string()));
                }
                self.record.server = Some(server);
                self.record.book = book.map(|book| book.address);
                self.write_down(say);
                if !self.ready {
                    say(Report::Stage("waiting for the node to be Ready".to_owned()));
                }
            }
            Event::Said(Message::Refused { why }) => {
                if !self.ready {
                    anyhow::bail!("{why}");
                }
                say(Report::Notice(why));
            }
            Event::Said(Message::Ready { node }) => {
                if !self.ready {
                    self.ready = true;
                    say(Report::Ready(self.summary(node)));
                }
            }
        }
        Ok(Step::Continue)
    }

    /// A full disk is no reason to end a cluster that runs: `status` knows less, and that is said.
    fn write_down(&self, say: &mut dyn FnMut(Report)) {
        if let Err(error) = self.record.write(&self.directory) {
            say(Report::Notice(error.to_string()));
        }
    }

    fn summary(&self, node: String) -> Summary {
        Summary {
            node,
            milliseconds: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            directory: self.directory.path().to_owned(),
            kubeconfig: self.directory.kubeconfig(),
            bin: self.directory.bin(),
            book: self.record.book.clone(),
        }
    }

    fn could_not_start(&self, part: Name, how: &str) -> anyhow::Error {
        let log = self.directory.log(part.file());
        anyhow::anyhow!(
            "the {part} {how}, {EARLY_ENDS} ends before the node was Ready. The end of {}:\n{}",
            log.display(),
            part::tail(&log)
        )
    }

    fn not_ready(&self) -> anyhow::Error {
        let logs = self.directory.log("fabric");
        let nodes: Vec<_> = self.config.nodes.iter().map(|node| format!("kubelet-{}", node.name)).collect();
        let kubelet = nodes.first().map(|name| self.directory.log(name)).unwrap_or_default();
        anyhow::anyhow!(
            "the node was not Ready within {} seconds. The ends of {} and {}:\n{}{}",
            READY_DEADLINE.as_secs(),
            logs.display(),
            kubelet.display(),
            part::tail(&logs),
            part::tail(&kubelet)
        )
    }
}
