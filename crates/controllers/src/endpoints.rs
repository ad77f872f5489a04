//! The addresses behind a Service: an Endpoints object, and EndpointSlices, kept equal to the Pods that its selector
//! selects and whether they are Ready (k8s.io/kubernetes/pkg/controller/endpoint and endpointslice).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service, ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort as SlicePort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use podlab_client::cache::{Change, Key};
use podlab_client::{Cache, DeleteOptions, Error, Object};
use podlab_runtime::scheduler::selector::{Labels, contains};

use crate::context::Context;
use crate::objects::{has_ended, is_ready, managed_by, node_of};
use crate::queue::WorkQueue;
use crate::worker::{Again, feed, itself, settled, work};

/// The addresses one slice takes.
const MAX_SLICE: usize = 100;
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: (&str, &str) = ("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io");
const HEADLESS: &str = "service.kubernetes.io/headless";

/// A Pod that stands behind a Service, and the numbers of the Service's ports on it.
#[derive(Clone, Debug)]
struct Backend {
    pod: Arc<Pod>,
    address: String,
    /// As the Service's ports, without those whose name the Pod does not have.
    ports: Vec<(ServicePort, i32)>,
    ready: bool,
    serving: bool,
    terminating: bool,
}

/// Name, number and protocol of each port: what groups addresses.
type PortKey = Vec<(String, i32, String)>;

impl Backend {
    fn port_key(&self) -> PortKey {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        self.ports.iter().map(|(port, number)| (text(&port.name), *number, text(&port.protocol))).collect()
    }
}

/// The Endpoints object that a Service should have.
#[must_use]
pub fn endpoints(service: &Service, pods: &[Arc<Pod>]) -> Endpoints {
    // Addresses with equal ports share a subset.
    type Addresses = (Vec<EndpointAddress>, Vec<EndpointAddress>);
    let mut subsets: BTreeMap<PortKey, (Vec<EndpointPort>, Addresses)> = BTreeMap::new();
    for backend in backends(service, pods) {
        // A Pod that is ending is in slices only.
        if backend.terminating && !backend.ready {
            continue;
        }
        let ports: Vec<EndpointPort> = backend
            .ports
            .iter()
            .map(|(port, number)| EndpointPort {
                name: port.name.clone(),
                port: *number,
                protocol: port.protocol.clone(),
                app_protocol: port.app_protocol.clone(),
            })
            .collect();
        let address = EndpointAddress {
            ip: backend.address.clone(),
            hostname: hostname(service, &backend.pod),
            node_name: node_of(&backend.pod).map(str::to_owned),
            target_ref: Some(target(&backend.pod)),
        };
        let (_, (ready, not_ready)) =
            subsets.entry(backend.port_key()).or_insert_with(|| (ports, Addresses::default()));
        if backend.ready { ready.push(address) } else { not_ready.push(address) }
    }
    let some = |mut addresses: Vec<EndpointAddress>| {
        addresses.sort_by(|a, b| a.ip.cmp(&b.ip));
        (!addresses.is_empty()).then_some(addresses)
    };
    let subsets: Vec<EndpointSubset> = subsets
        .into_values()
        .map(|(ports, (ready, not_ready))| EndpointSubset {
            addresses: some(ready),
            not_ready_addresses: some(not_ready),
            ports: (!ports.is_empty()).then_some(ports),
        })
        .collect();
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            labels: (!labels.is_empty()).then_some(labels),
            ..ObjectMeta::default()
        },
        subsets: (!subsets.is_empty()).then_some(subsets),
    }
}

/// The EndpointSlices that a Service should have, without names: at most `MAX_SLICE` addresses in each, and one with
/// no address when there is none.
#[must_use]
pub fn slices(service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSlice> {
    let mut by_ports: BTreeMap<PortKey, (Vec<SlicePort>, Vec<Endpoint>)> = BTreeMap::new();
    for backend in backends(service, pods) {
        let ports: Vec<SlicePort> = backend
            .ports
            .iter()
            .map(|(port, number)| SlicePort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(*number),
                protocol: port.protocol.clone(),
                app_protocol: port.app_protocol.clone(),
            })
            .collect();
        by_ports.entry(backend.port_key()).or_insert_with(|| (ports, Vec::new())).1.push(Endpoint {
            addresses: vec![backend.address.clone()],
            conditions: Some(EndpointConditions {
                ready: Some(backend.ready),
                serving: Some(backend.serving),
                terminating: Some(backend.terminating),
            }),
            hostname: hostname(service, &backend.pod),
            node_name: node_of(&backend.pod).map(str::to_owned),
            target_ref: Some(target(&backend.pod)),
            ..Endpoint::default()
        });
    }
    if by_ports.is_empty() {
        by_ports.insert(Vec::new(), Default::default());
    }
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), service.name().to_owned());
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    let slice = |ports: &Vec<SlicePort>, endpoints: &[Endpoint]| EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", service.name())),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels.clone()),
            owner_references: Some(vec![managed_by(service)]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: endpoints.to_vec(),
        ports: (!ports.is_empty()).then(|| ports.clone()),
    };
    by_ports
        .into_values()
        .flat_map(|(ports, mut endpoints)| {
            endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
            if endpoints.is_empty() {
                vec![slice(&ports, &[])]
            } else {
                endpoints.chunks(MAX_SLICE).map(|chunk| slice(&ports, chunk)).collect()
            }
        })
        .collect()
}

fn backends(service: &Service, pods: &[Arc<Pod>]) -> Vec<Backend> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) else { return Vec::new() };
    let early = spec.publish_not_ready_addresses.unwrap_or_default();
    let none = Labels::new();
    pods.iter()
        .filter(|pod| contains(selector, pod.metadata.labels.as_ref().unwrap_or(&none)) && !has_ended(pod))
        .filter_map(|pod| {
            let address = pod.status.as_ref()?.pod_ip.clone().filter(|address| !address.is_empty())?;
            let ports =
                spec.ports.iter().flatten().filter_map(|port| Some((port.clone(), target_port(pod, port)?))).collect();
            let terminating = pod.metadata.deletion_timestamp.is_some();
            let serving = early || is_ready(pod);
            let ready = early || (serving && !terminating);
            Some(Backend { pod: pod.clone(), address, ports, ready, serving, terminating })
        })
        .collect()
}

/// The number of a Service's port on a Pod: a number as it is, a name by the Pod's containers.
fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let spec = pod.spec.as_ref()?;
            spec.containers
                .iter()
                .flat_map(|container| container.ports.iter().flatten())
                .find(|found| {
                    found.name.as_ref() == Some(name) && found.protocol.as_deref().unwrap_or("TCP") == protocol
                })
                .map(|found| found.container_port)
        }
    }
}

/// Pods that name themselves within a headless Service get a name in DNS.
fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let here = spec.subdomain.as_deref() == Some(service.name());
    spec.hostname.clone().filter(|hostname| here && !hostname.is_empty())
}

fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// Runs the controller.
pub async fn run(context: Context) {
    let queue = WorkQueue::default();
    let (services, pods) = (context.cache::<Service>(), context.cache::<Pod>());
    let (all_endpoints, all_slices) = (context.cache::<Endpoints>(), context.cache::<EndpointSlice>());
    tokio::join!(services.synced(), pods.synced(), all_endpoints.synced(), all_slices.synced());
    let deal = async |key: Key| {
        let Some(service) = services.get_key(&key) else {
            // The slices go with their owner; an Endpoints object has none, but its name.
            let found = all_endpoints.get_key(&key).filter(|found| !is_foreign(found));
            if found.is_some() {
                let options = DeleteOptions::default();
                settled(context.client.delete::<Endpoints>(key.namespace.as_str(), &key.name, &options).await)?;
            }
            return Ok(Again::No);
        };
        // Without a selector the addresses are somebody else's business.
        if service.spec.as_ref().is_none_or(|spec| spec.selector.as_ref().is_none_or(BTreeMap::is_empty)) {
            return Ok(Again::No);
        }
        let pods = pods.in_namespace(&key.namespace);
        bring_endpoints(&context, &all_endpoints, endpoints(&service, &pods)).await?;
        bring_slices(&context, &all_slices, &service, slices(&service, &pods)).await?;
        Ok(Again::No)
    };
    tokio::join!(
        feed(services.clone(), &queue, itself),
        feed(pods.clone(), &queue, |change| selecting(&services, change)),
        feed(all_endpoints.clone(), &queue, itself),
        feed(all_slices.clone(), &queue, |change| {
            let names = change.old.iter().chain(&change.new).filter_map(|slice| owner_name(slice));
            names.map(|name| Key::new(change.key.namespace.clone(), name)).collect()
        }),
        work("endpoints", &queue, &context.time, deal),
    );
}

/// The Services that selected a Pod, or select it now.
fn selecting(services: &Cache<Service>, change: &Change<Pod>) -> Vec<Key> {
    let selects = |service: &Service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.filter(|selector| !selector.is_empty()).is_some_and(|selector| {
            let labels = change.old.iter().chain(&change.new).filter_map(|pod| pod.metadata.labels.as_ref());
            labels.into_iter().any(|labels| contains(selector, labels))
        })
    };
    let services = services.in_namespace(&change.key.namespace);
    services.iter().filter(|service| selects(service)).map(|service| Key::of(service.as_ref())).collect()
}

fn owner_name(slice: &EndpointSlice) -> Option<String> {
    slice.metadata.labels.as_ref()?.get(SERVICE_NAME).cloned()
}

/// The addresses of the API server itself are kept by the server.
fn is_foreign(endpoints: &Endpoints) -> bool {
    endpoints.namespace() == Some("default") && endpoints.name() == "kubernetes"
}

async fn bring_endpoints(context: &Context, cache: &Cache<Endpoints>, wanted: Endpoints) -> Result<(), Error> {
    let new = match cache.get_key(&Key::of(&wanted)) {
        None => context.client.create(&wanted).await,
        Some(found) if found.subsets == wanted.subsets && found.metadata.labels == wanted.metadata.labels => {
            return Ok(());
        }
        Some(found) => {
            let mut new = found.as_ref().clone();
            new.subsets = wanted.subsets;
            new.metadata.labels = wanted.metadata.labels;
            context.client.replace(&new).await
        }
    };
    cache.insert(new?);
    Ok(())
}

/// Makes the slices of a Service what they should be: equal ones stay, others are changed, the rest goes.
async fn bring_slices(
    context: &Context,
    cache: &Cache<EndpointSlice>,
    service: &Service,
    mut wanted: Vec<EndpointSlice>,
) -> Result<(), Error> {
    let namespace = service.namespace().unwrap_or_default();
    let ours = |slice: &EndpointSlice| {
        let manager = slice.metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY.0));
        owner_name(slice).as_deref() == Some(service.name()) && manager.is_some_and(|manager| manager == MANAGED_BY.1)
    };
    let mut left: Vec<Arc<EndpointSlice>> =
        cache.in_namespace(namespace).into_iter().filter(|slice| ours(slice)).collect();
    let same = |one: &EndpointSlice, other: &EndpointSlice| {
        one.endpoints == other.endpoints && one.ports == other.ports && one.metadata.labels == other.metadata.labels
    };
    wanted.retain(|slice| match left.iter().position(|found| same(found, slice)) {
        Some(at) => {
            left.remove(at);
            false
        }
        None => true,
    });
    for slice in wanted {
        let new = match left.pop() {
            Some(found) => {
                let mut new = found.as_ref().clone();
                new.endpoints = slice.endpoints;
                new.ports = slice.ports;
                new.metadata.labels = slice.metadata.labels;
                context.client.replace(&new).await?
            }
            None => context.client.create(&slice).await?,
        };
        cache.insert(new);
    }
    for found in left {
        let options = DeleteOptions::of_uid(found.uid());
        settled(context.client.delete::<EndpointSlice>(namespace, found.name(), &options).await)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({
            "metadata": { "name": "kuard", "namespace": "default", "uid": "service" },
            "spec": { "selector": { "app": "kuard" }, "ports": [
                { "name": "web", "port": 80, "targetPort": "http", "protocol": "TCP" },
                { "name": "admin", "port": 81, "protocol": "TCP" }] },
        }))
        .expect("a Service")
    }

    fn pod(name: &str, address: &str, ready: &str) -> serde_json::Value {
        json!({
            "metadata": { "name": name, "namespace": "default", "uid": name, "labels": { "app": "kuard" } },
            "spec": { "nodeName": "node1", "containers": [{ "name": "c", "ports": [
                { "name": "http", "containerPort": 8080, "protocol": "TCP" }] }] },
            "status": { "phase": "Running", "podIP": address, "conditions": [{ "type": "Ready", "status": ready }] },
        })
    }

    fn pods(values: impl IntoIterator<Item = serde_json::Value>) -> Vec<Arc<Pod>> {
        values.into_iter().map(|value| Arc::new(serde_json::from_value(value).expect("a Pod"))).collect()
    }

    #[test]
    fn ready_pods_are_addresses_and_others_wait_apart() {
        let mut ended = pod("ended", "10.244.0.9", "True");
        ended["status"]["phase"] = "Failed".into();
        let mut unnamed = pod("unnamed", "", "True");
        unnamed["status"]["podIP"] = serde_json::Value::Null;
        let pods = pods([
            pod("b", "10.244.0.5", "True"),
            pod("a", "10.244.0.4", "True"),
            pod("c", "10.244.0.6", "False"),
            ended,
            unnamed,
        ]);
        let subsets = endpoints(&service(), &pods).subsets.expect("subsets");
        assert_eq!(subsets.len(), 1);
        let addresses = |list: &Option<Vec<EndpointAddress>>| {
            list.iter().flatten().map(|address| address.ip.clone()).collect::<Vec<_>>()
        };
        assert_eq!(addresses(&subsets[0].addresses), ["10.244.0.4", "10.244.0.5"]);
        assert_eq!(addresses(&subsets[0].not_ready_addresses), ["10.244.0.6"]);
        let ports: Vec<i32> = subsets[0].ports.iter().flatten().map(|port| port.port).collect();
        assert_eq!(ports, [8080, 81], "one by name, one by number");
    }

    #[test]
    fn a_terminating_pod_serves_but_is_not_ready() {
        let mut going = pod("a", "10.244.0.4", "True");
        going["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z".into();
        let pods = pods([going]);
        assert_eq!(endpoints(&service(), &pods).subsets, None);
        let slices = slices(&service(), &pods);
        let conditions = slices[0].endpoints[0].conditions.clone().expect("conditions");
        assert_eq!(
            (conditions.ready, conditions.serving, conditions.terminating),
            (Some(false), Some(true), Some(true))
        );
    }

    #[test]
    fn slices_hold_a_hundred_and_one_is_there_without_any() {
        let many = pods((0..250).map(|at| pod(&format!("p{at}"), &format!("10.244.1.{at}"), "True")));
        let sizes: Vec<usize> = slices(&service(), &many).iter().map(|slice| slice.endpoints.len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let empty = slices(&service(), &[]);
        assert_eq!((empty.len(), empty[0].endpoints.len()), (1, 0));
        assert_eq!(owner_name(&empty[0]).as_deref(), Some("kuard"));
    }
}
