//! Defaults of Secrets.

use serde_json::Value;

use crate::json::set_default;

pub(crate) fn secret(secret: &mut Value) {
    set_default(secret, "type", "Opaque");
}
