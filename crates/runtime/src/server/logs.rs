//! Reading a container's log for `kubectl logs`: from where, how much, and whether to wait for more.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use rustix::fs::inotify;
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, BufReader, SeekFrom};
use tokio::sync::{mpsc, watch};

use super::cri::{Record, tail_offset};

/// A record is at most the writer's buffer and its header; what is longer is not ours.
const LONGEST_RECORD: u64 = 64 * 1024;

/// What `kubectl logs` may ask for (the PodLogOptions of core/v1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogOptions {
    pub follow: bool,
    /// The log of the container before this one.
    pub previous: bool,
    pub tail_lines: Option<u64>,
    pub since_seconds: Option<u64>,
    pub since_time: Option<Timestamp>,
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
}

impl LogOptions {
    /// Records before this are left out.
    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let relative = self.since_seconds.and_then(|seconds| now.checked_sub(Duration::from_secs(seconds)).ok());
        self.since_time.or(relative)
    }
}

/// Who writes the log.
pub(super) struct Writer {
    /// Whether the container still runs.
    pub(super) running: Arc<dyn Fn() -> bool + Send + Sync>,
    /// A change is a reason to ask again.
    pub(super) changes: watch::Receiver<u64>,
    /// The file that the log goes on in, when the given one has grown too long.
    pub(super) next: Arc<NextFile>,
}

pub(super) type NextFile = dyn for<'a> Fn(&'a File) -> BoxFuture<'a, io::Result<Option<File>>> + Send + Sync;

/// Sends the log's lines into `to`, until the end, the limit, or the reader's leaving.
///
/// The channel is short, so a slow reader holds up the reading and not memory.
pub(super) async fn send(
    file: File,
    options: LogOptions,
    now: Timestamp,
    writer: Writer,
    to: mpsc::Sender<io::Result<Bytes>>,
) {
    if let Err(error) = copy(file, options, now, writer, &to).await {
        // Nobody is left to be told when this fails too.
        let _ = to.send(Err(error)).await;
    }
}

async fn copy(
    mut file: File,
    options: LogOptions,
    now: Timestamp,
    mut writer: Writer,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let mut growth = if options.follow { Some(Growth::of(&file)?) } else { None };
    if let Some(lines) = options.tail_lines {
        let mut log = file.into_std().await;
        let (log, offset) = tokio::task::spawn_blocking(move || {
            let offset = tail_offset(&mut log, lines);
            (log, offset)
        })
        .await?;
        file = File::from_std(log);
        file.seek(SeekFrom::Start(offset?)).await?;
    }
    let mut printer = Printer::new(&options, now);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        // Asked before the end is looked for: what a container wrote before it ended is then in the file.
        let running = (writer.running)();
        // So with the next file: once there is one, nothing is added to this.
        let next = if options.follow { (writer.next)(reader.get_ref()).await? } else { None };
        loop {
            let room = LONGEST_RECORD - line.len() as u64;
            let mut bounded = tokio::io::AsyncReadExt::take(&mut reader, room);
            bounded.read_until(b'\n', &mut line).await?;
            if line.last() != Some(&b'\n') {
                if line.len() as u64 == LONGEST_RECORD {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a record of the log is too long"));
                }
                // The end of the file; the rest of a record that is being written comes in a later round.
                break;
            }
            line.pop();
            if let Some(text) = printer.print(&line)
                && to.send(Ok(text)).await.is_err()
            {
                return Ok(());
            }
            if printer.done() {
                return Ok(());
            }
            line.clear();
        }
        if let Some(next) = next {
            growth = Some(Growth::of(&next)?);
            reader = BufReader::new(next);
            line.clear();
            continue;
        }
        let Some(growth) = growth.as_ref().filter(|_| running) else { return Ok(()) };
        tokio::select! {
            grown = growth.wait() => grown?,
            changed = writer.changes.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            () = to.closed() => return Ok(()),
        }
    }
}

/// Turns records into what the client sees.
struct Printer {
    timestamps: bool,
    since: Option<Timestamp>,
    left: Option<u64>,
    /// The last record was a piece of a line, so the next one of its stream goes on with it.
    inside_line: bool,
}

impl Printer {
    fn new(options: &LogOptions, now: Timestamp) -> Self {
        Self {
            timestamps: options.timestamps,
            since: options.since(now),
            left: options.limit_bytes,
            inside_line: false,
        }
    }

    /// The limit of bytes is used up.
    fn done(&self) -> bool {
        self.left == Some(0)
    }

    fn print(&mut self, line: &[u8]) -> Option<Bytes> {
        let record = Record::parse(line)?;
        if let Some(since) = self.since
            && record.timestamp().is_some_and(|written| written < since)
        {
            return None;
        }
        let mut text = Vec::with_capacity(record.time.len() + record.message.len() + 2);
        if self.timestamps && !self.inside_line {
            text.extend_from_slice(record.time.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(record.message);
        if !record.partial {
            text.push(b'\n');
        }
        self.inside_line = record.partial;
        if let Some(left) = &mut self.left {
            let fits = usize::try_from(*left).unwrap_or(usize::MAX).min(text.len());
            text.truncate(fits);
            *left -= fits as u64;
        }
        Some(text.into())
    }
}

/// Wakes when a file was written to, or has got another name (inotify(7)).
struct Growth {
    events: AsyncFd<OwnedFd>,
}

impl Growth {
    fn of(file: &File) -> io::Result<Self> {
        let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        // By descriptor: the name may mean another file by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        inotify::add_watch(&events, path, inotify::WatchFlags::MODIFY | inotify::WatchFlags::MOVE_SELF)?;
        // SAFETY: an OwnedFd names the same open descriptor for as long as it lives, and AsyncFd owns this one.
        let events = unsafe { AsyncFd::register(events)? };
        Ok(Self { events })
    }

    async fn wait(&self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            let mut ready = self.events.readable().await?;
            match ready.try_io(|events| Ok(rustix::io::read(events, &mut buffer)?)) {
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const LOG: &str = "2026-11-20T10:00:00.1Z stdout F one\n2026-11-20T10:00:01.2Z stdout P tw\n\
                       2026-11-20T10:00:01.3Z stdout F o\n2026-11-20T10:00:02.4Z stderr F three\n";

    fn now() -> Timestamp {
        "2026-11-20T10:00:03Z".parse().unwrap()
    }

    fn ended() -> Writer {
        Writer { running: Arc::new(|| false), changes: watch::channel(0).1, next: only_one() }
    }

    /// The log stays in its first file.
    fn only_one() -> Arc<NextFile> {
        Arc::new(|_| Box::pin(async { Ok(None) }))
    }

    async fn read(options: LogOptions) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(LOG.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let (to, mut from) = mpsc::channel(4);
        tokio::spawn(send(File::from_std(file), options, now(), ended(), to));
        let mut text = Vec::new();
        while let Some(piece) = from.recv().await {
            text.extend_from_slice(&piece.unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn options_choose_what_is_printed() {
        let all = LogOptions::default;
        assert_eq!(read(all()).await, "one\ntwo\nthree\n");
        assert_eq!(
            read(LogOptions { timestamps: true, ..all() }).await,
            "2026-11-20T10:00:00.1Z one\n2026-11-20T10:00:01.2Z two\n2026-11-20T10:00:02.4Z three\n"
        );
        assert_eq!(read(LogOptions { tail_lines: Some(1), ..all() }).await, "three\n");
        assert_eq!(read(LogOptions { tail_lines: Some(0), ..all() }).await, "");
        assert_eq!(read(LogOptions { since_seconds: Some(1), ..all() }).await, "three\n");
        let since_time = "2026-11-20T10:00:01Z".parse().ok();
        assert_eq!(read(LogOptions { since_time, ..all() }).await, "two\nthree\n");
        assert_eq!(read(LogOptions { limit_bytes: Some(5), ..all() }).await, "one\nt");
        assert_eq!(read(LogOptions { follow: true, ..all() }).await, "one\ntwo\nthree\n", "nobody writes any more");
    }

    #[tokio::test]
    async fn following_ends_with_the_container_and_misses_nothing() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut pen = log.reopen().unwrap();
        let running = Arc::new(AtomicBool::new(true));
        let (change, changes) = watch::channel(0);
        let asked = Arc::clone(&running);
        let writer = Writer { running: Arc::new(move || asked.load(Ordering::SeqCst)), changes, next: only_one() };
        let (to, mut from) = mpsc::channel(4);
        let file = File::from_std(log.reopen().unwrap());
        let options = LogOptions { follow: true, ..LogOptions::default() };
        tokio::spawn(send(file, options, now(), writer, to));
        pen.write_all(b"2026-11-20T10:00:00Z stdout F first\n2026-11-20T10:00:00Z std").unwrap();
        assert_eq!(from.recv().await.unwrap().unwrap(), "first\n");
        pen.write_all(b"out F second\n").unwrap();
        assert_eq!(from.recv().await.unwrap().unwrap(), "second\n");
        pen.write_all(b"2026-11-20T10:00:00Z stdout F last\n").unwrap();
        running.store(false, Ordering::SeqCst);
        change.send(1).unwrap();
        assert_eq!(from.recv().await.unwrap().unwrap(), "last\n");
        assert!(from.recv().await.is_none());
    }

    #[tokio::test]
    async fn following_goes_on_in_the_next_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("0.log"), directory.path().join("0.log.1"));
        let mut pen = std::fs::File::create(&path).unwrap();
        let (change, changes) = watch::channel(0);
        let newest = path.clone();
        let next: Arc<NextFile> = Arc::new(move |current| {
            let newest = newest.clone();
            Box::pin(async move {
                use std::os::unix::fs::MetadataExt;
                let newest = File::open(newest).await?;
                let same = newest.metadata().await?.ino() == current.metadata().await?.ino();
                Ok((!same).then_some(newest))
            })
        });
        let (to, mut from) = mpsc::channel(4);
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let writer = Writer { running: Arc::new(|| true), changes, next };
        tokio::spawn(send(File::open(&path).await.unwrap(), options, now(), writer, to));
        pen.write_all(b"2026-11-20T10:00:00Z stdout F first\n").unwrap();
        assert_eq!(from.recv().await.unwrap().unwrap(), "first\n");
        // The last line of the old file and the first of the new one, and both names, before anybody looks.
        pen.write_all(b"2026-11-20T10:00:00Z stdout F second\n").unwrap();
        let new = directory.path().join("new");
        std::fs::write(&new, b"2026-11-20T10:00:00Z stdout F third\n").unwrap();
        std::fs::hard_link(&path, &old).unwrap();
        std::fs::rename(&new, &path).unwrap();
        for expected in ["second\n", "third\n"] {
            assert_eq!(from.recv().await.unwrap().unwrap(), expected);
        }
        drop(change);
        assert!(from.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_log_that_is_no_log_costs_no_memory() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let (to, mut from) = mpsc::channel(4);
        tokio::spawn(send(File::from_std(file), LogOptions::default(), now(), ended(), to));
        assert_eq!(from.recv().await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
