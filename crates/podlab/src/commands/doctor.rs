//! `podlab doctor`

use std::process::ExitCode;

use super::{Context, Format};
use crate::doctor::{self, Finding, Verdict};

/// Exit status 0 when everything works, 2 when something could not.
///
/// # Errors
///
/// When there is no place for a state directory.
pub(crate) fn run(context: &Context, format: Format) -> anyhow::Result<ExitCode> {
    // Without the labs at hand it is still known what works.
    let findings = doctor::examine(&context.directory()?, context.workbook().ok().as_ref())?;
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&findings)?),
        Format::Text => findings.iter().for_each(print),
    }
    let all = findings.iter().all(|finding| finding.verdict == Verdict::Works);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn print(finding: &Finding) {
    let Finding { item, verdict, detail, touches, labs, remedy, .. } = finding;
    let colour = match verdict {
        Verdict::Works => "\x1b[32m",
        Verdict::DoesNot => "\x1b[33m",
        Verdict::Needed => "\x1b[31m",
    };
    anstream::println!("{colour}{verdict:<9}\x1b[0m{item}: {detail}");
    if let Some(touches) = touches {
        let labs = if labs.is_empty() { String::new() } else { format!(" (labs: {})", labs.join(", ")) };
        anstream::println!("         without it, could not check: {touches}{labs}");
    }
    if let Some(remedy) = remedy {
        anstream::println!("         mend it: {remedy}");
    }
}
