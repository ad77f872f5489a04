//! `kubectl create`: from files, and the common generators.

use base64::Engine;
use clap::{Args, Subcommand};
use podlab_api::json::object_mut;
use serde_json::{Map, Value, json};

use super::apply::with_last_applied;
use super::common::{DryRun, Writing, validation};
use crate::failure::{Failure, Outcome, fail, together};
use crate::select::Files;
use crate::session::Session;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = false, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    how: How,
    #[command(subcommand)]
    what: Option<What>,
}

/// What every generator takes.
#[derive(Args, Clone, Debug, Default)]
struct How {
    #[command(flatten)]
    writing: Writing,
    /// strict, warn or ignore
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "strict", default_value = "strict")]
    validate: String,
    /// Keep what is applied, for kubectl apply
    #[arg(long)]
    save_config: bool,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Create a namespace with the specified name
    #[command(alias = "ns")]
    Namespace {
        names: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Create a deployment with the specified name
    #[command(alias = "deploy")]
    Deployment(Deployment),
    /// Create a config map from a local file, directory or literal value
    #[command(alias = "cm")]
    Configmap {
        names: Vec<String>,
        #[command(flatten)]
        data: Data,
        #[command(flatten)]
        how: How,
    },
    /// Create a secret using a specified subcommand
    Secret {
        #[command(subcommand)]
        kind: Secret,
    },
    /// Create a service using a specified subcommand
    #[command(alias = "svc")]
    Service {
        #[command(subcommand)]
        kind: Service,
    },
    /// Create a service account with the specified name
    #[command(alias = "sa")]
    Serviceaccount {
        names: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Create a quota with the specified name
    #[command(alias = "resourcequota")]
    Quota {
        names: Vec<String>,
        /// cpu=1,pods=2
        #[arg(long, value_delimiter = ',')]
        hard: Vec<String>,
        /// BestEffort and so on
        #[arg(long, value_delimiter = ',')]
        scopes: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Create a priority class with the specified name
    #[command(alias = "pc")]
    Priorityclass {
        names: Vec<String>,
        /// How urgent
        #[arg(long, default_value_t = 0)]
        value: i64,
        /// Of Pods that name no class
        #[arg(long)]
        global_default: bool,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        /// PreemptLowerPriority or Never
        #[arg(long, default_value = "PreemptLowerPriority")]
        preemption_policy: String,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Args, Debug)]
struct Deployment {
    names: Vec<String>,
    /// Images, a container each
    #[arg(long)]
    image: Vec<String>,
    /// The port that the container opens
    #[arg(long)]
    port: Option<i64>,
    /// Pods
    #[arg(short, long, default_value_t = 1)]
    replicas: i64,
    #[command(flatten)]
    how: How,
    /// The containers' command
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct Data {
    /// [KEY=]FILE or a folder
    #[arg(long)]
    from_file: Vec<String>,
    /// KEY=VALUE
    #[arg(long)]
    from_literal: Vec<String>,
    /// Files with KEY=VALUE lines
    #[arg(long)]
    from_env_file: Vec<String>,
}

#[derive(Subcommand, Debug)]
enum Secret {
    /// Create a secret from a local file, directory, or literal value
    Generic {
        names: Vec<String>,
        #[command(flatten)]
        data: Data,
        /// Its type
        #[arg(long = "type")]
        kind: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Create a TLS secret
    Tls {
        names: Vec<String>,
        /// The file of the certificate
        #[arg(long)]
        cert: String,
        /// The file of its key
        #[arg(long)]
        key: String,
        #[command(flatten)]
        how: How,
    },
    /// Create a secret for use with a Docker registry
    #[command(name = "docker-registry")]
    DockerRegistry {
        names: Vec<String>,
        /// Its address
        #[arg(long, default_value = "https://index.docker.io/v1/")]
        docker_server: String,
        /// Who
        #[arg(long)]
        docker_username: String,
        /// With which password
        #[arg(long)]
        docker_password: String,
        /// With which address
        #[arg(long)]
        docker_email: Option<String>,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Subcommand, Debug)]
enum Service {
    /// Create a ClusterIP service
    Clusterip(Ports),
    /// Create a NodePort service
    Nodeport(Ports),
    /// Create a LoadBalancer service
    Loadbalancer(Ports),
    /// Create an ExternalName service
    Externalname(Ports),
}

#[derive(Args, Debug)]
struct Ports {
    names: Vec<String>,
    /// PORT[:TARGETPORT]
    #[arg(long)]
    tcp: Vec<String>,
    /// None makes it headless
    #[arg(long)]
    clusterip: Option<String>,
    /// The port on the nodes
    #[arg(long)]
    node_port: Option<i64>,
    /// The name it stands for
    #[arg(long)]
    external_name: Option<String>,
    #[command(flatten)]
    how: How,
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let Some(what) = arguments.what else { return from_files(session, &arguments).await };
    let (object, how) = match what {
        What::Namespace { names, how } => (
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": meta(&names, "namespace")?, "spec": {}, "status": {} }),
            how,
        ),
        What::Deployment(deployment) => (self::deployment(&deployment)?, deployment.how),
        What::Configmap { names, data, how } => {
            let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(&names, "configmap")? });
            for (key, bytes) in data.read()? {
                match String::from_utf8(bytes) {
                    Ok(text) => object["data"][key] = text.into(),
                    Err(error) => object["binaryData"][key] = encoded(error.as_bytes()).into(),
                }
            }
            (object, how)
        }
        What::Secret { kind } => secret(kind)?,
        What::Service { kind } => service(kind)?,
        What::Serviceaccount { names, how } => {
            (json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(&names, "serviceaccount")? }), how)
        }
        What::Quota { names, hard, scopes, how } => {
            let mut object = json!({
                "apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta(&names, "quota")?, "spec": {}, "status": {},
            });
            for pair in hard {
                let Some((name, amount)) = pair.split_once('=') else {
                    return fail(format!("Invalid argument syntax {pair}, expected <resource>=<value>"));
                };
                object["spec"]["hard"][name] = amount.into();
            }
            if !scopes.is_empty() {
                object["spec"]["scopes"] = scopes.into();
            }
            (object, how)
        }
        What::Priorityclass { names, value, global_default, description, preemption_policy, how } => (
            json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta(&names, "priorityclass")?,
                "value": value, "globalDefault": global_default, "description": description,
                "preemptionPolicy": preemption_policy,
            }),
            how,
        ),
    };
    generated(session, object, &how).await
}

/// Sends an object that was made here.
async fn generated(session: &Session, mut object: Value, how: &How) -> Outcome {
    let api_version = podlab_api::json::text(&object, &["apiVersion"]).to_owned();
    let name = podlab_api::json::text(&object, &["kind"]).to_owned();
    let kind = session.kind_of(&api_version, &name).await?;
    let dry = how.writing.dry()?;
    let namespace = if kind.namespaced { Some(session.namespace()?) } else { None };
    if let Some(namespace) = &namespace
        && (dry != DryRun::Client || session.globals.namespace.is_some())
    {
        object_mut(&mut object, &["metadata"]).insert("namespace".into(), namespace.as_str().into());
    }
    if how.save_config {
        object = with_last_applied(&object);
    }
    let mut teller = how.writing.teller()?;
    let path = how.writing.on(kind.collection(namespace.as_deref()), "kubectl-create")?;
    let path = path.query("fieldValidation", validation(&how.validate)?);
    let made = session.make(path, &object, dry).await.map_err(|failure| match failure {
        Failure::Status(mut status) if status["reason"] != "Invalid" => {
            let message = podlab_api::json::text(&status, &["message"]).to_owned();
            let told = name.to_lowercase();
            status["message"] = match told.as_str() {
                "namespace" | "priorityclass" => message,
                _ => format!("failed to create {told}: {message}"),
            }
            .into();
            if status["message"].as_str().is_some_and(|message| message.starts_with("failed to create")) {
                let text = podlab_api::json::text(&status, &["message"]).to_owned();
                return Failure::Text(text);
            }
            Failure::Status(status)
        }
        other => other,
    })?;
    teller.tell(&made, "created")
}

async fn from_files(session: &Session, arguments: &Arguments) -> Outcome {
    if arguments.files.is_empty() {
        return fail("must specify one of -f and -k");
    }
    let how = &arguments.how;
    let dry = how.writing.dry()?;
    let mut teller = how.writing.teller()?;
    let mut failures = Vec::new();
    for manifest in session.manifests(&arguments.files).await? {
        let object = if how.save_config { with_last_applied(&manifest.object) } else { manifest.object.clone() };
        let path = how.writing.on(manifest.kind.collection(manifest.namespace.as_deref()), "kubectl-create")?;
        let path = path.query("fieldValidation", validation(&how.validate)?);
        match session.make(path, &object, dry).await {
            Ok(made) => teller.tell(&made, "created")?,
            Err(failure) => failures.push(failure.when("creating", &manifest.source)),
        }
    }
    together(failures)
}

/// `metadata` with the one name that was given.
fn meta(names: &[String], what: &str) -> Outcome<Value> {
    match names {
        [name] => Ok(json!({ "name": name, "creationTimestamp": null })),
        names => fail(format!(
            "exactly one NAME is required, got {}\nSee 'kubectl create {what} -h' for help and examples",
            names.len()
        )),
    }
}

fn deployment(of: &Deployment) -> Outcome<Value> {
    let mut metadata = meta(&of.names, "deployment")?;
    let name = of.names[0].as_str();
    if of.image.is_empty() {
        return fail("required flag(s) \"image\" not set");
    }
    if of.image.len() > 1 && !of.command.is_empty() {
        return fail("cannot specify multiple --image options and command");
    }
    metadata["labels"] = json!({ "app": name });
    let containers: Vec<Value> = of
        .image
        .iter()
        .map(|image| {
            // Named as the last part of the image.
            let called = image.rsplit('/').next().unwrap_or(image).split([':', '@']).next().unwrap_or(image);
            let called: String = called
                .to_lowercase()
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
                .collect();
            let mut container = json!({ "name": called, "image": image, "resources": {} });
            if let Some(port) = of.port {
                container["ports"] = json!([{ "containerPort": port }]);
            }
            if !of.command.is_empty() {
                container["command"] = of.command.clone().into();
            }
            container
        })
        .collect();
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "status": {},
        "spec": {
            "replicas": of.replicas, "selector": { "matchLabels": { "app": name } }, "strategy": {},
            "template": {
                "metadata": { "creationTimestamp": null, "labels": { "app": name } }, "spec": { "containers": containers },
            },
        },
    }))
}

impl Data {
    fn read(&self) -> Outcome<Vec<(String, Vec<u8>)>> {
        let mut all = Vec::new();
        for literal in &self.from_literal {
            match literal.split_once('=') {
                Some((key, value)) => all.push((key.to_owned(), value.trim_matches(['"', '\'']).as_bytes().to_vec())),
                None => return fail(format!("invalid literal source {literal}, expected key=value")),
            }
        }
        for source in &self.from_file {
            let (key, path) = match source.split_once('=') {
                Some((key, path)) => (Some(key), path),
                None => (None, source.as_str()),
            };
            let path = std::path::Path::new(path);
            let read = |path: &std::path::Path| {
                std::fs::read(path).map_err(|error| Failure::Text(format!("error reading {}: {error}", path.display())))
            };
            if path.is_dir() {
                let entries = std::fs::read_dir(path).map_err(|error| Failure::Text(error.to_string()))?;
                let mut files: Vec<_> =
                    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
                files.sort();
                for file in files {
                    all.push((file_name(&file), read(&file)?));
                }
            } else {
                all.push((key.map_or_else(|| file_name(path), str::to_owned), read(path)?));
            }
        }
        for file in &self.from_env_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::Text(format!("error reading {file}: {error}")))?;
            for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                all.push((key.to_owned(), value.as_bytes().to_vec()));
            }
        }
        let mut seen = Map::new();
        for (key, _) in &all {
            if seen.insert(key.clone(), Value::Null).is_some() {
                return fail(format!("cannot add key \"{key}\", another key by that name already exists in Data"));
            }
        }
        Ok(all)
    }
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn secret(kind: Secret) -> Outcome<(Value, How)> {
    let object = |names: &[String], what: &str, data: Vec<(String, Vec<u8>)>, kind: Option<&str>| -> Outcome<Value> {
        let mut object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": meta(names, what)? });
        for (key, bytes) in data {
            object["data"][key] = encoded(&bytes).into();
        }
        if let Some(kind) = kind {
            object["type"] = kind.into();
        }
        Ok(object)
    };
    let file = |path: &str| std::fs::read(path).map_err(|error| Failure::Text(format!("open {path}: {error}")));
    match kind {
        Secret::Generic { names, data, kind, how } => {
            Ok((object(&names, "secret generic", data.read()?, kind.as_deref())?, how))
        }
        Secret::Tls { names, cert, key, how } => {
            let data = vec![("tls.crt".to_owned(), file(&cert)?), ("tls.key".to_owned(), file(&key)?)];
            Ok((object(&names, "secret tls", data, Some("kubernetes.io/tls"))?, how))
        }
        Secret::DockerRegistry { names, docker_server, docker_username, docker_password, docker_email, how } => {
            let mut login = json!({
                "username": docker_username, "password": docker_password,
                "auth": encoded(format!("{docker_username}:{docker_password}").as_bytes()),
            });
            if let Some(email) = docker_email {
                login["email"] = email.into();
            }
            let config = json!({ "auths": { docker_server: login } }).to_string();
            let data = vec![(".dockerconfigjson".to_owned(), config.into_bytes())];
            Ok((object(&names, "secret docker-registry", data, Some("kubernetes.io/dockerconfigjson"))?, how))
        }
    }
}

fn service(kind: Service) -> Outcome<(Value, How)> {
    let (kind, of) = match kind {
        Service::Clusterip(of) => ("ClusterIP", of),
        Service::Nodeport(of) => ("NodePort", of),
        Service::Loadbalancer(of) => ("LoadBalancer", of),
        Service::Externalname(of) => ("ExternalName", of),
    };
    let mut metadata = meta(&of.names, "service")?;
    let name = of.names[0].as_str();
    metadata["labels"] = json!({ "app": name });
    let mut ports = Vec::new();
    for pair in &of.tcp {
        let (port, target) = pair.split_once(':').unwrap_or((pair, pair));
        let Ok(number) = port.parse::<i64>() else { return fail(format!("invalid port: {port}")) };
        let target = target.parse::<i64>().map_or_else(|_| Value::from(target), Value::from);
        let mut entry =
            json!({ "name": pair.replace(':', "-"), "port": number, "protocol": "TCP", "targetPort": target });
        if let Some(node) = of.node_port {
            entry["nodePort"] = node.into();
        }
        ports.push(entry);
    }
    let mut spec = json!({ "type": kind, "selector": { "app": name } });
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    } else if kind != "ExternalName" && of.clusterip.as_deref() != Some("None") {
        return fail("at least one tcp port specifier must be provided");
    }
    if let Some(address) = &of.clusterip {
        spec["clusterIP"] = address.as_str().into();
    }
    if let Some(external) = &of.external_name {
        spec["externalName"] = external.as_str().into();
    }
    let object = json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": { "loadBalancer": {} } });
    Ok((object, of.how))
}
