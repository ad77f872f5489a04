//! Which images are built in, under which names, and what each is made of.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::{Empty, ImageConfig, ImageRecord};
use crate::digest::Digest;
use crate::reference::Reference;

/// Changed whenever the contents of a built-in layer change, so that image ids change with them.
pub(crate) const RECIPE: &str = "1";

/// The search path that the usual base images set.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A directory of files that several images share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// The directories every root has, `/etc/passwd` and its like.
    Base,
    /// A small shell userland: busybox, or what stands in for it.
    Small,
    /// Bash and the GNU tools.
    Gnu,
    /// The `podlab` binary.
    Programs,
    Agnhost,
    Alpine,
    CoreDns,
    Debian,
    GitOrigin,
    GitSync,
    /// One for each tag: the program learns from it which of its colours it is.
    Kuard(&'static str),
    Nginx,
    Pause,
    Stress,
    Watcher,
}

impl Layer {
    pub(crate) const ALL: [Layer; 20] = [
        Layer::Base,
        Layer::Small,
        Layer::Gnu,
        Layer::Programs,
        Layer::Agnhost,
        Layer::Alpine,
        Layer::CoreDns,
        Layer::Debian,
        Layer::GitOrigin,
        Layer::GitSync,
        Layer::Kuard("1"),
        Layer::Kuard("2"),
        Layer::Kuard("3"),
        Layer::Kuard("blue"),
        Layer::Kuard("green"),
        Layer::Kuard("purple"),
        Layer::Nginx,
        Layer::Pause,
        Layer::Stress,
        Layer::Watcher,
    ];

    /// Its directory's name.
    pub(crate) fn name(self) -> String {
        let name = match self {
            Layer::Base => "base",
            Layer::Small => "small",
            Layer::Gnu => "gnu",
            Layer::Programs => "programs",
            Layer::Agnhost => "agnhost",
            Layer::Alpine => "alpine",
            Layer::CoreDns => "coredns",
            Layer::Debian => "debian",
            Layer::GitOrigin => "git-origin",
            Layer::GitSync => "git-sync",
            Layer::Kuard(tag) => return format!("kuard-{tag}"),
            Layer::Nginx => "nginx",
            Layer::Pause => "pause",
            Layer::Stress => "stress",
            Layer::Watcher => "watcher",
        };
        name.to_owned()
    }
}

/// A built-in image under all its tags.
#[derive(Debug)]
pub struct BuiltIn {
    /// Domain and path, in full.
    pub repository: &'static str,
    /// The tags it answers to.
    pub tags: &'static [&'static str],
    /// What it stands in for, in a few words for `podlab image ls`.
    pub stands_in_for: &'static str,
    /// Topmost first.
    pub(crate) layers: &'static [Layer],
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
    port: Option<&'static str>,
    stop_signal: &'static str,
}

const fn kuard(tags: &'static [&'static str], layers: &'static [Layer]) -> BuiltIn {
    BuiltIn {
        repository: "gcr.io/kuar-demo/kuard-amd64",
        tags,
        stands_in_for: "the demo server of Kubernetes: Up and Running, whose registry is gone",
        layers,
        entrypoint: &["/kuard"],
        cmd: &[],
        port: Some("8080/tcp"),
        stop_signal: "",
    }
}

/// All of them.
pub(crate) const CATALOGUE: &[BuiltIn] = &[
    kuard(&["1"], &[Layer::Kuard("1"), Layer::Programs, Layer::Small, Layer::Base]),
    kuard(&["2"], &[Layer::Kuard("2"), Layer::Programs, Layer::Small, Layer::Base]),
    kuard(&["3"], &[Layer::Kuard("3"), Layer::Programs, Layer::Small, Layer::Base]),
    kuard(&["blue"], &[Layer::Kuard("blue"), Layer::Programs, Layer::Small, Layer::Base]),
    kuard(&["green"], &[Layer::Kuard("green"), Layer::Programs, Layer::Small, Layer::Base]),
    kuard(&["purple"], &[Layer::Kuard("purple"), Layer::Programs, Layer::Small, Layer::Base]),
    BuiltIn {
        repository: "docker.io/library/nginx",
        tags: &[
            "latest", "1", "1.7.9", "1.14.2", "1.16.1", "1.19", "1.21", "1.22", "1.22.1", "1.25", "1.27", "stable",
            "alpine",
        ],
        stands_in_for: "a small web server for /usr/share/nginx/html, with nginx's log",
        layers: &[Layer::Nginx, Layer::Debian, Layer::Programs, Layer::Gnu, Layer::Base],
        entrypoint: &[],
        cmd: &["nginx", "-g", "daemon off;"],
        port: Some("80/tcp"),
        stop_signal: "SIGQUIT",
    },
    BuiltIn {
        repository: "docker.io/library/debian",
        tags: &["latest", "12", "bookworm", "bookworm-slim", "stable", "stable-slim"],
        stands_in_for: "bash and the GNU tools of this machine",
        layers: &[Layer::Debian, Layer::Gnu, Layer::Base],
        entrypoint: &[],
        cmd: &["bash"],
        port: None,
        stop_signal: "",
    },
    BuiltIn {
        repository: "docker.io/library/busybox",
        tags: &["latest", "1", "1.28", "1.35", "1.35.0", "1.36", "1.36.1", "1.37", "stable", "glibc", "musl"],
        stands_in_for: "busybox, or the shell and tools of this machine",
        layers: &[Layer::Small, Layer::Base],
        entrypoint: &[],
        cmd: &["sh"],
        port: None,
        stop_signal: "",
    },
    BuiltIn {
        repository: "docker.io/library/alpine",
        tags: &["latest", "3", "3.18", "3.19", "3.20", "3.21"],
        stands_in_for: "the same small userland under Alpine's name, without its package manager",
        layers: &[Layer::Alpine, Layer::Small, Layer::Base],
        entrypoint: &[],
        cmd: &["/bin/sh"],
        port: None,
        stop_signal: "",
    },
    BuiltIn {
        repository: "docker.io/afakharany/watcher",
        tags: &["latest"],
        stands_in_for: "a script that watches the web server of its own Pod over loopback",
        layers: &[Layer::Watcher, Layer::Debian, Layer::Gnu, Layer::Base],
        entrypoint: &["/bin/bash", "/usr/local/bin/watcher"],
        cmd: &[],
        port: None,
        stop_signal: "",
    },
    BuiltIn {
        repository: "registry.k8s.io/coredns/coredns",
        tags: &["v1.11.3", "v1.11.1", "v1.12.0", "latest"],
        stands_in_for: "the cluster's DNS server, with the parts of a Corefile that clusters use",
        layers: &[Layer::CoreDns, Layer::Programs, Layer::Base],
        entrypoint: &["/coredns"],
        cmd: &[],
        port: Some("53/udp"),
        stop_signal: "",
    },
    BuiltIn {
        repository: "registry.k8s.io/git-sync/git-sync",
        tags: &["v4.4.0", "v4.3.0", "v4.2.3", "v4.0.0", "v3.6.9", "latest"],
        stands_in_for: "the synchroniser of Figure 5-1: follows a Git repository over plain HTTP",
        layers: &[Layer::GitSync, Layer::Programs, Layer::Small, Layer::Base],
        entrypoint: &["/git-sync"],
        cmd: &[],
        port: None,
        stop_signal: "",
    },
    BuiltIn {
        repository: "docker.io/podlab/git-origin",
        tags: &["latest", "1"],
        stands_in_for: "nothing: a Git repository with a small site in it, for git-sync to follow",
        layers: &[Layer::GitOrigin, Layer::Programs, Layer::Small, Layer::Base],
        entrypoint: &["/usr/bin/git-origin"],
        cmd: &[],
        port: Some("80/tcp"),
        stop_signal: "",
    },
    BuiltIn {
        repository: "registry.k8s.io/e2e-test-images/agnhost",
        tags: &["2.39", "2.40", "2.43", "2.45", "2.47", "2.52", "2.53", "latest"],
        stands_in_for: "what Kubernetes' own tests run: HTTP, TCP, UDP, gRPC health, mounts, DNS",
        layers: &[Layer::Agnhost, Layer::Programs, Layer::Small, Layer::Base],
        entrypoint: &["/agnhost"],
        cmd: &["pause"],
        port: None,
        stop_signal: "",
    },
    BuiltIn {
        repository: "docker.io/polinux/stress",
        tags: &["latest", "1.0.4"],
        stands_in_for: "the program that uses memory and processor time on purpose",
        layers: &[Layer::Stress, Layer::Programs, Layer::Small, Layer::Base],
        entrypoint: &[],
        cmd: &["stress", "--help"],
        port: None,
        stop_signal: "",
    },
    BuiltIn {
        repository: "registry.k8s.io/pause",
        tags: &["3.1", "3.2", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "latest"],
        stands_in_for: "the program that does nothing but wait for its children",
        layers: &[Layer::Pause, Layer::Programs, Layer::Base],
        entrypoint: &["/pause"],
        cmd: &[],
        port: None,
        stop_signal: "",
    },
];

/// The built-in image a reference means, and the tag it was asked by (the first one for a digest).
pub(crate) fn find(reference: &Reference) -> Option<(&'static BuiltIn, &'static str)> {
    let repository = reference.repository();
    CATALOGUE.iter().filter(|image| image.repository == repository).find_map(|image| {
        let tag = match (reference.digest(), reference.tag()) {
            (Some(digest), _) if image.manifest().digest().to_string() == digest => image.tags.first(),
            (None, Some(wanted)) => image.tags.iter().find(|tag| **tag == wanted),
            _ => None,
        };
        tag.map(|tag| (image, *tag))
    })
}

/// The manifest and configuration of a built-in image, in the specification's JSON.
pub(crate) struct Manifest {
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Manifest {
    pub(crate) fn id(&self) -> Digest {
        Digest::of(&self.config)
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

impl BuiltIn {
    /// How the image is run.
    fn config(&self) -> ImageConfig {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        ImageConfig {
            env: vec![PATH.to_owned()],
            entrypoint: words(self.entrypoint),
            cmd: words(self.cmd),
            exposed_ports: self.port.into_iter().map(|port| (port.to_owned(), Empty {})).collect(),
            stop_signal: self.stop_signal.to_owned(),
            ..ImageConfig::default()
        }
    }

    /// The image as the store shows it. `asked` is the tag that comes first: the one a Pod's status shows. `size` is
    /// that of its layers in bytes.
    pub(crate) fn record(&self, asked: &str, size: u64) -> ImageRecord {
        let manifest = self.manifest();
        let mut tags = self.tags.to_vec();
        tags.sort_by_key(|tag| *tag != asked);
        ImageRecord {
            id: manifest.id().to_string(),
            repo_tags: tags.iter().map(|tag| format!("{}:{tag}", self.repository)).collect(),
            repo_digest: format!("{}@{}", self.repository, manifest.digest()),
            size,
            config: self.config(),
            built_in: Some(self.stands_in_for),
        }
    }

    pub(crate) fn manifest(&self) -> Manifest {
        #[derive(Serialize)]
        struct Config<'a> {
            architecture: &'a str,
            os: &'a str,
            config: ImageConfig,
            rootfs: BTreeMap<&'a str, serde_json::Value>,
        }
        // Layers lie topmost first here, and the other way round in the specification.
        let layers: Vec<Digest> = self
            .layers
            .iter()
            .rev()
            .map(|layer| Digest::of(format!("podlab built-in layer {} {RECIPE}", layer.name()).as_bytes()))
            .collect();
        let diff_ids: Vec<String> = layers.iter().map(Digest::to_string).collect();
        let config = Config {
            architecture: crate::config::architecture(),
            os: "linux",
            config: self.config(),
            rootfs: BTreeMap::from([("diff_ids", diff_ids.clone().into()), ("type", "layers".into())]),
        };
        let config = serde_json::to_vec(&config).unwrap_or_default();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(&config).to_string(),
                "size": config.len(),
            },
            "layers": diff_ids,
        });
        Manifest { config, manifest: manifest.to_string().into_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_every_way_of_writing_it() {
        for text in ["nginx", "nginx:1.7.9", "docker.io/library/nginx:latest", "gcr.io/kuar-demo/kuard-amd64:blue"] {
            assert!(find(&text.parse().unwrap()).is_some(), "{text}");
        }
        for text in ["nginx:nosuch", "quay.io/library/nginx", "gcr.io/kuar-demo/kuard-amd64"] {
            assert!(find(&text.parse().unwrap()).is_none(), "{text}");
        }
        let (nginx, tag) = find(&"nginx".parse().unwrap()).unwrap();
        let pinned = nginx.record(tag, 0).repo_digest;
        assert_eq!(find(&pinned.parse().unwrap()).unwrap().0.repository, nginx.repository);
    }

    #[test]
    fn names_are_valid_and_ids_differ() {
        let mut ids = std::collections::BTreeSet::new();
        for image in CATALOGUE {
            assert!(ids.insert(image.manifest().id()), "{} {:?}", image.repository, image.tags);
            for tag in image.tags {
                format!("{}:{tag}", image.repository).parse::<Reference>().unwrap();
            }
        }
    }
}
