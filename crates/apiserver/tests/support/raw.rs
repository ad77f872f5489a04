//! Bytes over TLS, for what no well-behaved client would send.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection.
pub struct Raw(TlsStream<TcpStream>);

impl Raw {
    /// As nobody: without a client certificate.
    pub async fn connect(address: SocketAddr, ca_certificate: &str) -> Self {
        Self::connect_as(address, ca_certificate, None).await
    }

    /// With the client certificate of a kubeconfig.
    pub async fn connect_with(address: SocketAddr, kubeconfig: &Path) -> Self {
        let config: serde_json::Value = serde_yaml::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
        let data = |path: &str| {
            let bytes = STANDARD.decode(config.pointer(path).unwrap().as_str().unwrap()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let pair = (data("/users/0/user/client-certificate-data"), data("/users/0/user/client-key-data"));
        Self::connect_as(address, &data("/clusters/0/cluster/certificate-authority-data"), Some(pair)).await
    }

    async fn connect_as(address: SocketAddr, ca_certificate: &str, pair: Option<(String, String)>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_certificate.as_bytes()).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match pair {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Self(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
    }

    /// Sends text and reads until the server closes.
    pub async fn exchange(mut self, text: &str) -> String {
        // A server that refuses may close before everything is sent.
        let _ = self.0.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), self.0.read_to_end(&mut answer));
        // An end without the polite last message is an end.
        let _ = read.await.expect("the server does not close");
        String::from_utf8_lossy(&answer).into_owned()
    }
}
