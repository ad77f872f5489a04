//! What the writer left open (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go).

pub(crate) mod config;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod policy;
pub(crate) mod service;
pub(crate) mod volume;
pub(crate) mod workload;

use serde_json::Value;

/// For kinds without defaults.
pub(crate) fn nothing(_: &mut Value) {}
