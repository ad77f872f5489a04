//! `-o custom-columns=NAME:.metadata.name,…`

use serde_json::Value;

use super::jsonpath::{Template, shown};
use super::tabs::Tabs;

/// Headings and what is under them.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    columns: Vec<(String, Template)>,
    headings: bool,
    tabs: Tabs,
}

impl Columns {
    /// Reads `NAME:path,NAME:path`.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn parse(text: &str, headings: bool) -> Result<Self, String> {
        if text.is_empty() {
            return Err("custom-columns format specified but no custom columns given".to_owned());
        }
        let mut columns = Vec::new();
        for part in text.split(',') {
            let Some((heading, path)) = part.split_once(':') else {
                return Err(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"));
            };
            columns.push((heading.to_owned(), Template::relaxed(path)?));
        }
        Ok(Columns { columns, headings, tabs: Tabs::table() })
    }

    /// The file form: a line of headings, a line of paths.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn from_file(text: &str, headings: bool) -> Result<Self, String> {
        let mut lines = text.lines();
        let (Some(names), Some(paths)) = (lines.next(), lines.next()) else {
            return Err("custom-columns-file must have a line of headings and a line of paths".to_owned());
        };
        let (names, paths): (Vec<_>, Vec<_>) = (names.split_whitespace().collect(), paths.split_whitespace().collect());
        if names.len() != paths.len() {
            return Err(format!(
                "number of headers ({}) and field specifications ({}) don't match",
                names.len(),
                paths.len()
            ));
        }
        let joined: Vec<String> = names.iter().zip(&paths).map(|(name, path)| format!("{name}:{path}")).collect();
        Self::parse(&joined.join(","), headings)
    }

    /// A line an object; headings the first time.
    pub(crate) fn print(&mut self, objects: &[&Value]) -> String {
        let mut text = String::new();
        if std::mem::take(&mut self.headings) {
            let headings: Vec<&str> = self.columns.iter().map(|(heading, _)| heading.as_str()).collect();
            text.push_str(&headings.join("\t"));
            text.push('\n');
        }
        for object in objects {
            let cells: Vec<String> = self
                .columns
                .iter()
                .map(|(_, path)| match path.find(object).as_slice() {
                    [] => "<none>".to_owned(),
                    found => found.iter().map(|value| cell(value)).collect::<Vec<_>>().join(","),
                })
                .collect();
            text.push_str(&cells.join("\t"));
            text.push('\n');
        }
        self.tabs.format(&text)
    }
}

/// A value as Go prints it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(cell).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", cell(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        other => shown(other),
    }
}
