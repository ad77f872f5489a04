//! Where a cluster is and who we are there, read from a kubeconfig file.
//!
//! What is used of it: clusters, users, contexts; certificates and keys inline or in files (relative to the file they
//! are named in); tokens. Commands that print credentials (`exec`) are refused: they run somebody's program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use serde::Deserialize;

use crate::error::Error;
use crate::transport::configuration;

/// The longest kubeconfig that is read, and the longest file it may name.
const MAX_FILE: u64 = 4 << 20;

/// A server, and what is needed to talk to it.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) file: PathBuf,
    /// `https://127.0.0.1:6443`.
    pub server: http::Uri,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) token: Option<String>,
    /// Read anew for each request: somebody renews what is in it.
    pub(crate) token_file: Option<PathBuf>,
    /// The context's namespace, or `default`.
    pub namespace: String,
}

/// A kubeconfig as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kubeconfig {
    pub current_context: Option<String>,
    pub clusters: Vec<NamedCluster>,
    pub users: Vec<NamedUser>,
    pub contexts: Vec<NamedContext>,
}

/// A cluster and its name.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NamedCluster {
    pub name: String,
    #[serde(default)]
    pub cluster: Cluster,
}

/// Where an API server is, and how to know that it is the one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Cluster {
    pub server: String,
    pub certificate_authority: Option<PathBuf>,
    pub certificate_authority_data: Option<String>,
    pub insecure_skip_tls_verify: bool,
}

/// A user and its name.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NamedUser {
    pub name: String,
    #[serde(default)]
    pub user: User,
}

/// Credentials.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct User {
    pub client_certificate: Option<PathBuf>,
    pub client_certificate_data: Option<String>,
    pub client_key: Option<PathBuf>,
    pub client_key_data: Option<String>,
    pub token: Option<String>,
    #[serde(rename = "tokenFile")]
    pub token_file: Option<PathBuf>,
    pub exec: Option<serde_json::Value>,
}

impl std::fmt::Debug for User {
    /// Credentials are not printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("User")
    }
}

/// A context and its name.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NamedContext {
    pub name: String,
    #[serde(default)]
    pub context: Context,
}

/// Which user on which cluster in which namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Context {
    pub cluster: String,
    pub user: String,
    pub namespace: Option<String>,
}

/// Reads a file and resolves one of its contexts: the named one, or the current.
///
/// # Errors
/// [`Error::Kubeconfig`], with what is missing.
pub fn load(path: &Path, context: Option<&str>) -> Result<Endpoint, Error> {
    let fail = |reason: String| Error::Kubeconfig { path: path.to_owned(), reason };
    let text = read(path).map_err(fail)?;
    let config: Kubeconfig = serde_yaml::from_slice(&text).map_err(|error| fail(error.to_string()))?;
    resolve(&config, path, context).map_err(fail)
}

/// The API server as a Pod sees it: at the address in its environment, by the files of its service account, which lie in
/// `account` (`/var/run/secrets/kubernetes.io/serviceaccount`). `server` is `https://ADDRESS:PORT`.
///
/// # Errors
/// [`Error::Kubeconfig`], with what is missing.
pub fn in_cluster(account: &Path, server: &str) -> Result<Endpoint, Error> {
    let fail = |reason: String| Error::Kubeconfig { path: account.to_owned(), reason };
    let server: http::Uri = server.parse().map_err(|error| fail(format!("server {server:?}: {error}")))?;
    let authority = read(&account.join("ca.crt")).map_err(fail)?;
    let namespace = read(&account.join("namespace")).map_err(fail)?;
    Ok(Endpoint {
        file: account.to_owned(),
        server,
        tls: Some(configuration(Some(&authority), None).map_err(fail)?),
        token: None,
        token_file: Some(account.join("token")),
        namespace: String::from_utf8_lossy(&namespace).trim().to_owned(),
    })
}

/// What a token file holds now.
pub(crate) fn read_token(path: &Path) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&read(path)?).trim().to_owned())
}

/// Resolves the named context of what was read, or the current one. Relative names of files count from the folder of
/// `file`, which is also what errors name.
///
/// # Errors
/// What is missing or cannot be used.
pub fn resolve(config: &Kubeconfig, file: &Path, context: Option<&str>) -> Result<Endpoint, String> {
    let name = context.or(config.current_context.as_deref()).unwrap_or_default();
    let context = match config.contexts.iter().find(|known| known.name == name) {
        Some(known) => &known.context,
        None if name.is_empty() => return Err("no current-context".to_owned()),
        None => return Err(format!("no context {name:?}")),
    };
    let cluster = config
        .clusters
        .iter()
        .find(|known| known.name == context.cluster)
        .map(|known| &known.cluster)
        .ok_or_else(|| format!("no cluster {:?}", context.cluster))?;
    let anonymous = User::default();
    let user = config.users.iter().find(|known| known.name == context.user).map_or(&anonymous, |known| &known.user);
    if user.exec.is_some() {
        return Err("credentials from a command (exec) are not supported".to_owned());
    }

    let server: http::Uri = cluster.server.parse().map_err(|error| format!("server {:?}: {error}", cluster.server))?;
    if server.authority().is_none() {
        return Err(format!("server {:?} has no host", cluster.server));
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let pem = |data: &Option<String>, path: &Option<PathBuf>| -> Result<Option<Vec<u8>>, String> {
        match (data, path) {
            (Some(data), _) => base64::engine::general_purpose::STANDARD
                .decode(data.trim())
                .map(Some)
                .map_err(|error| format!("certificate data: {error}")),
            (None, Some(path)) => read(&folder.join(path)).map(Some),
            (None, None) => Ok(None),
        }
    };
    let tls = match server.scheme_str() {
        Some("https") => {
            let authority = pem(&cluster.certificate_authority_data, &cluster.certificate_authority)?;
            if authority.is_none() && !cluster.insecure_skip_tls_verify {
                return Err("no certificate-authority, and the system's are not used".to_owned());
            }
            let authority = authority.filter(|_| !cluster.insecure_skip_tls_verify);
            let certificate = pem(&user.client_certificate_data, &user.client_certificate)?;
            let key = pem(&user.client_key_data, &user.client_key)?;
            let identity = match (&certificate, &key) {
                (Some(certificate), Some(key)) => Some((certificate.as_slice(), key.as_slice())),
                (None, None) => None,
                _ => return Err("a client certificate needs its key, and a key its certificate".to_owned()),
            };
            Some(configuration(authority.as_deref(), identity)?)
        }
        Some("http") => None,
        other => return Err(format!("server {:?}: scheme {other:?} is neither http nor https", cluster.server)),
    };
    let token = match (&user.token, &user.token_file) {
        (Some(token), _) => Some(token.clone()),
        (None, Some(path)) => Some(read_token(&folder.join(path))?),
        (None, None) => None,
    };
    let namespace = context.namespace.clone().filter(|namespace| !namespace.is_empty());
    Ok(Endpoint {
        file: file.to_owned(),
        server,
        tls,
        token,
        token_file: None,
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{} is longer than {MAX_FILE} bytes", path.display()));
    }
    Ok(bytes)
}
