//! `kubectl cp` with hostile ends: what a container's tar sends is not believed, and what is sent is what was named.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use tar::{Builder, EntryType, Header};

use super::{Both, CLIENTS, Client, compare};

/// A Pod whose `tar` is whatever lies in its volume.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: hostile}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{name: tools, emptyDir: {}}]
  containers:
  - name: main
    image: busybox
    command: [tail, -f, /dev/null]
    env: [{name: PATH, value: /tools:/usr/sbin:/usr/bin:/sbin:/bin}]
    volumeMounts: [{name: tools, mountPath: /tools}]
";

/// An entry with a name that no honest tar would write, and which the library would not either.
fn entry(archive: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, link: &str, data: &[u8], mode: u32) {
    let mut header = Header::new_gnu();
    let place = header.as_mut_bytes();
    place[..name.len()].copy_from_slice(name.as_bytes());
    place[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    header.set_cksum();
    archive.append(&header, data).unwrap();
}

/// Every shape by which a tar leads out of the place that was named; `canary` is a folder that nobody may touch.
fn shapes(canary: &str) -> Vec<(&'static str, Vec<u8>)> {
    let file = |archive: &mut Builder<Vec<u8>>, name: &str| {
        entry(archive, name, EntryType::Regular, "", b"taken", 0o644);
    };
    let link = |archive: &mut Builder<Vec<u8>>, name: &str, to: &str| {
        entry(archive, name, EntryType::Symlink, to, b"", 0o777);
    };
    let mut all = Vec::new();
    let mut shape = |name: &'static str, fill: &dyn Fn(&mut Builder<Vec<u8>>)| {
        let mut archive = Builder::new(Vec::new());
        file(&mut archive, "data/honest");
        fill(&mut archive);
        all.push((name, archive.into_inner().unwrap()));
    };
    shape("steps up", &|archive| file(archive, "../canary/owned"));
    shape("steps up below", &|archive| file(archive, "data/../../canary/owned"));
    shape("an absolute name", &|archive| file(archive, &format!("{canary}/owned")));
    shape("an absolute name below", &|archive| {
        file(archive, &format!("data/{canary}/../../../../../../{canary}/owned"));
    });
    shape("one link", &|archive| {
        link(archive, "data/out", canary);
        file(archive, "data/out/owned");
    });
    shape("a link and a file of its name", &|archive| {
        link(archive, "data/out", &format!("{canary}/owned"));
        file(archive, "data/out");
    });
    shape("two links", &|archive| {
        link(archive, "data/a", ".");
        link(archive, "data/a/b", "../..");
        link(archive, "data/c", &format!("a/b/{canary}"));
        file(archive, "data/c/owned");
        file(archive, "data/a/b/canary/owned");
    });
    shape("the target itself a link", &|archive| {
        link(archive, "data", canary);
        file(archive, "data/owned");
    });
    shape("a hard link and a file", &|archive| {
        entry(archive, "data/hard", EntryType::Link, &format!("{canary}/secret"), b"", 0o644);
        file(archive, "data/hard");
    });
    shape("devices and pipes", &|archive| {
        for (name, kind) in [("char", EntryType::Char), ("block", EntryType::Block), ("pipe", EntryType::Fifo)] {
            entry(archive, &format!("data/{name}"), kind, "", b"", 0o666);
        }
    });
    shape("somebody's rights", &|archive| entry(archive, "data/root", EntryType::Regular, "", b"x", 0o6755));
    shape("a long name with steps up", &|archive| {
        let long = format!("data/{}/../../../canary/owned", "x".repeat(200));
        entry(archive, "././@LongLink", EntryType::GNULongName, "", format!("{long}\0").as_bytes(), 0o644);
        file(archive, "data/short");
    });
    shape("another name", &|archive| file(archive, "database/owned"));
    all
}

/// Every path below, with what it is and what is in it.
fn listing(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.metadata().unwrap().file_type());
        let text = if kind.is_file() { std::fs::read_to_string(&path).unwrap() } else { String::new() };
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
        all.push(format!("{} {mode:o} {text}", path.display()));
        if kind.is_dir() {
            all.extend(listing(&path));
        }
    }
    all.sort();
    all
}

fn tools(both: &Both) -> std::path::PathBuf {
    both.run(Client::Real, &["wait", "pod/hostile", "--for=condition=Ready", "--timeout=100s"]).success();
    let pod = both.run(Client::Real, &["get", "pod", "hostile", "-o", "json"]).success().stdout;
    let pod: Pod = serde_json::from_str(&pod).unwrap();
    let uid = pod.metadata.uid.unwrap();
    both.cluster.directory().join("nodes/node1/pods").join(uid).join("volumes/tools")
}

#[test]
fn what_a_containers_tar_sends_stays_in_the_place_that_was_named() {
    let Some(both) = Both::start(|builder| builder) else { return };
    both.apply(POD);
    let tools = tools(&both);
    std::fs::write(tools.join("tar"), "#!/bin/sh\nexec cat /tools/archive\n").unwrap();
    let executable: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tools.join("tar"), executable).unwrap();
    for client in CLIENTS {
        let work = both.cluster.scratch().join(format!("{client:?}"));
        let canary = work.join("canary");
        std::fs::create_dir_all(&canary).unwrap();
        std::fs::write(canary.join("secret"), "untouched").unwrap();
        let before = listing(&canary);
        for (name, archive) in shapes(canary.to_str().unwrap()) {
            std::fs::write(tools.join("archive"), archive).unwrap();
            let target = work.join("target");
            let copied =
                podlab_testkit::run(both.command(client, &["cp", "hostile:/data", "target"]).current_dir(&work));
            assert_eq!(listing(&canary), before, "{name} with the {client:?} one: {copied}");
            let beside: Vec<_> = std::fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(beside.iter().all(|name| name == "canary" || name == "target"), "{name}: {beside:?}");
            for line in listing(&target) {
                assert!(!line.contains("untouched"), "{name} with the {client:?} one: {line}");
                let path = target.join(line.split(' ').next().unwrap());
                assert!(path.symlink_metadata().unwrap().file_type().is_symlink() || path.starts_with(&target));
                assert!(!path.is_symlink(), "{name} with the {client:?} one: {line}");
                let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
                assert_eq!(mode & 0o6000, 0, "{name} with the {client:?} one: {line}");
            }
            // What is honest in it arrives, and our client says each thing that it leaves out.
            if name != "the target itself a link" {
                assert_eq!(std::fs::read_to_string(target.join("honest")).unwrap(), "taken", "{name}: {copied}");
            }
            if client == Client::BuiltIn && name != "somebody's rights" {
                assert!(copied.stderr.contains("warning: "), "{name}: {copied}");
            }
            let _ = std::fs::remove_dir_all(&target);
        }
    }
    // The words for a link are the real one's.
    let mut archive = Builder::new(Vec::new());
    entry(&mut archive, "data/out", EntryType::Symlink, "/etc/passwd", b"", 0o777);
    std::fs::write(tools.join("archive"), archive.into_inner().unwrap()).unwrap();
    let [real, built_in] = CLIENTS.map(|client| {
        let folder = both.cluster.scratch().join(format!("same-{client:?}"));
        std::fs::create_dir(&folder).unwrap();
        podlab_testkit::run(both.command(client, &["cp", "hostile:/data", "there"]).current_dir(&folder))
    });
    compare(&real, &built_in, &[]);
    both.cluster.stop();
}

#[test]
fn what_is_sent_into_a_container_is_what_was_named() {
    let Some(both) = Both::start(|builder| builder) else { return };
    both.apply(POD);
    tools(&both);
    let folder = both.cluster.scratch().join("odd");
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    let secret = both.cluster.scratch().join("secret");
    std::fs::write(&secret, "not to be sent").unwrap();
    for (name, text) in
        [("-rf", "a"), ("a b", "b"), ("inner/$(reboot)", "c"), ("new\nline", "d"), (&"x".repeat(200), "e")]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::os::unix::fs::symlink(&secret, folder.join("inner/link")).unwrap();
    let list = "cd /tmp/$0 && find . | sort && cat inner/'$(reboot)' ./-rf && readlink inner/link";
    let seen = CLIENTS.map(|client| {
        let to = format!("hostile:/tmp/{client:?}");
        both.run(client, &["cp", folder.to_str().unwrap(), &to]).success();
        let name = format!("{client:?}");
        both.run(client, &["exec", "hostile", "--", "sh", "-c", list, &name]).success().stdout
    });
    assert_eq!(seen[0], seen[1]);
    // A link stays a link: what it leads to here is not sent.
    assert!(seen[1].ends_with(&format!("ca{}\n", secret.display())), "{}", seen[1]);
    for words in [
        ["cp", "nowhere", "hostile:/tmp/x"],
        ["cp", "hostile:", "x"],
        ["cp", "a", "b"],
        ["cp", "ghost:/x", "y"],
        ["cp", "hostile:/a", "hostile:/b"],
    ] {
        let [real, built_in] = CLIENTS.map(|client| both.run(client, &words));
        assert_eq!(real.status.code(), built_in.status.code(), "{real}\n{built_in}");
        compare(&real, &built_in, &[]);
    }
    both.cluster.stop();
}
