//! Executes the steps of a lab on a cluster.

mod process;
mod shell;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use podlab_client::Client;
pub use process::{Live, Stream};
use process::{ProcessError, Running};
pub use shell::Shell;
use tokio::time::Instant;

use crate::Cluster;
use crate::api::{Kind, ObjectName, WaitError};
use crate::format::{Lab, Step};
use crate::needs::{self, Missing};
use crate::transcript::Transcript;

/// How long a node may take to end what is on it.
const REMOVAL: Duration = Duration::from_secs(60);

/// A lab on its way: what runs in the background, and the folder its commands work in.
pub struct Runner {
    lab: Arc<Lab>,
    client: Client,
    cluster: Cluster,
    shell: Shell,
    background: Vec<(String, Running)>,
}

/// A step that could not be executed, or ended other than it says.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The files of the lab cannot be laid out.
    #[error("cannot lay out the files of lab {lab}: {source}")]
    Files { lab: String, source: std::io::Error },
    /// The cluster cannot be asked.
    #[error("the cluster does not answer: {0}\nis it running? podlab status, podlab start")]
    Api(#[from] podlab_client::Error),
    /// The host or the cluster has not what the lab needs.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// Something of an earlier run is in the way.
    #[error(
        "{object} is there already, from a run that did not end or from something of yours\n\
         if it may go: kubectl delete {object} --namespace {namespace}"
    )]
    InTheWay { object: ObjectName, namespace: String },
    /// A command failed to run at all, or did not end.
    #[error("$ {command}\n{source}")]
    Process { command: String, source: ProcessError },
    /// A wait did not end well.
    #[error(transparent)]
    Wait(WaitError),
    /// A command ended with another status than the step says.
    #[error("$ {}\nended with status {}, and the lab says {expected}:\n{}",
        transcript.command, transcript.exit.unwrap_or(0), transcript.output().trim_end())]
    Exit { transcript: Box<Transcript>, expected: i32 },
    /// A command did not print what the step says.
    #[error("$ {}\ndid not print {missing:?}, but:\n{}", transcript.command, transcript.output().trim_end())]
    Expect { transcript: Box<Transcript>, missing: String },
}

impl Runner {
    /// Lays out the files in `folder` for the commands of `lab`.
    ///
    /// # Errors
    ///
    /// When a file cannot be copied, or the kubeconfig cannot be used.
    pub fn new(lab: Arc<Lab>, folder: &Path, cluster: &Cluster) -> Result<Runner, RunError> {
        let client = Client::from_kubeconfig(&cluster.kubeconfig)?;
        let shell = Shell::new(cluster, folder).map_err(|source| RunError::Files { lab: lab.name.clone(), source })?;
        Ok(Runner { lab, client, cluster: cluster.clone(), shell, background: Vec::new() })
    }

    /// Whether the lab can begin: what it needs is there, and nothing it creates is yet. What was told of it on an
    /// earlier run is forgotten, so that the lab shows its own events only.
    ///
    /// # Errors
    ///
    /// [`RunError::Missing`], [`RunError::InTheWay`], or the cluster does not answer.
    pub async fn clear(&self) -> Result<(), RunError> {
        if let Some(missing) = needs::missing(&self.lab.needs, &self.cluster, &self.client).await? {
            return Err(missing.into());
        }
        for object in &self.lab.creates {
            if object.get(&self.client, &self.lab.namespace).await?.is_some() {
                return Err(RunError::InTheWay { object: object.clone(), namespace: self.lab.namespace.clone() });
            }
        }
        for object in &self.lab.creates {
            // On a cluster that is not ours it may not be allowed. Then the earlier events are shown too.
            let _ = object.delete_events(&self.client, &self.lab.namespace).await;
        }
        Ok(())
    }

    /// Executes the step at `position` of the lab's steps. The result is a transcript when the step makes one; what a command prints goes to `live` at
    /// once.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub async fn step(&mut self, position: usize, live: &mut Live<'_>) -> Result<Option<Recorded>, RunError> {
        let lab = Arc::clone(&self.lab);
        let Some(step) = lab.steps.get(position) else { return Ok(None) };
        match step {
            Step::Note(_) => Ok(None),
            Step::Run(command) => {
                let failed = |source| RunError::Process { command: command.command.clone(), source };
                let mut running = self.shell.start(&command.command).map_err(failed)?;
                let transcript = running.finish(Instant::now() + command.within, live).await.map_err(failed)?;
                if transcript.exit != Some(command.exit) {
                    return Err(RunError::Exit { transcript: Box::new(transcript), expected: command.exit });
                }
                let output = transcript.output();
                if let Some(missing) = command.expect.iter().find(|text| !output.contains(*text)) {
                    return Err(RunError::Expect { transcript: Box::new(transcript), missing: missing.clone() });
                }
                Ok(Some(Recorded { name: command.name.clone(), transcript }))
            }
            Step::Wait(wait) => {
                wait.object
                    .wait(&self.client, &self.lab.namespace, &wait.until, wait.within)
                    .await
                    .map_err(RunError::Wait)?;
                Ok(None)
            }
            Step::Start(background) => {
                let failed = |source| RunError::Process { command: background.command.clone(), source };
                let mut running = self.shell.start(&background.command).map_err(failed)?;
                if let Some(text) = &background.shows {
                    running.shows(text, Instant::now() + background.within, live).await.map_err(failed)?;
                }
                self.background.push((background.name.clone(), running));
                Ok(None)
            }
            Step::Stop(stop) => {
                let Some(position) = self.background.iter().position(|(name, _)| *name == stop.name) else {
                    return Ok(None); // stopped already: the format allows one `stop` to be reached twice only by hand
                };
                let (name, mut running) = self.background.remove(position);
                let failed = |source| RunError::Process { command: stop.name.clone(), source };
                if let Some(text) = &stop.after {
                    running.shows(text, Instant::now() + stop.within, live).await.map_err(failed)?;
                }
                let transcript = running.interrupt(live).await.map_err(failed)?;
                Ok(Some(Recorded { name, transcript }))
            }
        }
    }

    /// Ends what still runs and deletes what the lab creates: after a run that was cut short, or failed.
    ///
    /// # Errors
    ///
    /// When the cluster does not answer, or an object does not go.
    pub async fn clean(&mut self) -> Result<(), RunError> {
        self.background.clear();
        let (nodes, objects): (Vec<_>, Vec<_>) = self.lab.creates.iter().partition(|object| object.kind == Kind::Node);
        // A node first: what was on one that is down waits for it.
        for node in nodes {
            self.remove(&node.name).await?;
        }
        for object in objects {
            object.delete(&self.client, &self.lab.namespace).await.map_err(RunError::Wait)?;
        }
        Ok(())
    }
}

impl Runner {
    /// Removes a node that the lab added. One that is not there, or not any more, is as good.
    async fn remove(&self, node: &str) -> Result<(), RunError> {
        let command = format!("podlab node remove {node}");
        let failed = |source| RunError::Process { command: command.clone(), source };
        let mut running = self.shell.start(&command).map_err(failed)?;
        running.finish(Instant::now() + REMOVAL, &mut |_: Stream, _: &[u8]| {}).await.map_err(failed)?;
        Ok(())
    }
}

/// A transcript, and the name of its snapshot.
#[derive(Debug)]
pub struct Recorded {
    /// The step that made it.
    pub name: String,
    /// What it printed.
    pub transcript: Transcript,
}
