//! `podlab pack check`

use std::io::Write;
use std::path::Path;

use futures_util::StreamExt;

use super::{Outcome, check, interrupted};
use crate::format::Library;
use crate::pack::{Finding, lint, trial};
use crate::runner::RunError;
use crate::words::count;
use crate::{Cluster, Workbook, grade};

/// The answers that are graded at the same time: most of a grading is waiting.
const AT_ONCE: usize = 4;

/// `podlab pack check DIR`: everything that is wrong with a pack. Its answers are tried on `cluster`; without one, only
/// what can be read is checked.
///
/// # Errors
///
/// When the labs that the pack adds to cannot be read.
pub async fn pack_check(
    workbook: &Workbook,
    pack: &Path,
    cluster: Option<&Cluster>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Outcome> {
    // Hidden checks may be about our exercises. What is in the pack is what has come on top.
    let ours = Library::of(workbook)?;
    let mut packs = workbook.packs().to_vec();
    packs.push(pack.to_owned());
    let all = match Library::of(&workbook.clone().with_packs(packs)) {
        Ok(all) => all,
        Err(error) => {
            writeln!(out, "{error}\n\nthe pack cannot be used")?;
            return Ok(Outcome::Fail);
        }
    };
    let hides = |name: &str| pack.join("hidden").join(format!("{name}.yaml")).is_file();
    let new = |place: &str| {
        let lab = ours.labs().iter().any(|lab| lab.name == place);
        !lab && (hides(place) || !ours.exercises().iter().any(|exercise| exercise.name == place))
    };
    let mut findings: Vec<Finding> = lint(&all).into_iter().filter(|finding| new(&finding.place)).collect();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let exercises: Vec<_> = all.exercises().iter().filter(|exercise| new(&exercise.name)).collect();
    let labs = all.labs().len() - ours.labs().len();
    let minutes: u32 = all.labs().iter().filter(|lab| new(&lab.name)).map(|lab| lab.minutes).sum();
    let practice: u32 = exercises.iter().map(|exercise| exercise.minutes).sum();
    let labs = count(u32::try_from(labs).unwrap_or(u32::MAX), "lab");
    let size = u32::try_from(exercises.len()).unwrap_or(u32::MAX);
    writeln!(out, "{labs} of {minutes} minutes, {} of {practice} minutes", count(size, "exercise"))?;
    out.flush()?;

    let unreachable = match cluster {
        None => Some("no cluster was asked for".to_owned()),
        Some(cluster) => check::answers(cluster).await.err().map(|error| RunError::Api(error).to_string()),
    };
    let (Some(cluster), None) = (cluster, &unreachable) else {
        writeln!(out, "could not check the answers: {}", unreachable.unwrap_or_default())?;
        return Ok(if findings.is_empty() { Outcome::CouldNotCheck } else { Outcome::Fail });
    };
    let tried = exercises.iter().flat_map(|exercise| trial::answers(exercise).map(move |answer| (*exercise, answer)));
    let tried = tried.map(|(exercise, answer)| async move {
        let grade = answer.grade(exercise, cluster, interrupted()).await?;
        let mut report = Vec::new();
        grade::report(&grade, false, &mut report)?;
        anyhow::Ok((answer.judge(exercise, &grade, &String::from_utf8_lossy(&report)), grade.outcome()))
    });
    let mut tried = futures_util::stream::iter(tried).buffered(AT_ONCE);
    let (mut answers, mut unchecked) = (0, 0);
    while let Some(judged) = tried.next().await {
        let (finding, outcome) = judged?;
        answers += 1;
        if outcome == Outcome::CouldNotCheck {
            unchecked += 1;
        }
        if let Some(finding) = finding {
            writeln!(out, "{finding}")?;
            if outcome != Outcome::CouldNotCheck {
                findings.push(finding);
            }
        }
        out.flush()?;
    }
    writeln!(out, "{} tried, {unchecked} could not be checked", count(answers, "answer"))?;
    let verdict = match (findings.len(), unchecked) {
        (0, 0) => Outcome::Pass,
        (0, _) => Outcome::CouldNotCheck,
        _ => Outcome::Fail,
    };
    let to_mend = count(u32::try_from(findings.len()).unwrap_or(u32::MAX), "thing");
    match verdict {
        Outcome::Pass => writeln!(out, "nothing is wrong with the pack")?,
        Outcome::Fail => writeln!(out, "{to_mend} to mend")?,
        Outcome::CouldNotCheck => {}
    }
    Ok(verdict)
}
