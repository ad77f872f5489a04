//! Namespaces, and what bounds them: quotas and limit ranges.

use podlab_api::json::{at, entries, list, text};
use podlab_client::Path;
use serde_json::Value;

use super::parts::{annotations, labels};
use super::{About, Page};

pub(super) async fn describe(page: &mut Page, about: &About<'_>, namespace: &Value) {
    let name = text(namespace, &["metadata", "name"]);
    page.line(0, format!("Name:\t{name}"));
    labels(page, "Labels", at(namespace, &["metadata", "labels"]));
    annotations(page, "Annotations", at(namespace, &["metadata", "annotations"]));
    page.line(0, format!("Status:\t{}", text(namespace, &["status", "phase"])));
    let conditions = list(namespace, &["status", "conditions"]);
    if !conditions.is_empty() {
        page.line(0, "Conditions:\n  Type\tStatus\tLastTransitionTime\tReason\tMessage");
        page.line(0, "  ----\t------\t------------------\t------\t-------");
        for condition in conditions {
            let [kind, status, reason, message] =
                ["type", "status", "reason", "message"].map(|field| text(condition, &[field]));
            let changed = super::parts::time(at(condition, &["lastTransitionTime"]));
            page.line(1, format!("{kind} \t{status} \t{changed} \t{reason} \t{message}"));
        }
    }
    let inside = |kind: &str| Path::new("/api/v1/namespaces").segment(name).segment(kind);
    let quotas = about.others(inside("resourcequotas")).await;
    if quotas.is_empty() {
        page.line(0, "\nNo resource quota.");
    } else {
        page.line(0, "\nResource Quotas");
        for quota in &quotas {
            page.line(0, format!("  Name:\t{}", text(quota, &["metadata", "name"])));
            scopes(page, quota, "  ");
            page.line(0, "  Resource\tUsed\tHard\n  --------\t---\t---");
            amounts(page, quota, "  ");
        }
    }
    let ranges = about.others(inside("limitranges")).await;
    if ranges.is_empty() {
        page.line(0, "\nNo LimitRange resource.");
    } else {
        page.line(0, format!("\nResource Limits\n {HEADINGS}"));
        page.line(0, format!(" {UNDER}"));
        for range in &ranges {
            limits(page, range, " ");
        }
    }
}

const HEADINGS: &str = "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio";
const UNDER: &str = "----\t--------\t---\t---\t---------------\t-------------\t-----------------------";

pub(super) fn quota(page: &mut Page, quota: &Value) {
    page.line(0, format!("Name:\t{}", text(quota, &["metadata", "name"])));
    page.line(0, format!("Namespace:\t{}", text(quota, &["metadata", "namespace"])));
    scopes(page, quota, "");
    page.line(0, "Resource\tUsed\tHard\n--------\t----\t----");
    amounts(page, quota, "");
}

fn scopes(page: &mut Page, quota: &Value, indent: &str) {
    let mut scopes: Vec<&str> = list(quota, &["spec", "scopes"]).iter().filter_map(Value::as_str).collect();
    if scopes.is_empty() {
        return;
    }
    scopes.sort_unstable();
    page.line(0, format!("{indent}Scopes:\t{}", scopes.join(", ")));
    for scope in scopes {
        let help = match scope {
            "Terminating" => {
                "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
            }
            "NotTerminating" => {
                "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
            }
            "BestEffort" => {
                "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
            }
            "NotBestEffort" => {
                "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
            }
            _ => continue,
        };
        page.line(0, format!("{indent} * {help}"));
    }
}

fn amounts(page: &mut Page, quota: &Value, indent: &str) {
    for (name, hard) in entries(quota, &["status", "hard"]) {
        let used = match text(quota, &["status", "used", name]) {
            "" => "0",
            used => used,
        };
        page.line(0, format!("{indent}{name}\t{used}\t{}", hard.as_str().unwrap_or_default()));
    }
}

pub(super) fn limit_range(page: &mut Page, range: &Value) {
    page.line(0, format!("Name:\t{}", text(range, &["metadata", "name"])));
    page.line(0, format!("Namespace:\t{}", text(range, &["metadata", "namespace"])));
    page.line(0, format!("{HEADINGS}\n{UNDER}"));
    limits(page, range, "");
}

fn limits(page: &mut Page, range: &Value, indent: &str) {
    const FIELDS: [&str; 5] = ["min", "max", "defaultRequest", "default", "maxLimitRequestRatio"];
    for limit in list(range, &["spec", "limits"]) {
        let mut names: Vec<&String> = FIELDS
            .iter()
            .filter_map(|field| limit.get(*field)?.as_object())
            .flat_map(|amounts| amounts.keys())
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            let cells = FIELDS.map(|field| match text(limit, &[field, name]) {
                "" => "-",
                value => value,
            });
            page.line(0, format!("{indent}{}\t{name}\t{}", text(limit, &["type"]), cells.join("\t")));
        }
    }
}
