//! How what is known of an image changes: it is looked for, pulled, and waited for.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::{Done, ImageRecord, Observed, about};
use crate::kubelet::events::{self, Told};
use crate::kubelet::members;

impl Observed {
    pub(super) fn found(&mut self, pod: &Pod, container: &str, done: Done, now: Timestamp) -> Vec<Told> {
        let Some(member) = members::find(pod, container) else { return Vec::new() };
        let reference = member.spec.image.clone().unwrap_or_default();
        let never = member.spec.image_pull_policy.as_deref() == Some("Never");
        let record = self.containers.entry(container.to_owned()).or_default();
        match done {
            Done::Image(Some(image)) => {
                record.image = ImageRecord::Ready(image);
                vec![about(pod, container, events::already_present(&reference))]
            }
            Done::Image(None) if never => {
                let message = events::never_pull(&reference);
                record.wait("ErrImageNeverPull", message.clone(), now);
                record.image = ImageRecord::Failed { message: message.clone(), at: now };
                vec![
                    about(pod, container, events::never_pulled(&message)),
                    about(pod, container, events::failed("ErrImageNeverPull")),
                ]
            }
            Done::Image(None) => {
                record.image = ImageRecord::Absent;
                Vec::new()
            }
            Done::NotStarted(reason, message) => {
                record.wait(reason, message.clone(), now);
                record.image = ImageRecord::Failed { message: message.clone(), at: now };
                vec![
                    about(pod, container, events::inspect_failed(&reference, &message)),
                    about(pod, container, events::failed(reason)),
                ]
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn pulled(&mut self, pod: &Pod, container: &str, done: Done, now: Timestamp) -> Vec<Told> {
        let reference = members::find(pod, container).and_then(|member| member.spec.image.clone()).unwrap_or_default();
        let record = self.containers.entry(container.to_owned()).or_default();
        match done {
            Done::Pulled(image, took) => {
                let event = events::pulled(&reference, took, image.size);
                record.image = ImageRecord::Ready(image);
                vec![about(pod, container, event)]
            }
            Done::Failed(message) => {
                record.image_back_off.step(now, now);
                record.wait("ErrImagePull", message.clone(), now);
                let told = vec![
                    about(pod, container, events::pull_failed(&reference, &message)),
                    about(pod, container, events::failed("ErrImagePull")),
                ];
                record.image = ImageRecord::Failed { message, at: now };
                told
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn wait_for_image(&mut self, pod: &Pod, container: &str, now: Timestamp) -> Vec<Told> {
        let reference = members::find(pod, container).and_then(|member| member.spec.image.clone()).unwrap_or_default();
        let record = self.containers.entry(container.to_owned()).or_default();
        let ImageRecord::Failed { message, .. } = &record.image else { return Vec::new() };
        let message = format!("{}: ErrImagePull: {message}", events::back_off_pulling_text(&reference));
        record.wait("ImagePullBackOff", message, now);
        vec![
            about(pod, container, events::back_off_pulling(&reference)),
            about(pod, container, events::failed("ImagePullBackOff")),
        ]
    }
}

/// The full name of an image: `docker.io/library/busybox:1.35`.
pub(in crate::kubelet) fn full_name(reference: Option<&str>) -> String {
    let reference = reference.unwrap_or_default();
    reference.parse::<podlab_images::Reference>().map_or_else(|_| reference.to_owned(), |full| full.to_string())
}
