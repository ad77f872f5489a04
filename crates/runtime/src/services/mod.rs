//! What a node does about Services: connections to a Service's addresses go to the Pods behind it.
//!
//! The decision, [`pools`], is pure: Services and EndpointSlices in, pools of addresses out. [`mod@keep`] brings it to the
//! node whenever one of them changes, by [`Backend::balance`](crate::backend::Backend::balance), which on Linux are
//! packet rules ([`podlab_linux::network::Balancer`]). This is what `kube-proxy` does on a real node
//! (k8s.io/kubernetes/pkg/proxy: `topology.go` for who is asked, `nftables/proxier.go` for the rules).

mod keep;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use podlab_client::Object;
use podlab_linux::network::{Block, Entrance, NAME_LIMIT, Pool, Protocol};

pub use keep::keep;

/// The addresses that Services get theirs from. One that no Service leads anywhere is refused.
pub const SERVICE_RANGE: Block = Block { address: Ipv4Addr::new(10, 96, 0, 0), prefix: 12 };

/// The label by which a slice belongs to a Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// How long a Service with session affinity keeps a client, when it does not say.
const AFFINITY_SECONDS: i32 = 10_800;

/// The node that the decision is for.
#[derive(Clone, Debug)]
pub struct Here {
    pub name: String,
    /// Where node ports are open.
    pub address: Ipv4Addr,
}

/// Who stands behind which address, seen from a node.
#[must_use]
pub fn pools(here: &Here, services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> Vec<Pool> {
    services.iter().flat_map(|service| of_service(here, service, slices)).collect()
}

fn of_service(here: &Here, service: &Service, slices: &[Arc<EndpointSlice>]) -> Vec<Pool> {
    let Some(spec) = &service.spec else { return Vec::new() };
    // Headless Services and names of something outside have no address.
    let Some(address) = spec.cluster_ip.as_deref().and_then(|address| address.parse::<Ipv4Addr>().ok()) else {
        return Vec::new();
    };
    let own: Vec<&EndpointSlice> = slices.iter().map(AsRef::as_ref).filter(|slice| belongs(slice, service)).collect();
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        let seconds = config.and_then(|config| config.timeout_seconds).unwrap_or(AFFINITY_SECONDS);
        u32::try_from(seconds).unwrap_or_default()
    });
    let is_local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    let inside_local = is_local(&spec.internal_traffic_policy);
    let outside_local = is_local(&spec.external_traffic_policy);

    let mut pools = Vec::new();
    for port in spec.ports.iter().flatten() {
        let Some((protocol, number)) = protocol(port).zip(u16::try_from(port.port).ok()) else { continue };
        let name = |suffix: &str| name(service, port, suffix);
        let pool = |name: String, entrances: Vec<Entrance>, local: bool| Pool {
            name,
            protocol,
            entrances,
            members: members(&own, port, local.then_some(here.name.as_str())),
            affinity,
        };
        let inside = Entrance { address, port: number, masquerade: false };
        let node_port = port.node_port.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
        // With `Local`, an answer passes this node anyway, and the client's own address stays visible.
        let outside = node_port.map(|port| Entrance { address: here.address, port, masquerade: !outside_local });
        match outside {
            Some(outside) if inside_local != outside_local => {
                pools.push(pool(name(""), vec![inside], inside_local));
                pools.push(pool(name("/external"), vec![outside], outside_local));
            }
            outside => pools.push(pool(name(""), std::iter::once(inside).chain(outside).collect(), inside_local)),
        }
    }
    pools
}

fn belongs(slice: &EndpointSlice, service: &Service) -> bool {
    let name = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
    slice.namespace() == service.namespace()
        && name.is_some_and(|name| name == service.name())
        && slice.address_type == "IPv4"
}

/// The addresses behind one port: the ready ones; without any, those that are ending and still serve
/// (KEP-1669). `only_on` keeps to one node.
fn members(slices: &[&EndpointSlice], port: &ServicePort, only_on: Option<&str>) -> Vec<SocketAddrV4> {
    let choose = |chosen: fn(&Endpoint) -> bool| -> Vec<SocketAddrV4> {
        let mut members = Vec::new();
        for slice in slices {
            let same =
                |name: &Option<String>| name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default();
            let found = slice.ports.iter().flatten().find(|found| same(&found.name));
            let Some(number) = found.and_then(|found| u16::try_from(found.port?).ok()) else { continue };
            let here = |endpoint: &&Endpoint| only_on.is_none_or(|node| endpoint.node_name.as_deref() == Some(node));
            let endpoints = slice.endpoints.iter().filter(here).filter(|endpoint| chosen(endpoint));
            let addresses = endpoints.filter_map(|endpoint| endpoint.addresses.first()?.parse::<Ipv4Addr>().ok());
            members.extend(addresses.map(|address| SocketAddrV4::new(address, number)));
        }
        members.sort_unstable();
        members.dedup();
        members
    };
    let ready = choose(is_ready);
    if ready.is_empty() { choose(still_serves) } else { ready }
}

fn is_ready(endpoint: &Endpoint) -> bool {
    // What does not say is ready (the field's documentation).
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn still_serves(endpoint: &Endpoint) -> bool {
    let conditions = endpoint.conditions.as_ref();
    conditions.is_some_and(|conditions| conditions.serving == Some(true) && conditions.terminating == Some(true))
}

fn protocol(port: &ServicePort) -> Option<Protocol> {
    match port.protocol.as_deref().unwrap_or("TCP") {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// `default/web/tcp/http`, as a real node's rules spell it. The longest names of a namespace, a Service and a port have
/// 63, 63 and 15 letters, so nothing is ever cut off.
fn name(service: &Service, port: &ServicePort, suffix: &str) -> String {
    let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
    let namespace = service.namespace().unwrap_or_default();
    let name = format!("{namespace}/{}/{protocol}/{}", service.name(), port.name.as_deref().unwrap_or_default());
    let mut name = format!("{}{suffix}", name.trim_end_matches('/'));
    // Two ports of a Service differ in name or are one; two without a name differ in protocol.
    name.truncate(NAME_LIMIT);
    name
}
