//! Small languages: selectors and quantities.

use podlab_api::quantity::Quantity;
use podlab_api::selector::{FieldSelector, LabelSelector};
use serde_json::json;

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

pub(crate) fn selector_seeds() -> Vec<Vec<u8>> {
    lines(include_str!("../../seeds/selectors.txt"))
}

pub(crate) fn quantity_seeds() -> Vec<Vec<u8>> {
    lines(include_str!("../../seeds/quantities.txt"))
}

/// What is printed means the same as what was read.
pub(crate) fn selectors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let labels = json!({"app": "web", "tier": "front", "weight": "7"});
    if let Ok(selector) = LabelSelector::parse(text) {
        let again = LabelSelector::parse(&selector.to_string()).unwrap();
        assert_eq!(again, selector);
        assert_eq!(again.matches(&labels), selector.matches(&labels));
    }
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    if let Ok(selector) = FieldSelector::parse(text) {
        let again = FieldSelector::parse(&selector.to_string()).unwrap();
        assert_eq!(again.matches(&pod), selector.matches(&pod));
        assert_eq!(again, selector);
    }
}

/// The canonical form is the same amount, and its own canonical form.
pub(crate) fn quantities(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(quantity) = Quantity::parse(text) else { return };
    let canonical = quantity.to_string();
    let again = Quantity::parse(&canonical).unwrap();
    assert_eq!(again, quantity, "{text:?} {canonical:?}");
    assert_eq!(again.to_string(), canonical, "{text:?}");
    assert_eq!(quantity.plus(Quantity::ZERO), quantity);
    let nothing = quantity.minus(quantity);
    assert!(nothing.is_zero() && nothing.value() == 0 && nothing.milli_value() == 0);
}
