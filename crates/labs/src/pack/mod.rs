//! Packs: labs, exercises and checks of a teacher's own.
//!
//! ```text
//! labs/               as in Podlab's own repository (see [`mod@crate::format`]); its labs come after ours
//! hidden/NAME.yaml    checks that are added to the exercise NAME, of this pack or of any other: `checks` and `diagnoses`,
//!                     written as in exercise.yaml
//! book/               chapters, if there are any: `podlab --workbook PACK book build`
//! ```
//!
//! Either of the first two is enough. A pack is named by `--pack DIR` (more than once, if need be) or by `PODLAB_PACKS`,
//! separated by colons. The names of labs, exercises and diagnoses are unique over all that are in use together.
//!
//! Hidden checks belong into a pack that learners never get: they are made when the one who grades names the pack. A
//! learner is told that such a check failed, its title, and the diagnosis; not what it looked for.
//!
//! `podlab pack check` says what is wrong with a pack: [`mod@lint`] without a cluster, [`trial`] on one.

mod lint;
pub mod trial;

pub use self::lint::lint;

/// Something that is wrong with a pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where: a lab, or an exercise.
    pub place: String,
    /// What.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
