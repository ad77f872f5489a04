//! agnhost: the program that Kubernetes' own tests run in their Pods, with those of its commands that tests of Pods need.
//!
//! Upstream: <https://github.com/kubernetes/kubernetes/tree/master/test/images/agnhost>.

mod grpc;
mod mounts;
mod network;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

/// How long `liveness` is well.
const WELL: Duration = Duration::from_secs(10);

const USAGE: &str = "\
Usage: agnhost COMMAND [--FLAG=VALUE]
  dns LOOKUP-NAME...     the addresses of names, by the container's own resolv.conf
  etc-hosts              /etc/hosts
  grpc-health-checking   gRPC's health service; /make-not-serving and /make-serving change what it says
  help                   this
  liveness               /healthz, which fails after 10 seconds
  mounttest              says what lies at paths
  netexec                HTTP, TCP and UDP: /hostname, /clientip, /echo, /exit, /header, /healthz, /redirect
  pause                  nothing, until it is told to end
";

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        // The image's own command.
        None => ("pause", &[][..]),
    };
    let flags = Flags::read(rest);
    match command {
        "pause" => crate::pause::main(Vec::new()),
        "netexec" => network::main(&flags),
        "liveness" => liveness(),
        "grpc-health-checking" => grpc::main(&flags),
        "mounttest" => mounts::main(&flags),
        "dns" => network::look_up(rest),
        "etc-hosts" => show("/etc/hosts"),
        "help" | "--help" => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        other => {
            eprint!("agnhost: unknown command \"{other}\"\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn show(path: &str) -> ExitCode {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Well for a while, and then not any more: what a liveness probe is for.
fn liveness() -> ExitCode {
    let started = Instant::now();
    let health = move || async move {
        let lived = started.elapsed();
        match lived > WELL {
            true => (StatusCode::INTERNAL_SERVER_ERROR, format!("error: {:.6}", lived.as_secs_f64())),
            false => (StatusCode::OK, "ok".to_owned()),
        }
    };
    let since = move || async move { format!("{:.6}", started.elapsed().as_secs_f64()) };
    let router = Router::new().route("/healthz", get(health)).route("/started", get(since));
    crate::server::serve(router, 8080, || {})
}

/// Flags as Go programs have them: `--name=value`, `--name value`, `-name`.
struct Flags(Vec<(String, String)>);

impl Flags {
    fn read(arguments: &[String]) -> Flags {
        let mut flags = Vec::new();
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (name, words.next_if(|next| !next.starts_with('-')).cloned().unwrap_or_default()),
            };
            flags.push((name.replace('-', "_"), value));
        }
        Flags(flags)
    }

    /// The values of a flag, in order.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn port(&self, name: &str, usual: u16) -> u16 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_in_every_way_of_writing_them() {
        let words = ["--http-port=80", "-udp-port", "81", "--file_content=/a", "--file_content", "/b", "x", "--last"];
        let flags = Flags::read(&words.map(str::to_owned));
        assert_eq!((flags.port("http_port", 1), flags.port("udp_port", 1), flags.port("no", 1)), (80, 81, 1));
        assert_eq!(flags.all("file_content").collect::<Vec<_>>(), ["/a", "/b"]);
        assert_eq!(flags.get("last"), Some(""));
    }
}
