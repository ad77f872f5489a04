//! The Corefile: which questions are answered, and how.
//!
//! One server block is read, with the directives that clusters use. Those that make no difference here (`cache`,
//! `errors`, `loop`, …) are taken as they are; one that nobody knows is refused, as CoreDNS does.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// What a Corefile says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Corefile {
    /// Where questions arrive, by UDP and TCP.
    pub(super) port: u16,
    pub(super) kubernetes: Option<Kubernetes>,
    /// The servers that are asked about other names. Files as `/etc/resolv.conf` are read at the start.
    pub(super) forward: Vec<SocketAddr>,
    /// Names that have fixed addresses.
    pub(super) hosts: Vec<(String, IpAddr)>,
    /// A line for each question.
    pub(super) log: bool,
    pub(super) reload: bool,
    pub(super) health: Option<u16>,
    pub(super) ready: Option<u16>,
}

/// The plugin that knows the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kubernetes {
    /// `cluster.local` and, for addresses, `in-addr.arpa`. In small letters, without a dot at the end.
    pub(super) zones: Vec<String>,
    /// Whether `10-244-0-7.default.pod.cluster.local` is an address: unless `pods disabled`.
    pub(super) pods: bool,
    /// Seconds that an answer may be kept.
    pub(super) ttl: u32,
    /// Zones in which a name that is not known here is somebody else's affair.
    pub(super) fallthrough: Vec<String>,
}

/// Where a Corefile cannot be read, and why. Written like CoreDNS does, for `FILE:` to be put in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    line: usize,
    text: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} - Error during parsing: {}", self.line, self.text)
    }
}

/// Directives that change nothing here.
const TAKEN_AS_THEY_ARE: &[&str] = &["errors", "cache", "loop", "loadbalance", "prometheus", "bind", "debug"];

/// A line without its comment, as words.
struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
}

impl FromStr for Corefile {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Corefile, Problem> {
        let lines = text.lines().enumerate().map(|(index, line)| {
            let line = line.split('#').next().unwrap_or_default();
            Line { number: index + 1, words: line.split_whitespace().collect() }
        });
        let mut lines = lines.filter(|line| !line.words.is_empty()).peekable();
        let problem = |line: usize, text: &str| Problem { line, text: text.to_owned() };

        let first = lines.next().ok_or_else(|| problem(1, "the file is empty"))?;
        let [addresses @ .., "{"] = first.words.as_slice() else {
            return Err(problem(first.number, "a server block begins with its address and {"));
        };
        let mut corefile = Corefile { port: port_of(addresses), ..Corefile::default() };
        loop {
            let line = lines.next().ok_or_else(|| problem(text.lines().count(), "Unexpected EOF, expecting '}'"))?;
            let (name, mut arguments) = line.words.split_first().map_or(("", &[][..]), |(name, rest)| (*name, rest));
            if name == "}" {
                break;
            }
            // What is between the directive's own braces.
            let mut block = Vec::new();
            if let [rest @ .., "{"] = arguments {
                arguments = rest;
                loop {
                    let inner = lines.next().ok_or_else(|| problem(line.number, "Unexpected EOF, expecting '}'"))?;
                    if inner.words == ["}"] {
                        break;
                    }
                    block.push(inner.words);
                }
            }
            corefile.directive(name, arguments, &block).map_err(|text| Problem { line: line.number, text })?;
        }
        match lines.next() {
            Some(line) => Err(problem(line.number, "only one server block is supported here")),
            None => Ok(corefile),
        }
    }
}

impl Corefile {
    fn directive(&mut self, name: &str, arguments: &[&str], block: &[Vec<&str>]) -> Result<(), String> {
        match name {
            "kubernetes" => self.kubernetes = Some(kubernetes(arguments, block)?),
            "forward" => self.forward = forward(arguments)?,
            "hosts" => {
                for line in block {
                    let Some(Ok(address)) = line.first().map(|word| word.parse::<IpAddr>()) else { continue };
                    self.hosts.extend(line[1..].iter().map(|name| (plain(name), address)));
                }
            }
            "log" => self.log = true,
            "reload" => self.reload = true,
            "health" => self.health = Some(port_or(arguments, 8080)),
            "ready" => self.ready = Some(port_or(arguments, 8181)),
            name if TAKEN_AS_THEY_ARE.contains(&name) => {}
            unknown => return Err(format!("Unknown directive '{unknown}'")),
        }
        Ok(())
    }
}

fn kubernetes(zones: &[&str], block: &[Vec<&str>]) -> Result<Kubernetes, String> {
    let zones: Vec<String> = zones.iter().map(|zone| plain(zone)).collect();
    let mut read = Kubernetes { pods: false, ttl: 5, fallthrough: Vec::new(), zones };
    for line in block {
        match line.as_slice() {
            ["pods", mode] => read.pods = *mode != "disabled",
            ["ttl", seconds] => {
                let wrong = || format!("ttl must be in range [0, 3600]: {seconds}");
                read.ttl = seconds.parse().ok().filter(|ttl| *ttl <= 3600).ok_or_else(wrong)?;
            }
            ["fallthrough"] => read.fallthrough = vec![String::new()],
            ["fallthrough", zones @ ..] => read.fallthrough = zones.iter().map(|zone| plain(zone)).collect(),
            ["endpoint_pod_names" | "noendpoints" | "namespaces" | "labels" | "endpoint" | "kubeconfig", ..] => {
                return Err(format!("'{}' of kubernetes is not supported here", line[0]));
            }
            [unknown, ..] => return Err(format!("unknown property '{unknown}'")),
            [] => {}
        }
    }
    Ok(read)
}

/// `. ADDRESS…`, where an address may be a file as resolv.conf(5). Servers on the loopback are left out: in a Pod that is
/// this very program.
fn forward(arguments: &[&str]) -> Result<Vec<SocketAddr>, String> {
    let [_, targets @ ..] = arguments else { return Err("Wrong argument count after 'forward'".to_owned()) };
    let mut servers: Vec<SocketAddr> = Vec::new();
    for target in targets {
        if let Some(server) = server(target) {
            servers.push(server);
        } else if target.starts_with('/') {
            let text = std::fs::read_to_string(target).unwrap_or_default();
            let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
            servers.extend(named.filter_map(|address| server(address.trim())));
        } else {
            return Err(format!("not an IP address or file: \"{target}\""));
        }
    }
    servers.retain(|server| !server.ip().is_loopback());
    Ok(servers)
}

fn server(text: &str) -> Option<SocketAddr> {
    let text = text.trim_start_matches("dns://");
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, 53)))
}

/// The port of `.:53` or `dns://.:1053`; 53 when none is written.
fn port_of(addresses: &[&str]) -> u16 {
    let port = addresses.first().and_then(|address| address.rsplit_once(':'));
    port.and_then(|(_, port)| port.parse().ok()).unwrap_or(53)
}

fn port_or(arguments: &[&str], usual: u16) -> u16 {
    let port = arguments.first().and_then(|address| address.rsplit_once(':'));
    port.and_then(|(_, port)| port.parse().ok()).unwrap_or(usual)
}

/// A name as it is compared: in small letters, without a dot at the end.
pub(super) fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . 192.0.2.1 127.0.0.1 {
       max_concurrent 1000
    }
    cache 30 # seconds
    loop
    reload
    loadbalance
}
";

    #[test]
    fn the_one_that_clusters_have() {
        let read: Corefile = USUAL.parse().unwrap();
        let kubernetes = read.kubernetes.unwrap();
        assert_eq!(kubernetes.zones, ["cluster.local", "in-addr.arpa", "ip6.arpa"]);
        assert_eq!((kubernetes.ttl, kubernetes.pods), (30, true));
        assert_eq!(kubernetes.fallthrough, ["in-addr.arpa", "ip6.arpa"]);
        assert_eq!(read.forward, ["192.0.2.1:53".parse().unwrap()], "the loopback would be this program itself");
        assert_eq!((read.port, read.health, read.ready), (53, Some(8080), Some(8181)));
        assert!(read.reload && !read.log);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, problem) in [
            ("", "1 - Error during parsing: the file is empty"),
            (
                ".:53 {\n    errors\n    kubernetse cluster.local\n}",
                "3 - Error during parsing: Unknown directive 'kubernetse'",
            ),
            (".:53 {\n  errors\n", "2 - Error during parsing: Unexpected EOF, expecting '}'"),
            (
                ".:53 {\n kubernetes a {\n  ttl 9999\n }\n}",
                "2 - Error during parsing: ttl must be in range [0, 3600]: 9999",
            ),
            (".:53 {\n kubernetes a {\n", "2 - Error during parsing: Unexpected EOF, expecting '}'"),
            (".:53 {\n}\na {\n}", "3 - Error during parsing: only one server block is supported here"),
        ] {
            assert_eq!(text.parse::<Corefile>().unwrap_err().to_string(), problem, "{text:?}");
        }
    }

    #[test]
    fn fixed_names_and_another_port() {
        let read: Corefile =
            "dns://.:1053 {\n log\n hosts {\n  10.0.0.9 Shop.Example. shop\n  fallthrough\n }\n}".parse().unwrap();
        let address: IpAddr = "10.0.0.9".parse().unwrap();
        assert_eq!(read.hosts, [("shop.example".to_owned(), address), ("shop".to_owned(), address)]);
        assert_eq!((read.port, read.log), (1053, true));
    }
}
