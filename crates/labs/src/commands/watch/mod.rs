//! `podlab watch`: checks an answer whenever it is saved.
//!
//! One exercise at a time: it never goes on to the next by itself. A save while a check runs ends that check and begins a
//! new one, for what it would say is about a file that is no more.

mod keys;
mod saves;

use std::io::Write;
use std::pin::Pin;

use tokio::sync::{Notify, mpsc};

pub use self::keys::Key;
use self::keys::LEGEND;
use self::saves::Saves;
use super::choose::{Asked, choose, shown};
use super::workspace::{give_hint, next_tier, write_list};
use super::{Outcome, check, interrupted};
use crate::format::{Exercise, Library};
use crate::grade::Graded;
use crate::paint::Paint;
use crate::runner::RunError;
use crate::workspace::Workspace;
use crate::{Cluster, Workbook, grade, yaml};

/// How `podlab watch` shows what it finds.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchOptions {
    /// Colour what is written.
    pub colour: bool,
    /// Begin each report at the top of the screen. Without it nothing is ever taken back, as screen readers and files
    /// need it.
    pub clear: bool,
}

/// `podlab watch [EXERCISE]`, until a key or Ctrl-C ends it. When `keys` ends it goes on without.
///
/// # Errors
///
/// When this is no workspace, or a file cannot be read or written.
pub async fn watch(
    workbook: &Workbook,
    asked: Asked<'_>,
    cluster: &Cluster,
    options: WatchOptions,
    keys: mpsc::Receiver<Key>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let library = Library::of(workbook)?;
    let chosen = choose(&library, asked)?;
    let Some(workspace) = chosen.workspace else {
        anyhow::bail!("this is no workspace; podlab init DIR makes one to watch");
    };
    let mut stop = std::pin::pin!(interrupted());
    let watching = Watching { library: &library, workspace, cluster, options, asked };
    let keys = Keys(Some(keys));
    watching.run(chosen.exercise, keys, stop.as_mut(), out).await
}

struct Watching<'a> {
    library: &'a Library,
    workspace: Workspace,
    cluster: &'a Cluster,
    options: WatchOptions,
    asked: Asked<'a>,
}

/// Keys as they are pressed; none after their end.
struct Keys(Option<mpsc::Receiver<Key>>);

impl Keys {
    async fn next(&mut self) -> Key {
        if let Some(keys) = &mut self.0 {
            if let Some(key) = keys.recv().await {
                return key;
            }
            self.0 = None;
        }
        std::future::pending().await
    }
}

/// What ended a wait or a check.
enum Event {
    Checked(Graded),
    Saved,
    Key(Key),
    Stopped,
}

type Stop<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

impl Watching<'_> {
    async fn run(
        &self,
        first: &Exercise,
        mut keys: Keys,
        mut stop: Stop<'_>,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        let mut saves = Saves::new();
        let mut exercise = first;
        saves.turn_to(&self.workspace.folder(exercise))?;
        let mut due = true;
        // The text that was checked last, and whether it passed.
        let (mut checked, mut passed) = (None, false);
        loop {
            let event = if std::mem::take(&mut due) {
                let text = yaml::read(&self.workspace.answer(exercise))?;
                passed = false;
                let event = self.check(exercise, &text, &mut saves, &mut keys, stop.as_mut(), out).await?;
                checked = Some(text);
                event
            } else {
                self.wait(exercise, &mut saves, &mut keys, stop.as_mut()).await?
            };
            let key = match event {
                Event::Checked(graded) => {
                    passed = self.report(exercise, graded, out).await?;
                    continue;
                }
                // An editor may save what is there already: nothing new is to be learned from it.
                Event::Saved => {
                    due = yaml::read(&self.workspace.answer(exercise)).ok() != checked;
                    continue;
                }
                Event::Key(key) => key,
                Event::Stopped => return Ok(()),
            };
            match key {
                Key::Quit => return Ok(()),
                Key::Run => due = true,
                Key::Hint => {
                    let tier = next_tier(self.workspace.progress()?.of(&exercise.name).hints);
                    writeln!(out)?;
                    give_hint(exercise, tier, Some(&self.workspace), out)?;
                }
                Key::List => {
                    let paint = Paint { colour: self.options.colour };
                    writeln!(out)?;
                    write_list(self.library, &self.workspace, Some(exercise), paint, out)?;
                }
                Key::CheckAll => {
                    if !self.check_all(&mut keys, stop.as_mut(), out).await? {
                        return Ok(());
                    }
                }
                Key::Next if !passed => {
                    writeln!(out, "{} is not passed yet; N goes on all the same", exercise.name)?;
                }
                Key::Next | Key::Skip => match self.workspace.next(self.library, Some(exercise))? {
                    Some(next) => {
                        exercise = next;
                        saves.turn_to(&self.workspace.folder(exercise))?;
                        due = true;
                    }
                    None => writeln!(out, "No other exercise is open.")?,
                },
                Key::Other(_) => writeln!(out, "{LEGEND}")?,
            }
            out.flush()?;
        }
    }

    /// Checks the answer, unless something else comes first.
    async fn check(
        &self,
        exercise: &Exercise,
        text: &str,
        saves: &mut Saves,
        keys: &mut Keys,
        mut stop: Stop<'_>,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<Event> {
        let answer = self.workspace.answer(exercise);
        let path = shown(&answer, self.asked.here);
        if self.options.clear {
            write!(out, "\x1b[2J\x1b[3J\x1b[H")?;
        }
        writeln!(out, "\n{}: checking {} …", exercise.title, path.display())?;
        out.flush()?;
        if let Err(error) = check::answers(self.cluster).await {
            writeln!(out, "could not check: {}\nr checks again", RunError::Api(error))?;
            out.flush()?;
            return self.wait(exercise, saves, keys, stop).await;
        }
        let enough = Notify::new();
        let mut grading = std::pin::pin!(grade::graded(exercise, &path, text, self.cluster, enough.notified()));
        let name = exercise.answer.as_ref();
        let event = loop {
            tokio::select! {
                graded = &mut grading => return Ok(Event::Checked(graded)),
                saved = saves.next(name) => {
                    saved?;
                    if yaml::read(&answer).ok().as_deref() != Some(text) {
                        break Event::Saved;
                    }
                }
                key = keys.next() => break Event::Key(key),
                () = &mut stop => break Event::Stopped,
            }
        };
        enough.notify_one();
        grading.await.clean().await;
        Ok(event)
    }

    async fn wait(
        &self,
        exercise: &Exercise,
        saves: &mut Saves,
        keys: &mut Keys,
        stop: Stop<'_>,
    ) -> anyhow::Result<Event> {
        Ok(tokio::select! {
            saved = saves.next(exercise.answer.as_ref()) => { saved?; Event::Saved }
            key = keys.next() => Event::Key(key),
            () = stop => Event::Stopped,
        })
    }

    /// Tells and records a result. What is saved or pressed meanwhile is looked at next.
    async fn report(&self, exercise: &Exercise, graded: Graded, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
        let grade = check::tell(graded, self.options.colour, out).await?;
        check::record(&self.workspace, exercise, &grade)?;
        let passed = grade.outcome() == Outcome::Pass;
        match self.workspace.next(self.library, Some(exercise))? {
            Some(next) if passed => writeln!(out, "n goes on to {}: {}, {}/task.md", next.name, next.title, next.name)?,
            None if passed => writeln!(out, "That was the last one: every exercise is passed.")?,
            _ => {}
        }
        writeln!(out, "{LEGEND}")?;
        out.flush()?;
        Ok(passed)
    }

    /// Checks every answer that is not the starter any more, a line each. False once it was told to end.
    async fn check_all(
        &self,
        keys: &mut Keys,
        mut stop: Stop<'_>,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<bool> {
        for exercise in self.library.exercises() {
            let Ok(text) = yaml::read(&self.workspace.answer(exercise)) else { continue };
            if yaml::read(&exercise.starter).is_ok_and(|starter| starter == text) {
                writeln!(out, "{}: not begun", exercise.name)?;
                continue;
            }
            let enough = Notify::new();
            let path = self.workspace.answer(exercise);
            let mut grading = std::pin::pin!(grade::grade(exercise, &path, &text, self.cluster, enough.notified()));
            let ended = loop {
                tokio::select! {
                    grade = &mut grading => break Some(grade),
                    () = &mut stop => break None,
                    key = keys.next() => match key {
                        Key::Quit => break None,
                        _ => writeln!(out, "all exercises are being checked; q quits")?,
                    },
                }
            };
            let Some(grade) = ended else {
                enough.notify_one();
                grading.await;
                return Ok(false);
            };
            grade::verdict(&grade, self.options.colour, out)?;
            check::record(&self.workspace, exercise, &grade)?;
            out.flush()?;
        }
        writeln!(out, "{LEGEND}")?;
        Ok(true)
    }
}
