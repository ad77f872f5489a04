//! The ways to a server, each to a real one.

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use podlab_apiserver::{Identity, Pki, Server, ServerConfig, Storage, UnixNodes};
use podlab_client::{Client, DeleteOptions, Error, ListOptions, Object, Patch, Path as ApiPath, WatchEvent};
use serde_json::json;

async fn server(pki: Pki) -> Server {
    Server::start(ServerConfig {
        storage: Storage::Memory,
        pki,
        now: Arc::new(jiff::Timestamp::now),
        nodes: Arc::new(UnixNodes { nodes: "/nonexistent".into() }),
    })
    .await
    .expect("a server")
}

/// All verbs, over whatever way the client takes.
async fn exercise(client: &Client) {
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": "m", "namespace": "default" }, "data": { "a": "1" } }))
    .expect("a ConfigMap");
    let created = client.create(&map).await.expect("created");
    assert!(client.create(&map).await.expect_err("twice").is_already_exists());
    let mut watch =
        client.watch::<ConfigMap>("default", &ListOptions::default().fields("metadata.name=m")).await.expect("a watch");
    assert!(matches!(watch.next().await, Ok(Some(WatchEvent::Added(map))) if map.name() == "m"));
    let patch = Patch::Merge(json!({ "data": { "a": null, "b": "2" } }));
    let patched = client.patch::<ConfigMap>("default", "m", &patch, None).await.expect("patched");
    assert_eq!(patched.data.as_ref().map(|data| data.len()), Some(1));
    assert!(matches!(watch.next().await, Ok(Some(WatchEvent::Modified(map))) if map == patched));
    let stale = client.replace(&created).await.expect_err("it was changed meanwhile");
    assert!(stale.is_conflict() && !stale.is_another_object(), "{stale}");
    let another = Patch::Merge(json!({ "metadata": { "uid": "another" } }));
    let another = client.patch::<ConfigMap>("default", "m", &another, None).await.expect_err("another uid");
    assert!(another.is_conflict() && another.is_another_object(), "{another}");
    let options = DeleteOptions::of_uid("another");
    let another = client.delete::<ConfigMap>("default", "m", &options).await.expect_err("another uid");
    assert!(another.is_another_object(), "{another}");
    let all = client.list::<ConfigMap>("default", &ListOptions::default()).await.expect("a list");
    assert_eq!(all.items.len(), 1);
    client.delete::<ConfigMap>("default", "m", &DeleteOptions::default()).await.expect("deleted");
    assert!(matches!(watch.next().await, Ok(Some(WatchEvent::Deleted(_)))));
    let gone = client.get::<ConfigMap>("default", "m").await.expect_err("gone");
    assert!(gone.is_not_found());
    assert_eq!(gone.to_string(), "configmaps \"m\" not found");
    let missing: Error =
        client.get_at::<serde_json::Value>(&ApiPath::new("/apis/nothing/v1/here")).await.expect_err("no such path");
    assert_eq!(missing.code(), Some(404));
}

#[tokio::test]
async fn in_this_process() {
    let server = server(Pki::ephemeral().expect("credentials")).await;
    exercise(&Client::from_service(server.service(Identity::admin()))).await;
}

#[tokio::test]
async fn over_a_unix_socket_with_a_long_path() {
    let server = server(Pki::ephemeral().expect("credentials")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let deep = folder.path().join("a-rather-long-name-for-a-folder".repeat(4)).join("and-another-one".repeat(4));
    std::fs::create_dir_all(&deep).expect("folders");
    let socket = deep.join("node1.sock");
    assert!(socket.as_os_str().len() > 107);
    let client = Client::unix(&socket);
    let early = client.get::<Namespace>(None, "default").await.expect_err("nobody listens yet");
    assert!(matches!(early, Error::Transport { .. }) && early.is_retryable(), "{early}");
    server.listen_unix(&socket, Identity::admin()).await.expect("a listener");
    exercise(&client).await;
    server.shutdown().await;
}

fn kubeconfig(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("config");
    std::fs::write(&path, text).expect("written");
    path
}

#[tokio::test]
async fn over_tls_by_a_kubeconfig() {
    let pki = Pki::ephemeral().expect("credentials");
    let server = server(pki.clone()).await;
    let address = server.listen_tls(([127, 0, 0, 1], 0).into()).await.expect("a listener");
    let folder = tempfile::tempdir().expect("a folder");
    let text = pki.kubeconfig(&format!("https://{address}"));
    let client = Client::from_kubeconfig(kubeconfig(folder.path(), &text)).expect("a client");
    exercise(&client).await;

    // A server that shows another authority's certificate is not talked to.
    let other = Pki::ephemeral().expect("credentials").kubeconfig(&format!("https://{address}"));
    let client = Client::from_kubeconfig(kubeconfig(folder.path(), &other)).expect("a client");
    let error = client.get::<Namespace>(None, "default").await.expect_err("not trusted");
    assert!(error.to_string().contains("certificate"), "{error}");
    server.shutdown().await;
}

#[test]
fn what_a_kubeconfig_lacks_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = [
        ("current-context: nowhere\n", "no context \"nowhere\""),
        ("clusters: []\n", "no current-context"),
        ("clusters: 7\n", "clusters: invalid type"),
        ("current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\n", "no cluster \"b\""),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\n\
             clusters: [{name: b, cluster: {server: 'ftp://x'}}]\n",
            "neither http nor https",
        ),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: b, user: c}}]\n\
             clusters: [{name: b, cluster: {server: 'http://x'}}]\nusers: [{name: c, user: {exec: {command: x}}}]\n",
            "credentials from a command",
        ),
    ];
    for (text, expected) in table {
        let error = Client::from_kubeconfig(kubeconfig(folder.path(), text)).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("config"), "{error}");
    }
    let error = Client::from_kubeconfig(folder.path().join("none")).expect_err("no file").to_string();
    assert!(error.contains("No such file"), "{error}");
}
