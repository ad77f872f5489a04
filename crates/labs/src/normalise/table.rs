//! The tables kubectl prints: found by their header, taken apart into cells, and laid out again.

use std::sync::LazyLock;

use regex::Regex;

/// At least two spaces separate columns; a cell has single ones only, except in the last column.
static GAP: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and the tests use it")]
    Regex::new("  +").unwrap()
});

/// What replaces a cell: the heading of its column (none outside of tables) and its text give its new text.
pub(super) type Cell<'a> = dyn FnMut(Option<&str>, &str) -> String + 'a;

/// Passes every cell of every table, and every line outside of tables, through `cell`.
pub(super) fn rewrite(text: &str, cell: &mut Cell<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let Some(headings) = headings(line) else {
            out.push_str(&cell(None, line));
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let mut rows = vec![headings.iter().map(ToString::to_string).collect::<Vec<_>>()];
        let starts = starts(line, &headings);
        while let Some(cells) = lines.peek().and_then(|line| cells(line, indent, &starts)) {
            rows.push(cells.iter().zip(&headings).map(|(text, heading)| cell(Some(heading), text)).collect());
            lines.next();
        }
        lay_out(&rows, indent, &mut out);
    }
    out
}

/// The headings, when a line is a table's header: kubectl writes them in capitals, `describe` those of events as here.
fn headings(line: &str) -> Option<Vec<&str>> {
    let trimmed = line.trim();
    let headings: Vec<&str> = GAP.split(trimmed).collect();
    let capitals = |heading: &&str| {
        heading.starts_with(|c: char| c.is_ascii_uppercase())
            && heading.chars().all(|c| c.is_ascii_uppercase() || "()-/ ".contains(c))
    };
    let of_get = headings.len() >= 2 && !line.starts_with(' ') && headings.iter().all(capitals);
    let of_events = line.starts_with(' ') && headings.starts_with(&["Type", "Reason", "Age"]);
    (of_get || of_events).then_some(headings)
}

/// Where the columns begin.
fn starts(line: &str, headings: &[&str]) -> Vec<usize> {
    let mut from = 0;
    let start = |heading: &&str| {
        let start = line[from..].find(*heading).map_or(from, |at| from + at);
        from = start + heading.len();
        start
    };
    headings.iter().map(start).collect()
}

/// The cells of a row with as many columns as the header; `None` ends the table.
fn cells<'a>(line: &'a str, indent: &str, starts: &[usize]) -> Option<Vec<&'a str>> {
    let line = line.trim_end_matches('\n');
    let row = line.strip_prefix(indent).filter(|row| !row.starts_with(' ') && !row.is_empty())?;
    let cells: Vec<&str> = GAP.splitn(row.trim_end(), starts.len()).collect();
    // A watch makes its columns wider while it goes on; where a cell is empty, only the place tells them apart.
    if cells.len() == starts.len() { Some(cells) } else { placed(line, starts) }
}

/// The cells by the places of their headings; `None` when one begins before its place.
fn placed<'a>(line: &'a str, starts: &[usize]) -> Option<Vec<&'a str>> {
    let ends = starts.iter().skip(1).copied().chain([line.len()]);
    let cell = |(&start, end): (&usize, usize)| {
        let start = start.min(line.len());
        let apart = start == 0 || line.as_bytes().get(start - 1).is_none_or(|before| *before == b' ');
        line.get(start..end.clamp(start, line.len())).filter(|_| apart).map(str::trim)
    };
    starts.iter().zip(ends).map(cell).collect()
}

fn lay_out(rows: &[Vec<String>], indent: &str, out: &mut String) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    for row in rows {
        let mut line = String::from(indent);
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}   "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
