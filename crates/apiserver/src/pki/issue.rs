//! Making keys and certificates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::{Pair, PkiError};

/// The names that a client may know the server by: on the loopback of this machine, and from inside Pods.
pub(crate) const SERVER_NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// The addresses likewise; the last is the cluster IP of Service `kubernetes`.
pub(crate) const SERVER_ADDRESSES: [IpAddr; 3] =
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1))];

/// Years a certificate is good for. The state directory of a learner's cluster is not expected to live longer.
const YEARS: i16 = 10;

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, and the pair to keep it by.
    pub(super) fn new() -> Result<(Self, Pair), PkiError> {
        let key = key("the key of the certificate authority")?;
        let params = authority_params()?;
        let failed = |source| PkiError::Issue { what: "the certificate authority", source };
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        let pair = Pair { certificate, key: key.serialize_pem() };
        Ok((Self { issuer: Issuer::new(params, key) }, pair))
    }

    /// The authority whose key was kept. Its name is always the same, so its certificate need not be read.
    pub(super) fn from_key(pem: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(pem).map_err(|error| PkiError::Unusable(format!("ca.key: {error}")))?;
        Ok(Self { issuer: Issuer::new(authority_params()?, key) })
    }

    pub(super) fn server(&self) -> Result<Pair, PkiError> {
        let failed = |source| PkiError::Issue { what: "the server's certificate", source };
        let mut params = params("kube-apiserver", None, ExtendedKeyUsagePurpose::ServerAuth);
        for name in SERVER_NAMES {
            params.subject_alt_names.push(SanType::DnsName(name.try_into().map_err(failed)?));
        }
        params.subject_alt_names.extend(SERVER_ADDRESSES.map(SanType::IpAddress));
        self.sign(&params, "the server's certificate")
    }

    pub(super) fn admin(&self) -> Result<Pair, PkiError> {
        let params = params("kubernetes-admin", Some("system:masters"), ExtendedKeyUsagePurpose::ClientAuth);
        self.sign(&params, "the administrator's certificate")
    }

    fn sign(&self, params: &CertificateParams, what: &'static str) -> Result<Pair, PkiError> {
        let key = key(what)?;
        let certificate =
            params.signed_by(&key, &self.issuer).map_err(|source| PkiError::Issue { what, source })?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

/// A new private key.
pub(super) fn key(what: &'static str) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|source| PkiError::Issue { what, source })
}

fn authority_params() -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "kubernetes");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    valid_from_today(&mut params);
    Ok(params)
}

fn params(name: &str, group: Option<&str>, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    valid_from_today(&mut params);
    params
}

/// TLS is checked against the wall clock, whatever the cluster's clock says; a day of slack allows for a wrong one.
fn valid_from_today(params: &mut CertificateParams) {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let date = |date: jiff::civil::Date| {
        // Dates of the calendar fit these types.
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let yesterday = today.yesterday().unwrap_or(today);
    params.not_before = date(yesterday);
    let last = jiff::civil::Date::new(yesterday.year() + YEARS, yesterday.month(), 1).unwrap_or(jiff::civil::Date::MAX);
    params.not_after = date(last);
}
