//! The TLS settings that a kubeconfig's certificates make.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Makes the settings from PEM texts: the authority the server's certificate must come from (`None`: not checked,
/// which a kubeconfig has to ask for), and the client's certificate and key.
pub(crate) fn configuration(
    authority: Option<&[u8]>,
    identity: Option<(&[u8], &[u8])>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match authority {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem, "certificate-authority")? {
                roots.add(certificate).map_err(|error| format!("certificate-authority: {error}"))?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider))),
    };
    let configuration = match identity {
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("client-key: {error}"))?;
            builder
                .with_client_auth_cert(certificates(certificate, "client-certificate")?, key)
                .map_err(|error| format!("client-certificate: {error}"))?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(configuration))
}

/// Settings for who wants the encryption and takes any certificate, as a kubelet's HTTPS probe does.
///
/// # Errors
/// When the cryptography library offers no protocol version that is still in use.
pub fn unchecked() -> Result<Arc<ClientConfig>, String> {
    configuration(None, None)
}

fn certificates(pem: &[u8], field: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| format!("{field}: {error}"))?;
    if all.is_empty() { Err(format!("{field}: no certificate in it")) } else { Ok(all) }
}

/// `insecure-skip-tls-verify: true`: any certificate will do, signatures are still checked.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
