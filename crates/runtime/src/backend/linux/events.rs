//! What happens on the node, as it happens.

use podlab_linux::protocol::{ContainerReport, InitReply, InitRequest, Reply, Request};
use podlab_linux::supervisor::record;
use podlab_linux::wire::WireError;
use tokio::sync::mpsc;

use super::conversation::Conversation;
use super::{Linux, on_disk};
use crate::backend::{BackendError, Event, PodUid};

/// Events that the kubelet has not taken yet. Beyond that, supervisors wait.
const QUEUE: usize = 1024;

impl Linux {
    pub(super) fn watch_everything(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        if let Ok(mut events) = self.inner.events.lock() {
            *events = Some(sender);
        }
        let node = self.clone();
        tokio::spawn(async move {
            if let Err(error) = node.watch_init().await {
                tracing::error!("watching the node's init: {error}");
            }
            // Nothing more will come: the receiver learns of it by the end of its channel.
            if let Ok(mut events) = node.inner.events.lock() {
                *events = None;
            }
        });
        receiver
    }

    /// Tells of Pods that die, and watches those that are there already.
    async fn watch_init(&self) -> Result<(), WireError> {
        let mut init = self.init()?;
        // Watch first, then list: what dies in between is told, and found to be gone.
        init.tell(&InitRequest::Watch, &[])?;
        init.tell(&InitRequest::Pods, &[])?;
        loop {
            match init.next::<InitReply>().await?.0 {
                InitReply::Pods(pods) => {
                    for pod in pods {
                        let node = self.clone();
                        tokio::spawn(async move {
                            // One that has died meanwhile is told of by init.
                            let _ = node.watch_pod(&pod.uid).await;
                        });
                    }
                }
                InitReply::Gone { uid } => {
                    // How its containers ended stands in their records, even where no supervisor was left to tell.
                    let (node, pod) = (self.clone(), uid.clone());
                    let reports = on_disk(move || record::containers(&node.directory(&pod))).await;
                    for report in reports {
                        self.send_exit(&uid, report).await;
                    }
                    self.send(Event::PodDied { pod: uid }).await;
                }
                _ => {}
            }
        }
    }

    /// Begins to watch a Pod. Waits until its supervisor has set it up; what there is of it, is returned.
    pub(super) async fn watch_pod(&self, uid: &PodUid) -> Result<Vec<ContainerReport>, BackendError> {
        let mut supervisor = self.supervisor(uid)?;
        let what = "watching the supervisor";
        let (reply, _) = supervisor
            .ask::<_, Reply>(&Request::Watch, &[])
            .await
            .map_err(|error| super::conversation::lost(uid, what, error))?;
        let reports = match reply {
            Reply::State(reports) => reports,
            Reply::Failed { message } => {
                let source = std::io::Error::other(message);
                return Err(BackendError::Io { pod: uid.clone(), what: "setting up the sandbox", source });
            }
            other => return Err(super::conversation::failed(uid, what, other)),
        };
        let (node, pod, known) = (self.clone(), uid.clone(), reports.clone());
        tokio::spawn(async move { node.pass_on(supervisor, pod, known).await });
        Ok(reports)
    }

    /// Passes on what a supervisor tells, until it is gone; init tells of that.
    async fn pass_on(&self, mut supervisor: Conversation, pod: PodUid, known: Vec<ContainerReport>) {
        // Ends from before may have been told to a kubelet that is gone. Told twice does no harm.
        for report in known {
            self.send_exit(&pod, report).await;
        }
        while let Ok((reply, _)) = supervisor.next::<Reply>().await {
            if let Reply::Ended(report) = reply {
                self.send_exit(&pod, report).await;
            }
        }
    }

    async fn send_exit(&self, pod: &PodUid, report: ContainerReport) {
        if let Some(exit) = report.exit {
            let exit = self.describe_exit(exit);
            self.send(Event::Exited { pod: pod.clone(), container: report.id, exit }).await;
        }
    }

    async fn send(&self, event: Event) {
        let sender = self.inner.events.lock().ok().and_then(|events| events.clone());
        if let Some(sender) = sender {
            // A receiver that is gone has been replaced, or nobody wants to know any more.
            let _ = sender.send(event).await;
        }
    }
}
