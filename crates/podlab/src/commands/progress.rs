//! Saying what is being done when it takes longer than a person likes to wait in silence.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// How long something may take before it is said.
const SILENCE: Duration = Duration::from_secs(1);

/// A line on standard error for every stage that takes longer than a second. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Progress(Sender<Option<String>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self::with(SILENCE, |stage| anstream::eprintln!("{stage} …"))
    }

    fn with(silence: Duration, say: impl Fn(&str) + Send + 'static) -> Self {
        let (sender, stages) = mpsc::channel::<Option<String>>();
        // Without a thread there is no progress to be seen, and nothing else is lost.
        let _ = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut stage = None;
            loop {
                let next = match &stage {
                    Some(_) => stages.recv_timeout(silence),
                    None => stages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                match (next, &stage) {
                    (Ok(next), _) => stage = next,
                    (Err(RecvTimeoutError::Timeout), Some(what)) => {
                        say(what);
                        stage = None;
                    }
                    (Err(_), _) => return,
                }
            }
        });
        Self(sender)
    }

    /// This is being done from now on; nothing, with `None`.
    pub(crate) fn now(&self, stage: Option<String>) {
        let _ = self.0.send(stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_said_once_and_what_does_not_is_not() {
        let (said, heard) = mpsc::channel();
        let progress = Progress::with(Duration::from_millis(20), move |stage| said.send(stage.to_owned()).unwrap());
        // Nothing takes shorter than to be replaced at once.
        let many = Progress::with(Duration::from_secs(3600), |stage| panic!("{stage} has not taken an hour"));
        for _ in 0..1000 {
            many.now(Some("short".to_owned()));
        }
        drop(many);
        progress.now(Some("long".to_owned()));
        assert_eq!(heard.recv(), Ok("long".to_owned()));
        progress.now(None);
        drop(progress);
        assert_eq!(heard.recv(), Err(mpsc::RecvError), "and not again");
    }
}
