//! Why a Pod goes nowhere, in the words of the real scheduler.

use std::collections::BTreeMap;
use std::fmt;

/// Why one node, or the Pod as a whole, was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejection {
    /// Most filters give one; the one for resources names every resource that is short.
    pub reasons: Vec<String>,
    /// Whether the removal of other Pods could help.
    pub resolvable: bool,
}

impl Rejection {
    /// Other Pods stand in the way.
    #[must_use]
    pub fn resolvable(reason: impl Into<String>) -> Self {
        Rejection { reasons: vec![reason.into()], resolvable: true }
    }

    /// It is the node itself that does not do.
    #[must_use]
    pub fn permanent(reason: impl Into<String>) -> Self {
        Rejection { reasons: vec![reason.into()], resolvable: false }
    }
}

/// What was found on all nodes. Its text is the message of the FailedScheduling event and of the PodScheduled condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    nodes: usize,
    may_preempt: bool,
    counts: BTreeMap<String, usize>,
    resolvable: usize,
    whole_pod: Option<Rejection>,
}

impl Diagnosis {
    pub(super) fn new(nodes: usize, may_preempt: bool) -> Self {
        Diagnosis { nodes, may_preempt, counts: BTreeMap::new(), resolvable: 0, whole_pod: None }
    }

    /// No node was looked at, because the Pod itself cannot be placed.
    pub(super) fn of_pod(nodes: usize, may_preempt: bool, rejection: Rejection) -> Self {
        Diagnosis { whole_pod: Some(rejection), ..Self::new(nodes, may_preempt) }
    }

    pub(super) fn add(&mut self, rejection: Rejection) {
        self.resolvable += usize::from(rejection.resolvable);
        for reason in rejection.reasons {
            *self.counts.entry(reason).or_default() += 1;
        }
    }

    /// The rejection that no node could change.
    #[must_use]
    pub fn whole_pod(&self) -> Option<&Rejection> {
        self.whole_pod.as_ref()
    }

    /// How many nodes gave each reason.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<String, usize> {
        &self.counts
    }

    /// What preemption would have to say. Podlab does not preempt, so where it would look for victims it finds none.
    fn preemption(&self) -> String {
        if !self.may_preempt {
            return "not eligible due to preemptionPolicy=Never.".to_owned();
        }
        let found = [
            ("No preemption victims found for incoming pod", self.resolvable),
            ("Preemption is not helpful for scheduling", self.nodes - self.resolvable),
        ];
        format!("{}: {}.", available(self.nodes), histogram(found))
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        let reasons = match &self.whole_pod {
            Some(rejection) => rejection.reasons.join(", "),
            None => histogram(self.counts.iter().map(|(reason, count)| (reason.as_str(), *count))),
        };
        write!(f, "{}: {reasons}. preemption: {}", available(self.nodes), self.preemption())
    }
}

fn available(nodes: usize) -> String {
    format!("0/{nodes} nodes are available")
}

/// `2 Insufficient cpu, 3 Insufficient memory`: sorted as texts, count and all.
fn histogram<'a>(counts: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    let mut parts: Vec<String> =
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    parts.join(", ")
}
