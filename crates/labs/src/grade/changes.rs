//! Waits for the next change in a namespace, so that nothing has to be asked in a loop.

use futures_util::stream::{SelectAll, StreamExt};
use podlab_client::{Client, Error};

use crate::api::{self, Kind};

/// So many changes that have arrived already count as one.
const AT_ONCE: usize = 64;

/// The changes of Pods, Events and other kinds in a namespace.
pub(super) struct Changes<'a> {
    client: &'a Client,
    namespace: &'a str,
    others: &'a [Kind],
    open: Option<futures_util::stream::ReadyChunks<SelectAll<api::Changes>>>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(client: &'a Client, namespace: &'a str, others: &'a [Kind]) -> Changes<'a> {
        Changes { client, namespace, others, open: None }
    }

    /// Returns after a change, and also when one may have been missed: look again.
    pub(super) async fn next(&mut self) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            let mut all = SelectAll::new();
            for kind in [Kind::Pod, Kind::Event].iter().chain(self.others) {
                all.push(kind.changes(self.client, self.namespace).await?);
            }
            self.open = Some(all.ready_chunks(AT_ONCE));
            return Ok(());
        };
        let chunk = open.next().await;
        match chunk.map(|chunk| chunk.into_iter().collect::<Result<Vec<()>, Error>>()) {
            Some(Ok(_)) => Ok(()),
            None => {
                self.open = None;
                Ok(())
            }
            Some(Err(error)) if error.is_gone() => {
                self.open = None;
                Ok(())
            }
            Some(Err(error)) => Err(error),
        }
    }
}
