//! Selectors of labels and of nodes, as the typed API has them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::snapshot::NodeInfo;

/// An object's labels.
pub type Labels = BTreeMap<String, String>;

/// Whether a label selector selects these labels. An empty one selects everything.
#[must_use]
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let pairs = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    pairs
        && selector.match_expressions.iter().flatten().all(|expression| {
            let values = expression.values.as_deref().unwrap_or_default();
            holds(&expression.operator, labels.get(&expression.key).map(String::as_str), values)
        })
}

/// Whether labels contain all pairs of a plain selector: a Service's, a Pod's nodeSelector.
#[must_use]
pub fn contains(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether one of the terms selects the node. Without terms none does.
#[must_use]
pub fn selects_node(terms: &[NodeSelectorTerm], node: &NodeInfo) -> bool {
    terms.iter().any(|term| term_selects(term, node))
}

/// Whether all requirements of a term hold. A term without any selects nothing.
#[must_use]
pub fn term_selects(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let requirement_holds = |requirement: &NodeSelectorRequirement, value: Option<&str>| {
        holds(&requirement.operator, value, requirement.values.as_deref().unwrap_or_default())
    };
    // The only field there is to select by is the name.
    let field = |key: &str| (key == "metadata.name").then_some(node.name.as_str());
    !(expressions.is_empty() && fields.is_empty())
        && expressions
            .iter()
            .all(|requirement| requirement_holds(requirement, node.labels.get(&requirement.key).map(String::as_str)))
        && fields.iter().all(|requirement| requirement_holds(requirement, field(&requirement.key)))
}

fn holds(operator: &str, value: Option<&str>, values: &[String]) -> bool {
    let among = |value: &str| values.iter().any(|wanted| wanted == value);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let limit = || number(values.first().map(String::as_str));
    match operator {
        "In" => value.is_some_and(among),
        "NotIn" => !value.is_some_and(among),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number(value).zip(limit()).is_some_and(|(value, limit)| value > limit),
        "Lt" => number(value).zip(limit()).is_some_and(|(value, limit)| value < limit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_treat_absence_as_upstream_does() {
        let values = ["a".to_owned()];
        let table = [
            ("In", Some("a"), true),
            ("In", Some("b"), false),
            ("In", None, false),
            ("NotIn", Some("a"), false),
            ("NotIn", None, true),
            ("Exists", None, false),
            ("DoesNotExist", None, true),
            ("Between", Some("a"), false),
        ];
        for (operator, value, expected) in table {
            assert_eq!(holds(operator, value, &values), expected, "{operator} {value:?}");
        }
        assert!(holds("Gt", Some("4"), &["3".to_owned()]));
        assert!(!holds("Lt", Some("four"), &["3".to_owned()]));
        assert!(!holds("Lt", None, &["3".to_owned()]));
    }

    #[test]
    fn an_empty_term_selects_nothing_and_an_empty_selector_everything() {
        assert!(!term_selects(&NodeSelectorTerm::default(), &NodeInfo::default()));
        assert!(!selects_node(&[], &NodeInfo::default()));
        assert!(matches(&LabelSelector::default(), &Labels::new()));
    }
}
