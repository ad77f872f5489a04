//! The door at which kubelets ask for images: their nodes have no way to a registry, this process has.
//!
//! Every pull is a process, the [puller]. Those of one node go one after the other, as a kubelet's do unless it is told
//! otherwise (`serializeImagePulls`); and so do those of one image, whoever wants it: all nodes have it then.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, PoisonError, Weak};

use anyhow::Context;
use podlab_images::Store;
use podlab_images::registry::door::{LINE_LIMIT, PullRequest};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::directory::StateDirectory;
use crate::puller::{self, PullerConfig};
use crate::role;

/// Kubelets that may wait at one time.
const WAITING: usize = 1024;

/// Keeps the door open until the future is dropped.
pub(super) async fn keep(directory: StateDirectory) {
    let listener = match listen(&directory.pulls_socket()) {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!("Pods get no images from registries: {error:#}"),
    };
    let config = Arc::new(PullerConfig { images: directory.images() });
    let turns = Arc::new(Turns::default());
    // Ended with this future.
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < WAITING => match accepted {
                Ok((stream, _)) => drop(clients.spawn(serve(stream, config.clone(), turns.clone()))),
                Err(error) => tracing::warn!("a kubelet is not heard: {error}"),
            },
            Some(served) = clients.join_next() => {
                if let Ok(Err(error)) = served {
                    tracing::warn!("{error:#}");
                }
            }
        }
    }
}

/// Through the descriptor of its folder: a socket's path may have 107 bytes (unix(7)), which a state directory can exceed.
fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    let folder = path.parent().context("a socket needs a folder")?;
    let name = path.file_name().context("a socket needs a name")?;
    // One that was left by a control plane that was killed.
    let _ = std::fs::remove_file(path);
    let folder = std::fs::File::open(folder).with_context(|| folder.display().to_string())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    UnixListener::bind(short).with_context(|| path.display().to_string())
}

/// Who pulls, by what they wait for each other.
#[derive(Default)]
struct Turns(std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>);

impl Turns {
    fn of(&self, what: String) -> Arc<Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&what).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Mutex::new(()));
        turns.insert(what, Arc::downgrade(&turn));
        turn
    }
}

/// Has done what a kubelet asks for, unless it goes away before.
async fn serve(stream: UnixStream, config: Arc<PullerConfig>, turns: Arc<Turns>) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(LINE_LIMIT));
    let mut request = Vec::new();
    reader.read_until(b'\n', &mut request).await?;
    let reply = async {
        // What is no request at all the puller says.
        let wanted: Option<PullRequest> = serde_json::from_slice(&request).ok();
        let (node, image) = wanted.map(|wanted| (wanted.node, wanted.reference)).unwrap_or_default();
        // Who has its node's turn waits for others of the same image only, and these for nobody.
        let (node, image) = (turns.of(format!("node {node}")), turns.of(format!("image {image}")));
        let _of_node = node.lock().await;
        let _of_image = image.lock().await;
        pull(&config, &request).await
    };
    let mut more = [0];
    tokio::select! {
        reply = reply => Ok(writer.write_all(&reply?).await?),
        // It has nothing more to say: this is its end. Dropping the pull ends the puller's input.
        _ = reader.read(&mut more) => Ok(()),
    }
}

async fn pull(config: &PullerConfig, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new("/proc/self/exe")
        .arg0("podlab")
        .args(role::arguments(puller::ROLE, config))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start a puller")?;
    let mut input = child.stdin.take().context("a puller without an input")?;
    input.write_all(request).await?;
    let output = child.stdout.take().context("a puller without an output")?;
    let mut reply = Vec::new();
    output.take(LINE_LIMIT).read_to_end(&mut reply).await?;
    let status = child.wait().await?;
    if !status.success() {
        let images = config.images.clone();
        let tidied =
            tokio::task::spawn_blocking(move || Store::open(&images, Path::new("/proc/self/exe"))?.tidy()).await?;
        tidied.context("tidy the image store")?;
        anyhow::bail!("a puller did not get to its end: {status}");
    }
    Ok(reply)
}
