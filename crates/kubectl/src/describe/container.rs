//! Containers, their states, probes, environment and mounts.

use podlab_api::json::{at, entries, integer, list, text, truth};
use podlab_api::quantity::Quantity;
use serde_json::Value;

use super::Page;
use super::parts::time;

/// Where the containers are.
pub(super) struct Place<'a> {
    /// The Pod whose fields the environment names; a template has none.
    pub(super) pod: Option<&'a Value>,
    pub(super) statuses: &'a [Value],
    pub(super) space: &'a str,
}

pub(super) fn containers(page: &mut Page, title: &str, all: &[Value], place: &Place<'_>) {
    page.line(0, format!("{}{title}:", place.space));
    for container in all {
        let name = text(container, &["name"]);
        let status = place.statuses.iter().find(|status| text(status, &["name"]) == name);
        let indent = if place.space.is_empty() { "" } else { " " };
        page.line(1, format!("{indent}{name}:"));
        if let Some(status) = status {
            page.line(2, format!("Container ID:\t{}", text(status, &["containerID"])));
        }
        page.line(2, format!("Image:\t{}", text(container, &["image"])));
        if let Some(status) = status {
            page.line(2, format!("Image ID:\t{}", text(status, &["imageID"])));
        }
        ports(page, "Port", list(container, &["ports"]), "containerPort");
        ports(page, "Host Port", list(container, &["ports"]), "hostPort");
        let seccomp = at(container, &["securityContext", "seccompProfile"]);
        if !seccomp.is_null() {
            page.line(2, format!("SeccompProfile:\t{}", text(seccomp, &["type"])));
            if text(seccomp, &["type"]) == "Localhost" {
                page.line(3, format!("LocalhostProfile:\t{}", text(seccomp, &["localhostProfile"])));
            }
        }
        for (title, field) in [("Command", "command"), ("Args", "args")] {
            let words = list(container, &[field]);
            if !words.is_empty() {
                page.line(2, format!("{title}:"));
                for line in words.iter().filter_map(Value::as_str).flat_map(|word| word.split('\n')) {
                    page.line(3, line);
                }
            }
        }
        if let Some(status) = status {
            state(page, "State", at(status, &["state"]));
            if !at(status, &["lastState", "terminated"]).is_null() {
                state(page, "Last State", at(status, &["lastState"]));
            }
            page.line(2, format!("Ready:\t{}", if truth(status, &["ready"]) { "True" } else { "False" }));
            page.line(2, format!("Restart Count:\t{}", integer(status, &["restartCount"])));
        }
        for (title, field) in [("Limits", "limits"), ("Requests", "requests")] {
            let amounts: Vec<_> = entries(container, &["resources", field]).collect();
            if !amounts.is_empty() {
                page.line(2, format!("{title}:"));
                for (name, amount) in amounts {
                    page.line(3, format!("{name}:\t{}", amount.as_str().unwrap_or_default()));
                }
            }
        }
        for (title, field) in
            [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
        {
            if !at(container, &[field]).is_null() {
                page.line(2, format!("{title}:\t{}", probe(at(container, &[field]))));
            }
        }
        environment(page, container, place.pod);
        mounts(page, container);
    }
}

fn ports(page: &mut Page, title: &str, ports: &[Value], field: &str) {
    let all: Vec<String> =
        ports.iter().map(|port| format!("{}/{}", integer(port, &[field]), text(port, &["protocol"]))).collect();
    match all.len() {
        0 => page.line(2, format!("{title}:\t<none>")),
        1 => page.line(2, format!("{title}:\t{}", all[0])),
        _ => page.line(2, format!("{title}s:\t{}", all.join(", "))),
    }
}

fn state(page: &mut Page, title: &str, state: &Value) {
    let (running, waiting, ended) = (at(state, &["running"]), at(state, &["waiting"]), at(state, &["terminated"]));
    let line = |page: &mut Page, title: &str, value: &str| {
        if !value.is_empty() {
            page.line(3, format!("{title}:\t{value}"));
        }
    };
    if !running.is_null() {
        page.line(2, format!("{title}:\tRunning"));
        line(page, "Started", &time(at(running, &["startedAt"])));
    } else if !ended.is_null() {
        page.line(2, format!("{title}:\tTerminated"));
        line(page, "Reason", text(ended, &["reason"]));
        line(page, "Message", text(ended, &["message"]));
        line(page, "Exit Code", &integer(ended, &["exitCode"]).to_string());
        if integer(ended, &["signal"]) > 0 {
            line(page, "Signal", &integer(ended, &["signal"]).to_string());
        }
        line(page, "Started", &time(at(ended, &["startedAt"])));
        line(page, "Finished", &time(at(ended, &["finishedAt"])));
    } else {
        page.line(2, format!("{title}:\tWaiting"));
        line(page, "Reason", text(waiting, &["reason"]));
    }
}

fn probe(probe: &Value) -> String {
    let number = |field: &str| integer(probe, &[field]);
    let how = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        number("initialDelaySeconds"),
        number("timeoutSeconds"),
        number("periodSeconds"),
        number("successThreshold"),
        number("failureThreshold"),
    );
    let (exec, http) = (at(probe, &["exec"]), at(probe, &["httpGet"]));
    let (tcp, grpc) = (at(probe, &["tcpSocket"]), at(probe, &["grpc"]));
    if !exec.is_null() {
        format!("exec {} {how}", super::parts::bracketed(list(exec, &["command"])))
    } else if !http.is_null() {
        let path = text(http, &["path"]);
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        let scheme = text(http, &["scheme"]).to_lowercase();
        format!("http-get {scheme}://{}:{}{slash}{path} {how}", text(http, &["host"]), port(http))
    } else if !tcp.is_null() {
        format!("tcp-socket {}:{} {how}", text(tcp, &["host"]), port(tcp))
    } else if !grpc.is_null() {
        format!("grpc <pod>:{} {} {how}", port(grpc), text(grpc, &["service"]))
    } else {
        format!("unknown {how}")
    }
}

fn port(of: &Value) -> String {
    crate::print::jsonpath::shown(at(of, &["port"]))
}

fn environment(page: &mut Page, container: &Value, pod: Option<&Value>) {
    let from = list(container, &["envFrom"]);
    if !from.is_empty() {
        page.line(2, "Environment Variables from:");
    }
    for source in from {
        let (what, source_of) = match at(source, &["configMapRef"]) {
            Value::Null => ("Secret", at(source, &["secretRef"])),
            map => ("ConfigMap", map),
        };
        let prefix = match text(source, &["prefix"]) {
            "" => String::new(),
            prefix => format!(" with prefix '{prefix}'"),
        };
        let optional = truth(source_of, &["optional"]);
        page.line(3, format!("{}\t{what}{prefix}\tOptional: {optional}", text(source_of, &["name"])));
    }
    let all = list(container, &["env"]);
    page.line(2, if all.is_empty() { "Environment:\t<none>" } else { "Environment:" });
    for variable in all {
        let name = text(variable, &["name"]);
        let from = at(variable, &["valueFrom"]);
        let (field, resource) = (at(from, &["fieldRef"]), at(from, &["resourceFieldRef"]));
        let (secret, config) = (at(from, &["secretKeyRef"]), at(from, &["configMapKeyRef"]));
        if !field.is_null() {
            let path = text(field, &["fieldPath"]);
            let value = pod.map(|pod| field_of(pod, path)).unwrap_or_default();
            page.line(3, format!("{name}:\t{value} ({}:{path})", text(field, &["apiVersion"])));
        } else if !resource.is_null() {
            page.line(3, format!("{name}:\t{} ({})", amount(container, resource, pod), text(resource, &["resource"])));
        } else if !secret.is_null() {
            let (key, of, optional) = (text(secret, &["key"]), text(secret, &["name"]), truth(secret, &["optional"]));
            page.line(3, format!("{name}:\t<set to the key '{key}' in secret '{of}'>\tOptional: {optional}"));
        } else if !config.is_null() {
            let (key, of, optional) = (text(config, &["key"]), text(config, &["name"]), truth(config, &["optional"]));
            page.line(3, format!("{name}:\t<set to the key '{key}' of config map '{of}'>\tOptional: {optional}"));
        } else {
            for (index, line) in text(variable, &["value"]).split('\n').enumerate() {
                let title = if index == 0 { format!("{name}:") } else { String::new() };
                page.line(3, format!("{title}\t{line}"));
            }
        }
    }
}

/// Metadata can be told; what only the node knows cannot.
fn field_of(pod: &Value, path: &str) -> String {
    let metadata = at(pod, &["metadata"]);
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = map.strip_prefix("metadata.").unwrap_or(map);
        return text(metadata, &[map, key]).to_owned();
    }
    match path {
        "metadata.name" | "metadata.namespace" | "metadata.uid" => {
            text(metadata, &[path.trim_start_matches("metadata.")]).to_owned()
        }
        _ => String::new(),
    }
}

fn amount(container: &Value, reference: &Value, pod: Option<&Value>) -> String {
    let other = text(reference, &["containerName"]);
    let container = match pod.filter(|_| !other.is_empty()) {
        Some(pod) => list(pod, &["spec", "containers"])
            .iter()
            .find(|container| text(container, &["name"]) == other)
            .unwrap_or(container),
        None => container,
    };
    let resource = text(reference, &["resource"]);
    let Some((which, name)) = resource.split_once('.') else { return String::new() };
    let value = Quantity::from_json(at(container, &["resources", which, name]));
    let divisor = Quantity::from_json(at(reference, &["divisor"])).filter(|divisor| !divisor.is_zero());
    let Some(value) = value else {
        return if which == "limits" { "node allocatable".to_owned() } else { "0".to_owned() };
    };
    let (value, divisor) = match name {
        "cpu" => (value.milli_value(), divisor.map_or(1000, |divisor| divisor.milli_value())),
        _ => (value.value(), divisor.map_or(1, |divisor| divisor.value())),
    };
    value.div_euclid(divisor.max(1)).saturating_add(i64::from(value.rem_euclid(divisor.max(1)) != 0)).to_string()
}

fn mounts(page: &mut Page, container: &Value) {
    let mut all: Vec<&Value> = list(container, &["volumeMounts"]).iter().collect();
    all.sort_by_key(|mount| text(mount, &["mountPath"]));
    page.line(2, if all.is_empty() { "Mounts:\t<none>" } else { "Mounts:" });
    for mount in all {
        let mut flags = if truth(mount, &["readOnly"]) { "ro" } else { "rw" }.to_owned();
        let path = text(mount, &["subPath"]);
        if !path.is_empty() {
            flags.push_str(&format!(",path=\"{path}\""));
        }
        page.line(3, format!("{} from {} ({flags})", text(mount, &["mountPath"]), text(mount, &["name"])));
    }
    let devices = list(container, &["volumeDevices"]);
    if !devices.is_empty() {
        page.line(2, "Devices:");
        for device in devices {
            page.line(3, format!("{} from {}", text(device, &["devicePath"]), text(device, &["name"])));
        }
    }
}
