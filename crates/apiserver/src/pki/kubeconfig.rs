//! The file that `kubectl` finds the cluster by.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Pair;

/// The one cluster, user and context of the file are called this.
const NAME: &str = "podlab";

pub(super) fn render(server: &str, ca_certificate: &str, admin: &Pair) -> String {
    let ca = STANDARD.encode(ca_certificate);
    let certificate = STANDARD.encode(&admin.certificate);
    let key = STANDARD.encode(&admin.key);
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {NAME}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {NAME}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {NAME}
  context:
    cluster: {NAME}
    user: {NAME}
current-context: {NAME}
preferences: {{}}
"
    )
}
