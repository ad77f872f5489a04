//! A real image registry on this machine's loopback: Debian's docker-registry.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// The media type of an image's manifest.
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry of a test's own, on a port of its choice. Ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    address: SocketAddr,
    authorization: &'static str,
    _directory: TempDir,
}

impl Registry {
    /// Starts one that everybody may read and write. `None`, with a word about it, where there is no docker-registry.
    pub fn start() -> Option<Registry> {
        Registry::configured(|_| String::new(), "")
    }

    /// Starts one that knows nobody but the user `reader` with the password `secret`.
    pub fn private() -> Option<Registry> {
        let configure = |directory: &TempDir| {
            // What `htpasswd -bBn reader secret` prints.
            let users = "reader:$2b$05$gUE0CIkvV4K04Luh.C7B8OI3WjVl5t0xWg.iyxzbmZKD.TYdHqHj2\n";
            let path = directory.path().join("users");
            std::fs::write(&path, users).expect("a file of users");
            format!("auth:\n  htpasswd:\n    realm: private\n    path: {}\n", path.display())
        };
        Registry::configured(configure, "Authorization: Basic cmVhZGVyOnNlY3JldA==\r\n")
    }

    fn configured(more: impl Fn(&TempDir) -> String, authorization: &'static str) -> Option<Registry> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let configuration = directory.path().join("config.yml");
        let data = directory.path().join("data");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{}",
            data.display(),
            more(&directory)
        );
        std::fs::write(&configuration, text).expect("a configuration");
        let spawned = Command::new("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut process) = spawned else {
            crate::could_not_run("docker-registry is not installed: apt-get install docker-registry");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().expect("its log")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split(['"', ',']).next()?.parse().ok()
        });
        let address = address.expect("docker-registry says where it listens");
        // It goes on logging: somebody has to read it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Registry { process, address, authorization, _directory: directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts an image there: its blobs by digest, and its manifest under a tag.
    ///
    /// # Panics
    ///
    /// When the registry does not take them.
    #[track_caller]
    pub fn push<'a>(
        &self,
        name: &str,
        tag: &str,
        blobs: impl IntoIterator<Item = (String, &'a [u8])>,
        manifest: &[u8],
    ) {
        for (digest, bytes) in blobs {
            let (status, head) = self.request(&format!("POST /v2/{name}/blobs/uploads/ HTTP/1.1"), b"");
            assert_eq!(status, 202, "{head}");
            let location = head.lines().find_map(|line| line.strip_prefix("Location: ")).expect("a location");
            let path = location.splitn(4, '/').nth(3).expect("a path");
            let (status, head) = self.request(&format!("PUT /{path}&digest={digest} HTTP/1.1"), bytes);
            assert_eq!(status, 201, "{head}");
        }
        let head = format!("PUT /v2/{name}/manifests/{tag} HTTP/1.1\r\nContent-Type: {MANIFEST}");
        let (status, head) = self.request(&head, manifest);
        assert_eq!(status, 201, "{head}");
    }

    /// One request over a connection of its own: status and headers.
    fn request(&self, head: &str, body: &[u8]) -> (u16, String) {
        let (address, authorization) = (self.address, self.authorization);
        let mut stream = TcpStream::connect(address).expect("the registry listens");
        let length = body.len();
        write!(
            stream,
            "{head}\r\nHost: {address}\r\n{authorization}Connection: close\r\nContent-Length: {length}\r\n\r\n"
        )
        .and_then(|()| stream.write_all(body))
        .expect("the registry reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the registry answers");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), head)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
