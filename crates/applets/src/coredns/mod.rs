//! coredns: answers DNS questions about a cluster's Services and Pods.
//!
//! It does what its namesake does with the Corefile that clusters have: [`corefile`] reads that, [`cluster`] keeps the
//! Services and their endpoints in view, [`zone`] knows what their names mean (a pure function), [`answer`] puts that
//! into messages, and [`server`] carries them. Upstream for the names:
//! <https://github.com/kubernetes/dns/blob/master/docs/specification.md>.

mod answer;
mod cluster;
mod corefile;
mod forward;
mod server;
mod zone;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use podlab_client::sleeper::Sleeper;

use crate::server::on_one_thread;
use cluster::Cluster;
use corefile::Corefile;
use forward::Others;

/// How often the Corefile is looked at again, when it says `reload`.
const RELOAD: Duration = Duration::from_secs(30);
/// Bytes of a Corefile.
const COREFILE_LIMIT: u64 = 64 << 10;

/// What all parts of the program see.
struct Dns {
    corefile: RwLock<Arc<Corefile>>,
    /// `None` without the plugin kubernetes.
    cluster: Option<Cluster>,
    others: Others,
}

impl Dns {
    fn corefile(&self) -> Arc<Corefile> {
        self.corefile.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let mut path = PathBuf::from("Corefile");
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match (argument.trim_start_matches('-'), arguments.next()) {
            ("conf", Some(value)) => path = value.into(),
            _ => {
                eprintln!("Usage: coredns [-conf Corefile]");
                return ExitCode::from(2);
            }
        }
    }
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) => {
            println!("loading Corefile {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let corefile = match text.parse::<Corefile>() {
        Ok(corefile) => corefile,
        Err(error) => {
            println!("{}:{error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    match on_one_thread(run(corefile, text, path)) {
        Ok(code) => code,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(corefile: Corefile, text: String, path: PathBuf) -> std::io::Result<ExitCode> {
    let cluster = match corefile.kubernetes {
        Some(_) => Some(Cluster::connect().map_err(std::io::Error::other)?),
        None => None,
    };
    let dns = Arc::new(Dns { corefile: RwLock::new(Arc::new(corefile)), cluster, others: Others::default() });
    tokio::spawn(reload(dns.clone(), text, path));
    server::serve(dns).await
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(COREFILE_LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

/// Takes a changed Corefile into use; one that cannot be read is told of, and the old one stays. Its ports are those of
/// the start.
async fn reload(dns: Arc<Dns>, mut text: String, path: PathBuf) {
    let sleeper = Sleeper::wall();
    while dns.corefile().reload {
        sleeper.sleep(RELOAD).await;
        let Ok(now) = read(&path) else { continue };
        if now == text {
            continue;
        }
        text = now;
        match text.parse::<Corefile>() {
            Ok(corefile) => {
                println!("[INFO] Reloading complete");
                *dns.corefile.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(corefile);
            }
            Err(error) => println!("[ERROR] Restart failed: {}:{error}", path.display()),
        }
    }
}
