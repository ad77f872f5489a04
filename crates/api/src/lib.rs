//! The object model: one registry of resources, strict decoding, defaulting, validation, selectors, patches, tables.
//!
//! Nothing here does input or output, and nothing here knows HTTP.

pub mod error;
pub mod registry;
