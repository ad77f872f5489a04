//! What `create` and `run` make out of flags, to the byte; and what they refuse, to the word.

use super::{Both, Client};

/// A command a line; words are parted by blanks.
const GENERATED: &str = include_str!("generators.txt");

#[test]
fn what_is_generated_is_the_same_to_the_byte() {
    let Some(both) = Both::start(|builder| builder) else { return };
    let folder = both.cluster.scratch().join("files");
    std::fs::create_dir(&folder).unwrap();
    let keys = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 9 -subj /CN=x 2>&1";
    let made = std::process::Command::new("sh").arg("-c").arg(keys).current_dir(&folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let folder_of_two = folder.join("folder");
    std::fs::create_dir(&folder_of_two).unwrap();
    let files: [(&str, &[u8]); 6] = [
        ("conf.yaml", b"x: y\n"),
        ("binary.dat", &[0xff, 0xfe, 0]),
        ("good.env", b"# a comment\na=1\n  b= two words\n"),
        ("bad.env", b"a b=1\n"),
        ("folder/one", b"1"),
        ("folder/two", b"2\n"),
    ];
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let mut different = Vec::new();
    for line in GENERATED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (flags, command) = line.split_once(" -- ").map_or((line, None), |(flags, command)| (flags, Some(command)));
        let mut words: Vec<&str> = flags.split_whitespace().collect();
        words.extend(["--dry-run=client", "-o", "yaml"]);
        words.extend(command.into_iter().flat_map(|command| ["--"].into_iter().chain(command.split_whitespace())));
        let [real, built_in] =
            super::CLIENTS.map(|client| podlab_testkit::run(both.command(client, &words).current_dir(&folder)));
        let said =
            |output: &podlab_testkit::Output| (output.status.code(), output.stdout.clone(), output.stderr.clone());
        if said(&real) != said(&built_in) {
            different.push(format!("--- {line}\n{real}\n{built_in}"));
        }
    }
    assert!(different.is_empty(), "{} differ\n{}", different.len(), different.join("\n"));

    // Kinds that a cluster of ours has not are refused by it, to both with the same words.
    for words in [
        &["create", "job", "j", "--image=busybox"][..],
        &["create", "poddisruptionbudget", "p", "--selector=a=b", "--min-available=1"],
        &["create", "role", "r", "--verb=get", "--resource=pods"],
        &["create", "rolebinding", "r", "--role=r", "--user=u"],
        &["create", "clusterrolebinding", "r", "--clusterrole=r", "--user=u"],
        &["create", "token", "ghost"],
        &["create", "token", "default", "--duration=1s"],
        &["create", "configmap", "c", "-n", "ghost"],
    ] {
        both.same(words).failure(1);
    }
    let tokens = super::CLIENTS
        .map(|client| both.run(client, &["create", "token", "default", "--audience=here"]).success().stdout);
    assert!(tokens.iter().all(|token| token.split('.').count() == 3 && !token.ends_with('\n')), "{tokens:?}");
    for left in [&["create", "ingress", "i"][..], &["create", "job", "j", "--from=cronjob/c"]] {
        let refused = both.run(Client::BuiltIn, left).failure(1);
        assert!(refused.stderr.lines().count() == 1 && refused.stderr.contains("use the real one"), "{refused}");
    }
    both.cluster.stop();
}

#[test]
fn server_side_apply_is_refused_in_the_same_words() {
    let Some(both) = Both::start(|builder| builder) else { return };
    let path = both.cluster.scratch().join("map.yaml");
    std::fs::write(&path, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata: {key: value}\n").unwrap();
    let file = path.to_str().unwrap();
    for more in [&[][..], &["--force-conflicts"], &["--dry-run=server"], &["--field-manager=other"]] {
        let refused = both.same(&[&["apply", "--server-side", "-f", file], more].concat()).failure(1);
        assert!(refused.stderr.contains("use kubectl apply without --server-side"), "{refused}");
    }
    both.same(&["get", "configmap", "map"]).failure(1);
    both.cluster.stop();
}
