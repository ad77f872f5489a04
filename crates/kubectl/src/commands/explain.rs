//! `kubectl explain`, out of the server's OpenAPI v3 documents.

use clap::Args;
use podlab_api::json::{at, list, text};
use podlab_client::Path;
use serde_json::Value;

use crate::discovery::Kind;
use crate::failure::{Outcome, fail};
use crate::print::{complain, say};
use crate::session::Session;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// TYPE[.FIELD...]
    words: Vec<String>,
    /// All fields, and theirs
    #[arg(long)]
    recursive: bool,
    /// In this group and version
    #[arg(long)]
    api_version: Option<String>,
    /// plaintext
    #[arg(long, default_value = "plaintext")]
    output: String,
}

/// Columns of a line.
const WIDTH: usize = 80;
/// Values of an enumeration that are named.
const ENUM: usize = 4;
/// Types may hold themselves.
const DEEPEST: usize = 20;

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Outcome {
    let word = match arguments.words.as_slice() {
        [] => {
            complain(
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources.\n",
            );
            return fail("Required resource not specified.\nSee 'kubectl explain -h' for help and examples");
        }
        [word] => word,
        _ => {
            return fail(
                "We accept only this format: explain RESOURCE\nSee 'kubectl explain -h' for help and examples",
            );
        }
    };
    if arguments.output != "plaintext" {
        return fail(format!("unrecognized format: {}", arguments.output));
    }
    let mut parts = word.split('.');
    let name = parts.next().unwrap_or_default();
    let mut fields: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    // `deployments.apps.spec` names the group first.
    let kind = match session.kind(word.trim_end_matches('.')).await {
        Ok(kind) if !fields.is_empty() && word.contains('.') => {
            fields.clear();
            kind
        }
        _ => session.kind(name).await?,
    };
    let kind = match &arguments.api_version {
        Some(version) => session.kind_of(version, &kind.kind).await?,
        None => kind,
    };
    let root = match kind.group.as_str() {
        "" => Path::new("/openapi/v3/api").segment(&kind.version),
        group => Path::new("/openapi/v3/apis").segment(group).segment(&kind.version),
    };
    let document = session.get(&root).await?;
    let Some(schema) = schema_of(&document, &kind) else {
        return fail(format!("couldn't find resource for \"{}/{}, Kind={}\"", kind.group, kind.version, kind.kind));
    };
    let explainer = Explainer { document: &document };
    say(&explainer.page(&kind, schema, &fields, arguments.recursive)?);
    Ok(())
}

fn schema_of<'a>(document: &'a Value, kind: &Kind) -> Option<&'a Value> {
    let schemas = at(document, &["components", "schemas"]).as_object()?;
    schemas.values().find(|schema| {
        list(schema, &["x-kubernetes-group-version-kind"]).iter().any(|known| {
            text(known, &["group"]) == kind.group
                && text(known, &["version"]) == kind.version
                && text(known, &["kind"]) == kind.kind
        })
    })
}

struct Explainer<'a> {
    document: &'a Value,
}

impl<'a> Explainer<'a> {
    /// The name a schema refers to.
    fn reference(schema: &'a Value) -> Option<&'a str> {
        let direct = at(schema, &["$ref"]).as_str();
        let wrapped = || list(schema, &["allOf"]).first().and_then(|one| at(one, &["$ref"]).as_str());
        direct.or_else(wrapped).map(|reference| reference.trim_start_matches("#/components/schemas/"))
    }

    /// The schema that has the fields: behind references, items and values.
    fn behind(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) = Self::reference(schema) {
            let found = at(self.document, &["components", "schemas", name]);
            return if found.is_null() { schema } else { self.behind(found) };
        }
        match text(schema, &["type"]) {
            "array" => self.behind(at(schema, &["items"])),
            "object" if schema.get("properties").is_none() && schema["additionalProperties"].is_object() => {
                self.behind(at(schema, &["additionalProperties"]))
            }
            _ => schema,
        }
    }

    /// `[]Container`, `map[string]string`, `integer`
    fn type_of(&self, schema: &'a Value) -> String {
        if let Some(name) = Self::reference(schema) {
            let behind = text(self.document, &["components", "schemas", name, "type"]);
            // A time is text, and nobody asks for the fields of that.
            return match behind {
                "" | "object" => name.rsplit('.').next().unwrap_or(name).to_owned(),
                plain => plain.to_owned(),
            };
        }
        match text(schema, &["type"]) {
            "array" => format!("[]{}", self.type_of(at(schema, &["items"]))),
            "object" if schema["additionalProperties"].is_object() => {
                format!("map[string]{}", self.type_of(at(schema, &["additionalProperties"])))
            }
            "" | "object" => "Object".to_owned(),
            other => other.to_owned(),
        }
    }

    fn page(&self, kind: &Kind, schema: &'a Value, fields: &[&str], recursive: bool) -> Outcome<String> {
        let mut page = String::new();
        if !kind.group.is_empty() {
            page.push_str(&format!("GROUP:      {}\n", kind.group));
        }
        page.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", kind.kind, kind.version));
        let mut here = schema;
        for field in fields {
            let next = at(self.behind(here), &["properties", field]);
            if next.is_null() {
                say(&page);
                return fail(format!("field \"{field}\" does not exist"));
            }
            here = next;
        }
        if let Some(last) = fields.last() {
            page.push_str(&format!("FIELD: {last} <{}>\n", self.type_of(here)));
            let values = list(self.behind(here), &["enum"]);
            if !values.is_empty() {
                page.push_str("ENUM:\n");
                page.extend(values.iter().map(|value| format!("    {}\n", crate::print::jsonpath::shown(value))));
            }
            page.push_str("\n\n");
        }
        page.push_str("DESCRIPTION:\n");
        let behind = self.behind(here);
        let mut descriptions = vec![text(here, &["description"])];
        if !std::ptr::eq(behind, here) {
            descriptions.push(text(behind, &["description"]));
        }
        descriptions.retain(|description| !description.is_empty());
        if descriptions.is_empty() {
            descriptions.push("<empty>");
        }
        for description in descriptions {
            wrap(&mut page, description, 4);
        }
        page.push_str("    \n");
        if behind.get("properties").is_some() {
            page.push_str("FIELDS:\n");
            self.fields(&mut page, behind, 1, recursive);
            page.push('\n');
        }
        Ok(page)
    }

    fn fields(&self, page: &mut String, schema: &'a Value, level: usize, recursive: bool) {
        if level > DEEPEST {
            return;
        }
        let indent = "  ".repeat(level);
        let required = list(schema, &["required"]);
        for (name, field) in at(schema, &["properties"]).as_object().into_iter().flatten() {
            let mark = if required.iter().any(|required| required == name) { " -required-" } else { "" };
            page.push_str(&format!("{indent}{name}\t<{}>{mark}\n", self.type_of(field)));
            let values = list(field, &["enum"]);
            if !values.is_empty() {
                let mut named: Vec<String> = values.iter().take(ENUM).map(crate::print::jsonpath::shown).collect();
                if values.len() > ENUM {
                    named.push("....".to_owned());
                }
                page.push_str(&format!("{indent}enum: {}\n", named.join(", ")));
            }
            let behind = self.behind(field);
            if recursive {
                if behind.get("properties").is_some() {
                    self.fields(page, behind, level + 1, true);
                }
            } else {
                let description = match text(field, &["description"]) {
                    "" => "<no description>",
                    description => description,
                };
                wrap(page, description, 2 * level + 2);
                page.push('\n');
            }
        }
    }
}

/// Lines of at most [`WIDTH`] columns; a line of the text begins a line of the page.
fn wrap(page: &mut String, text: &str, indent: usize) {
    let blanks = " ".repeat(indent);
    for line in text.split('\n') {
        let mut current = String::new();
        let mut rest = line;
        while !rest.is_empty() {
            // A word, and the blanks before it as they were written.
            let gap = rest.len() - rest.trim_start_matches(' ').len();
            let end = rest[gap..].find(' ').map_or(rest.len(), |end| gap + end);
            let (piece, word) = (&rest[..end], &rest[gap..end]);
            let full = current.chars().count() + piece.chars().count() > WIDTH - indent;
            if full && !current.trim().is_empty() && !word.is_empty() {
                page.push_str(&format!("{blanks}{current}\n"));
                current = word.to_owned();
            } else {
                current.push_str(piece);
            }
            rest = &rest[end..];
        }
        page.push_str(&format!("{blanks}{current}\n"));
    }
}

#[test]
fn long_lines_are_wrapped_and_short_ones_stay() {
    let mut page = String::new();
    wrap(&mut page, &format!("{}\n - a b", "word ".repeat(17).trim()), 4);
    assert_eq!(page, format!("    {}\n    word word\n     - a b\n", "word ".repeat(15).trim()));
}
