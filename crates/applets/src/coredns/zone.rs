//! What names in a cluster mean: a pure function of the name and of what there is.
//!
//! Upstream: <https://github.com/kubernetes/dns/blob/master/docs/specification.md>, and CoreDNS's plugin/kubernetes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use super::corefile::{Kubernetes, plain};

/// The version of the specification, which the zone tells who asks for the text of `dns-version`.
const SPECIFICATION: &str = "1.1.0";
/// The end of the names that addresses have.
const REVERSE: &str = "in-addr.arpa";

/// What there is.
pub(super) trait Directory {
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>>;
    fn services(&self) -> Vec<Arc<Service>>;
    /// Who is behind a Service.
    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>>;
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Address,
    Server,
    Pointer,
    Text,
    /// AAAA and all others, of which there are none.
    Other,
}

/// One thing a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Address(Ipv4Addr),
    /// The name is another name's: a Service of type ExternalName.
    Alias(String),
    /// A port and the name to find it at, with the addresses of that name.
    Server {
        port: u16,
        target: String,
        addresses: Vec<Ipv4Addr>,
    },
    Pointer(String),
    Text(String),
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Of the kind that was asked for there may be none.
    Known(Vec<Record>),
    /// There is no such name in the zone.
    Unknown { zone: String },
    /// Somebody else's affair.
    NotOurs,
}

/// What `name` (in small letters, without a dot at the end) means.
pub(super) fn meaning(name: &str, kind: Kind, config: &Kubernetes, directory: &dyn Directory) -> Meaning {
    let inside = |zone: &&String| {
        name == zone.as_str() || name.strip_suffix(zone.as_str()).is_some_and(|rest| rest.ends_with('.'))
    };
    let Some(zone) = config.zones.iter().filter(inside).max_by_key(|zone| zone.len()) else { return Meaning::NotOurs };
    let found = match name.strip_suffix(REVERSE) {
        Some(reversed) if zone.ends_with(REVERSE) => {
            address(reversed).and_then(|address| owner(address, config, directory))
        }
        _ => forward(name.strip_suffix(zone.as_str()).unwrap_or_default(), zone, kind, config, directory),
    };
    match found {
        Some(records) => Meaning::Known(records),
        None if config.fallthrough.iter().any(|ours| ours.is_empty() || zone.ends_with(ours.as_str())) => {
            Meaning::NotOurs
        }
        None => Meaning::Unknown { zone: zone.clone() },
    }
}

/// A name below the cluster's zone, with its dot at the end.
fn forward(below: &str, zone: &str, kind: Kind, config: &Kubernetes, directory: &dyn Directory) -> Option<Vec<Record>> {
    let labels: Vec<&str> = below.trim_end_matches('.').split('.').filter(|label| !label.is_empty()).collect();
    let exists = |namespace: &str| directory.services().iter().any(|service| namespace_of(service) == namespace);
    match labels.as_slice() {
        [] | ["svc"] | ["pod"] => Some(Vec::new()),
        ["dns-version"] if kind == Kind::Text => Some(vec![Record::Text(SPECIFICATION.to_owned())]),
        ["dns-version"] => Some(Vec::new()),
        [namespace, "svc" | "pod"] => exists(namespace).then(Vec::new),
        [dashed, namespace, "pod"] => {
            let address: Ipv4Addr = dashed.replace('-', ".").parse().ok()?;
            (config.pods && exists(namespace)).then(|| match kind {
                Kind::Address => vec![Record::Address(address)],
                _ => Vec::new(),
            })
        }
        [name, namespace, "svc"] => {
            let service = directory.service(namespace, name)?;
            Some(of_service(&Named { service: &service, zone, directory }, kind, None))
        }
        [port, protocol, name, namespace, "svc"] if port.starts_with('_') && protocol.starts_with('_') => {
            let service = directory.service(namespace, name)?;
            let named = Named { service: &service, zone, directory };
            let records = of_service(&named, Kind::Server, Some((&port[1..], &protocol[1..])));
            // Which ports there are decides whether the name is one.
            (!records.is_empty()).then(|| if kind == Kind::Server { records } else { Vec::new() })
        }
        [host, name, namespace, "svc"] => {
            let service = directory.service(namespace, name)?;
            let named = Named { service: &service, zone, directory };
            let own: Vec<Behind> = named.behind().into_iter().filter(|behind| behind.host == *host).collect();
            (!own.is_empty()).then(|| match kind {
                Kind::Address => own.iter().map(|behind| Record::Address(behind.address)).collect(),
                Kind::Server => own.iter().flat_map(|behind| named.servers(behind, None)).collect(),
                _ => Vec::new(),
            })
        }
        _ => None,
    }
}

/// A Service, and where its name is.
struct Named<'a> {
    service: &'a Service,
    zone: &'a str,
    directory: &'a dyn Directory,
}

/// Somebody behind a Service.
struct Behind {
    address: Ipv4Addr,
    /// The Pod's `hostname`, when it has a subdomain of the Service's name, else its address with dashes.
    host: String,
    ports: Vec<EndpointPort>,
}

fn of_service(named: &Named<'_>, kind: Kind, port: Option<(&str, &str)>) -> Vec<Record> {
    let spec = named.service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        let target = spec.and_then(|spec| spec.external_name.as_deref()).unwrap_or_default();
        return vec![Record::Alias(plain(target))];
    }
    let own = spec.and_then(|spec| spec.cluster_ip.as_deref()).unwrap_or_default();
    match (own.parse::<Ipv4Addr>(), kind) {
        (Ok(address), Kind::Address) => vec![Record::Address(address)],
        (Ok(address), Kind::Server) => {
            let ports = spec.iter().flat_map(|spec| spec.ports.iter().flatten());
            ports
                .filter(|own| is_wanted(own, port))
                .filter_map(|own| {
                    let target = named.name();
                    Some(Record::Server { port: u16::try_from(own.port).ok()?, target, addresses: vec![address] })
                })
                .collect()
        }
        // Headless: everybody behind it.
        (Err(_), Kind::Address) => named.behind().iter().map(|behind| Record::Address(behind.address)).collect(),
        (Err(_), Kind::Server) => named.behind().iter().flat_map(|behind| named.servers(behind, port)).collect(),
        _ => Vec::new(),
    }
}

fn is_wanted(own: &ServicePort, port: Option<(&str, &str)>) -> bool {
    matches(own.name.as_deref(), own.protocol.as_deref(), port)
}

/// Whether a port is the one that `_name._protocol` means.
fn matches(name: Option<&str>, protocol: Option<&str>, wanted: Option<(&str, &str)>) -> bool {
    wanted.is_none_or(|(wanted, by)| {
        name.unwrap_or_default() == wanted && protocol.unwrap_or("TCP").eq_ignore_ascii_case(by)
    })
}

impl Named<'_> {
    fn name(&self) -> String {
        let name = self.service.metadata.name.as_deref().unwrap_or_default();
        format!("{name}.{}.svc.{}", namespace_of(self.service), self.zone)
    }

    /// Everybody behind the Service who may be asked.
    fn behind(&self) -> Vec<Behind> {
        let early = self.service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false);
        let name = self.service.metadata.name.as_deref().unwrap_or_default();
        let slices = self.directory.slices(namespace_of(self.service), name);
        let mut all: Vec<Behind> = Vec::new();
        for slice in &slices {
            let ready = |endpoint: &&Endpoint| {
                early || endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
            };
            for endpoint in slice.endpoints.iter().filter(ready) {
                for address in endpoint.addresses.iter().filter_map(|address| address.parse::<Ipv4Addr>().ok()) {
                    let dashed = || address.to_string().replace('.', "-");
                    let host = endpoint.hostname.clone().unwrap_or_else(dashed);
                    let ports = slice.ports.clone().unwrap_or_default();
                    all.push(Behind { address, host, ports });
                }
            }
        }
        all.sort_by_key(|behind| behind.address);
        all.dedup_by_key(|behind| behind.address);
        all
    }

    fn servers(&self, behind: &Behind, port: Option<(&str, &str)>) -> Vec<Record> {
        let wanted = |own: &&EndpointPort| matches(own.name.as_deref(), own.protocol.as_deref(), port);
        let numbers = behind.ports.iter().filter(wanted).filter_map(|own| u16::try_from(own.port?).ok());
        let target = format!("{}.{}", behind.host, self.name());
        numbers.map(|port| Record::Server { port, target: target.clone(), addresses: vec![behind.address] }).collect()
    }
}

fn namespace_of(service: &Service) -> &str {
    service.metadata.namespace.as_deref().unwrap_or_default()
}

/// The address that `4.3.2.1.` is the name of.
fn address(reversed: &str) -> Option<Ipv4Addr> {
    let mut bytes = reversed.trim_end_matches('.').split('.').map(str::parse);
    let mut next = || bytes.next()?.ok();
    let address = Ipv4Addr::new(next()?, next()?, next()?, next()?);
    let [a, b, c, d] = address.octets();
    bytes.next().is_none().then_some(Ipv4Addr::new(d, c, b, a))
}

/// The names that an address has: a Service's, or those of who is behind one.
fn owner(address: Ipv4Addr, config: &Kubernetes, directory: &dyn Directory) -> Option<Vec<Record>> {
    let zone = config.zones.iter().find(|zone| !zone.ends_with(".arpa"))?;
    let text = address.to_string();
    let mut names = Vec::new();
    for service in directory.services() {
        let named = Named { service: &service, zone, directory };
        let spec = service.spec.as_ref();
        if spec.and_then(|spec| spec.cluster_ip.as_ref()) == Some(&text) {
            return Some(vec![Record::Pointer(named.name())]);
        }
        let own = named.behind().into_iter().filter(|behind| behind.address == address);
        names.extend(own.map(|behind| Record::Pointer(format!("{}.{}", behind.host, named.name()))));
    }
    (!names.is_empty()).then_some(names)
}

/// What an `IpAddr` is among the records here.
pub(super) fn as_record(address: IpAddr) -> Option<Record> {
    match address {
        IpAddr::V4(address) => Some(Record::Address(address)),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    struct Fixed {
        services: Vec<Arc<Service>>,
        slices: Vec<Arc<EndpointSlice>>,
    }

    impl Directory for Fixed {
        fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
            let is = |service: &&Arc<Service>| {
                namespace_of(service) == namespace && service.metadata.name.as_deref() == Some(name)
            };
            self.services.iter().find(is).cloned()
        }
        fn services(&self) -> Vec<Arc<Service>> {
            self.services.clone()
        }
        fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
            let is = |slice: &&Arc<EndpointSlice>| {
                slice.metadata.namespace.as_deref() == Some(namespace)
                    && slice.metadata.name.as_deref() == Some(service)
            };
            self.slices.iter().filter(is).cloned().collect()
        }
    }

    fn fixed() -> Fixed {
        let service = |name: &str, spec: Value| {
            let service = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
            Arc::new(serde_json::from_value(service).unwrap())
        };
        let slice = |name: &str, endpoints: Value| {
            let slice = json!({
                "metadata": {"name": name, "namespace": "default"}, "addressType": "IPv4",
                "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            });
            Arc::new(serde_json::from_value(slice).unwrap())
        };
        Fixed {
            services: vec![
                service(
                    "web",
                    json!({"clusterIP": "10.96.0.20", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}),
                ),
                service("db", json!({"clusterIP": "None", "ports": [{"name": "http", "port": 8080}]})),
                service("out", json!({"type": "ExternalName", "externalName": "Shop.Example."})),
            ],
            slices: vec![slice(
                "db",
                json!([
                    {"addresses": ["10.244.0.6"], "hostname": "db-0", "conditions": {"ready": true}},
                    {"addresses": ["10.244.0.7"], "conditions": {"ready": true}},
                    {"addresses": ["10.244.0.8"], "hostname": "late", "conditions": {"ready": false}},
                ]),
            )],
        }
    }

    fn ask(name: &str, kind: Kind) -> Meaning {
        let config = Kubernetes {
            zones: vec!["cluster.local".to_owned(), "in-addr.arpa".to_owned()],
            pods: true,
            ttl: 30,
            fallthrough: vec!["in-addr.arpa".to_owned()],
        };
        meaning(name, kind, &config, &fixed())
    }

    fn addresses(addresses: &[[u8; 4]]) -> Meaning {
        Meaning::Known(addresses.iter().map(|address| Record::Address((*address).into())).collect())
    }

    fn unknown() -> Meaning {
        Meaning::Unknown { zone: "cluster.local".to_owned() }
    }

    #[test]
    fn names_of_services() {
        assert_eq!(ask("web.default.svc.cluster.local", Kind::Address), addresses(&[[10, 96, 0, 20]]));
        assert_eq!(ask("web.default.svc.cluster.local", Kind::Other), addresses(&[]));
        let headless = ask("db.default.svc.cluster.local", Kind::Address);
        assert_eq!(headless, addresses(&[[10, 244, 0, 6], [10, 244, 0, 7]]), "who is not ready is not there");
        let alias = Meaning::Known(vec![Record::Alias("shop.example".to_owned())]);
        assert_eq!(ask("out.default.svc.cluster.local", Kind::Address), alias);
        for name in ["nosuch.default.svc", "web.nosuch.svc", "web.default", "nosuch.svc", "a.b.web.default.svc"] {
            assert_eq!(ask(&format!("{name}.cluster.local"), Kind::Address), unknown(), "{name}");
        }
        for name in ["cluster.local", "svc.cluster.local", "default.svc.cluster.local"] {
            assert_eq!(ask(name, Kind::Address), addresses(&[]), "{name}");
        }
        for name in ["example.com", "mycluster.local", "local"] {
            assert_eq!(ask(name, Kind::Address), Meaning::NotOurs, "{name}");
        }
    }

    #[test]
    fn names_of_pods() {
        assert_eq!(ask("db-0.db.default.svc.cluster.local", Kind::Address), addresses(&[[10, 244, 0, 6]]));
        assert_eq!(ask("10-244-0-7.db.default.svc.cluster.local", Kind::Address), addresses(&[[10, 244, 0, 7]]));
        assert_eq!(ask("late.db.default.svc.cluster.local", Kind::Address), unknown());
        assert_eq!(ask("10-1-2-3.default.pod.cluster.local", Kind::Address), addresses(&[[10, 1, 2, 3]]));
        assert_eq!(ask("web.default.pod.cluster.local", Kind::Address), unknown());
    }

    #[test]
    fn ports() {
        let server = |port, target: &str, address: [u8; 4]| Record::Server {
            port,
            target: format!("{target}.default.svc.cluster.local"),
            addresses: vec![address.into()],
        };
        let web = Meaning::Known(vec![server(80, "web", [10, 96, 0, 20])]);
        assert_eq!(ask("_http._tcp.web.default.svc.cluster.local", Kind::Server), web);
        assert_eq!(ask("web.default.svc.cluster.local", Kind::Server), web);
        let db = [server(8080, "db-0.db", [10, 244, 0, 6]), server(8080, "10-244-0-7.db", [10, 244, 0, 7])];
        assert_eq!(ask("_http._tcp.db.default.svc.cluster.local", Kind::Server), Meaning::Known(db.into()));
        assert_eq!(ask("_http._udp.web.default.svc.cluster.local", Kind::Server), unknown());
        assert_eq!(ask("_dns._tcp.web.default.svc.cluster.local", Kind::Server), unknown());
    }

    #[test]
    fn names_of_addresses() {
        let pointer = |name: &str| Meaning::Known(vec![Record::Pointer(format!("{name}.default.svc.cluster.local"))]);
        assert_eq!(ask("20.0.96.10.in-addr.arpa", Kind::Pointer), pointer("web"));
        assert_eq!(ask("6.0.244.10.in-addr.arpa", Kind::Pointer), pointer("db-0.db"));
        assert_eq!(ask("1.1.1.1.in-addr.arpa", Kind::Pointer), Meaning::NotOurs);
        assert_eq!(ask("1.1.1.in-addr.arpa", Kind::Pointer), Meaning::NotOurs);
        let version = Meaning::Known(vec![Record::Text("1.1.0".to_owned())]);
        assert_eq!(ask("dns-version.cluster.local", Kind::Text), version);
    }
}
