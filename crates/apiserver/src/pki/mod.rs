//! The cluster's own certificate authority, and the credentials it issues.
//!
//! Made at the first start and kept: a kubeconfig that was written yesterday still works today. Keys are ECDSA P-256.

mod files;
mod issue;
mod kubeconfig;
pub(crate) mod subject;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use files::Files;
use issue::Authority;
pub(crate) use issue::{SERVER_ADDRESSES, SERVER_NAMES};

/// Certificates and keys of a cluster, in PEM.
#[derive(Clone)]
pub struct Pki {
    /// What clients and Pods trust (`ca.crt`, and ConfigMap `kube-root-ca.crt` in every namespace).
    pub ca_certificate: String,
    server: Pair,
    admin: Pair,
    /// Signs the tokens of service accounts.
    pub(crate) service_account_key: String,
}

/// A certificate and its private key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Why credentials could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot make {what}: {source}")]
    Issue { what: &'static str, source: rcgen::Error },
    #[error("the credentials of the cluster cannot be used ({0}); remove the folder pki to have new ones made")]
    Unusable(String),
}

impl Pki {
    /// What is in `directory`, made first where it is missing (the folder 0700, keys 0600).
    ///
    /// # Errors
    /// When files cannot be read or written, or are not what they should be.
    pub fn open(directory: &Path) -> Result<Self, PkiError> {
        Self::gather(&Files::In(directory.to_owned()))
    }

    /// Credentials that live in memory only.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn ephemeral() -> Result<Self, PkiError> {
        Self::gather(&Files::Nowhere)
    }

    fn gather(files: &Files) -> Result<Self, PkiError> {
        files.prepare()?;
        let (authority, ca_certificate) = match files.read_pair("ca")? {
            Some(pair) => (Authority::from_key(&pair.key)?, pair.certificate),
            None => {
                let (authority, pair) = Authority::new()?;
                files.write_pair("ca", &pair)?;
                (authority, pair.certificate)
            }
        };
        let pair = |name: &str, issue: &dyn Fn(&Authority) -> Result<Pair, PkiError>| match files.read_pair(name)? {
            Some(pair) => Ok(pair),
            None => {
                let pair = issue(&authority)?;
                files.write_pair(name, &pair)?;
                Ok(pair)
            }
        };
        let server = pair("server", &Authority::server)?;
        let admin = pair("admin", &Authority::admin)?;
        let service_account_key = match files.read("sa.key")? {
            Some(key) => key,
            None => {
                let key = issue::key("the key of service accounts")?.serialize_pem();
                files.write("sa.key", &key)?;
                key
            }
        };
        Ok(Self { ca_certificate, server, admin, service_account_key })
    }

    /// A kubeconfig for the administrator of the cluster at `server` (`https://127.0.0.1:6443`), everything inline.
    pub fn kubeconfig(&self, server: &str) -> String {
        kubeconfig::render(server, &self.ca_certificate, &self.admin)
    }

    /// Writes [`Pki::kubeconfig`] to `path`, readable by its owner only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path, server: &str) -> Result<(), PkiError> {
        files::write_private(path, self.kubeconfig(server).as_bytes())
    }

    /// TLS as the server speaks it: HTTP/2 and 1.1, client certificates of this authority welcome but not required.
    pub(crate) fn tls(&self) -> Result<rustls::ServerConfig, PkiError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: &dyn std::fmt::Display| PkiError::Unusable(error.to_string());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate_der(&self.ca_certificate)?).map_err(|error| unusable(&error))?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(&error))?;
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes()).map_err(|error| unusable(&error))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.certificate_der(&self.server.certificate)?], key)
            .map_err(|error| unusable(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn certificate_der(&self, pem: &str) -> Result<CertificateDer<'static>, PkiError> {
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| PkiError::Unusable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_restart_keeps_the_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("pki");
        let first = Pki::open(&directory).unwrap();
        let second = Pki::open(&directory).unwrap();
        assert_eq!(first.kubeconfig("https://x"), second.kubeconfig("https://x"));
        assert_eq!(first.service_account_key, second.service_account_key);
        second.tls().unwrap();
        let mode = |name: &str| directory.join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("."), mode("ca.key"), mode("sa.key")), (0o700, 0o600, 0o600));
    }

    #[test]
    fn a_lost_server_certificate_is_made_again_by_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        let first = Pki::open(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join("server.crt")).unwrap();
        let second = Pki::open(folder.path()).unwrap();
        assert_eq!(first.ca_certificate, second.ca_certificate);
        assert_ne!(first.server.certificate, second.server.certificate);
        let verifier = {
            let mut roots = RootCertStore::empty();
            roots.add(first.certificate_der(&first.ca_certificate).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
        };
        use rustls::client::danger::ServerCertVerifier;
        let certificate = second.certificate_der(&second.server.certificate).unwrap();
        for name in ["127.0.0.1", "localhost", "10.96.0.1", "kubernetes.default.svc"] {
            let name = rustls::pki_types::ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&certificate, &[], &name, &[], rustls::pki_types::UnixTime::now()).unwrap();
        }
    }

    #[test]
    fn the_administrators_certificate_names_them() {
        let pki = Pki::ephemeral().unwrap();
        let certificate = pki.certificate_der(&pki.admin.certificate).unwrap();
        let identity = subject::identity(&certificate).unwrap();
        assert_eq!((identity.user.as_str(), identity.groups[0].as_str()), ("kubernetes-admin", "system:masters"));
        let (key, values) = &identity.extra[0];
        assert_eq!(key, "authentication.kubernetes.io/credential-id");
        assert!(values[0].starts_with("X509SHA256=") && values[0].len() == 75, "{values:?}");
    }
}
