//! What a client wants an answer to look like (k8s.io/apiserver/pkg/endpoints/handlers/negotiation).

use http::HeaderMap;
use http::header::ACCEPT;
use podlab_api::error::ApiError;

/// Media ranges in an Accept header that are looked at.
const RANGES: usize = 32;

/// What the error lists; protobuf is said and not done: JSON is what every client takes besides.
const REPRESENTATIONS: [&str; 5] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];

/// How an object or a list is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// As it is.
    Whole,
    /// What `kubectl get` prints, in this version of meta.k8s.io.
    Table(MetaVersion),
    /// Its metadata only.
    Partial(MetaVersion),
}

/// Versions of meta.k8s.io; the older one differs by its name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetaVersion {
    V1,
    V1Beta1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Yaml,
}

/// The first thing a client accepts that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) encoding: Encoding,
    pub(crate) view: View,
}

impl MetaVersion {
    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

impl Accepted {
    pub(crate) const JSON: Self = Self { encoding: Encoding::Json, view: View::Whole };

    /// # Errors
    /// [`ApiError::NotAcceptable`] when the client takes nothing of what there is.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let text: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let text = text.join(",");
        if text.trim().is_empty() {
            return Ok(Self::JSON);
        }
        let mut ranges: Vec<MediaRange<'_>> = text.split(',').take(RANGES).map(MediaRange::parse).collect();
        ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
        ranges
            .iter()
            .find_map(MediaRange::accepted)
            .ok_or_else(|| ApiError::NotAcceptable(REPRESENTATIONS.map(str::to_owned).to_vec()))
    }
}

/// One item of an Accept header.
pub(crate) struct MediaRange<'a> {
    pub(crate) essence: String,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl<'a> MediaRange<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> =
            parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim())).collect();
        let quality = parameters.iter().find(|(name, _)| *name == "q").and_then(|(_, value)| value.parse().ok());
        Self { essence, parameters, quality: quality.unwrap_or(1.0) }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn accepted(&self) -> Option<Accepted> {
        let encoding = match self.essence.as_str() {
            "application/json" | "application/*" | "*/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => return None,
        };
        let version = || match (self.parameter("g"), self.parameter("v")) {
            (Some("meta.k8s.io"), Some("v1")) => Some(MetaVersion::V1),
            (Some("meta.k8s.io"), Some("v1beta1")) => Some(MetaVersion::V1Beta1),
            _ => None,
        };
        let view = match self.parameter("as") {
            None => View::Whole,
            Some("Table") => View::Table(version()?),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => View::Partial(version()?),
            Some(_) => return None,
        };
        Some(Accepted { encoding, view })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &str) -> Option<(Encoding, View)> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, text.parse().unwrap());
        Accepted::of(&headers).ok().map(|accepted| (accepted.encoding, accepted.view))
    }

    #[test]
    fn the_first_that_the_server_has_is_taken() {
        use Encoding::{Json, Yaml};
        let table = View::Table(MetaVersion::V1);
        for (text, expected) in [
            ("", Some((Json, View::Whole))),
            ("*/*", Some((Json, View::Whole))),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some((Json, table))),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Some((Json, View::Whole))),
            ("application/json;q=0.1, application/yaml", Some((Yaml, View::Whole))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((Json, View::Whole))),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some((Json, View::Partial(MetaVersion::V1))),
            ),
            ("text/html", None),
            ("application/vnd.kubernetes.protobuf", None),
        ] {
            assert_eq!(accepted(text), expected, "{text}");
        }
    }
}
