//! Repeats as a count: what kubelet and controllers do (k8s.io/client-go/tools/record/events_cache.go).
//!
//! Three rules, in this order: events of the same kind with ever new messages are combined after the tenth; equal
//! events are counted in one object; and an object that is talked about too much is not heard any more.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{Correlate, Occurrence, Stamp, Write, metadata};

/// So many objects and messages are remembered; beyond, the oldest are forgotten and counting starts over.
const MAX_REMEMBERED: usize = 4096;
/// So many different messages within [`SIMILAR_WINDOW`] are still told one by one.
const MAX_SIMILAR: usize = 10;
const SIMILAR_WINDOW: SignedDuration = SignedDuration::from_secs(600);
/// So many events about one object may come in a burst, then one every [`REFILL`].
///
/// client-go's own figure is 25; but the reference's kubelet told of 41 within two minutes (golden 254), and a Pod whose
/// probe fails has to be told of for longer than that.
const BURST: f64 = 100.0;
const REFILL: f64 = 300.0;

/// The memory of one source.
pub(super) struct Counted {
    source: EventSource,
    similar: Remembered<(ObjectKey, String, String), Similar>,
    equal: Remembered<(ObjectKey, String, String, String), Event>,
    spam: Remembered<ObjectKey, Bucket>,
}

/// What tells objects apart; the revision does not.
type ObjectKey = (String, String, String, String, String, String);

struct Similar {
    messages: HashSet<String>,
    last: Timestamp,
}

/// A token bucket.
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

impl Counted {
    pub(super) fn new(source: EventSource) -> Self {
        Counted { source, similar: Remembered::new(), equal: Remembered::new(), spam: Remembered::new() }
    }

    /// The message under which the occurrence is counted, and what tells it from others.
    fn combine(&mut self, object: &ObjectKey, occurrence: &Occurrence, now: Timestamp) -> (String, String) {
        let key = (object.clone(), occurrence.event_type.as_str().to_owned(), occurrence.reason.clone());
        let similar = self.similar.entry(key, || Similar { messages: HashSet::new(), last: now });
        if now.duration_since(similar.last) > SIMILAR_WINDOW {
            similar.messages.clear();
        }
        similar.last = now;
        similar.messages.insert(occurrence.message.clone());
        if similar.messages.len() < MAX_SIMILAR {
            return (occurrence.message.clone(), occurrence.message.clone());
        }
        // Enough to tell that there are many; the set need not grow with each.
        similar.messages.remove(&occurrence.message);
        (format!("(combined from similar events): {}", occurrence.message), String::new())
    }

    fn is_spam(&mut self, object: ObjectKey, now: Timestamp) -> bool {
        let bucket = self.spam.entry(object, || Bucket { tokens: BURST, at: now });
        let seconds = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.tokens = (bucket.tokens + seconds / REFILL).min(BURST);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return true;
        }
        bucket.tokens -= 1.0;
        false
    }
}

impl Correlate for Counted {
    fn observe(&mut self, occurrence: Occurrence, stamp: Stamp) -> Option<Write> {
        let object = object_key(&occurrence.object);
        let (message, local) = self.combine(&object, &occurrence, stamp.time);
        let now = Some(Time(stamp.time));
        let key = (object.clone(), occurrence.event_type.as_str().to_owned(), occurrence.reason.clone(), local);
        let write = if let Some(known) = self.equal.get_mut(&key) {
            known.count = known.count.map(|count| count.saturating_add(1));
            known.last_timestamp.clone_from(&now);
            known.message = Some(message.clone());
            let patch = json!({ "message": message, "count": known.count, "lastTimestamp": now });
            Write::Update { patch, event: Box::new(known.clone()) }
        } else {
            let event = Event {
                metadata: metadata(&occurrence.object, stamp),
                involved_object: occurrence.object,
                related: occurrence.related,
                type_: Some(occurrence.event_type.as_str().to_owned()),
                reason: Some(occurrence.reason),
                message: Some(message),
                count: Some(1),
                first_timestamp: now.clone(),
                last_timestamp: now,
                reporting_component: self.source.component.clone(),
                reporting_instance: Some(self.source.host.clone().unwrap_or_default()),
                source: Some(self.source.clone()),
                ..Event::default()
            };
            self.equal.entry(key, || event.clone());
            Write::Create(Box::new(event))
        };
        (!self.is_spam(object, stamp.time)).then_some(write)
    }
}

fn object_key(object: &ObjectReference) -> ObjectKey {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    (
        text(&object.api_version),
        text(&object.kind),
        text(&object.namespace),
        text(&object.name),
        text(&object.uid),
        text(&object.field_path),
    )
}

/// A map that forgets the entries it got first once it is full.
struct Remembered<K, V> {
    entries: HashMap<K, V>,
    order: std::collections::VecDeque<K>,
}

impl<K: Clone + Eq + std::hash::Hash, V> Remembered<K, V> {
    fn new() -> Self {
        Remembered { entries: HashMap::new(), order: std::collections::VecDeque::new() }
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) {
            if self.order.len() >= MAX_REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.entries.entry(key).or_insert_with(make)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventType;

    fn occurrence(message: &str) -> Occurrence {
        Occurrence {
            object: ObjectReference {
                kind: Some("Pod".to_owned()),
                namespace: Some("default".to_owned()),
                name: Some("kuard".to_owned()),
                uid: Some("u".to_owned()),
                ..ObjectReference::default()
            },
            related: None,
            event_type: EventType::Warning,
            reason: "Unhealthy".to_owned(),
            action: String::new(),
            message: message.to_owned(),
        }
    }

    fn at(seconds: i64) -> Stamp {
        let time = Timestamp::from_second(1_800_000_000 + seconds).expect("a valid time");
        Stamp { time, nanoseconds: time.as_nanosecond() }
    }

    fn counted() -> Counted {
        Counted::new(EventSource { component: Some("kubelet".to_owned()), host: Some("node1".to_owned()) })
    }

    #[test]
    fn the_first_is_created_and_equal_ones_are_counted() {
        let mut counted = counted();
        let Some(Write::Create(first)) = counted.observe(occurrence("no"), at(0)) else { panic!("not created") };
        assert_eq!(first.metadata.name.as_deref(), Some("kuard.18fae27693b40000"));
        assert_eq!((first.count, first.reporting_component.as_deref()), (Some(1), Some("kubelet")));
        let Some(Write::Update { patch, event }) = counted.observe(occurrence("no"), at(7)) else {
            panic!("not counted")
        };
        assert_eq!(patch["count"], 2);
        assert_eq!(patch["lastTimestamp"], "2027-01-15T08:00:07Z");
        assert_eq!(event.metadata.name, first.metadata.name);
        assert_eq!(event.first_timestamp, first.first_timestamp);
        assert!(matches!(counted.observe(occurrence("other"), at(8)), Some(Write::Create(_))));
    }

    #[test]
    fn ever_new_messages_are_combined_from_the_tenth_on() {
        let mut counted = counted();
        for number in 0..9 {
            assert!(matches!(counted.observe(occurrence(&number.to_string()), at(number)), Some(Write::Create(_))));
        }
        let Some(Write::Create(combined)) = counted.observe(occurrence("nine"), at(9)) else { panic!("not created") };
        assert_eq!(combined.message.as_deref(), Some("(combined from similar events): nine"));
        let Some(Write::Update { patch, .. }) = counted.observe(occurrence("ten"), at(10)) else {
            panic!("not counted")
        };
        assert_eq!(patch["count"], 2);
        assert!(matches!(counted.observe(occurrence("later"), at(1000)), Some(Write::Create(event))
            if event.message.as_deref() == Some("later")));
    }

    #[test]
    fn one_object_cannot_flood() {
        let mut counted = counted();
        let written = (0..200).filter(|_| counted.observe(occurrence("no"), at(0)).is_some()).count();
        assert_eq!(written, 100);
        assert!(counted.observe(occurrence("no"), at(301)).is_some());
        assert!(counted.observe(occurrence("no"), at(302)).is_none());
    }
}
