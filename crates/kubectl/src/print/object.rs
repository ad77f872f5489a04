//! `-o`: objects as JSON, YAML, names, or through a template.

use podlab_api::json::{list, text};
use podlab_api::registry;
use serde_json::Value;

use super::custom_columns::Columns;
use super::{go_template, json, jsonpath, yaml};
use crate::failure::{Failure, Outcome, fail};

/// What `-o` was given.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Json,
    Yaml,
    Name,
    JsonPath(jsonpath::Template, bool),
    GoTemplate(go_template::Template),
    Columns(Columns),
}

/// Prints objects in one form.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    form: Form,
    managed_fields: bool,
    lenient: bool,
    printed: usize,
}

/// Forms that no columns are needed for.
const PLAIN: &str =
    "go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,yaml";
/// All of them.
const ALL: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml";

/// What beside `-o` says how to print.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) template: Option<String>,
    pub(crate) managed_fields: bool,
    pub(crate) no_headings: bool,
    pub(crate) strict: bool,
    /// Whether there are columns.
    pub(crate) columns: bool,
}

impl Printer {
    /// Reads `-o`.
    ///
    /// # Errors
    /// A form that is not known, or a template that cannot be read.
    pub(crate) fn parse(output: &str, options: &Options) -> Outcome<Self> {
        let (name, argument) =
            output.split_once('=').unwrap_or((output, options.template.as_deref().unwrap_or_default()));
        let file = |path: &str| {
            std::fs::read_to_string(path)
                .map_err(|error| Failure::Text(format!("error reading --template {path}, {error}")))
        };
        let needed = |what: &str| {
            if argument.is_empty() {
                fail(format!("template format specified but no {what} given"))
            } else {
                Ok(argument.to_owned())
            }
        };
        let path = |text: String| {
            jsonpath::Template::parse(&text)
                .map_err(|why| Failure::Text(format!("error parsing jsonpath {text}, {why}")))
        };
        let template = |text: String| {
            go_template::Template::parse(&text)
                .map_err(|why| Failure::Text(format!("error parsing template {text}, template: output:1: {why}")))
        };
        let headings = !options.no_headings;
        let form = match name {
            "json" => Form::Json,
            "yaml" => Form::Yaml,
            "name" => Form::Name,
            "jsonpath" => Form::JsonPath(path(needed("template")?)?, false),
            "jsonpath-as-json" => Form::JsonPath(path(needed("template")?)?, true),
            "jsonpath-file" => Form::JsonPath(path(file(argument)?)?, false),
            "go-template" | "template" => Form::GoTemplate(template(needed("template")?)?),
            "go-template-file" | "templatefile" => Form::GoTemplate(template(file(argument)?)?),
            "custom-columns" if options.columns => {
                Form::Columns(Columns::parse(argument, headings).map_err(Failure::Text)?)
            }
            "custom-columns-file" if options.columns => {
                Form::Columns(Columns::from_file(&file(argument)?, headings).map_err(Failure::Text)?)
            }
            _ => {
                let allowed = if options.columns { ALL } else { PLAIN };
                return fail(format!(
                    "unable to match a printer suitable for the output format \"{output}\", allowed formats are: {allowed}"
                ));
            }
        };
        Ok(Printer { form, managed_fields: options.managed_fields, lenient: !options.strict, printed: 0 })
    }

    /// The object, or list of objects, as text.
    ///
    /// # Errors
    /// A template that finds nothing.
    pub(crate) fn print(&mut self, object: &Value) -> Outcome<String> {
        let mut object = object.clone();
        if !self.managed_fields && matches!(self.form, Form::Json | Form::Yaml) {
            without_managed_fields(&mut object);
        }
        self.printed += 1;
        Ok(match &mut self.form {
            Form::Json => json::four(&object) + "\n",
            Form::Yaml if self.printed > 1 => format!("---\n{}", yaml::document(&object)),
            Form::Yaml => yaml::document(&object),
            Form::Name => items(&object).into_iter().map(|object| name(object) + "\n").collect(),
            Form::JsonPath(template, as_json) => {
                if *as_json {
                    let found: Vec<Value> = template.find(&object).into_iter().cloned().collect();
                    return Ok(json::four(&Value::Array(found)) + "\n");
                }
                template
                    .fill(&object, self.lenient)
                    .map_err(|why| Failure::Text(format!("error executing jsonpath: {why}")))?
            }
            Form::GoTemplate(template) => template
                .fill(&object)
                .map_err(|why| Failure::Text(format!("error executing template: template: output: {why}")))?,
            Form::Columns(columns) => columns.print(&items(&object)),
        })
    }
}

/// The items of a list, or the object alone.
pub(crate) fn items(object: &Value) -> Vec<&Value> {
    match object.get("items").and_then(Value::as_array) {
        Some(items) if text(object, &["kind"]).ends_with("List") => items.iter().collect(),
        _ => vec![object],
    }
}

/// `pod/kuard`, `deployment.apps/web`.
pub(crate) fn name(object: &Value) -> String {
    let (group, _) = registry::split_api_version(text(object, &["apiVersion"]));
    let kind = text(object, &["kind"]).to_lowercase();
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", text(object, &["metadata", "name"]))
}

fn without_managed_fields(object: &mut Value) {
    let many = !list(object, &["items"]).is_empty();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if many && let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(without_managed_fields);
    }
}
