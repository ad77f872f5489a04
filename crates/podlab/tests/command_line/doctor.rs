//! `podlab doctor` tries things; what may fail on a machine of ours is a committed set, anything else fails here.

use std::collections::BTreeSet;

use podlab_testkit::{Cluster, Output, User};

/// The committed set.
const PERMITTED: &str = include_str!("../could-not-check.txt");

/// What may fail for `who`.
fn permitted(who: &str) -> BTreeSet<String> {
    let lines = PERMITTED.lines().filter(|line| !line.starts_with('#'));
    let entries = lines.map(|line| {
        let parts: Vec<_> = line.splitn(3, ": ").collect();
        let [who, item, why] = parts[..] else { panic!("WHO: ITEM: WHY, not {line:?}") };
        assert!(!why.is_empty(), "{line:?} says why");
        (who, item.to_owned())
    });
    entries.filter(|(entry, _)| *entry == who).map(|(_, item)| item).collect()
}

/// The items that do not work, in what `doctor --output json` printed.
#[track_caller]
fn refused(output: &Output) -> BTreeSet<String> {
    let findings: Vec<serde_json::Value> = serde_json::from_str(&output.stdout).unwrap();
    assert!(findings.len() >= 15, "everything was tried: {findings:#?}");
    let refused = findings.iter().filter(|finding| finding["verdict"] != "works");
    let refused: BTreeSet<_> = refused
        .map(|finding| {
            assert!(finding["touches"].is_string() && finding["detail"] != "", "says what and why: {finding}");
            finding["item"].as_str().unwrap().to_owned()
        })
        .collect();
    let code = if refused.is_empty() { 0 } else { 2 };
    assert_eq!(output.status.code(), Some(code), "{refused:?}");
    refused
}

#[track_caller]
fn nothing_else_is_refused(cluster: &Cluster, who: &str) {
    let (refused, permitted) = (refused(&cluster.podlab(["doctor", "--output", "json"])), permitted(who));
    assert!(refused.is_subset(&permitted), "{who}: {:?}", refused.difference(&permitted));
}

#[test]
fn what_this_user_may_not_have_is_in_the_permitted_set() {
    let who = if rustix::process::geteuid().is_root() { "root" } else { "nobody" };
    nothing_else_is_refused(&Cluster::builder().prepare(), who);
}

#[test]
fn what_ordinary_users_may_not_have_is_in_the_permitted_set() {
    for user in [User::Nobody, User::WithRanges] {
        if user.is_possible() {
            nothing_else_is_refused(&Cluster::builder().user(user).prepare(), user.name());
        }
    }
}
