//! Tables as the server makes them, printed as `kubectl get` does (k8s.io/cli-runtime/pkg/printers/tableprinter.go).

use podlab_api::json::{at, integer, list, text};
use serde_json::Value;

use super::tabs::Tabs;

/// What the flags change about a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) wide: bool,
    pub(crate) headings: bool,
    pub(crate) namespace: bool,
    /// `pod`: names are printed as `pod/NAME`.
    pub(crate) kind: Option<String>,
    pub(crate) show_labels: bool,
    pub(crate) label_columns: Vec<String>,
    /// `ADDED` and so on in front of each row.
    pub(crate) events: bool,
}

/// Prints tables one after the other under one heading.
#[derive(Debug)]
pub(crate) struct Printer {
    options: Options,
    tabs: Tabs,
    /// Which columns are shown; kept for tables that come without their definitions, as those of a watch do.
    columns: Vec<bool>,
    headed: bool,
    pending: String,
}

impl Printer {
    pub(crate) fn new(options: Options) -> Self {
        Printer { options, tabs: Tabs::table(), columns: Vec::new(), headed: false, pending: String::new() }
    }

    /// Adds the rows of a table; `event` is what a watch said of it.
    pub(crate) fn add(&mut self, table: &Value, event: Option<&str>) {
        let definitions = list(table, &["columnDefinitions"]);
        let rows = list(table, &["rows"]);
        if !definitions.is_empty() {
            self.columns =
                definitions.iter().map(|column| integer(column, &["priority"]) == 0 || self.options.wide).collect();
            if !self.headed && self.options.headings && !rows.is_empty() {
                self.headings(definitions);
            }
        }
        for row in rows {
            self.row(row, event);
        }
    }

    /// What was added since the last time, laid out.
    pub(crate) fn take(&mut self) -> String {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() { pending } else { self.tabs.format(&pending) }
    }

    fn headings(&mut self, definitions: &[Value]) {
        self.headed = true;
        let mut cells = Vec::new();
        if self.options.events {
            cells.push("EVENT".to_owned());
        }
        if self.options.namespace {
            cells.push("NAMESPACE".to_owned());
        }
        for (column, shown) in definitions.iter().zip(&self.columns) {
            if *shown {
                cells.push(text(column, &["name"]).to_uppercase());
            }
        }
        for label in &self.options.label_columns {
            cells.push(label.rsplit('/').next().unwrap_or(label).to_uppercase());
        }
        if self.options.show_labels {
            cells.push("LABELS".to_owned());
        }
        self.pending.push_str(&cells.join("\t"));
        self.pending.push('\n');
    }

    fn row(&mut self, row: &Value, event: Option<&str>) {
        let mut cells = Vec::new();
        if self.options.events {
            cells.push(event.unwrap_or_default().to_owned());
        }
        if self.options.namespace {
            cells.push(text(row, &["object", "metadata", "namespace"]).to_owned());
        }
        let mut first = true;
        for (index, value) in list(row, &["cells"]).iter().enumerate() {
            if self.columns.get(index).copied().unwrap_or(true) {
                let shown = cell(value);
                cells.push(match &self.options.kind {
                    Some(kind) if first => format!("{kind}/{shown}"),
                    _ => shown,
                });
                first = false;
            }
        }
        let labels = at(row, &["object", "metadata", "labels"]);
        for label in &self.options.label_columns {
            cells.push(text(labels, &[label]).to_owned());
        }
        if self.options.show_labels {
            cells.push(label_text(labels));
        }
        self.pending.push_str(&cells.join("\t"));
        self.pending.push('\n');
    }
}

/// `a=b,c=d`, or `<none>`.
pub(crate) fn label_text(labels: &Value) -> String {
    match labels.as_object() {
        Some(map) if !map.is_empty() => map
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(","),
        _ => "<none>".to_owned(),
    }
}

/// A cell: text up to its first line break.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => match text.find(['\n', '\r', '\u{c}']) {
            Some(end) => format!("{}...", &text[..end]),
            None => text.replace('\t', " "),
        },
        Value::Null => "<nil>".to_owned(),
        other => super::jsonpath::shown(other),
    }
}
