//! A load that changes as a day does: what utilization is measured on.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use podlab_controllers::replica_set::replicas;

use crate::agenda::Agenda;
use crate::event::{Event, Use};

/// How the load changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waves {
    /// It stays.
    #[default]
    None,
    /// Each hour has its share of the full load, from a third in the night to all of it at noon.
    Day,
}

/// The share of each hour of the day, in percent.
const HOURS: [i32; 24] =
    [40, 36, 34, 33, 33, 35, 42, 55, 70, 84, 93, 98, 100, 99, 96, 92, 88, 86, 87, 82, 73, 62, 53, 46];

impl Waves {
    pub(crate) fn enter(self, agenda: &mut Agenda<Event>, sets: &[Arc<ReplicaSet>], lasts: Duration) {
        if self == Waves::None {
            return;
        }
        let hours = lasts.as_secs() / 3600;
        for hour in 0..=hours {
            let share = HOURS[usize::try_from(hour % 24).unwrap_or_default()];
            for (set, full) in sets.iter().enumerate() {
                let replicas = (replicas(full) * share + 50) / 100;
                agenda.at(Duration::from_secs(hour * 3600), Event::Use(Use::Scale { set, replicas }));
            }
        }
    }
}
