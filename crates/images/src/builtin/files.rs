//! The files of the built-in images that are text.

use super::catalogue::Layer;
use super::tree::Tree;
use crate::error::ImageError;

/// Where the `podlab` binary lies in images that have programs of ours.
pub(super) const PROGRAM: &str = "usr/lib/podlab/podlab";

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nginx:x:101:101:nginx:/nonexistent:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
www-data:x:33:
users:x:100:
nginx:x:101:
nogroup:x:65534:
";

const DEBIAN_RELEASE: &str = r#"PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
"#;

const ALPINE_RELEASE: &str = r#"NAME="Alpine Linux"
ID=alpine
VERSION_ID=3.21.0
PRETTY_NAME="Alpine Linux v3.21"
HOME_URL="https://alpinelinux.org/"
BUG_REPORT_URL="https://gitlab.alpinelinux.org/alpine/aports/-/issues"
"#;

const NGINX_INDEX: &str = "\
<!DOCTYPE html>
<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>
";

const NGINX_CONFIGURATION: &str = "\
# Podlab's stand-in for nginx reads `listen` and `root` of the one server below, and `worker_processes`.
worker_processes auto;
error_log /dev/stderr notice;

http {
    access_log /dev/stdout combined;
    include /etc/nginx/conf.d/*.conf;
}
";

const NGINX_SERVER: &str = "\
server {
    listen 80;
    server_name localhost;

    location / {
        root /usr/share/nginx/html;
        index index.html;
    }
}
";

const WATCHER: &str = r#"#!/bin/bash
# Watches the web server of the same Pod. The two share one network, so it is at 127.0.0.1.
trap 'exit 0' TERM INT

ask() {
    exec 3<>/dev/tcp/127.0.0.1/80 || return
    printf 'HEAD / HTTP/1.0\r\nUser-Agent: watcher\r\n\r\n' >&3
    IFS= read -r -t 5 answer <&3
    exec 3>&-
    echo "${answer%$'\r'}"
}

echo "watching $(date +%s)"
last=
while true; do
    sleep 30 &
    wait $!
    now=$(ask 2>/dev/null)
    now=${now:-no answer}
    if [ "$now" != "$last" ]; then
        echo "web server: $now"
        last=$now
    fi
done
"#;

/// The text files of a layer.
pub(super) fn write(layer: Layer, tree: &Tree) -> Result<(), ImageError> {
    match layer {
        Layer::Base => base(tree),
        Layer::Alpine => tree.file("etc/os-release", ALPINE_RELEASE, 0o644),
        Layer::Debian => {
            tree.file("etc/os-release", DEBIAN_RELEASE, 0o644)?;
            tree.file("etc/debian_version", "12.15\n", 0o644)
        }
        Layer::Kuard(tag) => {
            tree.link("kuard", PROGRAM)?;
            tree.file("etc/kuard-tag", format!("{tag}\n"), 0o644)?;
            // The copy example of the text takes this file out of the container.
            tree.file("captures/capture3.txt", "capture-data\n", 0o644)
        }
        Layer::Nginx => {
            tree.link("usr/sbin/nginx", format!("/{PROGRAM}"))?;
            tree.file("usr/share/nginx/html/index.html", NGINX_INDEX, 0o644)?;
            tree.file("etc/nginx/nginx.conf", NGINX_CONFIGURATION, 0o644)?;
            tree.file("etc/nginx/conf.d/default.conf", NGINX_SERVER, 0o644)?;
            tree.link("var/log/nginx/access.log", "/dev/stdout")?;
            tree.link("var/log/nginx/error.log", "/dev/stderr")
        }
        Layer::Agnhost => tree.link("agnhost", PROGRAM),
        Layer::CoreDns => tree.link("coredns", PROGRAM),
        Layer::GitOrigin => tree.link("usr/bin/git-origin", format!("/{PROGRAM}")),
        Layer::GitSync => tree.link("git-sync", PROGRAM),
        Layer::Stress => tree.link("usr/bin/stress", format!("/{PROGRAM}")),
        Layer::Pause => tree.link("pause", PROGRAM),
        Layer::Watcher => tree.file("usr/local/bin/watcher", WATCHER, 0o755),
        Layer::Small | Layer::Gnu | Layer::Programs => Ok(()),
    }
}

fn base(tree: &Tree) -> Result<(), ImageError> {
    for directory in
        ["dev", "proc", "sys", "run", "home", "mnt", "opt", "srv", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"]
    {
        tree.directory(directory, 0o755)?;
    }
    for directory in ["usr/local/bin", "usr/local/sbin", "usr/share", "var/lib", "var/log", "var/cache", "var/spool"] {
        tree.directory(directory, 0o755)?;
    }
    tree.directory("root", 0o700)?;
    tree.directory("tmp", 0o1777)?;
    tree.directory("var/tmp", 0o1777)?;
    tree.link("var/run", "/run")?;
    for directory in ["bin", "sbin", "lib", "lib64"] {
        tree.link(directory, format!("usr/{directory}"))?;
    }
    tree.file("etc/passwd", PASSWD, 0o644)?;
    tree.file("etc/group", GROUP, 0o644)?;
    tree.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644)?;
    // Places the Pod's own are mounted over.
    for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        tree.file(file, "", 0o644)?;
    }
    tree.link("etc/mtab", "/proc/self/mounts")
}
