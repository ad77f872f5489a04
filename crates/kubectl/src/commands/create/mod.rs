//! `kubectl create`: from files, and the common generators.

mod access;
mod data;
mod service;
mod workload;

use clap::{Args, Subcommand};
use podlab_api::json::object_mut;
use serde_json::{Value, json};

use super::apply::with_last_applied;
use super::common::{DryRun, Writing, validation};
use crate::discovery::Kind;
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
    Deployment(workload::Deployment),
    /// Create a config map from a local file, directory or literal value
    #[command(alias = "cm")]
    Configmap {
        names: Vec<String>,
        #[command(flatten)]
        data: data::Data,
        #[command(flatten)]
        how: How,
    },
    /// Create a secret using a specified subcommand
    Secret {
        #[command(subcommand)]
        kind: data::Secret,
    },
    /// Create a service using a specified subcommand
    #[command(alias = "svc")]
    Service {
        #[command(subcommand)]
        kind: service::Service,
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
    /// Create a job with the specified name
    Job(workload::Job),
    /// Create a cron job with the specified name
    #[command(alias = "cj")]
    Cronjob(workload::CronJob),
    /// Create a pod disruption budget with the specified name
    #[command(alias = "pdb")]
    Poddisruptionbudget(workload::Budget),
    /// Create a role with single rule
    Role(access::Role),
    /// Create a cluster role
    Clusterrole(access::Role),
    /// Create a role binding for a particular role or cluster role
    Rolebinding(access::Binding),
    /// Create a cluster role binding for a particular cluster role
    Clusterrolebinding(access::Binding),
    /// Request a service account token
    Token(access::Token),
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let Some(what) = arguments.what else { return from_files(session, &arguments).await };
    let (object, how) = match what {
        What::Namespace { names, how } => (
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": meta(&names, "namespace")?, "spec": {}, "status": {} }),
            how,
        ),
        What::Deployment(of) => (workload::deployment(&of)?, of.how),
        What::Job(of) => (workload::job(&of)?, of.how),
        What::Cronjob(of) => (workload::cronjob(&of)?, of.how),
        What::Poddisruptionbudget(of) => (workload::budget(&of)?, of.how),
        What::Role(of) => (access::role(session, &of, false).await?, of.how),
        What::Clusterrole(of) => (access::role(session, &of, true).await?, of.how),
        What::Rolebinding(of) => (access::binding(&of, false)?, of.how),
        What::Clusterrolebinding(of) => (access::binding(&of, true)?, of.how),
        What::Token(of) => return access::token(session, &of).await,
        What::Configmap { names, data, how } => (data::configmap(&names, &data)?, how),
        What::Secret { kind } => data::secret(kind)?,
        What::Service { kind } => service::service(kind)?,
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
                if podlab_api::quantity::Quantity::parse(amount).is_err() {
                    return fail(
                        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                    );
                }
                object["spec"]["hard"][name] = amount.into();
            }
            if !scopes.is_empty() {
                object["spec"]["scopes"] = scopes.into();
            }
            (object, how)
        }
        What::Priorityclass { names, value, global_default, description, preemption_policy, how } => {
            let mut object = json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta(&names, "priorityclass")?,
                "value": value, "preemptionPolicy": preemption_policy,
            });
            if global_default {
                object["globalDefault"] = true.into();
            }
            if !description.is_empty() {
                object["description"] = description.into();
            }
            (object, how)
        }
    };
    generated(session, object, &how).await
}

/// Sends an object that was made here.
async fn generated(session: &Session, mut object: Value, how: &How) -> Outcome {
    let name = podlab_api::json::text(&object, &["kind"]).to_owned();
    let kind = match made_only(&name) {
        Some(kind) => kind,
        None => session.kind_of(podlab_api::json::text(&object, &["apiVersion"]), &name).await?,
    };
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
        Failure::Status(status) if status["reason"] != "Invalid" => match name.as_str() {
            // These say nothing of their own.
            "Namespace" | "PriorityClass" | "Role" | "ClusterRole" => Failure::Status(status),
            "PodDisruptionBudget" => failed("poddisruptionbudgets", &status),
            name => failed(&name.to_lowercase(), &status),
        },
        other => other,
    })?;
    teller.tell(&made, "created")
}

fn failed(what: &str, status: &Value) -> Failure {
    Failure::Text(format!("failed to create {what}: {}", podlab_api::json::text(status, &["message"])))
}

/// Kinds that a cluster of ours has not, and that others have: what is made of them here is not looked up first.
fn made_only(name: &str) -> Option<Kind> {
    let (group, plural, namespaced) = match name {
        "Job" => ("batch", "jobs", true),
        "CronJob" => ("batch", "cronjobs", true),
        "PodDisruptionBudget" => ("policy", "poddisruptionbudgets", true),
        "Role" => ("rbac.authorization.k8s.io", "roles", true),
        "RoleBinding" => ("rbac.authorization.k8s.io", "rolebindings", true),
        "ClusterRole" => ("rbac.authorization.k8s.io", "clusterroles", false),
        "ClusterRoleBinding" => ("rbac.authorization.k8s.io", "clusterrolebindings", false),
        _ => return None,
    };
    Some(Kind {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: name.to_owned(),
        plural: plural.to_owned(),
        singular: name.to_lowercase(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced,
        verbs: vec!["create".to_owned()],
    })
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
