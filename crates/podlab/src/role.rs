//! The hidden command `podlab internal ROLE ARGUMENT`: what the processes of a cluster run.

use std::ffi::OsString;
use std::process::ExitCode;

use podlab_linux::{fabric, janitor, nfs, node};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::commands::remove;
use crate::{control_plane, doctor, kubelet, machine, puller};

/// The word in front of a role.
pub(crate) const WORD: &str = "internal";

/// The arguments that start `role` with `config`.
///
/// # Panics
///
/// Never for the configurations of this program: all of them are plain data that JSON can carry.
pub(crate) fn arguments(role: &str, config: &impl Serialize) -> [OsString; 3] {
    #[expect(clippy::unwrap_used, reason = "our own plain data: no map with other keys than strings, no failing impl")]
    let config = serde_json::to_string(config).unwrap();
    [WORD.into(), role.into(), config.into()]
}

/// Becomes a role.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let role = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();
    match role.to_str().unwrap_or_default() {
        machine::ROLE => with_config(&rest, machine::main),
        control_plane::ROLE => with_config(&rest, control_plane::main),
        fabric::ROLE => with_config(&rest, fabric::main),
        janitor::ROLE => with_config(&rest, janitor::main),
        node::KUBELET_ROLE => with_config(&rest, kubelet::main),
        doctor::ROLE => with_config(&rest, doctor::main),
        nfs::ROLE => with_config(&rest, nfs::main),
        nfs::BRIDGE_ROLE => with_config(&rest, nfs::bridge),
        puller::ROLE => with_config(&rest, puller::main),
        remove::ROLE => with_config(&rest, remove::main),
        "mdbook-preprocessor" => crate::commands::book::preprocess(&rest),
        other => {
            eprintln!("podlab: no internal role '{other}': `podlab --help` lists the commands meant for people");
            ExitCode::from(2)
        }
    }
}

/// Decodes the one argument of a role.
fn with_config<C: DeserializeOwned>(arguments: &[OsString], main: impl FnOnce(C) -> ExitCode) -> ExitCode {
    let text = arguments.first().and_then(|text| text.to_str()).unwrap_or_default();
    match serde_json::from_str(text) {
        Ok(config) => main(config),
        Err(error) => {
            eprintln!("podlab: this is an internal command, and its argument is not what it expects: {error}");
            ExitCode::from(2)
        }
    }
}
