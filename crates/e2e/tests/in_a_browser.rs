//! kuard's pages and the book, in headless Chromium: by keyboard, with scripts and without.
//!
//! A screenshot of each test's last page is left in cargo's folder for temporary files.
#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use podlab_testkit::{Cluster, DEADLINE, Kubectl, could_not_run};
use serde_json::json;

/// What keeps a browser to itself: no sandbox (tests run as root), no first-run pages, nothing asked of a network.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has a browser do something; `None` when there is none, which has been said. Without `scripts` it runs none.
fn browse<T, F: Future<Output = T>>(scripts: bool, visit: impl FnOnce(Client) -> F) -> Option<T> {
    let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(driver) = driver else {
        could_not_run("needs a browser: apt-get install chromium chromium-driver");
        return None;
    };
    let mut driver = Running(driver);
    let mut lines = BufReader::new(driver.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let port =
        lines.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok());
    let port = port.expect("chromedriver says where it listens");
    std::thread::spawn(move || lines.for_each(drop));

    let profile = tempfile::tempdir().unwrap();
    let mut arguments: Vec<String> = FLAGS.map(str::to_owned).into();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let mut options = json!({"args": arguments});
    if !scripts {
        // 2: block.
        options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
    }
    let capabilities = json!({"goog:chromeOptions": options}).as_object().cloned().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Some(runtime.block_on(async {
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
        let result = visit(client.clone()).await;
        client.close().await.unwrap();
        result
    }))
}

/// The demo application as a program of this machine.
struct Kuard {
    _process: Running,
    address: SocketAddr,
}

impl Kuard {
    fn start() -> Kuard {
        // A port that was free just now.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(podlab_testkit::podlab());
        command.arg0("kuard").arg(format!("--address={address}")).stderr(Stdio::piped()).stdout(Stdio::null());
        let mut process = Running(command.spawn().unwrap());
        let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        lines.find(|line| line.contains("Serving on HTTP")).expect("kuard serves");
        std::thread::spawn(move || lines.for_each(drop));
        Kuard { _process: process, address }
    }

    fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What a probe does: the status code.
    fn probe(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }
}

async fn press(client: &Client, key: Key) {
    client.active_element().await.unwrap().send_keys(&String::from(char::from(key))).await.unwrap();
}

/// Goes from one thing to the next with the tab key, as who has no mouse does, until what has the focus reads `text`.
async fn tab_to(client: &Client, text: &str) {
    for _ in 0..200 {
        press(client, Key::Tab).await;
        if client.active_element().await.unwrap().text().await.unwrap().trim() == text {
            return;
        }
    }
    panic!("the keyboard does not lead to {text:?}: {}", client.source().await.unwrap());
}

/// Waits until the page has an element by this path.
async fn until(client: &Client, path: &str) {
    let found = client.wait().at_most(DEADLINE).for_element(Locator::XPath(path)).await;
    assert!(found.is_ok(), "no {path} in {}", client.source().await.unwrap());
}

async fn keep_picture(client: &Client, name: &str) {
    let picture = client.screenshot().await.unwrap();
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), picture).unwrap();
}

#[test]
fn kuard_is_used_by_keyboard_and_shows_probes_live() {
    let kuard = Kuard::start();
    browse(true, async |client| {
        client.goto(&kuard.page("/")).await.unwrap();
        assert_eq!(client.title().await.unwrap(), "Request Details - KUAR Demo");
        press(&client, Key::Tab).await;
        let first = client.active_element().await.unwrap().text().await.unwrap();
        assert_eq!(first, "Skip to the content", "who reads by keyboard need not go through the navigation");
        tab_to(&client, "Liveness Probe").await;
        press(&client, Key::Enter).await;
        until(&client, "//h1[text()='Liveness Probe']").await;
        until(&client, "//p[@role='status'][text()='Succeeding']").await;
        tab_to(&client, "Fail").await;
        press(&client, Key::Enter).await;
        until(&client, "//p[@role='status'][text()='Failing until told otherwise']").await;
        // Asked by somebody else: the page shows it without being loaded again.
        client.execute("window.same = true", Vec::new()).await.unwrap();
        assert_eq!(kuard.probe("/healthy"), "500");
        until(&client, "//td[contains(., '500 failed')]").await;
        assert_eq!(client.execute("return window.same", Vec::new()).await.unwrap(), json!(true));
        keep_picture(&client, "kuard-liveness.png").await;
        tab_to(&client, "Succeed").await;
        press(&client, Key::Enter).await;
        until(&client, "//p[@role='status'][text()='Succeeding']").await;
        assert_eq!(kuard.probe("/healthy"), "200");
    });
}

#[test]
fn kuard_needs_no_scripts() {
    let kuard = Kuard::start();
    browse(false, async |client| {
        client.goto(&kuard.page("/-/readiness")).await.unwrap();
        let fail = Locator::XPath("//button[text()='Fail for next N calls']");
        client.find(fail).await.unwrap().click().await.unwrap();
        until(&client, "//p[@role='status'][text()='Failing the next 3 calls']").await;
        assert_eq!(kuard.probe("/ready"), "500");
        client.refresh().await.unwrap();
        until(&client, "//p[@role='status'][text()='Failing the next 2 calls']").await;
        client.goto(&kuard.page("/-/mem")).await.unwrap();
        client.find(Locator::XPath("//button[contains(., '10')]")).await.unwrap().click().await.unwrap();
        until(&client, "//*[contains(text(), '10.0 MiB')]").await;
        for (path, title) in [
            ("/-/env", "Server Env"),
            ("/-/dns", "DNS Query"),
            ("/-/keygen", "KeyGen Workload"),
            ("/-/memq", "MemQ Server"),
            ("/fs/", "File system browser"),
        ] {
            client.goto(&kuard.page(path)).await.unwrap();
            until(&client, &format!("//h1[text()='{title}']")).await;
            until(&client, &format!("//nav//a[@aria-current='page'][text()='{title}']")).await;
        }
        keep_picture(&client, "kuard-without-scripts.png").await;
    });
}

#[test]
fn a_step_of_the_book_is_run_by_its_button() {
    let Some(_) = Kubectl::any() else { return };
    let cluster = Cluster::builder().book().start();
    let book = cluster.record().unwrap()["book"].as_str().unwrap().to_owned();
    browse(true, async |client| {
        client.goto(&book).await.unwrap();
        let page = client.current_url().await.unwrap().join("your-first-pod.html").unwrap();
        client.goto(page.as_str()).await.unwrap();
        until(&client, "//button[contains(@class, 'run')][not(@hidden)][starts-with(@aria-label, 'Run: ')]").await;
        // Enter on the first button, as the keyboard does it.
        let button = client.find(Locator::Css("button.run")).await.unwrap();
        let block = "//*[contains(@class, 'lab-step')][.//button[contains(@class, 'run')]][1]";
        button.send_keys(&String::from(char::from(Key::Enter))).await.unwrap();
        until(&client, "//div[@role='status'][text()='Done']").await;
        until(&client, &format!("{block}[contains(@class, 'live')]//pre[contains(@class, 'output')]//span")).await;
        keep_picture(&client, "book.png").await;
    });
    cluster.stop();
}
