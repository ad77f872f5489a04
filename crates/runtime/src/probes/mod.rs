//! Probes: when a container is asked how it is, and what the answers mean.
//!
//! [`Prober`] is a pure machine of one probe; the kubelet's decision asks it when to try next, and the kubelet's loop
//! tries. No probe has a thread or a timer of its own.

mod timing;

pub use timing::{Prober, Timing, Verdict};

use k8s_openapi::api::core::v1::{Container, Probe};

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Has the program come up? Holds the other two back until it has.
    Startup,
    /// Is it alive? If not, it is restarted.
    Liveness,
    /// May it get requests? If not, it is out of its Services.
    Readiness,
}

impl Kind {
    /// All kinds, the one that holds the others back first.
    pub const ALL: [Kind; 3] = [Kind::Startup, Kind::Liveness, Kind::Readiness];

    /// The probe of this kind that a container declares.
    #[must_use]
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Kind::Startup => container.startup_probe.as_ref(),
            Kind::Liveness => container.liveness_probe.as_ref(),
            Kind::Readiness => container.readiness_probe.as_ref(),
        }
    }

    /// As the events spell it: `Liveness probe failed: …`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        }
    }
}
