//! `SPECIFICATION.md` names what holds each promise; what it names has to be there.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What stands behind `prefix:` in backquotes.
fn named<'a>(row: &'a str, prefix: &str) -> Vec<&'a str> {
    let words = row.split('`').skip(1).step_by(2);
    words.filter_map(|word| word.strip_prefix(prefix)).collect()
}

#[test]
fn every_promise_names_what_holds_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("SPECIFICATION.md")).unwrap();
    let mut files = Vec::new();
    sources(&root.join("crates"), &mut files);
    let sources: Vec<(PathBuf, String)> =
        files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect();
    let is_test = |name: &str| sources.iter().any(|(_, source)| source.contains(&format!("fn {name}(")));
    let figure = |name: &str| format!("name: \"{name}\"");
    let is_bench = |name: &str| {
        let benches = sources.iter().filter(|(file, _)| file.components().any(|part| part.as_os_str() == "benches"));
        benches.into_iter().any(|(_, source)| source.contains(&figure(name)))
    };
    let mut faults = Vec::new();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    for row in rows {
        let (tests, benches) = (named(row, "test:"), named(row, "bench:"));
        let pending = row.contains("*pending*");
        if pending != (tests.is_empty() && benches.is_empty()) {
            faults.push(format!("a promise is held by something, or pending: {row}"));
        }
        faults.extend(tests.iter().filter(|name| !is_test(name)).map(|name| format!("there is no test {name}")));
        faults.extend(benches.iter().filter(|name| !is_bench(name)).map(|name| format!("there is no figure {name}")));
    }
    for (file, source) in sources.iter().filter(|(file, _)| file.components().any(|part| part.as_os_str() == "benches"))
    {
        for name in source.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if !text.contains(&format!("`bench:{name}`")) {
                faults.push(format!("{}: the figure {name} holds no promise", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
