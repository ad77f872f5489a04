//! Who a client certificate names: the common name is the user, every organization a group.
//!
//! TLS has verified the certificate by then; this only finds the subject in it (RFC 5280, section 4.1), as
//! k8s.io/apiserver/pkg/authentication/request/x509 does.

use sha2::{Digest, Sha256};

use crate::auth::Identity;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// The version field of a certificate: an explicit tag.
const VERSION: u8 = 0xa0;
/// 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0a];

/// The identity in a certificate; None when there is no common name to go by.
pub(crate) fn identity(certificate: &[u8]) -> Option<Identity> {
    let (_, certificate_fields, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate_fields)?;
    let (tag, _, rest) = element(fields)?;
    if tag == VERSION {
        fields = rest;
    }
    // Serial number, signature algorithm, issuer, validity; then the subject.
    for _ in 0..4 {
        fields = element(fields)?.2;
    }
    let (_, mut names, _) = element(fields)?;

    let mut user = None;
    let mut groups = Vec::new();
    while let Some((SET, mut attributes, rest)) = element(names) {
        names = rest;
        while let Some((SEQUENCE, attribute, rest)) = element(attributes) {
            attributes = rest;
            let (OBJECT_IDENTIFIER, kind, value) = element(attribute)? else { return None };
            let text = String::from_utf8(element(value)?.1.to_vec()).ok()?;
            if kind == COMMON_NAME {
                user = Some(text);
            } else if kind == ORGANIZATION {
                groups.push(text);
            }
        }
    }
    let mut identity = Identity::user(user.filter(|user| !user.is_empty())?, groups);
    let digest: String = Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = "authentication.kubernetes.io/credential-id".to_owned();
    identity.extra = vec![(key, vec![format!("X509SHA256={digest}")])];
    Some(identity)
}

/// The first element of some DER: its tag, its contents, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let digits = usize::from(first & 0x7f);
        // Four bytes of length are 4 GiB; the indefinite form (0) is not DER.
        if !(1..=4).contains(&digits) || rest.len() < digits {
            return None;
        }
        let (number, after) = rest.split_at(digits);
        length = number.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit));
        rest = after;
    }
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_in_their_three_forms_of_length() {
        assert_eq!(element(&[4, 2, 1, 2, 9]), Some((4, &[1, 2][..], &[9][..])));
        let mut long = vec![4, 0x81, 200];
        long.extend([7; 200]);
        assert_eq!(element(&long).map(|(_, contents, rest)| (contents.len(), rest.len())), Some((200, 0)));
        for broken in [&[][..], &[4], &[4, 2, 1], &[4, 0x80, 0, 0], &[4, 0x85, 0, 0, 0, 0, 1, 1], &[4, 0x82, 1]] {
            assert_eq!(element(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn no_prefix_of_a_certificate_is_an_identity() {
        let pki = crate::Pki::ephemeral().unwrap();
        let pem = pki.admin.certificate.as_bytes();
        let whole = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(pem);
        let whole = whole.unwrap();
        assert!(identity(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(identity(&whole[..end]), None, "{end} bytes");
        }
    }
}
