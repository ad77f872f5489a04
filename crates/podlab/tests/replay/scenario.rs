//! What a scenario is made of; the tables are in `scenarios/`.

/// What happens one after the other in a folder and a cluster.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Its folder's name.
    pub(crate) name: &'static str,
    /// Scenarios with the same stage share a cluster, and play at the same time.
    pub(crate) stage: &'static str,
    pub(crate) steps: &'static [Step],
}

#[derive(Debug)]
pub(crate) enum Step {
    /// Set-up that the reference's list of commands does not show: a command that must succeed.
    Do(&'static str),
    /// Transcripts, in this order: the same commands must print the same.
    Same(&'static [&'static str]),
    /// A transcript whose command cannot be taken literally here, and what to run in its place (for a watch, meanwhile):
    /// another port, a path of the other kuard, the end of a wait seen in place of a time.
    With(&'static str, &'static str),
}

impl Step {
    /// The transcripts that the step replays.
    pub(crate) fn goldens(&self) -> &[&'static str] {
        match self {
            Step::Do(_) => &[],
            Step::Same(names) => names,
            Step::With(name, _) => std::slice::from_ref(name),
        }
    }
}
