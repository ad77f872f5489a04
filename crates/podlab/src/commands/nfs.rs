//! `podlab nfs …`: a file server beside the cluster, in a terminal of its own.

use std::io::Read;
use std::net::{IpAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use podlab_api::validation::names;
use podlab_linux::fabric::{self, FabricRequest};
use podlab_linux::network::FABRIC_ADDRESS;
use podlab_linux::node::hosts;
use podlab_nfs::Service;

use super::Context;

pub(crate) const HELP: &str = "\
The server is in the cluster's network: nodes and Pods reach it at 10.99.0.254, nobody else does. The nodes know it by
its name. Everything is done as you, whoever asks; nothing outside of the folder can be reached. Ctrl-C ends the server,
and what Pods write waits until it is started again.

Examples:
  podlab nfs serve exports         what the text's Example 5-6 mounts
  podlab nfs serve photos --name files.lab --export /photos";

/// What is served, and how it is found.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ServeArguments {
    /// The folder; made when it is missing
    directory: PathBuf,
    /// The server's name, known to the nodes: `server` in a volume
    #[arg(long, value_name = "NAME", default_value = "my.nfs.server.local", value_parser = name)]
    name: String,
    /// The folder's name to clients: `path` in a volume
    #[arg(long, value_name = "PATH", default_value = "/exports")]
    export: String,
    /// The port; volumes have no place to say another
    #[arg(long, value_name = "N", default_value_t = podlab_nfs::PORT, hide = true)]
    port: u16,
}

/// A name that goes into a node's `/etc/hosts`.
fn name(text: &str) -> Result<String, String> {
    if text == "localhost" || text.parse::<IpAddr>().is_ok() {
        return Err("it cannot have another meaning".to_owned());
    }
    let problems = names::subdomain(text);
    if problems.is_empty() { Ok(text.to_owned()) } else { Err(problems.join("; ")) }
}

/// Serves until the cluster ends, or Ctrl-C does this process.
///
/// # Errors
///
/// When no cluster runs, there is a server already, or the folder cannot be served.
pub(crate) fn serve(context: &Context, arguments: &ServeArguments) -> anyhow::Result<ExitCode> {
    let state = context.running()?;
    std::fs::create_dir_all(&arguments.directory)?;
    let service = Arc::new(Service::new(&arguments.export, &arguments.directory)?);
    let request = FabricRequest::Listen { port: arguments.port };
    let (socket, cluster) = fabric::ask_for_socket(state.path(), &request)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(false)?;
    hosts::add(state.path(), FABRIC_ADDRESS, &arguments.name)?;
    println!("serving {} as {}:{}", arguments.directory.display(), arguments.name, arguments.export);
    println!("Ctrl-C ends it");

    let failed = std::thread::spawn(move || podlab_nfs::serve(&listener, &service));
    // The listener never hears that its network is gone; this connection does, and nothing else is said on it.
    let mut cluster = UnixStream::from(cluster.as_fd().try_clone_to_owned()?);
    cluster.set_nonblocking(false)?;
    let _ = cluster.read(&mut [0]);
    drop(failed);
    println!("the cluster has ended");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_servers() {
        assert_eq!(name("my.nfs.server.local"), Ok("my.nfs.server.local".to_owned()));
        for bad in ["", "localhost", "10.0.0.1", "::1", "a b", "a\n10.0.0.1 b", "Files"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
