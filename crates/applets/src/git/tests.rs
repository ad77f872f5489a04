use std::path::Path;
use std::process::Command;

use tokio::net::TcpListener;

use super::sync::{parse, sync};
use super::{origin, pack};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Serves a folder, and returns its address.
async fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::server::accept(listener, origin::router(folder)));
    format!("http://{address}")
}

#[tokio::test]
async fn a_folder_follows_a_repository() {
    let place = tempfile::tempdir().unwrap();
    let (repository, root) = (place.path().join("site.git"), place.path().join("root"));
    assert!(origin::create(&repository).unwrap() && !origin::create(&repository).unwrap());
    let file = |name: &str, content: &str| [(name.to_owned(), content.to_owned())];
    let first = origin::commit(&repository, "one", file("index.html", "one")).unwrap();
    let line = format!("--repo={}/site.git --root={} --link=html", serve(place.path()).await, root.display());
    let options = parse(&words(&line), |_| None).unwrap();

    assert_eq!(sync(&options, 0).await, Ok(true));
    let published = || std::fs::read_to_string(root.join("html/index.html")).unwrap();
    assert_eq!(published(), "one");
    assert_eq!(std::fs::read_link(root.join("html")).unwrap(), Path::new(".worktrees").join(&first));
    assert_eq!(sync(&options, 1).await, Ok(false), "nothing is new");

    origin::commit(&repository, "two", file("index.html", "two")).unwrap();
    origin::commit(&repository, "three", file("more.txt", "more")).unwrap();
    assert_eq!(sync(&options, 1).await, Ok(true));
    assert_eq!(published(), "two");
    assert_eq!(std::fs::read_to_string(root.join("html/more.txt")).unwrap(), "more");
    assert_eq!(std::fs::read_dir(root.join(".worktrees")).unwrap().count(), 1, "the old one is gone");
    assert!(origin::commit(&repository, "out", file("../x", "x")).is_err());
}

/// Whatever a real Git has made is read: packs with differences, folders, links and modes. Git clones what is made here.
#[tokio::test]
async fn real_git_and_this_read_each_other() {
    let git = |folder: &Path, arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]).args(arguments);
        command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", folder);
        command.output().map(|output| assert!(output.status.success(), "{output:?}"))
    };
    let place = tempfile::tempdir().unwrap();
    let work = place.path().join("work");
    std::fs::create_dir_all(work.join("a/b")).unwrap();
    if git(&work, &["init"]).is_err() {
        eprintln!("could not run: there is no git");
        return;
    }
    let long: String = (0..2000).map(|number| format!("line {number}\n")).collect();
    std::fs::write(work.join("a/b/long.txt"), &long).unwrap();
    std::os::unix::fs::symlink("b/long.txt", work.join("a/link")).unwrap();
    git(&work, &["add", "."]).unwrap();
    git(&work, &["commit", "-m", "one"]).unwrap();
    let longer = format!("{long}and one more\n");
    std::fs::write(work.join("a/b/long.txt"), &longer).unwrap();
    git(&work, &["commit", "-am", "two"]).unwrap();
    git(&work, &["tag", "-a", "-m", "v", "v1"]).unwrap();
    git(&work, &["clone", "--bare", ".", "../repo.git"]).unwrap();
    let repository = place.path().join("repo.git");
    git(&repository, &["repack", "-a", "-d", "-f"]).unwrap();
    git(&repository, &["pack-refs", "--all"]).unwrap();
    git(&repository, &["update-server-info"]).unwrap();

    let address = serve(place.path()).await;
    for (reference, link) in [("HEAD", "head"), ("main", "branch"), ("v1", "tag")] {
        let root = place.path().join(link);
        let line = format!("--repo={address}/repo.git --root={} --ref={reference}", root.display());
        assert_eq!(sync(&parse(&words(&line), |_| None).unwrap(), 0).await, Ok(true), "{reference}");
        assert_eq!(std::fs::read_to_string(root.join("repo/a/link")).unwrap(), longer);
    }
    let line = format!("--repo={address}/repo.git --root=/nowhere --ref=nosuch");
    let refused = sync(&parse(&words(&line), |_| None).unwrap(), 0).await.unwrap_err();
    assert_eq!(refused, format!("{address}/repo.git: there is no nosuch"));

    // The other way: what is written here is a repository.
    let own = place.path().join("own.git");
    origin::create(&own).unwrap();
    origin::commit(&own, "one", [("index.html".to_owned(), "one".to_owned())]).unwrap();
    git(&own, &["fsck", "--strict"]).unwrap();
    git(place.path(), &["clone", "own.git", "cloned"]).unwrap();
    assert_eq!(std::fs::read_to_string(place.path().join("cloned/index.html")).unwrap(), "one");
}

#[test]
fn flags_of_both_generations_and_the_environment() {
    let new = parse(&words("--repo=http://h/site.git --root=/git --period=5s --max-failures=-1"), |_| None).unwrap();
    let old = parse(&words("-repo http://h/site.git -root /git -wait 5 -max-sync-failures -1 -branch HEAD"), |_| None);
    assert_eq!(old.unwrap(), new);
    let environment = |name: &str| match name {
        "GITSYNC_REPO" => Some("http://h/site.git".to_owned()),
        "GIT_SYNC_ROOT" => Some("/git".to_owned()),
        "GITSYNC_PERIOD" => Some("5000ms".to_owned()),
        "GITSYNC_MAX_FAILURES" => Some("-1".to_owned()),
        _ => None,
    };
    assert_eq!(parse(&[], environment).unwrap(), new);
    for wrong in [
        "",
        "--repo=x",
        "--repo=x --root=y --link=a/b",
        "--repo=x --root=y --period=often",
        "--repo=x --root=y --what=1",
    ] {
        assert!(parse(&words(wrong), |_| None).is_err(), "{wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn no_pack_is_believed(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = pack::read(&bytes);
        bytes.splice(0..0, *b"PACK\0\0\0\x02\0\0\0\x02");
        let _ = pack::read(&bytes);
    }
}
