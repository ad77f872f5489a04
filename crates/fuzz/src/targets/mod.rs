//! The targets, by what they read.

pub(crate) mod bodies;
pub(crate) mod calls;
pub(crate) mod patches;
pub(crate) mod streams;
pub(crate) mod texts;
