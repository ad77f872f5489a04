//! `kubectl cluster-info`

use clap::Args;
use podlab_api::json::{list, text};
use podlab_client::Path;

use crate::failure::{Outcome, fail};
use crate::print::say;
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// dump (not built in)
    words: Vec<String>,
}

pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Outcome {
    match arguments.words.first().map(String::as_str) {
        None => {}
        Some("dump") => {
            return fail(
                "the built-in kubectl makes no dumps: use the real one, https://kubernetes.io/docs/tasks/tools/",
            );
        }
        Some(other) => return fail(format!("unknown command \"{other}\" for \"kubectl cluster-info\"")),
    }
    let path = Path::new("/api/v1/namespaces/kube-system/services")
        .query("labelSelector", "kubernetes.io/cluster-service=true")
        .query("limit", "500");
    let services = session.get(&path).await?;
    let url = &session.server()?.url;
    let mut told = line("Kubernetes control plane", url);
    for service in list(&services, &["items"]) {
        let name = text(service, &["metadata", "name"]);
        let labels = &service["metadata"]["labels"];
        let shown = match text(labels, &["kubernetes.io/name"]) {
            "" => name,
            shown => shown,
        };
        let ports = list(service, &["spec", "ports"]);
        let port = ports.first().map_or("", |port| text(port, &["name"]));
        let port = if port.is_empty() { String::new() } else { format!(":{port}") };
        told.push_str(&line(shown, &format!("{url}/api/v1/namespaces/kube-system/services/{name}{port}/proxy")));
    }
    told.push_str("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n");
    say(&told);
    Ok(())
}

/// In colours where somebody looks.
fn line(name: &str, url: &str) -> String {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() {
        format!("\x1b[0;32m{name}\x1b[0m is running at \x1b[0;33m{url}\x1b[0m\n")
    } else {
        format!("{name} is running at {url}\n")
    }
}
