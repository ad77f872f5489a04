//! The tables, a file for each part of the reference.

mod basics;
mod manifests;
mod probed;
mod states;
mod texts;
mod zoo;

use crate::scenario::Scenario;

/// All of them.
pub(crate) fn all() -> Vec<&'static Scenario> {
    [basics::SCENARIOS, zoo::SCENARIOS, probed::SCENARIOS, manifests::SCENARIOS, texts::SCENARIOS, states::SCENARIOS]
        .into_iter()
        .flatten()
        .collect()
}
