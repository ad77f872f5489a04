//! Services and who is behind them.

use podlab_api::json::{at, integer, list, text};
use podlab_client::Path;
use serde_json::Value;

use super::parts::{events, head};
use super::{About, Page};
use crate::print::jsonpath::shown;

/// Addresses that are named; the rest is counted.
const NAMED: usize = 3;

pub(super) async fn describe(page: &mut Page, about: &About<'_>, service: &Value) {
    let spec = at(service, &["spec"]);
    head(page, service);
    page.line(0, format!("Selector:\t{}", crate::print::table::label_text(at(spec, &["selector"]))));
    page.line(0, format!("Type:\t{}", text(spec, &["type"])));
    super::pod::optional(page, "IP Family Policy", text(spec, &["ipFamilyPolicy"]));
    let joined = |field: &str| match list(spec, &[field]) {
        [] => "<none>".to_owned(),
        all => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
    };
    page.line(0, format!("IP Families:\t{}", joined("ipFamilies")));
    page.line(0, format!("IP:\t{}", text(spec, &["clusterIP"])));
    page.line(0, format!("IPs:\t{}", joined("clusterIPs")));
    if !list(spec, &["externalIPs"]).is_empty() {
        page.line(0, format!("External IPs:\t{}", joined("externalIPs")));
    }
    super::pod::optional(page, "Desired LoadBalancer IP", text(spec, &["loadBalancerIP"]));
    super::pod::optional(page, "External Name", text(spec, &["externalName"]));
    let name = text(service, &["metadata", "name"]);
    let slices = about
        .others(
            Path::new("/apis/discovery.k8s.io/v1/namespaces")
                .segment(text(service, &["metadata", "namespace"]))
                .segment("endpointslices")
                .query("labelSelector", &format!("kubernetes.io/service-name={name}")),
        )
        .await;
    for port in list(spec, &["ports"]) {
        let called = match text(port, &["name"]) {
            "" => "<unset>",
            name => name,
        };
        let protocol = text(port, &["protocol"]);
        page.line(0, format!("Port:\t{called}\t{}/{protocol}", integer(port, &["port"])));
        page.line(0, format!("TargetPort:\t{}/{protocol}", shown(at(port, &["targetPort"]))));
        if integer(port, &["nodePort"]) != 0 {
            page.line(0, format!("NodePort:\t{called}\t{}/{protocol}", integer(port, &["nodePort"])));
        }
        page.line(0, format!("Endpoints:\t{}", endpoints(&slices, text(port, &["name"]))));
    }
    page.line(0, format!("Session Affinity:\t{}", text(spec, &["sessionAffinity"])));
    super::pod::optional(page, "External Traffic Policy", text(spec, &["externalTrafficPolicy"]));
    super::pod::optional(page, "Internal Traffic Policy", text(spec, &["internalTrafficPolicy"]));
    events(page, about.events_of(service, None).await, about.now);
}

/// The Endpoints of a Service.
pub(super) async fn endpoints_object(page: &mut Page, about: &About<'_>, object: &Value) {
    head(page, object);
    page.line(0, "Subsets:");
    for subset in list(object, &["subsets"]) {
        for (title, field) in [("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")] {
            let all: Vec<&str> = list(subset, &[field]).iter().map(|address| text(address, &["ip"])).collect();
            page.line(1, format!("{title}:\t{}", if all.is_empty() { "<none>".to_owned() } else { all.join(",") }));
        }
        let ports = list(subset, &["ports"]);
        if !ports.is_empty() {
            page.line(1, "Ports:");
            page.line(2, "Name\tPort\tProtocol\n    ----\t----\t--------");
            for port in ports {
                let name = if text(port, &["name"]).is_empty() { "<unset>" } else { text(port, &["name"]) };
                page.line(2, format!("{name}\t{}\t{}", integer(port, &["port"]), text(port, &["protocol"])));
            }
        }
        page.line(0, "");
    }
    events(page, about.events_of(object, None).await, about.now);
}

fn endpoints(slices: &[Value], name: &str) -> String {
    if slices.is_empty() {
        return "<none>".to_owned();
    }
    let mut all = Vec::new();
    for slice in slices {
        let ports = list(slice, &["ports"]).iter();
        for port in ports.filter(|port| text(port, &["name"]) == name) {
            for endpoint in list(slice, &["endpoints"]) {
                if at(endpoint, &["conditions", "ready"]) == &Value::Bool(false) {
                    continue;
                }
                for address in list(endpoint, &["addresses"]).iter().filter_map(Value::as_str) {
                    let colon = address.contains(':');
                    let address = if colon { format!("[{address}]") } else { address.to_owned() };
                    all.push(format!("{address}:{}", integer(port, &["port"])));
                }
            }
        }
    }
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    let named = all.join(",");
    if more > 0 { format!("{named} + {more} more...") } else { named }
}
