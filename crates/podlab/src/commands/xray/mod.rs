//! `podlab xray`

mod text;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use http::Method;
use podlab_client::{Client, Path};
use podlab_linux::xray::Xray;

use super::{Context, Format};
use crate::directory::StateDirectory;

/// A Pod as it is named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodName(pub(crate) String);

impl std::str::FromStr for PodName {
    type Err = String;

    /// `pod/web`, with the words that kubectl takes for a Pod, or `web` alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = match text.split_once('/') {
            None => text,
            Some(("pod" | "pods" | "po", name)) => name,
            Some((kind, _)) => return Err(format!("only a Pod can be looked at so, and this is a {kind}: pod/NAME")),
        };
        if name.is_empty() || name.contains('/') {
            return Err("a Pod's name is missing: pod/NAME".to_owned());
        }
        Ok(Self(name.to_owned()))
    }
}

/// Shows what the kernel says a Pod is.
///
/// # Errors
///
/// When no cluster runs, or no node has a process of that Pod.
pub(crate) fn run(context: &Context, pod: &PodName, namespace: &str, format: Format) -> anyhow::Result<ExitCode> {
    let directory = context.running()?;
    let xray = super::runtime()?.block_on(ask(&directory, namespace, &pod.0))?;
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&xray)?),
        Format::Text => print!("{}", text::text(&xray)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks the nodes, one after the other: only the one that has the Pod knows it.
async fn ask(directory: &StateDirectory, namespace: &str, name: &str) -> anyhow::Result<Xray> {
    let path = Path::new("/xray").segment(namespace).segment(name);
    let mut refusal = None;
    for entry in std::fs::read_dir(directory.nodes())?.flatten() {
        // A path longer than 107 bytes does not fit a socket address, a descriptor of its folder does.
        let node = File::open(entry.path())?;
        let client = Client::unix(format!("/proc/self/fd/{}/kubelet.sock", node.as_raw_fd()));
        match client.request::<Xray>(Method::GET, &path, None, Default::default()).await {
            Ok(xray) => return Ok(xray),
            Err(error) if error.is_not_found() => {}
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) => Err(error.into()),
        None => anyhow::bail!(
            "no process of pod {namespace}/{name} is on any node\n\
             it has not started, has ended, or does not exist: kubectl get pods --namespace {namespace}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_as_for_kubectl() {
        for text in ["web", "pod/web", "pods/web", "po/web"] {
            assert_eq!(text.parse(), Ok(PodName("web".to_owned())), "{text}");
        }
        for text in ["", "pod/", "pod/a/b", "deployment/web"] {
            assert!(text.parse::<PodName>().is_err(), "{text}");
        }
    }
}
