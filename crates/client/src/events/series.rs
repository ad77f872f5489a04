//! Repeats as a series: what the scheduler does (k8s.io/client-go/tools/events/event_broadcaster.go).
//!
//! The first occurrence is an event of its own, the second starts a series on it, and later ones are only counted here
//! until the series ends: six minutes without a repeat. The object's revision is part of what tells events apart, which
//! is why a Pod that cannot be scheduled shows two lines: its first failure changes its status.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, EventSeries, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::json;

use super::{Correlate, Occurrence, Stamp, Write, metadata};

/// A series without a repeat for so long is over.
const FINISHED: SignedDuration = SignedDuration::from_mins(6);
/// So many events are remembered; beyond, all are forgotten and counting starts over.
const MAX_REMEMBERED: usize = 4096;

/// The memory of one source.
pub(super) struct Series {
    component: String,
    instance: String,
    known: HashMap<Key, Event>,
    swept: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    object: [Option<String>; 7],
    related: Option<[Option<String>; 7]>,
    action: String,
    reason: String,
    event_type: &'static str,
}

impl Series {
    pub(super) fn new(component: &str, instance: &str) -> Self {
        Series { component: component.to_owned(), instance: instance.to_owned(), known: HashMap::new(), swept: None }
    }

    /// Forgets what was not repeated for [`FINISHED`]; looked at once in that time.
    fn sweep(&mut self, now: Timestamp) {
        let due = self.swept.is_none_or(|swept| now.duration_since(swept) > FINISHED);
        if !due && self.known.len() < MAX_REMEMBERED {
            return;
        }
        self.swept = Some(now);
        self.known.retain(|_, event| {
            let last = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
            last.or(event.event_time.as_ref()).is_some_and(|last| now.duration_since(last.0) <= FINISHED)
        });
        if self.known.len() >= MAX_REMEMBERED {
            self.known.clear();
        }
    }
}

impl Correlate for Series {
    fn observe(&mut self, occurrence: Occurrence, stamp: Stamp) -> Option<Write> {
        self.sweep(stamp.time);
        let now = Some(MicroTime(stamp.time));
        let key = Key {
            object: parts(&occurrence.object),
            related: occurrence.related.as_ref().map(parts),
            action: occurrence.action.clone(),
            reason: occurrence.reason.clone(),
            event_type: occurrence.event_type.as_str(),
        };
        if let Some(known) = self.known.get_mut(&key) {
            if let Some(series) = &mut known.series {
                series.count = series.count.map(|count| count.saturating_add(1));
                series.last_observed_time = now;
                return None;
            }
            known.series = Some(EventSeries { count: Some(2), last_observed_time: now });
            let patch = json!({ "series": known.series });
            return Some(Write::Update { patch, event: Box::new(known.clone()) });
        }
        let event = Event {
            metadata: metadata(&occurrence.object, stamp),
            involved_object: occurrence.object,
            related: occurrence.related,
            type_: Some(occurrence.event_type.as_str().to_owned()),
            reason: Some(occurrence.reason),
            action: Some(occurrence.action),
            message: Some(occurrence.message),
            event_time: now,
            reporting_component: Some(self.component.clone()),
            reporting_instance: Some(self.instance.clone()),
            source: Some(EventSource::default()),
            ..Event::default()
        };
        self.known.insert(key, event.clone());
        Some(Write::Create(Box::new(event)))
    }
}

fn parts(object: &ObjectReference) -> [Option<String>; 7] {
    let object = object.clone();
    [
        object.api_version,
        object.kind,
        object.namespace,
        object.name,
        object.uid,
        object.field_path,
        object.resource_version,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventType;

    fn observe(series: &mut Series, revision: &str, seconds: i64) -> Option<Write> {
        let time = Timestamp::from_second(1_800_000_000 + seconds).expect("a valid time");
        let occurrence = Occurrence {
            object: ObjectReference {
                name: Some("toobig".to_owned()),
                resource_version: Some(revision.to_owned()),
                ..ObjectReference::default()
            },
            related: None,
            event_type: EventType::Warning,
            reason: "FailedScheduling".to_owned(),
            action: "Scheduling".to_owned(),
            message: "0/1 nodes are available".to_owned(),
        };
        series.observe(occurrence, Stamp { time, nanoseconds: time.as_nanosecond() })
    }

    /// Golden 230: `39s` and, below it, `33s (x2 over 35s)`.
    #[test]
    fn a_new_revision_is_a_new_event_and_its_repeat_a_series() {
        let mut series = Series::new("default-scheduler", "default-scheduler-vm");
        assert!(matches!(observe(&mut series, "1", 0), Some(Write::Create(_))));
        assert!(matches!(observe(&mut series, "2", 4), Some(Write::Create(_))));
        let Some(Write::Update { patch, .. }) = observe(&mut series, "2", 6) else { panic!("no series") };
        assert_eq!(patch["series"]["count"], 2);
        assert!(observe(&mut series, "2", 9).is_none(), "the third is only counted");
        assert!(
            matches!(observe(&mut series, "2", 9 + 361), Some(Write::Create(_))),
            "after six minutes it starts over"
        );
    }
}
