//! What the cluster reported: the Pods and Events of a namespace, and the lines that are shown of them.

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use podlab_client::{Client, Error, ListOptions};
use serde_json::{Value, json};

use crate::api::{Kind, as_json};

/// The most events that are shown as evidence.
const SHOWN: usize = 8;

/// The Pods, the Events and what else is asked for of a namespace at one time.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) pods: Vec<Pod>,
    pub(super) events: Vec<Event>,
    /// Other kinds, by the name that expressions call them.
    others: Vec<(String, Value)>,
}

impl Seen {
    /// Looks. Pods and the rest are ordered by name, events by time.
    pub(super) async fn look(client: &Client, namespace: &str, others: &[Kind]) -> Result<Seen, Error> {
        let everything = ListOptions::default();
        let pods = client.list::<Pod>(namespace, &everything).await?.items;
        let mut events = client.list::<Event>(namespace, &everything).await?.items;
        events.sort_by_key(|event| (time(event), moment(event)));
        let mut seen = Seen { pods, events, others: Vec::with_capacity(others.len()) };
        for kind in others {
            seen.others.push((kind.plural(), json!(kind.list(client, namespace).await?)));
        }
        Ok(seen)
    }

    /// As expressions see it: names and values.
    pub(super) fn variables(&self) -> Vec<(String, Value)> {
        let mut variables = self.others.clone();
        variables.push(("pods".to_owned(), self.pods()));
        variables.push(("events".to_owned(), json!(self.events.iter().map(as_json).collect::<Vec<_>>())));
        variables
    }

    /// The Pods alone.
    pub(super) fn pods(&self) -> Value {
        json!(self.pods.iter().map(as_json).collect::<Vec<_>>())
    }

    /// The events that tell something, a line each, with the time since the first of all: the last ones while a Pod is
    /// not ready, else only warnings; how a Pod came up well is no evidence of anything.
    pub(super) fn lines(&self) -> Vec<String> {
        let well = !self.pods.is_empty() && self.pods.iter().all(ready);
        let telling: Vec<&Event> =
            self.events.iter().filter(|event| !well || event.type_.as_deref() == Some("Warning")).collect();
        let first = self.events.iter().find_map(time);
        let line = |event: &Event| {
            let after = match (first, time(event)) {
                (Some(first), Some(then)) => (then.as_second() - first.as_second()).max(0),
                _ => 0,
            };
            let kind = event.type_.as_deref().unwrap_or("Normal");
            let reason = event.reason.as_deref().unwrap_or_default();
            let count = match event.count {
                Some(count) if count > 1 => format!(" (x{count})"),
                _ => String::new(),
            };
            format!("+{after}s  {kind}  {reason}{count}  {}", event.message.as_deref().unwrap_or_default().trim())
        };
        telling.iter().skip(telling.len().saturating_sub(SHOWN)).map(|event| line(event)).collect()
    }
}

/// Whether all containers of a Pod are ready.
fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// When an event happened; the API has three places for it.
fn time(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref()).map(|time| time.0);
    last.or_else(|| event.event_time.as_ref().map(|time| time.0))
}

/// Orders the events of one second: their names end with the moment they happened at, in hexadecimal nanoseconds.
fn moment(event: &Event) -> String {
    let name = event.metadata.name.as_deref().unwrap_or_default();
    name.rsplit_once('.').map_or_else(String::new, |(_, moment)| moment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: u8, kind: &str, reason: &str, count: i32) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": format!("kuard.{second}")}, "involvedObject": {}, "type": kind, "reason": reason,
            "message": "text\n", "count": count, "lastTimestamp": format!("2026-11-21T10:00:{second:02}Z"),
        }))
        .unwrap()
    }

    #[test]
    fn events_are_told_with_the_time_since_the_first_and_their_count() {
        let events = vec![event(1, "Normal", "Scheduled", 1), event(4, "Warning", "BackOff", 3)];
        let pending = Seen { events, ..Seen::default() };
        assert_eq!(pending.lines(), ["+0s  Normal  Scheduled  text", "+3s  Warning  BackOff (x3)  text"]);
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let well = Seen { pods: vec![serde_json::from_value(ready).unwrap()], ..pending };
        assert_eq!(well.lines(), ["+3s  Warning  BackOff (x3)  text"]);
    }
}
