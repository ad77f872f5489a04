//! `kubectl completion`

use clap::Args;
use clap_complete::{Shell, generate};

use crate::failure::{Outcome, fail};
use crate::print::say;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// bash, zsh, fish or powershell
    words: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let shell = match arguments.words.as_slice() {
        [] => return fail("Shell not specified.\nSee 'kubectl completion -h' for help and examples"),
        [shell] => shell,
        _ => {
            return fail(
                "Too many arguments. Expected only the shell type.\nSee 'kubectl completion -h' for help and examples",
            );
        }
    };
    let known = match shell.as_str() {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        "powershell" => Shell::PowerShell,
        other => {
            return fail(format!(
                "Unsupported shell type \"{other}\".\nSee 'kubectl completion -h' for help and examples"
            ));
        }
    };
    let mut script = Vec::new();
    generate(known, &mut crate::cli::command(), "kubectl", &mut script);
    say(&String::from_utf8_lossy(&script));
    Ok(())
}
