//! The normalising rules against what a real cluster printed.
//!
//! `reference/golden` holds transcripts of Kubernetes 1.32.13 with kubectl 1.32.4; those of the first Pod stand here for
//! all.

#![expect(clippy::unwrap_used, reason = "a test says what failed by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use podlab_labs::normalise::normalise;
use podlab_labs::transcript::Transcript;
use regex::Regex;

/// The reference transcripts by their numbers.
fn references() -> BTreeMap<String, Transcript> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/golden");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let number = path.file_name().unwrap().to_str().unwrap()[..3].to_owned();
        if number.as_str() > "100" {
            continue;
        }
        all.insert(number, parse(&std::fs::read_to_string(&path).unwrap()));
    }
    assert!(all.len() > 60, "only {} references", all.len());
    all
}

fn parse(text: &str) -> Transcript {
    let (head, rest) = text.split_once("--- stdout ---\n").unwrap();
    let (stdout, rest) = rest.split_once("--- stderr ---\n").unwrap();
    let (stderr, _) = rest.split_once("--- end ---").unwrap();
    let (command, exit) = head.split_once("\n# exit code: ").unwrap();
    Transcript {
        command: command.trim_start_matches("$ ").to_owned(),
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
        exit: Some(exit.trim().parse().unwrap()),
    }
}

#[test]
fn two_recordings_of_the_same_are_equal() {
    let all = references();
    for (one, other) in [("013", "032"), ("042", "042"), ("047", "048"), ("047", "049"), ("011", "031")] {
        assert_eq!(all[one].normalised().stdout, all[other].normalised().stdout, "{one} and {other}");
        assert!(all[one].normalised().stdout.contains('<'), "{one} has nothing to normalise");
    }
}

#[test]
fn normalising_twice_changes_nothing_more() {
    for (number, transcript) in references() {
        let once = transcript.normalised();
        assert_eq!(once.normalised(), once, "{number}");
    }
}

/// No rule is for show: each finds something in the references, and without it something that varies would stay.
#[test]
fn nothing_that_varies_stays() {
    let varies = Regex::new(concat!(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d|\b[0-9a-f]{64}\b|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}|10\.244\.\d+\.\d+",
        r"|resourceVersion: .\d|kube-api-access-[bcdf]|\d\d\d\d/\d\d/\d\d|, \d\d \w\w\w 20\d\d",
    ))
    .unwrap();
    let mut found = 0;
    for (number, transcript) in references() {
        // A diff names temporary files with the local form of time; no lab shows one.
        if number == "059" || number == "104" {
            continue;
        }
        let raw = transcript.output();
        found += varies.find_iter(&raw).count();
        let normal = normalise(&raw);
        let left = varies.find(&normal).map(|left| left.as_str().to_owned());
        assert_eq!(left, None, "{number} still has it:\n{normal}");
    }
    assert!(found > 100, "the references vary in {found} places only");
}

/// A change to a transcript: in which reference, what, and what it becomes.
const MUTATIONS: [(&str, &str, &str, &str); 24] = [
    ("another phase", "013", "Running", "Pending"),
    ("another count of ready containers", "013", "1/1", "0/1"),
    ("another count of restarts", "013", "Running   0", "Running   1"),
    ("another name", "013", "kuard ", "kuart "),
    ("a column that is missing", "033", "READINESS GATES", "READINESS"),
    ("a column too many", "013", "RESTARTS   AGE", "RESTARTS   IP   AGE"),
    ("another node", "033", "node1", "node2"),
    (
        "a row that is missing",
        "042",
        "service/kubernetes   ClusterIP   10.96.0.1    <none>        443/TCP   117s\n",
        "",
    ),
    ("another Service address", "042", "10.96.0.1", "10.96.0.2"),
    ("another reason of an event", "047", "Pulled ", "Pulling"),
    ("another type of an event", "047", "Normal  Started", "Warning Started"),
    ("another message of an event", "047", "Started container kuard", "Started container nginx"),
    ("an event that is missing", "047", "  Normal  Created    2s    kubelet            Created container: kuard\n", ""),
    ("another source of an event", "047", "default-scheduler  Succ", "kubelet            Succ"),
    ("another condition", "047", "Ready                       True", "Ready                       False"),
    ("another toleration", "047", "for 300s", "for 30s"),
    ("another quality of service", "047", "BestEffort", "Burstable"),
    ("another port", "047", "8080/TCP", "8081/TCP"),
    ("another default", "014", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 31"),
    ("a field that is missing", "014", "  enableServiceLinks: true\n", ""),
    (
        "another order of fields",
        "014",
        "  dnsPolicy: ClusterFirst\n  enableServiceLinks: true\n",
        "  enableServiceLinks: true\n  dnsPolicy: ClusterFirst\n",
    ),
    ("a number in place of a text", "014", "resourceVersion: \"373\"", "resourceVersion: 373"),
    ("another image", "040", "kuard-amd64:1", "kuard-amd64:2"),
    ("another reason of an error", "052", "(NotFound)", "(Forbidden)"),
];

#[test]
fn every_mutation_is_caught() {
    let all = references();
    for (what, number, from, to) in MUTATIONS {
        let original = all[number].output();
        assert!(original.contains(from), "{what}: {number} has no {from:?}:\n{original}");
        let mutated = original.replacen(from, to, 1);
        assert_ne!(normalise(&original), normalise(&mutated), "{what} is not caught");
    }
}

/// What may vary, varied: none of it is a difference.
#[test]
fn another_run_is_no_difference() {
    let all = references();
    for (number, from, to) in [
        ("013", "   1s", "   4m13s"),
        ("033", "10.244.0.8 ", "10.244.0.113"),
        ("047", "10.244.0.8", "10.244.0.9"),
        ("047", "Fri, 20 Nov 2026 18:46:53 +0000", "Sat, 21 Nov 2026 09:00:01 +0000"),
        ("014", "39313a1d-b48a-42dd-8866-c95a31d835fd", "00000000-b48a-42dd-8866-c95a31d835fd"),
        ("014", "\"373\"", "\"12\""),
        ("061", "2026/11/20 18:46:53", "2027/01/01 00:00:00"),
        ("084", "273ms (273ms", "1.2s (1.2s"),
    ] {
        let original = all[number].output();
        assert!(original.contains(from), "{number} has no {from:?}:\n{original}");
        assert_eq!(normalise(&original), normalise(&original.replace(from, to)), "{number}: {from} to {to}");
    }
}

/// A status that differs is a difference of the transcript, whatever was printed.
#[test]
fn the_exit_status_and_the_stream_count() {
    let original = references()["052"].clone();
    let mutated = [
        Transcript { exit: Some(0), ..original.clone() },
        Transcript { stdout: original.stderr.clone(), stderr: String::new(), ..original.clone() },
        Transcript { command: "kubectl get pods nosuch".to_owned(), ..original.clone() },
    ];
    for mutated in mutated {
        assert_ne!(original.normalised().to_string(), mutated.normalised().to_string());
    }
}
