//! The role `puller`: brings one image from its registry into the store, and ends.
//!
//! A process of its own: it works in the host's network on what strangers have packed, and what it took in memory goes
//! with it. The request is the first line of standard input, the reply the one line of standard output. When its input
//! ends, nobody waits for the image any more.

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use podlab_images::registry::Registries;
use podlab_images::registry::door::{LINE_LIMIT, PullReply, PullRequest};
use podlab_images::{Reference, Store};
use serde::{Deserialize, Serialize};

/// The hidden role word.
pub(crate) const ROLE: &str = "puller";

/// How long a layer that is being unpacked may go on when nobody wants it any more.
const LAST_WORK: Duration = Duration::from_millis(300);

/// What a puller is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PullerConfig {
    /// The image store.
    pub(crate) images: PathBuf,
}

/// Pulls what standard input asks for.
pub(crate) fn main(config: PullerConfig) -> ExitCode {
    crate::logging::to_standard_error();
    let mut line = String::new();
    let input = std::io::stdin().lock().take(LINE_LIMIT).read_line(&mut line);
    let request: PullRequest = match input.map_err(serde_json::Error::io).and_then(|_| serde_json::from_str(&line)) {
        Ok(request) => request,
        Err(error) => {
            tracing::error!("not a request: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let given_up = crate::plug::pulled();
    let reply = runtime.block_on(async {
        tokio::select! {
            reply = pull(&config.images, &request) => Some(reply),
            _ = given_up => None,
        }
    });
    // What was dropped unfinished is removed by those who did it; what is too slow for that, by the next puller.
    runtime.shutdown_timeout(LAST_WORK);
    let Some(reply) = reply else { return ExitCode::FAILURE };
    let line = serde_json::to_string(&reply).unwrap_or_default();
    match writeln!(std::io::stdout().lock(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn pull(images: &Path, request: &PullRequest) -> PullReply {
    let failed = |error: &dyn std::fmt::Display| PullReply::Failed(format!("rpc error: code = Unknown desc = {error}"));
    let reference: Reference = match request.reference.parse() {
        Ok(reference) => reference,
        Err(error) => return failed(&error),
    };
    let store = match Store::open(images, Path::new("/proc/self/exe")) {
        Ok(store) => store,
        Err(error) => return failed(&error),
    };
    if let Err(error) = store.tidy() {
        tracing::warn!("cannot tidy the image store: {error}");
    }
    let registries = match Registries::of_store(images) {
        Ok(registries) => registries,
        Err(error) => return failed(&error),
    };
    // Nobody can say whether there is a newer one.
    if registries.offline && matches!(store.resolve(&request.reference), Ok(Some(_))) {
        return PullReply::Pulled;
    }
    let credentials = request.credentials.clone();
    match store.pull(&reference, &registries, credentials, |_| {}).await {
        Ok(_) => PullReply::Pulled,
        Err(error) => PullReply::Failed(error.status(&reference)),
    }
}
