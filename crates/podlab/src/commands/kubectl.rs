//! `podlab kubectl …`, and what this program is when it is called by that name.

use std::ffi::OsString;
use std::process::ExitCode;

use super::Context;

/// Runs the built-in kubectl as the real one is run: its cluster is that of `--kubeconfig`, `KUBECONFIG` or `~/.kube/config`.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    podlab_kubectl::run(arguments)
}

/// The same, but where nobody names a cluster it is the one of this directory.
///
/// # Errors
///
/// When there is no place for a directory.
pub(crate) fn here(context: &Context, mut arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let own = context.directory()?.kubeconfig();
    let is_named = std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty()) || names_a_file(&arguments);
    if !is_named && own.exists() {
        arguments.splice(0..0, ["--kubeconfig".into(), own.into_os_string()]);
    }
    Ok(run(arguments))
}

/// Whether `--kubeconfig` is among the flags; what follows `--` is a program's own.
fn names_a_file(arguments: &[OsString]) -> bool {
    let flags = arguments.iter().take_while(|argument| *argument != "--").filter_map(|argument| argument.to_str());
    flags.into_iter().any(|flag| flag.split('=').next() == Some("--kubeconfig"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_before_the_dashes() {
        let names = |words: &[&str]| names_a_file(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(names(&["get", "pods", "--kubeconfig", "a"]) && names(&["--kubeconfig=a", "get"]));
        assert!(!names(&["get", "pods"]) && !names(&["exec", "p", "--", "kubectl", "--kubeconfig=a"]));
    }
}
