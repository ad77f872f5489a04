//! ConfigMaps, Secrets, ServiceAccounts.

use base64::Engine;
use podlab_api::json::{entries, list, text};
use serde_json::Value;

use super::parts::{events, head};
use super::{About, Page};

pub(super) async fn config_map(page: &mut Page, about: &About<'_>, map: &Value) {
    head(page, map);
    page.line(0, "\nData\n====");
    for (key, value) in entries(map, &["data"]) {
        page.line(0, format!("{key}:\n----\n{}\n", value.as_str().unwrap_or_default()));
    }
    page.line(0, "\nBinaryData\n====");
    for (key, value) in entries(map, &["binaryData"]) {
        page.line(0, format!("{key}: {} bytes", decoded(value).len()));
    }
    page.line(0, "");
    events(page, about.events_of(map, None).await, about.now);
}

pub(super) fn secret(page: &mut Page, secret: &Value) {
    head(page, secret);
    let kind = text(secret, &["type"]);
    page.line(0, format!("\nType:\t{kind}\n\nData\n===="));
    for (key, value) in entries(secret, &["data"]) {
        let bytes = decoded(value);
        if key == "token" && kind == "kubernetes.io/service-account-token" {
            page.line(0, format!("{key}:\t{}", String::from_utf8_lossy(&bytes)));
        } else {
            page.line(0, format!("{key}:\t{} bytes", bytes.len()));
        }
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

pub(super) async fn service_account(page: &mut Page, about: &About<'_>, account: &Value) {
    head(page, account);
    for (title, field) in [("Image pull secrets", "imagePullSecrets"), ("Mountable secrets", "secrets")] {
        let names: Vec<&str> = list(account, &[field]).iter().map(|secret| text(secret, &["name"])).collect();
        page.line(0, format!("{title}:\t{}", if names.is_empty() { "<none>".to_owned() } else { names.join("\n\t") }));
    }
    page.line(0, "Tokens:\t<none>");
    events(page, about.events_of(account, None).await, about.now);
}
