//! The table of figures.

use crate::figure::{Figure, Goal};

/// A figure with its samples, as far as there are any.
pub(crate) struct Row<'a> {
    pub(crate) figure: &'a Figure,
    pub(crate) release: Option<Vec<f64>>,
    pub(crate) debug: Option<Vec<f64>>,
}

/// The table, columns aligned.
pub(crate) fn render(rows: &[Row<'_>]) -> String {
    let head = ["FIGURE", "UNIT", "GOAL", "RELEASE", "DEBUG", "KUBERNETES", "RATIO", ""].map(str::to_owned);
    let lines: Vec<[String; 8]> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let aligned = lines.iter().map(|line| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    aligned.collect::<Vec<_>>().join("\n")
}

fn line(row: &Row<'_>) -> [String; 8] {
    let figure = row.figure;
    let release = row.release.as_deref().and_then(median);
    let verdict = match (figure.goal, release) {
        (Some(goal), Some(median)) if !goal.is_met(median) => "missed",
        _ => "",
    };
    let ratio = match (figure.reference, release) {
        (Some(reference), Some(median)) if median > 0.0 => match figure.goal {
            Some(Goal::AtLeast(_)) => format!("{:.1}x", median / reference.value),
            _ => format!("{:.1}x", reference.value / median),
        },
        _ => String::new(),
    };
    let reference = figure.reference.map(|reference| match reference.what {
        "" => number(reference.value),
        what => format!("{} ({what})", number(reference.value)),
    });
    [
        figure.name.to_owned(),
        figure.unit.to_string(),
        figure.goal.map(|goal| goal.to_string()).unwrap_or_default(),
        row.release.as_deref().map(range).unwrap_or_default(),
        row.debug.as_deref().map(range).unwrap_or_default(),
        reference.unwrap_or_default(),
        ratio,
        verdict.to_owned(),
    ]
}

/// `median (least to most)`; a single sample stands alone.
fn range(samples: &[f64]) -> String {
    let Some(median) = median(samples) else { return "none".to_owned() };
    if samples.len() == 1 {
        return number(median);
    }
    let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} ({} to {})", number(median), number(least), number(most))
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Reference, Unit};

    #[test]
    fn a_table_shows_goals_ratios_and_what_is_missed() {
        let figure = |name, goal, value| Figure {
            name,
            what: "",
            unit: Unit::Milliseconds,
            goal: Some(goal),
            reference: Some(Reference { value, what: "" }),
            measure: || Ok(Vec::new()),
        };
        let (good, bad) = (figure("good", Goal::AtMost(1.0), 3.0), figure("bad", Goal::AtLeast(2000.0), 500.0));
        let rows = [
            Row { figure: &good, release: Some(vec![0.9, 0.5, 0.1]), debug: Some(vec![4.0]) },
            Row { figure: &bad, release: Some(vec![1000.0]), debug: None },
        ];
        assert_eq!(
            render(&rows),
            "FIGURE  UNIT  GOAL    RELEASE              DEBUG  KUBERNETES  RATIO\n\
             good    ms    ≤ 1     0.50 (0.10 to 0.90)  4.00   3.00        6.0x\n\
             bad     ms    ≥ 2000  1000                        500         2.0x   missed"
        );
    }
}
