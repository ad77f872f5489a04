//! One next step after an error that beginners meet, on a line of its own; `--plain` leaves it out.

use crate::failure::Failure;

/// What to do about it, where that is known.
pub(crate) fn next_step(failure: &Failure) -> Option<String> {
    let text = failure.text();
    let name =
        |before: &str| text.split_once(before).and_then(|(_, rest)| rest.split(['"', '\n']).next()).map(str::to_owned);
    if text.contains("doesn't have a resource type") {
        return Some("Next: kubectl api-resources lists the types there are.".to_owned());
    }
    if let Some(rest) =
        text.strip_prefix("error: container ").or(text.split_once("): container ").map(|(_, rest)| rest))
        && let Some((container, pod)) = rest.split_once(" is not valid for pod ")
    {
        let pod = pod.trim();
        return Some(format!(
            "Next: {container} is none of its containers; kubectl get pod {pod} -o jsonpath='{{.spec.containers[*].name}}' lists them, -c takes one."
        ));
    }
    if text.contains("a container name must be specified") {
        return Some("Next: name one of the containers with -c.".to_owned());
    }
    if text.contains("is waiting to start")
        || text.contains("pod is not running")
        || text.contains("not have a host assigned")
    {
        let pod = name("in pod \"").map_or_else(|| "pod NAME".to_owned(), |pod| format!("pod {pod}"));
        return Some(format!("Next: kubectl describe {pod} says under Events what it waits for."));
    }
    if text.contains("in a completed pod") {
        return Some("Next: its processes have ended; kubectl logs shows what they wrote.".to_owned());
    }
    if matches!(failure, Failure::Refused(_)) {
        return Some("Next: podlab status says whether the cluster runs, podlab start starts it.".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_gets_a_next_step_and_other_errors_none() {
        let told = |text: &str| next_step(&Failure::Text(text.to_owned()));
        assert!(
            told("the server doesn't have a resource type \"foos\"").is_some_and(|next| next.contains("api-resources"))
        );
        assert!(told("container nope is not valid for pod kuard").is_some_and(|next| next.contains("get pod kuard")));
        assert_eq!(told("the path \"nosuch.yaml\" does not exist"), None);
    }
}
