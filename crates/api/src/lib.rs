//! The object model: one registry of resources, strict decoding, defaulting, validation, selectors, patches, tables.
//!
//! Nothing here does input or output, and nothing here knows HTTP.
//!
//! A write goes `decode` → `default` → `prepare` → (admission, elsewhere) → `validate`; the functions stand in the
//! kind's [`registry::Resource`].

pub mod decode;
pub mod defaults;
pub mod discovery;
pub mod duration;
pub mod error;
pub mod events;
pub mod json;
pub mod managed;
pub mod openapi;
pub mod patch;
pub mod prepare;
pub mod protobuf;
pub mod quantity;
pub mod registry;
pub mod schema;
pub mod selector;
pub mod validation;
