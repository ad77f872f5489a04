//! Events are forgotten an hour after they last happened. (The real server does it with leases of its store.)

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Event;
use podlab_client::cache::Key;
use podlab_client::{DeleteOptions, Object};

use crate::context::Context;
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// How long an event is still kept; zero when its time is over.
#[must_use]
pub fn remaining(event: &Event, now: Timestamp) -> std::time::Duration {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let last = [
        series.map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        event.metadata.creation_timestamp.as_ref().map(|time| time.0),
    ];
    // An event without any time is as old as we know: from now.
    let last = last.into_iter().flatten().max().unwrap_or(now);
    (LIFETIME - now.duration_since(last)).try_into().unwrap_or_default()
}

/// Runs the controller.
pub async fn run(context: Context) {
    let queue = WorkQueue::default();
    let events = context.cache::<Event>();
    events.synced().await;
    let deal = async |key: Key| {
        let Some(event) = events.get_key(&key) else { return Ok(Again::No) };
        let wait = remaining(&event, context.time.now());
        if !wait.is_zero() {
            return Ok(Again::After(wait));
        }
        let options = DeleteOptions::of_uid(event.uid());
        settled(context.client.delete::<Event>(key.namespace.as_str(), &key.name, &options).await)?;
        Ok(Again::No)
    };
    tokio::join!(feed(events.clone(), &queue, itself), work("events", &queue, &context.time, deal));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_counts() {
        let event: Event = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "e", "creationTimestamp": "2026-11-20T10:00:00Z" },
            "involvedObject": {},
            "lastTimestamp": "2026-11-20T10:30:00Z",
        }))
        .expect("an event");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(remaining(&event, at("2026-11-20T10:40:00Z")), std::time::Duration::from_secs(50 * 60));
        assert_eq!(remaining(&event, at("2026-11-20T11:30:01Z")), std::time::Duration::ZERO);
    }
}
