//! The reference: what a real cluster printed, a file an answer, in `reference/golden`.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What was asked and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Golden {
    pub(crate) question: Question,
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// A shell command.
    Command(String),
    /// `kubectl get -w` of one Pod, and what was done once it watched.
    Watch { command: String, meanwhile: String, seconds: u64 },
    /// A request that curl made: what follows the address of the server.
    Http { method: String, path: String, headers: Vec<String>, body: Option<String> },
}

/// Both streams and the exit status; a watch and a request have only the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit: Option<i32>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.stdout)?;
        if !self.stderr.is_empty() {
            write!(f, "--- stderr\n{}", self.stderr)?;
        }
        self.exit.map_or(Ok(()), |exit| write!(f, "--- exit {exit}"))
    }
}

/// The folder of all that was recorded.
pub(crate) fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "reference"].iter().collect()
}

/// Every transcript by the name of its file without `.txt`.
pub(crate) fn all() -> BTreeMap<String, Golden> {
    let entries = std::fs::read_dir(folder().join("golden")).expect("the folder of the reference");
    entries
        .map(|entry| {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let text = std::fs::read_to_string(&path).expect("a text");
            let golden = parse(&text).unwrap_or_else(|| panic!("{name} cannot be read"));
            (name, golden)
        })
        .collect()
}

fn parse(text: &str) -> Option<Golden> {
    match text.strip_prefix("$ ") {
        Some(text) => transcript(text),
        None => http(text),
    }
}

fn transcript(text: &str) -> Option<Golden> {
    let (head, rest) = text.split_once("--- stdout ---\n")?;
    let (stdout, rest) = rest.split_once("--- stderr ---\n")?;
    let stderr = rest.split("--- same with seconds since start ---\n").next()?.split("--- end ---").next()?;
    let (command, exit) = match head.split_once("\n# exit code: ") {
        Some((command, exit)) => (command, Some(exit.trim().parse().ok()?)),
        None => (head.trim_end(), None),
    };
    let question = match command.split_once("(started first; then, 1 s later: ") {
        None => Question::Command(command.to_owned()),
        Some((command, rest)) => {
            let (meanwhile, stopped) = rest.rsplit_once("; stopped after ")?;
            let seconds = stopped.trim_end_matches("s)").parse().ok()?;
            Question::Watch { command: command.trim().to_owned(), meanwhile: meanwhile.trim().to_owned(), seconds }
        }
    };
    Some(Golden { question, answer: Answer { stdout: stdout.to_owned(), stderr: stderr.to_owned(), exit } })
}

/// `# METHOD PATH   -H "A: b"`, perhaps `# body: …`, and what `curl -i` printed.
fn http(text: &str) -> Option<Golden> {
    let mut stdout = text;
    let mut question = Question::Http { method: "GET".into(), path: String::new(), headers: Vec::new(), body: None };
    while let Some(line) = stdout.strip_prefix("# ") {
        let (line, rest) = line.split_once('\n')?;
        let Question::Http { method, path, headers, body } = &mut question else { return None };
        if let Some(text) = line.strip_prefix("body: ") {
            *body = Some(text.to_owned());
        } else {
            let mut parts = line.split(" -H ");
            let (first, second) = parts.next()?.trim().split_once(' ')?;
            (*method, *path) = (first.to_owned(), second.trim().to_owned());
            headers.extend(parts.map(|header| header.trim().trim_matches('"').to_owned()));
        }
        stdout = rest;
    }
    Some(Golden { question, answer: Answer { stdout: stdout.to_owned(), ..Answer::default() } })
}

#[test]
fn each_kind_of_transcript_is_read() {
    let all = all();
    assert!(all.len() > 350, "only {}", all.len());
    let Question::Watch { command, meanwhile, seconds } = &all["210-watch-grace-delete"].question else { panic!() };
    assert_eq!(command, "kubectl get pods -w --field-selector metadata.name=grace");
    assert_eq!((meanwhile.as_str(), *seconds), ("kubectl apply -f grace.yaml; sleep 5; kubectl delete pod grace", 30));
    let Question::Http { method, path, headers, body } = &all["570-http-415"].question else { panic!() };
    assert_eq!((method.as_str(), path.as_str()), ("POST", "/api/v1/namespaces/default/pods"));
    assert_eq!((headers.as_slice(), body.as_deref()), (&["Content-Type: text/plain".to_owned()][..], Some("x")));
    let answer = &all["068-exec-exit-code"].answer;
    assert_eq!(answer.to_string(), "out\n--- stderr\nerr\ncommand terminated with exit code 7\n--- exit 7");
}
