//! The role `kubelet`: the node agent, in its node's namespaces.

use std::process::ExitCode;

use podlab_linux::node::KubeletConfig;

/// Runs the kubelet until its node's init ends it.
pub(crate) fn main(config: KubeletConfig) -> ExitCode {
    crate::logging::to_standard_error();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("podlab: kubelet of {}: {error}", config.node.name);
            return ExitCode::FAILURE;
        }
    };
    let _ = runtime;
    ExitCode::FAILURE
}
