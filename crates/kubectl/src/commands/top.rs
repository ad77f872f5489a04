//! `kubectl top`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use podlab_api::json::{at, entries, list, text};
use podlab_api::quantity::Quantity;
use podlab_client::Path;
use serde_json::Value;

use crate::failure::{Outcome, fail};
use crate::print::{complain, say, tabs::Tabs};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Display resource (CPU/memory) usage of pods
    #[command(alias = "pods", alias = "po")]
    Pod(What),
    /// Display resource (CPU/memory) usage of nodes
    #[command(alias = "nodes", alias = "no")]
    Node(What),
}

#[derive(Args, Debug)]
struct What {
    /// Only this one
    words: Vec<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// A line a container
    #[arg(long)]
    containers: bool,
    /// Without headings
    #[arg(long)]
    no_headers: bool,
    /// cpu or memory
    #[arg(long)]
    sort_by: Option<String>,
    /// With a line of sums
    #[arg(long)]
    sum: bool,
    /// Of what there is, not of what Pods may use
    #[arg(long)]
    show_capacity: bool,
}

/// Millicores and bytes.
type Usage = (i64, i64);

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let (pods, what) = match arguments.command {
        Command::Pod(what) => (true, what),
        Command::Node(what) => (false, what),
    };
    if let Some(field) = what.sort_by.as_deref().filter(|field| !matches!(*field, "cpu" | "memory")) {
        return fail(format!("--sort-by accepts only cpu or memory, not {field}"));
    }
    let namespace = session.namespace()?;
    let base = Path::new("/apis/metrics.k8s.io/v1beta1");
    let mut path = match (pods, what.all_namespaces) {
        (false, _) => base.segment("nodes"),
        (true, true) => base.segment("pods"),
        (true, false) => base.segment("namespaces").segment(&namespace).segment("pods"),
    };
    if let Some(name) = what.words.first() {
        path = path.segment(name);
    } else if let Some(selector) = &what.selector {
        path = path.query("labelSelector", selector);
    }
    let answer = match session.get(&path).await {
        Err(failure) if failure.is_not_found() && what.words.is_empty() => return fail("Metrics API not available"),
        answer => answer?,
    };
    let items: Vec<Value> = match answer.get("items").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![answer],
    };
    if items.is_empty() {
        complain(&match what.all_namespaces || !pods {
            true => "No resources found".to_owned(),
            false => format!("No resources found in {namespace} namespace."),
        });
        return Ok(());
    }
    say(&Tabs::table().format(&if pods { pod_table(&what, items) } else { node_table(session, &what, items).await? }));
    Ok(())
}

fn usage(of: &Value) -> Usage {
    let quantity = |name: &str| Quantity::from_json(at(of, &["usage", name]));
    (
        quantity("cpu").map_or(0, |quantity| quantity.milli_value()),
        quantity("memory").map_or(0, |quantity| quantity.value()),
    )
}

fn sort<T>(what: &What, rows: &mut [(T, Usage)]) {
    match what.sort_by.as_deref() {
        Some("cpu") => rows.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.0)),
        Some(_) => rows.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.1)),
        None => {}
    }
}

fn cells((cpu, memory): Usage) -> String {
    format!("{cpu}m\t{}Mi\t", memory / (1 << 20))
}

fn pod_table(what: &What, items: Vec<Value>) -> String {
    let mut rows: Vec<(Value, Usage)> = items
        .into_iter()
        .map(|pod| {
            let sum =
                list(&pod, &["containers"]).iter().map(usage).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            (pod, sum)
        })
        .collect();
    rows.sort_by_key(|(pod, _)| {
        (text(pod, &["metadata", "namespace"]).to_owned(), text(pod, &["metadata", "name"]).to_owned())
    });
    sort(what, &mut rows);
    let namespace = |pod: &Value| match what.all_namespaces {
        true => format!("{}\t", text(pod, &["metadata", "namespace"])),
        false => String::new(),
    };
    let mut table = String::new();
    if !what.no_headers {
        table.push_str(if what.all_namespaces { "NAMESPACE\t" } else { "" });
        table.push_str(if what.containers { "POD\tNAME\t" } else { "NAME\t" });
        table.push_str("CPU(cores)\tMEMORY(bytes)\t\n");
    }
    let mut sum = (0, 0);
    for (pod, used) in &rows {
        let name = text(pod, &["metadata", "name"]);
        sum = (sum.0 + used.0, sum.1 + used.1);
        if what.containers {
            for container in list(pod, &["containers"]) {
                let called = text(container, &["name"]);
                table.push_str(&format!("{}{name}\t{called}\t{}\n", namespace(pod), cells(usage(container))));
            }
        } else {
            table.push_str(&format!("{}{name}\t{}\n", namespace(pod), cells(*used)));
        }
    }
    if what.sum {
        let empty = "\t".repeat(usize::from(what.all_namespaces) + usize::from(what.containers));
        table.push_str(&format!("{empty}\t________\t________\t\n{empty}\t{}\n", cells(sum)));
    }
    table
}

async fn node_table(session: &Session, what: &What, items: Vec<Value>) -> Outcome<String> {
    let nodes = session.get(&Path::new("/api/v1/nodes")).await?;
    let field = if what.show_capacity { "capacity" } else { "allocatable" };
    let mut whole: BTreeMap<&str, Usage> = BTreeMap::new();
    for node in list(&nodes, &["items"]) {
        let amounts: BTreeMap<&str, Quantity> = entries(node, &["status", field])
            .filter_map(|(name, value)| Some((name.as_str(), Quantity::from_json(value)?)))
            .collect();
        let cpu = amounts.get("cpu").map_or(0, |quantity| quantity.milli_value());
        let memory = amounts.get("memory").map_or(0, |quantity| quantity.value());
        whole.insert(text(node, &["metadata", "name"]), (cpu, memory));
    }
    let mut rows: Vec<(Value, Usage)> = items
        .into_iter()
        .map(|node| {
            let used = usage(&node);
            (node, used)
        })
        .collect();
    rows.sort_by_key(|(node, _)| text(node, &["metadata", "name"]).to_owned());
    sort(what, &mut rows);
    let mut table = String::new();
    if !what.no_headers {
        table.push_str("NAME\tCPU(cores)\tCPU(%)\tMEMORY(bytes)\tMEMORY(%)\t\n");
    }
    for (node, (cpu, memory)) in &rows {
        let name = text(node, &["metadata", "name"]);
        let (all_cpu, all_memory) = whole.get(name).copied().unwrap_or_default();
        let share = |part: i64, whole: i64| {
            if whole == 0 { "<unknown>".to_owned() } else { format!("{}%", part * 100 / whole) }
        };
        let (cpu_share, memory_share) = (share(*cpu, all_cpu), share(*memory, all_memory));
        table.push_str(&format!("{name}\t{cpu}m\t{cpu_share}\t{}Mi\t{memory_share}\t\n", memory / (1 << 20)));
    }
    Ok(table)
}
