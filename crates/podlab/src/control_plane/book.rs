//! The book inside the control plane.

use std::path::PathBuf;

use podlab_labs::{Cluster, Workbook, commands};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{BookAddress, bind_local};
use crate::directory::{StateDirectory, write_private};

/// Where the book is served unless something else is there already.
const USUAL_PORT: u16 = 7080;

/// Builds the book and serves it until `stop`. The cluster is reachable through the book's Run buttons.
///
/// # Errors
///
/// When the named port cannot be had. A book that cannot be built is only logged: the cluster is of use without it.
pub(super) async fn serve(
    directory: &StateDirectory,
    workbook: PathBuf,
    named: Option<u16>,
    remembered: Option<u16>,
    stop: CancellationToken,
) -> anyhow::Result<BookAddress> {
    let listener = bind(named, remembered).await?;
    let port = listener.local_addr()?.port();
    let token = token(directory)?;
    let cluster = Cluster::new(directory.kubeconfig()).with_dir(directory.path()).trying(crate::doctor::has);
    let address = format!("http://127.0.0.1:{port}/#token={token}");
    let (workbook, built) = (Workbook::at(workbook), directory.book());
    tokio::spawn(async move {
        let served =
            commands::book_serve(&workbook, &built, Some(cluster), listener, &token, stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!("the book is not served: {error:#}");
        }
    });
    Ok(BookAddress { address, port })
}

/// What lets a browser in. The same on every start, so that an open page goes on; for the owner's eyes only.
fn token(directory: &StateDirectory) -> anyhow::Result<String> {
    let file = directory.book_token();
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let is_one = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one(kept.trim()) {
        return Ok(kept.trim().to_owned());
    }
    let mut drawn = [0; 16];
    rustix::rand::getrandom(&mut drawn, rustix::rand::GetRandomFlags::empty())?;
    let token: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(&file, token.as_bytes())?;
    Ok(token)
}

/// The named port, else the one of the last run, else the usual one, else any.
async fn bind(named: Option<u16>, remembered: Option<u16>) -> anyhow::Result<TcpListener> {
    if let Some(port) = named {
        return bind_local(port).await.map_err(|error| {
            anyhow::anyhow!(
                "cannot serve the book on port {port}: {error}\n\
                 name another port: podlab start --port N (0: any free one); or leave the book out: --no-book"
            )
        });
    }
    for port in remembered.into_iter().chain([USUAL_PORT]) {
        if let Ok(listener) = bind_local(port).await {
            return Ok(listener);
        }
    }
    Ok(bind_local(0).await?)
}
