//! File system browser: the container's own root, as its image and its volumes make it up.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::Shared;
use super::page::{Liveness, bytes, escape, prefix_of, render};

/// A listing longer than this is cut off, and says so.
const MOST_ENTRIES: usize = 1000;

pub(super) async fn show(State(kuard): Shared, request: Request) -> Response {
    let prefix = prefix_of(request.uri().path());
    let Some(path) = file_path(request.uri().path(), prefix) else {
        return (StatusCode::BAD_REQUEST, "not a path\n").into_response();
    };
    match tokio::fs::metadata(&path).await {
        Ok(found) if found.is_dir() => match listing(&path).await {
            Ok(rows) => {
                let content = format!(
                    "<p class=\"lead\">The container's own root, with its volumes where they are mounted.</p>\n\
                     <table>\n<caption>Files in <code>{}</code></caption>\n\
                     <thead><tr><th scope=\"col\">Name</th><th scope=\"col\" class=\"number\">Size</th></tr></thead>\n\
                     <tbody>{}</tbody></table>",
                    escape(path.display()),
                    rows.replace("{prefix}", prefix),
                );
                render(&kuard, prefix, "File system browser", Liveness::Still, &content).into_response()
            }
            Err(error) => problem(&path, &error),
        },
        // Only what has an end is served: reading a device or a pipe might never come to one.
        Ok(found) if found.is_file() => match ServeFile::new(&path).oneshot(request).await {
            Ok(response) => response.map(Body::new).into_response(),
            Err(never) => match never {},
        },
        Ok(_) => (StatusCode::FORBIDDEN, format!("{}: not a regular file\n", path.display())).into_response(),
        Err(error) => problem(&path, &error),
    }
}

fn problem(path: &Path, error: &std::io::Error) -> Response {
    let status = match error.kind() {
        std::io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
        std::io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("{}: {error}\n", path.display())).into_response()
}

/// The path in the container that `/fs/…` means. The whole root is on show, so there is nothing to climb out of.
fn file_path(request_path: &str, prefix: &str) -> Option<PathBuf> {
    let tail = request_path.strip_prefix(prefix)?.strip_prefix("/fs")?;
    let decoded = percent_decode(tail)?;
    let mut path = PathBuf::from("/");
    path.extend(Path::new(&decoded).components().filter(|part| matches!(part, Component::Normal(_))));
    Some(path)
}

/// RFC 3986, section 2.1. `None` for a `%` without two hexadecimal digits, and for what is not UTF-8 or has a NUL.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    let decoded = String::from_utf8(bytes).ok()?;
    (!decoded.contains('\0')).then_some(decoded)
}

/// The rows of a directory's table; `{prefix}` stands where the links' prefix goes.
async fn listing(path: &Path) -> std::io::Result<String> {
    let mut entries = Vec::new();
    let mut directory = tokio::fs::read_dir(path).await?;
    let mut cut_off = false;
    while let Some(entry) = directory.next_entry().await? {
        if entries.len() == MOST_ENTRIES {
            cut_off = true;
            break;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // An entry that is gone again, or that may not be looked at, is still listed by its name.
        let metadata = entry.metadata().await.ok();
        let is_directory = metadata.as_ref().is_some_and(std::fs::Metadata::is_dir);
        let size = metadata.filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        entries.push((name, is_directory, size));
    }
    entries.sort();
    let base = path.to_string_lossy();
    let base = base.trim_end_matches('/');
    let mut rows = String::new();
    if !base.is_empty() {
        rows.push_str("<tr><td><a href=\"..\">..</a></td><td></td></tr>\n");
    }
    for (name, is_directory, size) in entries {
        let slash = if is_directory { "/" } else { "" };
        let href: String = format!("{base}/{name}{slash}").bytes().map(percent_encode).collect();
        let size = size.map_or_else(String::new, bytes);
        rows.push_str(&format!(
            "<tr><td><a href=\"{{prefix}}/fs{href}\">{}{slash}</a></td><td class=\"number\">{size}</td></tr>\n",
            escape(&name),
        ));
    }
    if cut_off {
        rows.push_str(&format!("<tr><td colspan=\"2\">and more: only {MOST_ENTRIES} are shown</td></tr>\n"));
    }
    Ok(rows)
}

fn percent_encode(byte: u8) -> String {
    match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_stay_in_the_root() {
        assert_eq!(file_path("/fs/", ""), Some(PathBuf::from("/")));
        assert_eq!(file_path("/a/fs/etc/hosts", "/a"), Some(PathBuf::from("/etc/hosts")));
        assert_eq!(file_path("/fs/a%20b/%252e", ""), Some(PathBuf::from("/a b/%2e")));
        assert_eq!(file_path("/fs/../../x", ""), Some(PathBuf::from("/x")));
        for broken in ["/fs/%", "/fs/%zz", "/fs/%00", "/fs/%ff"] {
            assert_eq!(file_path(broken, ""), None, "{broken}");
        }
    }
}
