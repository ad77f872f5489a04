//! `kubectl create configmap` and `create secret`: what is in files, folders and on the command line.

use base64::Engine;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{How, meta};
use crate::failure::{Failure, Outcome, fail};
use crate::print::quoted;

/// Where the data comes from.
#[derive(Args, Clone, Debug)]
pub(super) struct Data {
    /// [KEY=]FILE or a folder
    #[arg(long)]
    from_file: Vec<String>,
    /// KEY=VALUE
    #[arg(long)]
    from_literal: Vec<String>,
    /// Files with KEY=VALUE lines
    #[arg(long)]
    from_env_file: Vec<String>,
    /// End the name with a hash of what is in it
    #[arg(long)]
    append_hash: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum Secret {
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
        #[arg(long, default_value = "")]
        cert: String,
        /// The file of its key
        #[arg(long, default_value = "")]
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
        #[arg(long, default_value = "")]
        docker_username: String,
        /// With which password
        #[arg(long, default_value = "")]
        docker_password: String,
        /// With which address
        #[arg(long, default_value = "")]
        docker_email: String,
        #[command(flatten)]
        how: How,
    },
}

/// Which of the two kinds data is for: their messages differ.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    ConfigMap,
    Secret,
}

pub(super) fn configmap(names: &[String], data: &Data) -> Outcome<Value> {
    let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(names, "configmap")? });
    for (key, bytes) in data.read(Of::ConfigMap, &names[0])? {
        match String::from_utf8(bytes) {
            Ok(text) => object["data"][key] = text.into(),
            Err(error) => object["binaryData"][key] = encoded(error.as_bytes()).into(),
        }
    }
    if data.append_hash {
        append_hash(&mut object, &["binaryData"]);
    }
    Ok(object)
}

pub(super) fn secret(kind: Secret) -> Outcome<(Value, How)> {
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
    match kind {
        Secret::Generic { names, data, kind, how } => {
            let mut object = object(&names, "secret generic", data.read(Of::Secret, "")?, kind.as_deref())?;
            if data.append_hash {
                append_hash(&mut object, &[]);
            }
            Ok((object, how))
        }
        Secret::Tls { names, cert, key, how } => {
            meta(&names, "secret tls")?;
            let data = vec![("tls.crt".to_owned(), cert), ("tls.key".to_owned(), key)];
            Ok((object(&names, "secret tls", pair(data)?, Some("kubernetes.io/tls"))?, how))
        }
        Secret::DockerRegistry { names, docker_server, docker_username, docker_password, docker_email, how } => {
            meta(&names, "secret docker-registry")?;
            if docker_username.is_empty() || docker_password.is_empty() || docker_server.is_empty() {
                return fail(
                    "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required",
                );
            }
            let auth = encoded(format!("{docker_username}:{docker_password}").as_bytes());
            // In the order of the real one's fields, so that both make the same bytes.
            let fields: [(&str, &str); 4] = [
                ("username", &docker_username),
                ("password", &docker_password),
                ("email", &docker_email),
                ("auth", &auth),
            ];
            let fields = fields.iter().filter(|(_, value)| !value.is_empty());
            let login: Vec<String> = fields.map(|(name, value)| format!("\"{name}\":{}", gos(&json!(value)))).collect();
            let config = format!("{{\"auths\":{{{}:{{{}}}}}}}", gos(&json!(docker_server)), login.join(","));
            let data = vec![(".dockerconfigjson".to_owned(), config.into_bytes())];
            Ok((object(&names, "secret docker-registry", data, Some("kubernetes.io/dockerconfigjson"))?, how))
        }
    }
}

/// The files of a certificate and its key, once they look like that. Whether they belong together is left to who uses them.
fn pair(files: Vec<(String, String)>) -> Outcome<Vec<(String, Vec<u8>)>> {
    if files.iter().any(|(_, path)| path.is_empty()) {
        return fail("key and cert must be specified");
    }
    let mut data = Vec::new();
    for (name, path) in files {
        let bytes = std::fs::read(&path)
            .or_else(|error| fail(format!("Cannot read file {path}, open {path}: {}", why(&error))))?;
        data.push((name, bytes));
    }
    // As Go's tls.X509KeyPair says it.
    let labels = |at: usize| -> Vec<String> {
        let text = String::from_utf8_lossy(&data[at].1);
        let begins = text.lines().filter_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
        begins.map(str::to_owned).collect()
    };
    let (certificates, keys) = (labels(0), labels(1));
    let is_key = |label: &String| label.ends_with("PRIVATE KEY");
    if certificates.is_empty() {
        return fail("tls: failed to find any PEM data in certificate input");
    }
    if !certificates.iter().any(|label| label == "CERTIFICATE") {
        return match certificates.as_slice() {
            [only] if is_key(only) => fail(
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
            ),
            others => fail(format!(
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
                others.join(" ")
            )),
        };
    }
    if keys.is_empty() {
        return fail("tls: failed to find any PEM data in key input");
    }
    if !keys.iter().any(is_key) {
        return match keys.as_slice() {
            [only] if only == "CERTIFICATE" => {
                fail("tls: found a certificate rather than a key in the PEM for the private key")
            }
            others => fail(format!(
                "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
                others.join(" ")
            )),
        };
    }
    Ok(data)
}

impl Data {
    fn read(&self, of: Of, name: &str) -> Outcome<Vec<(String, Vec<u8>)>> {
        let named = !self.from_file.is_empty() || !self.from_literal.is_empty();
        if named && !self.from_env_file.is_empty() {
            return fail("from-env-file cannot be combined with from-file or from-literal");
        }
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
            from_file(key, std::path::Path::new(path), &mut all)?;
        }
        for file in &self.from_env_file {
            from_environment(file, &mut all)?;
        }
        let mut seen = Map::new();
        for (key, _) in &all {
            check(key, of)?;
            if seen.insert(key.clone(), Value::Null).is_some() {
                return fail(match of {
                    Of::ConfigMap => format!(
                        "cannot add key \"{key}\", another key by that name already exists in Data for ConfigMap \"{}\"",
                        name
                    ),
                    Of::Secret => format!("cannot add key {key}, another key by that name already exists"),
                });
            }
        }
        Ok(all)
    }
}

fn from_file(key: Option<&str>, path: &std::path::Path, all: &mut Vec<(String, Vec<u8>)>) -> Outcome {
    let failed = |error: std::io::Error| Failure::Text(format!("error reading {}: {}", path.display(), why(&error)));
    if !path.is_dir() {
        let bytes = std::fs::read(path).map_err(failed)?;
        all.push((key.map_or_else(|| file_name(path), str::to_owned), bytes));
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    for file in files {
        all.push((file_name(&file), std::fs::read(&file).map_err(failed)?));
    }
    Ok(())
}

/// Lines of a file as `docker run --env-file` has them; a name alone stands for the variable of our own environment.
fn from_environment(file: &str, all: &mut Vec<(String, Vec<u8>)>) -> Outcome {
    let text = std::fs::read_to_string(file).or_else(|error| fail(format!("error reading {file}: {}", why(&error))))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line, std::env::var(line).ok()),
        };
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if key.is_empty() || !key.bytes().all(letter) || key.starts_with(|first: char| first.is_ascii_digit()) {
            return fail(format!(
                "{} is not a valid key name: a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')",
                quoted(key)
            ));
        }
        if let Some(value) = value {
            all.push((key.to_owned(), value.into_bytes()));
        }
    }
    Ok(())
}

/// What keys may be called (k8s.io/apimachinery/pkg/util/validation, IsConfigMapKey).
fn check(key: &str, of: Of) -> Outcome {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let mut wrong = Vec::new();
    if key.len() > 253 {
        wrong.push("must be no more than 253 characters".to_owned());
    }
    if key.is_empty() || !key.bytes().all(letter) {
        wrong.push("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".to_owned());
    }
    if key == "." || key == ".." {
        wrong.push(format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        wrong.push("must not start with '..'".to_owned());
    }
    match (wrong.join(","), of) {
        (wrong, _) if wrong.is_empty() => Ok(()),
        (wrong, Of::ConfigMap) => fail(format!("{} is not a valid key name for a ConfigMap: {wrong}", quoted(key))),
        (wrong, Of::Secret) => fail(format!("{} is not valid key name for a Secret {wrong}", quoted(key))),
    }
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What went wrong with a file, in Go's words.
fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// JSON as Go's encoder writes it, which escapes what HTML would.
fn gos(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Ends the name with ten letters that stand for the data (k8s.io/kubectl/pkg/util/hash).
fn append_hash(object: &mut Value, when_present: &[&str]) {
    let field = |name: &str, absent: Value| object.get(name).cloned().unwrap_or(absent);
    let name = podlab_api::json::text(object, &["metadata", "name"]).to_owned();
    let mut hashed = json!({ "kind": field("kind", Value::Null), "name": name, "data": field("data", json!({})) });
    if when_present.is_empty() {
        hashed["type"] = field("type", json!(""));
    }
    for optional in when_present.iter().filter(|name| object.get(**name).is_some()) {
        hashed[*optional] = object[*optional].clone();
    }
    let digest = Sha256::digest(gos(&hashed).as_bytes());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    // Letters that make no words.
    let hash: String = hex
        .chars()
        .map(|letter| match letter {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect();
    object["metadata"]["name"] = format!("{name}-{hash}").into();
}
