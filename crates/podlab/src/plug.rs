//! The plug of a part: its standard input, whose other end is held by whoever started it.

use std::io::Read;

use tokio::sync::oneshot;

/// Resolves when standard input is at end of file. A thread of its own: reading it blocks, and a runtime waits for its
/// blocking tasks when it ends.
pub(crate) fn pulled() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        // Nobody ever writes to it; whatever ends the read ends us.
        while matches!(std::io::stdin().read(&mut byte), Ok(1)) {}
        let _ = sender.send(());
    });
    receiver
}
