//! `podlab watch`

use std::io::{IsTerminal, Read, stdin, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use podlab_labs::commands::{self, Asked, Key, WatchOptions};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::{Context, colour, runtime};

/// # Errors
///
/// When this is no workspace, or a file cannot be read or written.
pub(crate) fn run(context: &Context, exercise: Option<&str>, kubeconfig: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (workbook, cluster) = (context.workbook()?, super::lab::cluster(context, kubeconfig)?);
    let here = std::env::current_dir()?;
    let screen = !context.plain && stdin().is_terminal() && stdout().is_terminal();
    // Held until the end: it gives the terminal back as it was.
    let _single = screen.then(SingleKeys::begin).transpose()?;
    let (sender, keys) = mpsc::channel(16);
    std::thread::spawn(move || if screen { single_keys(&sender) } else { lines(&sender) });
    let options = WatchOptions { colour: colour(), clear: screen };
    let asked = Asked { here: &here, exercise };
    let runtime = runtime()?;
    let ended = runtime.block_on(commands::watch(&workbook, asked, &cluster, options, keys, &mut stdout()));
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// A terminal that hands over each key at once, and does not show it. Ctrl-C stays what it is.
struct SingleKeys(Termios);

impl SingleKeys {
    fn begin() -> std::io::Result<SingleKeys> {
        let before = tcgetattr(stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &now)?;
        Ok(SingleKeys(before))
    }
}

impl Drop for SingleKeys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// The end of a terminal's input is the end of the terminal.
fn single_keys(keys: &mpsc::Sender<Key>) {
    for byte in stdin().lock().bytes() {
        let Ok(byte) = byte else { break };
        if keys.blocking_send(Key::of(char::from(byte))).is_err() {
            return;
        }
    }
    let _ = keys.blocking_send(Key::Quit);
}

/// The first letter of each line; empty lines are nothing. At the end of a pipe watching goes on, at that of a terminal
/// it ends.
fn lines(keys: &mpsc::Sender<Key>) {
    for line in stdin().lines() {
        let Ok(line) = line else { break };
        let Some(letter) = line.trim().chars().next() else { continue };
        if keys.blocking_send(Key::of(letter)).is_err() {
            return;
        }
    }
    if stdin().is_terminal() {
        let _ = keys.blocking_send(Key::Quit);
    }
}
