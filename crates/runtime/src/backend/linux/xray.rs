//! `podlab xray`: which processes, cgroups and volumes the kernel is to be asked about.

use podlab_linux::protocol::{InitReply, InitRequest};
use podlab_linux::supervisor::record::{self, PodRecord};
use podlab_linux::xray::{self, Subject, Xray};

use super::conversation::failed;
use super::{Linux, on_disk, volumes};
use crate::backend::{BackendError, PodUid};

impl Linux {
    pub(super) async fn look_at(&self, uid: &PodUid) -> Result<Xray, BackendError> {
        let supervised = match self.ask_init(uid, &InitRequest::Pods).await? {
            InitReply::Pods(supervised) => supervised,
            other => return Err(failed(uid, "looking at", other)),
        };
        let no_such_pod = || BackendError::NoSuchPod(uid.clone());
        let supervisor = supervised.into_iter().find(|pod| pod.uid == *uid).ok_or_else(no_such_pod)?.pid;
        let directory = self.directory(uid);
        let pod = PodRecord::read(&directory).ok_or_else(no_such_pod)?;
        let inner = self.inner.clone();
        Ok(on_disk(move || {
            let mut containers = record::containers(&directory);
            containers.retain(|container| container.exit.is_none());
            xray::look(&Subject {
                node: &inner.config.node.name,
                record: &pod,
                directory: &directory,
                cgroups: &inner.config.cgroups,
                supervisor,
                containers: &containers,
                volumes: &volumes::places(&directory),
            })
        })
        .await)
    }
}
