//! watcher: looks at the web server next to it, over the Pod's own loopback.
//!
//! The text's image of this name reads the web server's log, but its manifest gives the two containers no common
//! volume to read it from. What they do share is the network, so this one asks the server, as a sidecar would.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::log::stamp;
use crate::server::on_one_thread;

const TARGET: &str = "127.0.0.1:80";
const PERIOD: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(1);
/// A status line longer than this is not HTTP.
const LONGEST_STATUS_LINE: u64 = 256;

pub(crate) fn main(_arguments: Vec<String>) -> ExitCode {
    match on_one_thread(watch()) {
        Ok(()) => ExitCode::from(128 + 15),
        Err(error) => {
            eprintln!("watcher: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a line whenever the server's answer changes, so that the log tells a story and does not grow for nothing.
async fn watch() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut rounds = interval(PERIOD);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    println!("{} watching http://{TARGET}/", stamp(Timestamp::now()));
    let mut last = String::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = rounds.tick() => {}
        }
        let answer = ask().unwrap_or_else(|error| format!("no answer: {error}"));
        if answer != last {
            println!("{} {answer}", stamp(Timestamp::now()));
            last = answer;
        }
    }
}

/// The status line of the server's front page.
fn ask() -> io::Result<String> {
    let address = TARGET.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: watcher\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_STATUS_LINE)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
