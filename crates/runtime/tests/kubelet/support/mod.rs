//! A kubelet on a simulated node, an API server in memory, and a clock that moves only when it is told to.
#![allow(unreachable_pub, reason = "a module of each test that uses it")]

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use podlab_apiserver::{Identity, Pki, Server, ServerConfig, Storage, UnixNodes};
use podlab_client::sleeper::Sleeper;
use podlab_client::{Cache, Client, DeleteOptions, ListOptions, Object};
use podlab_runtime::backend::NodeFacts;
use podlab_runtime::backend::simulated::{Program, Simulated};
use podlab_runtime::clock::{Clock, Held};
use podlab_runtime::kubelet::{self, KubeletConfig};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// A test that has not seen what it waits for by then has failed. Of the wall's time; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

pub const BUSYBOX: &str = "busybox:1.35";
pub const KUARD: &str = "gcr.io/kuar-demo/kuard-amd64:1";

pub struct Cluster {
    pub client: Client,
    pub clock: Held,
    pub node: Simulated<Held>,
    pub pods: Cache<Pod>,
    events: Cache<Event>,
    kubelet: JoinHandle<()>,
    _server: Server,
    directory: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let clock = Held::at("2026-11-20T18:48:05Z".parse().expect("a time"));
        let stamps = clock.clone();
        let server = Server::start(ServerConfig {
            storage: Storage::Memory,
            pki: Pki::ephemeral().expect("credentials"),
            now: Arc::new(move || stamps.now()),
            nodes: Arc::new(UnixNodes { nodes: "/nonexistent".into() }),
        })
        .await
        .expect("a server");
        let client = Client::from_service(server.service(Identity::admin()));
        for (path, object) in [
            ("serviceaccounts", json!({"kind": "ServiceAccount", "metadata": {"name": "default"}})),
            (
                "configmaps",
                json!({"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "PEM"}}),
            ),
        ] {
            post(&client, path, object).await;
        }
        let facts = NodeFacts {
            name: "node1".into(),
            cpu_millis: 2000,
            memory: 24_684_084 << 10,
            ephemeral_storage: 264_212_084 << 10,
            pods: 110,
            internal_ip: "10.99.0.1".into(),
            pod_cidr: "10.244.0.0/24".into(),
            machine_id: "00000000000000000000000000000001".into(),
            system_uuid: "00000000000000000000000000000001".into(),
            boot_id: "00000000-0000-0000-0000-000000000002".into(),
            kernel_version: "6.18.44".into(),
            os_image: "Debian GNU/Linux 12 (bookworm)".into(),
            architecture: "amd64".into(),
            container_runtime_version: "podlab://0.1.0".into(),
            labels: Default::default(),
            taints: Vec::new(),
        };
        let node = Simulated::new(facts, clock.clone());
        for image in [BUSYBOX, KUARD] {
            node.store(image, Program::default());
        }
        let pods = Cache::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
        let events = Cache::spawn(client.clone(), None, ListOptions::default(), Sleeper::wall());
        let directory = tempfile::tempdir().expect("a directory");
        let kubelet = start_kubelet(&directory, &node, &clock, &client);
        Cluster { client, clock, node, pods, events, kubelet, _server: server, directory }
    }

    /// Kills the kubelet where it stands.
    pub async fn kill_kubelet(&mut self) {
        self.kubelet.abort();
        let _ = (&mut self.kubelet).await;
    }

    pub fn start_kubelet(&mut self) {
        self.kubelet = start_kubelet(&self.directory, &self.node, &self.clock, &self.client);
    }

    /// Creates a Pod that is bound already.
    pub async fn create(&self, name: &str, spec: Value) -> Arc<Pod> {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
        pod["spec"]["nodeName"] = "node1".into();
        post(&self.client, "pods", pod).await;
        self.until(name, |_| true).await
    }

    pub async fn post(&self, path: &str, object: Value) {
        post(&self.client, path, object).await;
    }

    /// Waits until a Pod is as wanted.
    pub async fn until(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Arc<Pod> {
        let mut version = self.pods.version();
        let seen = async {
            loop {
                version.mark_unchanged();
                if let Some(pod) = self.pods.get("default", name).filter(|pod| wanted(pod)) {
                    return pod;
                }
                let _ = version.changed().await;
            }
        };
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(pod) => pod,
            Err(_) => panic!(
                "never seen; the Pod is {}\nevents: {:#?}",
                serde_json::to_string_pretty(&self.pods.get("default", name).and_then(|pod| pod.status.clone()))
                    .expect("a status"),
                self.told(name)
            ),
        }
    }

    /// Waits until a Pod's STATUS, as `kubectl get` prints it, is as wanted.
    pub async fn until_status(&self, name: &str, wanted: &str) -> Arc<Pod> {
        self.until(name, |pod| column(pod) == wanted).await
    }

    pub async fn until_gone(&self, name: &str) {
        let mut version = self.pods.version();
        let gone = async {
            while self.pods.get("default", name).is_some() {
                let _ = version.changed().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, gone).await.is_ok(), "{name} is still there");
    }

    /// Changes the image of a Pod's first container.
    pub async fn change_image(&self, name: &str, image: &str) {
        let mut pod: Pod = self.client.get("default", name).await.expect("there");
        pod.spec.as_mut().expect("a spec").containers[0].image = Some(image.to_owned());
        self.client.replace(&pod).await.expect("accepted");
    }

    pub async fn delete(&self, name: &str, grace: Option<i64>) {
        let options = DeleteOptions { grace_period_seconds: grace, ..DeleteOptions::default() };
        self.client.delete::<Pod>("default", name, &options).await.expect("accepted");
    }

    /// Waits until an event of the reason was told so many times.
    pub async fn until_event(&self, pod: &str, reason: &str, count: i32) -> Arc<Event> {
        let mut version = self.events.version();
        let seen = async {
            loop {
                version.mark_unchanged();
                let mut all = self.events.all().into_iter();
                let found = all.find(|event| {
                    event.involved_object.name.as_deref() == Some(pod)
                        && event.reason.as_deref() == Some(reason)
                        && event.count.unwrap_or(1) >= count
                });
                if let Some(event) = found {
                    return event;
                }
                let _ = version.changed().await;
            }
        };
        match tokio::time::timeout(PATIENCE, seen).await {
            Ok(event) => event,
            Err(_) => panic!("{reason} never told {count} times: {:#?}", self.told(pod)),
        }
    }

    /// The events about a Pod, in order: type, reason, message, and how often if more than once.
    pub fn told(&self, pod: &str) -> Vec<String> {
        let mut events = self.events.all();
        events.retain(|event| event.involved_object.name.as_deref() == Some(pod));
        // The name of an event ends in the nanoseconds of its first time.
        events.sort_by_key(|event| event.name().rsplit('.').next().and_then(|hex| u128::from_str_radix(hex, 16).ok()));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let line = |event: &Event| {
            let times = match event.count.unwrap_or(1) {
                1 => String::new(),
                count => format!(" (x{count})"),
            };
            format!("{} {} {}{times}", text(&event.type_), text(&event.reason), text(&event.message))
        };
        events.iter().map(|event| line(event)).collect()
    }

    /// Lets time pass, up to a point at which something happens, and no further.
    pub fn step(&self, seconds: u64) {
        self.clock.step(Duration::from_secs(seconds));
    }
}

fn start_kubelet(
    directory: &tempfile::TempDir,
    node: &Simulated<Held>,
    clock: &Held,
    client: &Client,
) -> JoinHandle<()> {
    let socket = directory.path().join("kubelet.sock");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(socket).expect("a socket");
    let config = KubeletConfig { listener, resolv_conf: "nameserver 192.0.2.1\n".into() };
    let (backend, clock, client) = (Arc::new(node.clone()), Arc::new(clock.clone()), client.clone());
    tokio::spawn(async move {
        kubelet::run(config, backend, clock, client).await.expect("a kubelet");
    })
}

async fn post(client: &Client, path: &str, object: Value) {
    let request = http::Request::post(format!("/api/v1/namespaces/default/{path}"))
        .header("content-type", "application/json")
        .body(object.to_string().into())
        .expect("a request");
    if let Err(error) = client.open(request).await {
        panic!("{path}: {error}");
    }
}

/// STATUS as `kubectl get pods` prints it.
pub fn column(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let reason = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
        let state = state?;
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| state.terminated.as_ref().and_then(|ended| ended.reason.clone()))
    };
    let init = status.init_container_statuses.unwrap_or_default();
    let undone = init.iter().enumerate().find(|(_, one)| {
        let ended_well =
            one.state.as_ref().and_then(|state| state.terminated.as_ref()).is_some_and(|ended| ended.exit_code == 0);
        let spec = pod.spec.as_ref().and_then(|spec| spec.init_containers.clone()).unwrap_or_default();
        let sidecar = spec.iter().any(|init| init.name == one.name && init.restart_policy.is_some());
        !(ended_well || sidecar && one.started == Some(true))
    });
    let phase = status.phase.unwrap_or_default();
    if let Some((index, one)) = undone.filter(|_| phase == "Pending") {
        return match reason(one.state.as_ref()).as_deref() {
            Some("PodInitializing") | None => format!("Init:{index}/{}", init.len()),
            Some(reason) => format!("Init:{reason}"),
        };
    }
    let main = status.container_statuses.unwrap_or_default();
    let text = main.iter().find_map(|one| reason(one.state.as_ref())).unwrap_or(phase);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    if terminating && text == "Running" { "Terminating".to_owned() } else { status.reason.unwrap_or(text) }
}

/// The status of a Pod's first container.
pub fn first(pod: &Pod) -> k8s_openapi::api::core::v1::ContainerStatus {
    let all = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
    all.and_then(|all| all.first().cloned()).unwrap_or_default()
}
