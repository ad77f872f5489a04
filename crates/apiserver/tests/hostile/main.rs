//! Clients that mean harm: every known attack on an API server that could apply here is a test ([`ROWS`]).
//!
//! Each request ends in a typed error, in bounded memory, with the store as it was. Memory is what the code under test
//! allocated, counted by the allocator; "how long" is never asked.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod access;
mod bodies;
mod logs;
mod node;
mod origins;
mod patches;
mod paths;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod upgrades;

use std::future::Future;

use allocation_counter::AllocationInfo;
use support::Cluster;

/// Attacks by what they are known as, and the tests that try them here (`file` or `crate/file`, then the function); where
/// there is none, the reason why the attack has no place in this server.
const ROWS: &[(&str, &[&str], &str)] = &[
    (
        "CVE-2018-1002105: a refused upgrade leaves an authenticated connection to a back end",
        &["upgrades::what_follows_a_refused_upgrade_is_judged_by_itself", "upgrades::a_node_never_sees_what_follows"],
        "",
    ),
    (
        "CVE-2020-8559, CVE-2020-8555, CVE-2020-8561: redirects of a back end are followed",
        &["upgrades::redirects_are_never_followed"],
        "",
    ),
    (
        "CVE-2018-1002100, CVE-2019-1002101, CVE-2019-11246, CVE-2019-11249, CVE-2019-11251: kubectl cp trusts a tar",
        &[],
        "the client unpacks; this server passes bytes and reads no archive (images are the node's)",
    ),
    (
        "CVE-2019-11253, CVE-2019-11254: bodies that grow when they are read",
        &["bodies::hostile_bodies_end_in_an_error", "bodies::an_endless_body_is_read_to_the_limit"],
        "",
    ),
    (
        "CVE-2019-1002100: JSON patches of many copies",
        &["patches::hostile_patches_end_in_an_error", "patches::the_edges_of_the_limits_hold"],
        "",
    ),
    (
        "CVE-2020-8551, CVE-2020-8552: state for every path that was ever asked for",
        &["paths::twenty_thousand_paths_leave_nothing"],
        "",
    ),
    (
        "CVE-2022-31030, CVE-2022-1708: output that nobody reads is kept",
        &[
            "streams::output_that_nobody_reads_stays_with_its_writer",
            "streams::a_watch_that_nobody_reads_is_cut_off",
            "session::a_client_that_never_reads_holds_its_writer_up",
        ],
        "",
    ),
    (
        "CVE-2024-25621, CVE-2025-64329: attach leaks a task for every client that goes",
        &["streams::clients_that_go_leave_nothing"],
        "",
    ),
    ("CVE-2015-5305: a name becomes a path", &["paths::odd_names_name_nothing", "paths::any_path_is_answered"], ""),
    (
        "CVE-2019-11247, CVE-2022-3162: keys that are prefixes of others",
        &["paths::names_that_begin_alike_are_kept_apart"],
        "",
    ),
    (
        "CVE-2021-25735, CVE-2023-2727, CVE-2023-2728, CVE-2024-3177: a rule looks at some containers only",
        &["access::every_list_of_containers_is_looked_at"],
        "",
    ),
    (
        "CVE-2019-11248, CVE-2025-0426: debug endpoints are open to anyone",
        &["access::who_may_do_what", "access::nobody_gets_in_anywhere", "access::a_node_touches_only_its_own"],
        "",
    ),
    (
        "CVE-2020-8558: route_localnet opens loopback services to neighbours",
        &[],
        "this server sets nothing of the network; it listens on loopback unless told otherwise",
    ),
    (
        "DNS rebinding: a web page posts to a loopback port",
        &["origins::foreign_hosts_and_origins_are_refused", "origins::no_page_may_read_an_answer"],
        "",
    ),
    (
        "CVE-2019-11250: tokens in logs",
        &["logs::nothing_secret_is_logged", "secrets::nothing_secret_is_in_any_log"],
        "",
    ),
];

#[test]
fn every_row_names_tests_that_exist() {
    let sources = [
        ("access", include_str!("access.rs")),
        ("bodies", include_str!("bodies.rs")),
        ("logs", include_str!("logs.rs")),
        ("origins", include_str!("origins.rs")),
        ("patches", include_str!("patches.rs")),
        ("paths", include_str!("paths.rs")),
        ("secrets", include_str!("../../../podlab/tests/command_line/secrets.rs")),
        ("session", include_str!("../../src/streaming/spdy/session.rs")),
        ("streams", include_str!("streams.rs")),
        ("upgrades", include_str!("upgrades.rs")),
    ];
    for (attack, tests, reason) in ROWS {
        assert_ne!(tests.is_empty(), reason.is_empty(), "{attack}: tests, or the reason why there are none");
        for test in *tests {
            let (file, name) = test.split_once("::").unwrap();
            let source = sources.iter().find(|(known, _)| *known == file).unwrap().1;
            assert!(source.contains(&format!("fn {name}(")), "{attack}: {test}");
        }
    }
}

/// A runtime of one thread: all that the server does happens on the thread that asks, where allocations are counted.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What happens, and what it allocates.
fn measured<T>(runtime: &tokio::runtime::Runtime, work: impl Future<Output = T>) -> (T, AllocationInfo) {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(runtime.block_on(work)));
    (result.unwrap(), info)
}

/// The revision of the last write.
async fn revision(cluster: &Cluster) -> String {
    let pods = cluster.get("/api/v1/pods?limit=1").await;
    pods["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}
