//! What a number means: its unit, its goal, and what to hold it against.

use std::fmt;

/// A promise in numbers.
pub struct Figure {
    /// How `SPECIFICATION.md` and the command line name it.
    pub name: &'static str,
    /// What is measured, in a few words.
    pub what: &'static str,
    pub unit: Unit,
    pub goal: Option<Goal>,
    pub reference: Option<Reference>,
    /// Measures; gives samples in the unit.
    pub measure: fn() -> anyhow::Result<Vec<f64>>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Mebibytes,
    PerSecond,
    PercentOfACore,
    Count,
    /// A ratio of two measures of the same run.
    Times,
}

/// What is promised, of the release build.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// The figure of a real Kubernetes 1.32.13 on such a machine (two cores, shared with other work; medians).
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    pub value: f64,
    /// What was measured there, where it is not quite the same.
    pub what: &'static str,
}

impl Goal {
    /// Whether a median keeps it.
    #[must_use]
    pub fn is_met(self, median: f64) -> bool {
        match self {
            Self::AtMost(limit) => median <= limit,
            Self::AtLeast(limit) => median >= limit,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::PerSecond => "/s",
            Self::PercentOfACore => "% core",
            Self::Count => "",
            Self::Times => "x",
        })
    }
}

/// Why a figure cannot be measured on this machine: what it needs is not there. No failure.
#[derive(Clone, Copy, Debug)]
pub struct Absent(pub &'static str);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Absent {}
