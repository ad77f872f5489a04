//! A repository elsewhere, over plain HTTP: its files are fetched one by one, as from any web server.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::object::{Id, Object, is_id};
use super::pack;

/// For one file.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of one file; packs are the largest.
const FILE: usize = 64 << 20;
/// Packs of a repository.
const PACKS: usize = 32;

/// A repository at an address.
pub(super) struct Remote {
    /// `http://host[:port]/path`, without a slash at the end.
    url: String,
    /// What came in packs.
    packed: Option<HashMap<Id, Object>>,
}

impl Remote {
    pub(super) fn new(url: &str) -> Result<Remote, String> {
        match url.parse::<Uri>() {
            Ok(parsed) if parsed.scheme_str() == Some("http") && parsed.authority().is_some() => {
                Ok(Remote { url: url.trim_end_matches('/').to_owned(), packed: None })
            }
            _ => Err(format!("{url}: only http:// is spoken here; a cluster of this kind has no way to other servers")),
        }
    }

    /// The commit that `wanted` (a branch, a tag, `HEAD`, or an id) means now.
    pub(super) async fn resolve(&self, wanted: &str) -> Result<Id, String> {
        if is_id(wanted) {
            return Ok(wanted.to_owned());
        }
        let text = self.text("info/refs").await?;
        let refs: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once('\t')).map(|(id, name)| (name, id)).collect();
        let wanted = if wanted == "HEAD" {
            let head = self.text("HEAD").await?;
            head.trim().trim_start_matches("ref: ").to_owned()
        } else {
            wanted.to_owned()
        };
        // A tag that is an object is followed by the line of what it stands for.
        let names = [
            wanted.clone(),
            format!("refs/heads/{wanted}"),
            format!("refs/tags/{wanted}^{{}}"),
            format!("refs/tags/{wanted}"),
        ];
        let found = names.iter().find_map(|name| refs.get(name.as_str()).copied());
        match found.or(Some(wanted.as_str())).filter(|id| is_id(id)) {
            Some(id) => Ok(id.to_owned()),
            None => Err(format!("{}: there is no {wanted}", self.url)),
        }
    }

    /// An object, with its content checked against its name.
    pub(super) async fn object(&mut self, id: &Id) -> Result<Object, String> {
        if let Some(object) = self.packed.as_ref().and_then(|packed| packed.get(id)) {
            return Ok(object.clone());
        }
        let path = format!("objects/{}/{}", &id[..2], &id[2..]);
        let object = match self.get(&path).await? {
            Some(bytes) => Object::read(&bytes).map_err(|problem| format!("{}/{path}: {problem}", self.url))?,
            None if self.packed.is_none() => {
                self.packed = Some(self.packs().await?);
                return self.packed.as_ref().and_then(|packed| packed.get(id)).cloned().ok_or_else(|| self.missing(id));
            }
            None => return Err(self.missing(id)),
        };
        if object.id() == *id { Ok(object) } else { Err(format!("{}/{path} is not what its name says", self.url)) }
    }

    fn missing(&self, id: &str) -> String {
        format!("{}: object {id} is missing (a repository served so wants `git update-server-info`)", self.url)
    }

    async fn packs(&self) -> Result<HashMap<Id, Object>, String> {
        let mut objects = HashMap::new();
        let Some(list) = self.get("objects/info/packs").await? else { return Ok(objects) };
        let list = String::from_utf8_lossy(&list).into_owned();
        let names = list.lines().filter_map(|line| line.strip_prefix("P ")).filter(|name| !name.contains('/'));
        for name in names.take(PACKS) {
            let path = format!("objects/pack/{name}");
            let bytes = self.get(&path).await?.ok_or_else(|| format!("{}/{path} is missing", self.url))?;
            objects.extend(pack::read(&bytes).map_err(|problem| format!("{}/{path}: {problem}", self.url))?);
        }
        Ok(objects)
    }

    async fn text(&self, path: &str) -> Result<String, String> {
        let bytes = self.get(path).await?.ok_or_else(|| format!("{}/{path}: not found", self.url))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file of the repository; `None` when there is none.
    async fn get(&self, path: &str) -> Result<Option<Bytes>, String> {
        let url = format!("{}/{path}", self.url);
        let answer = timeout(PATIENCE, fetch(&url)).await;
        answer
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            .map_err(|problem| format!("{url}: {problem}"))
    }
}

async fn fetch(url: &str) -> Result<Option<Bytes>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let uri: Uri = url.parse().map_err(|error| text(&error))?;
    let authority = uri.authority().ok_or("no host")?;
    let stream = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80)))
        .await
        .map_err(|error| text(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    let connection = tokio::spawn(connection);
    let host = HeaderValue::from_str(authority.as_str()).map_err(|error| text(&error))?;
    let path = uri.path().to_owned();
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new()).map_err(|error| text(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| text(&error))?;
    let result = match answer.status() {
        StatusCode::OK => {
            let body = Limited::new(answer.into_body(), FILE).collect().await.map_err(|error| text(&error))?;
            Ok(Some(body.to_bytes()))
        }
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(format!("the server answers {status}")),
    };
    connection.abort();
    result
}
