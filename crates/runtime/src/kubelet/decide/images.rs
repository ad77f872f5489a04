//! The image of a container that is about to start: found in the node's store, or pulled, as its policy says.

use super::{Action, Plan};
use crate::kubelet::members::Member;
use crate::kubelet::observed::ImageRecord;
use crate::kubelet::restart::later;

/// Whether the image is there; if not, what to do about it has been decided.
pub(super) fn is_ready(plan: &mut Plan<'_>, member: &Member<'_>) -> bool {
    let container = member.spec.name.clone();
    let record = plan.observed.container(&container);
    let always = member.spec.image_pull_policy.as_deref() == Some("Always");
    match &record.image {
        ImageRecord::Ready(_) => return true,
        ImageRecord::Unknown if always => plan.act(Action::PullImage { container }),
        ImageRecord::Unknown => plan.act(Action::FindImage { container }),
        ImageRecord::Absent => plan.act(Action::PullImage { container }),
        ImageRecord::Failed { at, .. } => match record.image_back_off.until(*at) {
            Some(until) if until > plan.now => wait(plan, container, until),
            Some(_) => plan.act(Action::PullImage { container }),
            // Not a failed pull: a name that cannot be read, or a policy of Never. Looking again may find it.
            None if plan.is_due(later(*at, super::containers::RESYNC)) => plan.act(Action::FindImage { container }),
            None => {}
        },
    }
    false
}

/// Notes the back-off: first a moment after the failure, so that this is seen too, then every now and then.
fn wait(plan: &mut Plan<'_>, container: String, until: jiff::Timestamp) {
    plan.wake_at(until);
    let Some(waiting) = &plan.observed.container(&container).waiting else { return };
    let pause = match waiting.reason {
        "ImagePullBackOff" => super::containers::RESYNC,
        _ => super::containers::SHOW,
    };
    if plan.is_due(later(waiting.told, pause)) {
        plan.act(Action::WaitForImage { container });
    }
}
