//! Selectors: which objects a list, a watch, a Service or a ReplicaSet means.

mod field;
mod label;

pub use field::{FieldSelector, field_value};
pub use label::{LabelSelector, Operator, Requirement};
