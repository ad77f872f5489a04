//! The words: flags that every command takes, the commands, and what is said when a word is not known.
//!
//! clap reads them; here it is made to read as the real one's parser does (`--watch=false`, the last of two wins, `-1` is
//! a value), and its errors get the real one's words.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser};

use crate::commands::Command;
use crate::print::{complain, say};

/// Flags that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Globals {
    /// The namespace to look in
    #[arg(short, long, global = true, help_heading = "Flags of every command")]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig to use
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) context: Option<String>,
    /// The cluster of the kubeconfig to use
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) cluster: Option<String>,
    /// The user of the kubeconfig to use
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) user: Option<String>,
    /// The kubeconfig file to use
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Address and port of the API server
    #[arg(short, long, global = true, help_heading = "Flags of every command")]
    pub(crate) server: Option<String>,
    /// A bearer token to be known by
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) token: Option<String>,
    /// Take any certificate of the server
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) insecure_skip_tls_verify: bool,
    /// The file of the authority that signed the server's certificate
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// The file of a client certificate
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The file of its key
    #[arg(long, global = true, help_heading = "Flags of every command")]
    pub(crate) client_key: Option<PathBuf>,
    /// Who to act as
    #[arg(long = "as", global = true, value_name = "AS", help_heading = "Flags of every command")]
    pub(crate) impersonate: Option<String>,
    /// Which groups to act as a member of
    #[arg(long = "as-group", global = true, value_name = "GROUP", help_heading = "Flags of every command")]
    pub(crate) impersonate_groups: Vec<String>,
    /// How long a request may take: 0 is for ever
    #[arg(long, global = true, default_value = "0", help_heading = "Flags of every command")]
    pub(crate) request_timeout: String,
    /// How much to tell of the requests
    #[arg(short = 'v', long = "v", global = true, default_value_t = 0, help_heading = "Flags of every command")]
    pub(crate) verbosity: u8,
    /// Say nothing that the real kubectl does not say
    #[arg(long, global = true, env = "PODLAB_PLAIN", help_heading = "Flags of every command")]
    pub(crate) plain: bool,
}

/// kubectl controls the Kubernetes cluster manager: the client that is built into Podlab
#[derive(Parser, Debug)]
#[command(name = "kubectl", disable_help_subcommand = false, disable_version_flag = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// The commands as clap knows them, for completion too.
pub(crate) fn command() -> clap::Command {
    as_the_real_one(Cli::command())
}

fn as_the_real_one(command: clap::Command) -> clap::Command {
    command
        .args_override_self(true)
        .mut_args(|arg| {
            if arg.is_positional() {
                return arg;
            }
            match arg.get_action() {
                ArgAction::SetTrue => arg
                    .action(ArgAction::Set)
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .default_value("false")
                    .hide_default_value(true)
                    .hide_possible_values(true)
                    .value_parser(clap::builder::BoolishValueParser::new()),
                ArgAction::Set | ArgAction::Append => arg.allow_hyphen_values(true),
                _ => arg,
            }
        })
        .mut_subcommands(as_the_real_one)
}

/// Reads the arguments.
///
/// # Errors
/// The exit status, after the words that belong to it.
pub(crate) fn parse(arguments: &[OsString]) -> Result<(Globals, Command), u8> {
    let all = std::iter::once(OsString::from("kubectl")).chain(arguments.iter().cloned());
    let parsed = command().try_get_matches_from(all).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(mut cli) => {
            // The `--user` of these is one whom the role is bound to, not the one who asks.
            let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            if path_of(&words).ends_with("rolebinding") {
                cli.globals.user = None;
            }
            Ok((cli.globals, cli.command))
        }
        Err(error) => Err(explain(&error, arguments)),
    }
}

fn explain(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let path = path_of(&words);
    let told = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(all)) => all.join(" "),
        _ => String::new(),
    };
    let usage = format!("See '{path} --help' for usage.");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            say(&error.render().to_string());
            return 0;
        }
        ErrorKind::InvalidSubcommand => {
            let word = told(ContextKind::InvalidSubcommand);
            let refused = refused(&word);
            if let Some(refused) = refused.filter(|_| path == "kubectl") {
                complain(&refused);
                return 1;
            }
            if path == "kubectl create" {
                complain(&not_created(&word, &words));
                return 1;
            }
            if matches!(path.as_str(), "kubectl create secret" | "kubectl create service" | "kubectl rollout") {
                complain(&format!("error: unknown command \"{word}\"\nSee '{path} -h' for help and examples"));
                return 1;
            }
            let mut text = format!("error: unknown command \"{word}\" for \"{path}\"");
            let near = near(&path, &word);
            if !near.is_empty() {
                text.push_str("\n\nDid you mean this?\n");
                text.extend(near.iter().map(|near| format!("\t{near}\n")));
            }
            complain(text.trim_end());
        }
        ErrorKind::UnknownArgument => {
            let flag = told(ContextKind::InvalidArg);
            match flag.strip_prefix("--") {
                Some(name) => complain(&format!("error: unknown flag: --{name}\n{usage}")),
                None if flag.starts_with('-') => {
                    let letter = flag.trim_start_matches('-');
                    let whole = words.iter().find(|word| word.starts_with('-') && word.contains(letter));
                    let whole = whole.map_or(flag.as_str(), String::as_str);
                    complain(&format!("error: unknown shorthand flag: '{letter}' in {whole}\n{usage}"));
                }
                None => complain(&format!("error: unexpected argument \"{flag}\"\n{usage}")),
            }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let flag = told(ContextKind::InvalidArg);
            let flag = flag.split([' ', '[', '=']).next().unwrap_or_default();
            let value = told(ContextKind::InvalidValue);
            if value.is_empty() {
                let text = match flag.strip_prefix("--") {
                    Some(_) => format!("error: flag needs an argument: {flag}"),
                    None => format!("error: flag needs an argument: '{}' in {flag}", flag.trim_start_matches('-')),
                };
                complain(&format!("{text}\n{usage}"));
            } else {
                let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
                let parse = format!("strconv.ParseInt: parsing \"{value}\": invalid syntax");
                let why = if why.contains("invalid digit") { parse } else { why };
                complain(&format!("error: invalid argument \"{value}\" for \"{flag}\" flag: {why}\n{usage}"));
            }
        }
        _ => {
            complain(error.render().to_string().trim_end());
        }
    }
    1
}

/// `kubectl config`: the command that the words name, as far as they name one.
fn path_of(words: &[String]) -> String {
    let mut path = "kubectl".to_owned();
    let mut command = command();
    for word in words {
        if word == "--" {
            break;
        }
        if let Some(found) = command.find_subcommand(word) {
            path = format!("{path} {}", found.get_name());
            command = found.clone();
        } else if !word.starts_with('-') && command.get_subcommands().next().is_none() {
            break;
        }
    }
    path
}

/// Commands that look like the word.
fn near(path: &str, word: &str) -> Vec<String> {
    let mut command = command();
    for part in path.split(' ').skip(1) {
        if let Some(found) = command.find_subcommand(part) {
            command = found.clone();
        }
    }
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    // What is left to the real one is meant by a typo all the same.
    let left = LEFT.iter().filter(|_| path == "kubectl").map(|name| (*name).to_owned());
    let names = names.chain(left);
    names.filter(|name| distance(name, word) <= 2 || name.to_lowercase().starts_with(&word.to_lowercase())).collect()
}

/// How many letters have to change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// What is left to the real kubectl, on purpose.
const LEFT: [&str; 9] = ["kustomize", "plugin", "edit", "proxy", "alpha", "autoscale", "certificate", "replace", "set"];

fn refused(word: &str) -> Option<String> {
    LEFT.contains(&word).then(|| {
        format!(
            "error: the built-in kubectl has no \"{word}\": use the real one, https://kubernetes.io/docs/tasks/tools/"
        )
    })
}

/// Nothing of this name is made here.
fn not_created(word: &str, words: &[String]) -> String {
    if matches!(word, "ingress" | "ing") {
        return "error: the built-in kubectl creates no ingress: use the real one, https://kubernetes.io/docs/tasks/tools/"
            .to_owned();
    }
    let begin = words.iter().position(|known| known == word).unwrap_or(words.len());
    let args: Vec<&str> = words[begin..].iter().map(String::as_str).take_while(|word| !word.starts_with('-')).collect();
    format!("error: Unexpected args: [{}]\nSee 'kubectl create -h' for help and examples", args.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn near_words_are_found() {
        assert_eq!(near("kubectl", "gett"), ["get", "set"]);
        assert_eq!(distance("describe", "descrbie"), 2);
        assert_eq!(
            path_of(&["-n".into(), "x".into(), "config".into(), "view".into(), "--y".into()]),
            "kubectl config view"
        );
    }
}
