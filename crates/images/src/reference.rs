//! Image references: what people write, and what it means.
//!
//! The grammar and the error texts are those of the `distribution/reference` package that kubelet and containerd use:
//! `[domain/]path[:tag][@digest]`, where a first component is a domain only if it has a dot, a colon or a capital
//! letter in it, or is `localhost`. Without a domain it is `docker.io`, and there a path of one component lies under
//! `library/`.

use std::fmt;
use std::str::FromStr;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
/// Longest domain and path together, in bytes.
const NAME_LIMIT: usize = 255;
/// Longest tag, in bytes.
const TAG_LIMIT: usize = 128;

/// A complete reference. `Display` writes it in full: `docker.io/library/nginx:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name \"{text}\": {reason}")]
pub struct InvalidReference {
    /// What was written.
    pub text: String,
    /// Which rule it breaks, in the words of the reference implementation.
    pub reason: String,
}

impl Reference {
    /// The registry's host, with its port if one was written.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name within the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Domain and path: `docker.io/library/nginx`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag. Without tag and digest it is `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// `sha256:…`, when the reference pins one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        parse(text).map_err(|reason| InvalidReference { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    let malformed = || "invalid reference format".to_owned();
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"));
    }
    let (domain, rest) = split_domain(text);
    let name = rest.split_once(':').map_or(rest.as_str(), |(name, _)| name);
    if name.chars().any(char::is_uppercase) {
        return Err(format!("invalid reference format: repository name ({name}) must be lowercase"));
    }

    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.to_owned())),
        None => (rest.as_str(), None),
    };
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag.to_owned())),
        None => (rest, None),
    };
    let valid = is_domain(&domain)
        && path.split('/').all(is_path_component)
        && tag.as_deref().is_none_or(is_tag)
        && digest.as_deref().is_none_or(is_digest);
    if !valid {
        return Err(malformed());
    }
    if domain.len() + 1 + path.len() > NAME_LIMIT {
        return Err(format!("repository name must not be more than {NAME_LIMIT} characters"));
    }
    let tag = match (&tag, &digest) {
        (None, None) => Some("latest".to_owned()),
        _ => tag,
    };
    Ok(Reference { domain, path: path.to_owned(), tag, digest })
}

fn split_domain(text: &str) -> (String, String) {
    let default = |rest: &str| {
        let rest = if rest.contains('/') { rest.to_owned() } else { format!("library/{rest}") };
        (DEFAULT_DOMAIN.to_owned(), rest)
    };
    match text.split_once('/') {
        Some((DEFAULT_DOMAIN | LEGACY_DEFAULT_DOMAIN, rest)) => default(rest),
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase) =>
        {
            (first.to_owned(), rest.to_owned())
        }
        _ => default(text),
    }
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        // An IPv6 address in brackets.
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else { return false };
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("")) };
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            (None, port)
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.is_none_or(|host| host.split('.').all(label))
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Runs of small letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component
            .split(alphanumeric)
            .filter(|separator| !separator.is_empty())
            .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= TAG_LIMIT
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_and_what_it_means() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, meaning) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.25", "docker.io/library/nginx:1.25"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("afakharany/watcher", "docker.io/afakharany/watcher:latest"),
            ("gcr.io/kuar-demo/kuard-amd64:1", "gcr.io/kuar-demo/kuard-amd64:1"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x:y", "localhost:5000/x:y"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("MyHost/x", "MyHost/x:latest"),
            ("a--b/c__d.e", "docker.io/a--b/c__d.e:latest"),
            (&format!("nginx@{digest}"), &format!("docker.io/library/nginx@{digest}")),
            (&format!("nginx:1@{digest}"), &format!("docker.io/library/nginx:1@{digest}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), meaning, "{text}");
        }
    }

    #[test]
    fn what_names_no_image() {
        let long = "a".repeat(250);
        for (text, reason) in [
            ("", "invalid reference format"),
            ("nginx:", "invalid reference format"),
            (":x", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("a/../b", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("nginx@sha256:12", "invalid reference format"),
            ("nginx@md5:0123456789abcdef0123456789abcdef", "invalid reference format"),
            ("http://x.y/z", "invalid reference format"),
            ("Nginx", "invalid reference format: repository name (library/Nginx) must be lowercase"),
            ("a/Nginx:X", "invalid reference format: repository name (a/Nginx) must be lowercase"),
            (&long, "repository name must not be more than 255 characters"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap_err().reason, reason, "{text}");
        }
        assert_eq!(
            "a b".parse::<Reference>().unwrap_err().to_string(),
            "couldn't parse image name \"a b\": invalid reference format"
        );
    }

    proptest::proptest! {
        /// A complete reference means itself.
        #[test]
        fn written_out_it_reads_back(text in "[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                proptest::prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}
