//! The part of nginx's configuration that this stand-in understands: `listen`, `root`, `worker_processes`, `include`.
//!
//! Other directives are read and ignored, so that a ConfigMap written for the real one is not an error here. What is not
//! well-formed is refused in nginx's words.

use std::fs;
use std::path::PathBuf;

pub(super) const MAIN: &str = "/etc/nginx/nginx.conf";
/// Bytes of one file.
const FILE_LIMIT: u64 = 1 << 20;
/// Files read, over all includes.
const FILES: usize = 100;
/// More would be of no use: the server is for labs.
const WORKERS: usize = 4;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) port: u16,
    pub(super) root: PathBuf,
    pub(super) workers: usize,
}

impl Configuration {
    /// Reads the file at `path` with its includes, after the directives given on the command line.
    pub(super) fn load(path: &str, globals: &str) -> Result<Configuration, String> {
        let mut directives = Vec::new();
        parse("command line", globals, &mut directives)?;
        let mut files = 0;
        read(path, &mut directives, &mut files)?;

        let first = |name: &str| directives.iter().find(|words| words[0] == name).and_then(|words| words.get(1));
        let port = match first("listen") {
            // An address may stand before the port.
            Some(listen) => listen
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok())
                .ok_or_else(|| format!("invalid port in \"{listen}\" of the \"listen\" directive"))?,
            None => 80,
        };
        let available = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match first("worker_processes").map(String::as_str) {
            None | Some("auto") => available,
            Some(number) => {
                number.parse().map_err(|_| "invalid number of arguments in \"worker_processes\" directive")?
            }
        };
        let root = first("root").map_or("/usr/share/nginx/html", String::as_str).into();
        Ok(Configuration { port, root, workers: workers.clamp(1, WORKERS) })
    }
}

fn read(path: &str, directives: &mut Vec<Vec<String>>, files: &mut usize) -> Result<(), String> {
    *files += 1;
    if *files > FILES {
        return Err(format!("more than {FILES} files included"));
    }
    let open_failed = |error: &dyn std::fmt::Display| format!("open() \"{path}\" failed ({error})");
    if fs::metadata(path).map_err(|error| open_failed(&error))?.len() > FILE_LIMIT {
        return Err(open_failed(&"too large"));
    }
    let text = fs::read_to_string(path).map_err(|error| open_failed(&error))?;
    let start = directives.len();
    parse(path, &text, directives)?;
    let includes: Vec<String> = directives[start..]
        .iter()
        .filter(|words| words[0] == "include")
        .filter_map(|words| words.get(1).cloned())
        .collect();
    for pattern in includes {
        for file in matches(&pattern) {
            read(&file, directives, files)?;
        }
    }
    Ok(())
}

/// `/etc/nginx/conf.d/*.conf`, in order; a name without `*` matches itself. Relative names are in `/etc/nginx`.
fn matches(pattern: &str) -> Vec<String> {
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/nginx/{pattern}") };
    let Some((directory, name)) = pattern.rsplit_once('/') else { return Vec::new() };
    let Some((head, tail)) = name.split_once('*') else { return vec![pattern] };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|file| file.len() >= head.len() + tail.len() && file.starts_with(head) && file.ends_with(tail))
        .map(|file| format!("{directory}/{file}"))
        .collect();
    found.sort();
    found
}

/// Appends the directives of `text`, each as its words; blocks are flattened.
fn parse(path: &str, text: &str, directives: &mut Vec<Vec<String>>) -> Result<(), String> {
    let mut words: Vec<String> = Vec::new();
    let mut depth = 0_usize;
    let mut line = 1;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => line += 1,
            ' ' | '\t' | '\r' => {}
            '#' => while characters.next_if(|c| *c != '\n').is_some() {},
            ';' | '{' => {
                if words.is_empty() {
                    return Err(format!("unexpected \"{character}\" in {path}:{line}"));
                }
                depth += usize::from(character == '{');
                directives.push(std::mem::take(&mut words));
            }
            '}' if depth > 0 && words.is_empty() => depth -= 1,
            '}' => return Err(format!("unexpected \"}}\" in {path}:{line}")),
            quote @ ('"' | '\'') => {
                let mut word = String::new();
                loop {
                    match characters.next() {
                        Some(c) if c == quote => break,
                        Some('\\') => word.extend(characters.next()),
                        Some(c) => {
                            line += usize::from(c == '\n');
                            word.push(c);
                        }
                        None => {
                            return Err(format!("unexpected end of file, expecting \";\" or \"}}\" in {path}:{line}"));
                        }
                    }
                }
                words.push(word);
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) = characters.next_if(|c| !c.is_whitespace() && !matches!(c, ';' | '{' | '}')) {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    match (words.is_empty(), depth) {
        (true, 0) => Ok(()),
        (true, _) => Err(format!("unexpected end of file, expecting \"}}\" in {path}:{line}")),
        (false, _) => Err(format!("unexpected end of file, expecting \";\" or \"}}\" in {path}:{line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<Vec<String>>, String> {
        let mut directives = Vec::new();
        parse("x", text, &mut directives).map(|()| directives)
    }

    #[test]
    fn directives_and_blocks() {
        let read = words("a 1; # no\nserver { listen 80; root '/a b'; }").unwrap();
        assert_eq!(read, [vec!["a", "1"], vec!["server"], vec!["listen", "80"], vec!["root", "/a b"]]);
    }

    #[test]
    fn what_is_not_well_formed() {
        assert_eq!(words("}").unwrap_err(), "unexpected \"}\" in x:1");
        assert_eq!(words("a {\n").unwrap_err(), "unexpected end of file, expecting \"}\" in x:2");
        assert_eq!(words("a b").unwrap_err(), "unexpected end of file, expecting \";\" or \"}\" in x:1");
        assert_eq!(words(";").unwrap_err(), "unexpected \";\" in x:1");
        assert!(words("a 'b").is_err());
    }

    #[test]
    fn listens_and_serves_what_it_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nginx.conf");
        let included = directory.path().join("site.conf");
        fs::write(&path, format!("worker_processes 2; http {{ include {}/*ite.conf; }}", directory.path().display()))
            .unwrap();
        fs::write(&included, "server { listen 127.0.0.1:8081; location / { root /data; } }").unwrap();
        let read = Configuration::load(path.to_str().unwrap(), "daemon off;").unwrap();
        assert_eq!(read, Configuration { port: 8081, root: "/data".into(), workers: 2 });
        fs::write(&included, format!("include {};", included.display())).unwrap();
        assert!(Configuration::load(path.to_str().unwrap(), "").unwrap_err().contains("files included"));
    }
}
