//! Which Pods are of the same application: those that the Services and controllers of a Pod select.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::selector::{Labels, contains, matches};

/// The selectors among these that select `labels`. What they all select is what a Pod is spread among.
///
/// `services` are the selectors of the Services of its namespace, `controllers` those of the ReplicaSets and the like.
#[must_use]
pub fn of<'a>(
    labels: &Labels,
    services: impl IntoIterator<Item = &'a Labels>,
    controllers: impl IntoIterator<Item = &'a LabelSelector>,
) -> Vec<LabelSelector> {
    // A Service without a selector selects nothing, a controller's empty one would select everything: neither says
    // anything about an application.
    let services = services.into_iter().filter(|selector| !selector.is_empty() && contains(selector, labels));
    let services =
        services.map(|selector| LabelSelector { match_labels: Some(selector.clone()), ..LabelSelector::default() });
    let says = |selector: &LabelSelector| *selector != LabelSelector::default();
    let controllers = controllers.into_iter().filter(|selector| says(selector) && matches(selector, labels)).cloned();
    services.chain(controllers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_selects_the_pod_says_whose_it_is() {
        let labels = |app: &str| Labels::from([("app".to_owned(), app.to_owned())]);
        let set = LabelSelector { match_labels: Some(labels("web")), ..LabelSelector::default() };
        let found =
            of(&labels("web"), [&labels("web"), &labels("db"), &Labels::new()], [&set, &LabelSelector::default()]);
        assert_eq!(found, [set.clone(), set]);
    }
}
