//! The rows of the tables, a file a subject (k8s.io/kubernetes/pkg/printers/internalversion/printers.go).

pub(super) mod config;
pub(super) mod event;
pub(super) mod node;
pub(super) mod pod;
pub(super) mod policy;
pub(super) mod service;
pub(super) mod volume;
pub(super) mod workload;
