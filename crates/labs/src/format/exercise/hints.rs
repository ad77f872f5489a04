//! Help for those who are stuck.

use serde::Deserialize;

/// Help in three tiers, each more definite than the last.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// Where to look.
    pub r#where: String,
    /// Which idea it is about.
    pub concept: String,
    /// Which field to write.
    pub field: String,
}
