//! The layout of a difference: short values on a line, a sign before each line, values in columns.

/// Wider values that were removed or inserted are broken into lines.
const WIDTH: usize = 80;

/// What became of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Same,
    Removed,
    Inserted,
}

impl Sign {
    fn mark(self) -> &'static str {
        match self {
            Self::Same => "  ",
            Self::Removed => "- ",
            Self::Inserted => "+ ",
        }
    }
}

/// A value: a text, or something in braces.
pub(super) enum Node {
    Line(String),
    Braces { prefix: String, records: Vec<Record> },
}

/// An entry between braces.
pub(super) struct Record {
    sign: Sign,
    /// Empty for items of lists.
    key: String,
    value: Node,
    /// Behind the entry, instead of a comma.
    comment: Option<String>,
}

impl Record {
    pub(super) fn new(sign: Sign, key: &str, value: Node) -> Self {
        Self { sign, key: key.to_owned(), value, comment: None }
    }

    /// `...` for entries beyond those shown.
    pub(super) fn dots() -> Self {
        Self::new(Sign::Same, "", Node::line("..."))
    }

    /// `... // 3 identical fields`.
    pub(super) fn left_out(count: usize, noun: &str) -> Self {
        let nouns = match (count, noun) {
            (1, noun) => noun.to_owned(),
            (_, "entry") => "entries".to_owned(),
            (_, noun) => format!("{noun}s"),
        };
        Self { comment: Some(format!("{count} identical {nouns}")), ..Self::dots() }
    }

    fn is_plain(&self) -> bool {
        !self.key.is_empty() && matches!(self.value, Node::Line(_))
    }
}

impl Node {
    pub(super) fn line(text: impl Into<String>) -> Self {
        Self::Line(text.into())
    }

    pub(super) fn wrapped(prefix: &str, records: Vec<Record>) -> Self {
        Self::Braces { prefix: prefix.to_owned(), records }
    }

    pub(super) fn prefixed(self, text: &str) -> Self {
        match self {
            Self::Line(line) => Self::Line(format!("{text}{line}")),
            Self::Braces { prefix, records } => Self::Braces { prefix: format!("{text}{prefix}"), records },
        }
    }

    /// An item of a list, whose type the list's tells.
    pub(super) fn without_type(self) -> Self {
        match self {
            Self::Braces { records, .. } => Self::Braces { prefix: String::new(), records },
            line => line,
        }
    }

    /// Everything as text; the last line is not ended.
    pub(super) fn render(self) -> String {
        let mut out = String::new();
        self.compact(Sign::Same).expanded(&mut out, Sign::Same, 0);
        out
    }

    /// Makes a line of all that fits on one.
    fn compact(self, sign: Sign) -> Self {
        let Self::Braces { prefix, records } = self else { return self };
        let records: Vec<Record> = records
            .into_iter()
            .map(|record| {
                let inner = if record.sign == Sign::Same { sign } else { record.sign };
                Record { value: record.value.compact(inner), ..record }
            })
            .collect();
        let mut parts = Vec::with_capacity(records.len());
        for record in &records {
            let Node::Line(text) = &record.value else { return Self::Braces { prefix, records } };
            if record.sign != Sign::Same || record.comment.is_some() {
                return Self::Braces { prefix, records };
            }
            parts.push(if record.key.is_empty() { text.clone() } else { format!("{}: {text}", record.key) });
        }
        let line = format!("{{{}}}", parts.join(", "));
        if sign != Sign::Same && line.len() > WIDTH {
            return Self::Braces { prefix, records };
        }
        Self::Line(format!("{prefix}{line}"))
    }

    fn expanded(&self, out: &mut String, sign: Sign, indent: usize) {
        let (prefix, records) = match self {
            Self::Line(text) => return out.push_str(text),
            Self::Braces { prefix, records } => (prefix, records),
        };
        out.push_str(prefix);
        out.push('{');
        let widths = columns(records);
        for (record, width) in records.iter().zip(widths) {
            let sign = if record.sign == Sign::Same { sign } else { record.sign };
            new_line(out, sign, indent + 1);
            if !record.key.is_empty() {
                out.push_str(&record.key);
                out.push_str(": ");
                out.push_str(&" ".repeat(width.saturating_sub(record.key.len())));
            }
            record.value.expanded(out, sign, indent + 1);
            match &record.comment {
                Some(comment) => {
                    out.push_str(" // ");
                    out.push_str(comment);
                }
                None => out.push(','),
            }
        }
        new_line(out, sign, indent);
        out.push('}');
    }
}

fn new_line(out: &mut String, sign: Sign, indent: usize) {
    out.push('\n');
    out.push_str(sign.mark());
    out.push_str(&"\t".repeat(indent));
}

/// The width of each record's key column: neighbours on one line each share it.
fn columns(records: &[Record]) -> Vec<usize> {
    let mut widths = Vec::with_capacity(records.len());
    for group in records.chunk_by(|one, other| one.is_plain() == other.is_plain()) {
        let widest = group.iter().map(|record| record.key.len()).max().unwrap_or_default();
        let width = if group[0].is_plain() { widest } else { 0 };
        widths.extend(group.iter().map(|_| width));
    }
    widths
}
