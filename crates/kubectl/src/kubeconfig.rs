//! The kubeconfig that counts: the files of `--kubeconfig`, of `KUBECONFIG`, or `~/.kube/config`, merged as
//! k8s.io/client-go/tools/clientcmd does (the first to say something wins), and what the flags put over it.

use std::path::{Path, PathBuf};

use podlab_api::json::{at, list, text};
use podlab_client::kubeconfig::{Endpoint, Kubeconfig, resolve};
use serde_json::{Map, Value, json};

use crate::cli::Globals;
use crate::failure::{Failure, Outcome, fail};

/// Longer files are no kubeconfigs.
const MAX_FILE: u64 = 4 << 20;

/// Where nobody has said where the server is.
const NOWHERE: &str = "http://localhost:8080";

/// What the files say, merged.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    /// As a kubeconfig file; names of files in it are absolute.
    pub(crate) config: Value,
    /// The file that changes go to.
    pub(crate) file: PathBuf,
}

/// The files, in the order in which they count.
pub(crate) fn files(globals: &Globals) -> Vec<PathBuf> {
    if let Some(file) = &globals.kubeconfig {
        return vec![file.clone()];
    }
    if let Some(all) = std::env::var_os("KUBECONFIG").filter(|all| !all.is_empty()) {
        return std::env::split_paths(&all).filter(|path| !path.as_os_str().is_empty()).collect();
    }
    std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
}

/// Reads and merges.
///
/// # Errors
/// A file that is named on the command line and missing, or any that cannot be read.
pub(crate) fn load(globals: &Globals) -> Outcome<Merged> {
    let files = files(globals);
    let mut config = json!({ "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "" });
    for list in ["clusters", "contexts", "users"] {
        config[list] = json!([]);
    }
    for file in &files {
        match read(file) {
            Ok(Some(read)) => merge(&mut config, read, file.parent().unwrap_or(Path::new("."))),
            Ok(None) if globals.kubeconfig.is_some() => {
                return fail(format!("stat {}: no such file or directory", file.display()));
            }
            Ok(None) => {}
            Err(why) => return fail(format!("error loading config file \"{}\": {why}", file.display())),
        }
    }
    for list in ["clusters", "contexts", "users"] {
        if let Some(items) = config[list].as_array_mut() {
            items.sort_by(|a, b| text(a, &["name"]).cmp(text(b, &["name"])));
        }
    }
    let exists = files.iter().find(|file| file.exists()).or(files.last()).cloned();
    Ok(Merged { config, file: exists.unwrap_or_default() })
}

/// One file as it stands; `None` when there is none.
pub(crate) fn read(file: &Path) -> Result<Option<Value>, String> {
    let length = match std::fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if length > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let mut documents = podlab_api::decode::documents(&text)?;
    Ok(Some(if documents.is_empty() { json!({}) } else { documents.remove(0) }))
}

fn merge(config: &mut Value, mut read: Value, folder: &Path) {
    if text(config, &["current-context"]).is_empty()
        && let Some(current) = read.get("current-context")
    {
        config["current-context"] = current.clone();
    }
    for (kind, inner, paths) in [
        ("clusters", "cluster", &["certificate-authority"][..]),
        ("contexts", "context", &[][..]),
        ("users", "user", &["client-certificate", "client-key", "tokenFile"][..]),
    ] {
        for entry in read.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            let known = list(config, &[kind]).iter().any(|known| known["name"] == entry["name"]);
            if known {
                continue;
            }
            for path in paths {
                if let Some(relative) = at(entry, &[inner, path]).as_str().filter(|path| !path.is_empty()) {
                    let absolute = std::path::absolute(folder.join(relative)).unwrap_or_else(|_| folder.join(relative));
                    entry[inner][*path] = absolute.to_string_lossy().into_owned().into();
                }
            }
            if let Some(all) = config[kind].as_array_mut() {
                all.push(entry.take());
            }
        }
    }
}

/// The server to talk to, with what the flags change.
///
/// # Errors
/// A context, cluster or certificate that is missing.
pub(crate) fn endpoint(merged: &Merged, globals: &Globals) -> Outcome<Endpoint> {
    let mut config = merged.config.clone();
    let name = match &globals.context {
        Some(name) => name.clone(),
        None => text(&config, &["current-context"]).to_owned(),
    };
    let find = |config: &Value, kind: &str, inner: &str, name: &str| {
        list(config, &[kind]).iter().find(|entry| text(entry, &["name"]) == name).map(|entry| entry[inner].clone())
    };
    let mut context = match find(&config, "contexts", "context", &name) {
        Some(context) => context,
        None if globals.context.is_some() => return fail(format!("context \"{name}\" does not exist")),
        None => json!({}),
    };
    if let Some(cluster) = &globals.cluster {
        context["cluster"] = cluster.as_str().into();
    }
    if let Some(user) = &globals.user {
        context["user"] = user.as_str().into();
    }
    let mut cluster = find(&config, "clusters", "cluster", text(&context, &["cluster"])).unwrap_or(json!({}));
    let mut user = find(&config, "users", "user", text(&context, &["user"])).unwrap_or(json!({}));
    if let Some(server) = &globals.server {
        let schemed = server.contains("://");
        cluster["server"] = if schemed { server.clone() } else { format!("http://{server}") }.into();
    }
    if globals.insecure_skip_tls_verify {
        cluster["insecure-skip-tls-verify"] = true.into();
    }
    let replace = |object: &mut Value, field: &str, path: &Option<PathBuf>| {
        if let (Some(path), Some(object)) = (path, object.as_object_mut()) {
            object.remove(&format!("{field}-data"));
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            object.insert(field.to_owned(), path.to_string_lossy().into_owned().into());
        }
    };
    replace(&mut cluster, "certificate-authority", &globals.certificate_authority);
    replace(&mut user, "client-certificate", &globals.client_certificate);
    replace(&mut user, "client-key", &globals.client_key);
    if let Some(token) = &globals.token {
        user = json!({ "token": token });
    }
    if text(&cluster, &["server"]).is_empty() {
        cluster["server"] = NOWHERE.into();
    }
    if text(&cluster, &["server"]).starts_with("https")
        && cluster.get("certificate-authority").is_none()
        && cluster.get("certificate-authority-data").is_none()
        && cluster.get("insecure-skip-tls-verify").is_none()
        && let Some(bundle) = system_authorities()
    {
        cluster["certificate-authority"] = bundle.into();
    }
    if let Some(exec) = user.get("exec").filter(|exec| !exec.is_null()).cloned() {
        user = from_command(&exec)?;
    }
    context["cluster"] = "it".into();
    context["user"] = "it".into();
    config["clusters"] = json!([{ "name": "it", "cluster": cluster }]);
    config["users"] = json!([{ "name": "it", "user": user }]);
    config["contexts"] = json!([{ "name": "it", "context": context }]);
    config["current-context"] = "it".into();
    let config: Kubeconfig = serde_json::from_value(config).map_err(|error| Failure::Text(error.to_string()))?;
    resolve(&config, &merged.file, None).map_err(|why| Failure::Text(format!("error loading config file: {why}")))
}

/// The authorities that this host trusts, where the usual systems keep them.
fn system_authorities() -> Option<&'static str> {
    const PLACES: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    PLACES.into_iter().find(|place| Path::new(place).exists())
}

/// Credentials that a command prints, as clouds give them out.
fn from_command(exec: &Value) -> Outcome<Value> {
    let program = text(exec, &["command"]);
    let version = text(exec, &["apiVersion"]);
    let info = json!({ "apiVersion": version, "kind": "ExecCredential", "spec": { "interactive": false } });
    let mut command = std::process::Command::new(program);
    command.args(list(exec, &["args"]).iter().filter_map(Value::as_str)).env("KUBERNETES_EXEC_INFO", info.to_string());
    for variable in list(exec, &["env"]) {
        command.env(text(variable, &["name"]), text(variable, &["value"]));
    }
    command.stderr(std::process::Stdio::inherit());
    let failed = |why: String| Failure::Unreachable(format!("getting credentials: exec: {why}"));
    let output = command.output().map_err(|error| failed(format!("executable {program} failed: {error}")))?;
    if !output.status.success() {
        let code = output.status.code().unwrap_or(-1);
        return Err(failed(format!("executable {program} failed with exit code {code}")));
    }
    let credential: Value = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    let mut user = Map::new();
    for (from, to) in
        [("token", "token"), ("clientCertificateData", "client-certificate-data"), ("clientKeyData", "client-key-data")]
    {
        if let Some(value) = at(&credential, &["status", from]).as_str() {
            use base64::Engine;
            let encoded = match to {
                "token" => value.to_owned(),
                _ => base64::engine::general_purpose::STANDARD.encode(value),
            };
            user.insert(to.to_owned(), encoded.into());
        }
    }
    Ok(Value::Object(user))
}
