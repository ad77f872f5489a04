//! `podlab book …`: the book without a cluster.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use podlab_testkit::Cluster;
use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use rustix::process::{Pid, Signal, kill_process};

use crate::podlab;

#[test]
fn build_writes_the_book_and_says_where() {
    let cluster = Cluster::builder().prepare();
    let destination = cluster.scratch().join("book");
    let index = destination.join("index.html");
    let build = podlab(&cluster, ["book", "build", destination.to_str().unwrap()]).assert().success();
    build.stdout(format!("{}\n", index.display()));
    let chapter = std::fs::read_to_string(destination.join("your-first-pod.html")).unwrap();
    // A recorded step of the lab, and nothing of how it is written in the source.
    assert!(chapter.contains("kubectl get pods -o wide") && chapter.contains("RESTARTS"), "the lab's steps");
    assert!(!chapter.contains("{{#"), "a directive was left as it is");
    assert!(std::fs::read_to_string(index).unwrap().contains("Podlab"));
}

#[test]
fn the_teacher_edition_has_the_teachers_pages_and_the_readers_has_none() {
    let cluster = Cluster::builder().prepare();
    let build = |words: &[&str], folder: &str| {
        let destination = cluster.scratch().join(folder);
        podlab(&cluster, ["book", "build", destination.to_str().unwrap()].iter().chain(words).copied())
            .assert()
            .success();
        std::fs::read_to_string(destination.join("teachers-kuard.html"))
    };
    let page = build(&["--teacher"], "teacher").unwrap();
    assert!(page.contains("Misconceptions") && page.contains("Mistakes it recognises") && page.contains("half-a-name"));
    assert!(build(&[], "reader").is_err(), "readers find no solutions");
}

#[test]
fn serve_answers_until_ctrl_c() {
    let cluster = Cluster::builder().prepare();
    let mut command = cluster.command(["book", "serve"]);
    let mut serve = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(serve.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("The book:  http://").and_then(|rest| rest.strip_suffix('/')).unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET /your-first-pod.html HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("<h1 id=\"your-first-pod\">"), "{answer}");
    kill_process(Pid::from_child(&serve), Signal::INT).unwrap();
    let output = serve.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let cluster = Cluster::builder().prepare();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = podlab(&cluster, ["book", "serve", "--port", &port]).assert().code(1).stdout(is_empty());
    refused.stderr(contains(format!("port {port}")).and(contains("another port")));
}
