//! Connections to a shared address, from the node and from Pods on it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use podlab_linux::network::{Balancer, Block, Entrance, Pool, Protocol};

use crate::pod::{Pod, container, equal, text, until};
use crate::scenarios::talk;

const RANGE: Block = Block { address: Ipv4Addr::new(10, 96, 0, 0), prefix: 12 };
const SHARED: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 50);
/// That one of two is never chosen by lot in so many attempts happens once in a million million.
const ATTEMPTS: usize = 40;

/// A refusal comes at once; only a defect waits.
const PATIENCE: Duration = Duration::from_secs(20);

struct Member {
    pod: Pod,
    address: SocketAddrV4,
}

fn member(greeting: &str) -> Result<Member, String> {
    let pod = Pod::create(&format!("uid-{greeting}"))?;
    equal(&pod.start(container("main", &["serve", "8080", greeting]))?, &Ok(()))?;
    until(|| Ok(pod.log("main").contains("listening")))?;
    let address = SocketAddrV4::new(pod.supervised.address.ok_or("no address")?, 8080);
    Ok(Member { pod, address })
}

fn pool(members: &[&Member], affinity: Option<u32>) -> Pool {
    Pool {
        name: "default/web/tcp".to_owned(),
        protocol: Protocol::Tcp,
        entrances: vec![
            Entrance { address: SHARED, port: 80, masquerade: false },
            Entrance { address: Ipv4Addr::new(10, 99, 0, 1), port: 30_080, masquerade: true },
        ],
        members: members.iter().map(|member| member.address).collect(),
        affinity,
    }
}

fn from_node(port: u16, address: Ipv4Addr) -> Result<String, String> {
    TcpStream::connect((address, port)).map_err(text).and_then(talk)
}

fn all(mut answer: impl FnMut() -> Result<String, String>) -> Result<BTreeSet<String>, String> {
    (0..ATTEMPTS).map(|_| answer()).collect()
}

fn answers(greetings: &[&str]) -> BTreeSet<String> {
    greetings.iter().map(|greeting| format!("{greeting} there\n")).collect()
}

pub(crate) fn connections_are_shared() -> Result<(), String> {
    let (alpha, beta) = (member("alpha")?, member("beta")?);
    let mut balancer = Balancer::open().map_err(text)?;
    balancer.apply(RANGE, &[pool(&[&alpha, &beta], None)]).map_err(text)?;
    let both = answers(&["alpha", "beta"]);
    equal(&all(|| from_node(80, SHARED))?, &both)?;
    equal(&all(|| from_node(30_080, Ipv4Addr::new(10, 99, 0, 1)))?, &both)?;
    // From a neighbour, and from one that may be sent to itself.
    let from_pod = || Ok(alpha.pod.exec("main", &["talk", "10.96.0.50:80"])?.1);
    equal(&all(from_pod)?, &both)?;

    balancer.apply(RANGE, &[pool(&[&beta], None)]).map_err(text)?;
    equal(&all(|| from_node(80, SHARED))?, &answers(&["beta"]))?;
    equal(&all(from_pod)?, &answers(&["beta"]))?;

    // Nobody is there: refused at once, for a port that leads nowhere too.
    balancer.apply(RANGE, &[pool(&[], None)]).map_err(text)?;
    let refused = |port| {
        let answer = TcpStream::connect_timeout(&SocketAddrV4::new(SHARED, port).into(), PATIENCE);
        answer.map_err(|error| error.kind()).map(drop)
    };
    equal(&refused(80), &Err(std::io::ErrorKind::ConnectionRefused))?;
    equal(&refused(81), &Err(std::io::ErrorKind::ConnectionRefused))?;
    equal(&from_pod()?, &"ConnectionRefused\n".to_owned())?;

    // One that begins anew, as after a kill, finds the rules of the last and replaces them.
    let mut another = Balancer::open().map_err(text)?;
    another.apply(RANGE, &[pool(&[&alpha], None)]).map_err(text)?;
    equal(&all(|| from_node(80, SHARED))?, &answers(&["alpha"]))
}

pub(crate) fn clients_are_kept() -> Result<(), String> {
    let (alpha, beta) = (member("alpha")?, member("beta")?);
    let mut balancer = Balancer::open().map_err(text)?;
    balancer.apply(RANGE, &[pool(&[&alpha, &beta], Some(10_800))]).map_err(text)?;
    let first = from_node(80, SHARED)?;
    equal(&all(|| from_node(80, SHARED))?, &BTreeSet::from([first.clone()]))?;
    // The pool changes, and the client's member is still one of it.
    let gamma = member("gamma")?;
    balancer.apply(RANGE, &[pool(&[&gamma, &alpha, &beta], Some(10_800))]).map_err(text)?;
    equal(&all(|| from_node(80, SHARED))?, &BTreeSet::from([first]))?;
    // Another time, and then none at all.
    balancer.apply(RANGE, &[pool(&[&gamma, &alpha], Some(60))]).map_err(text)?;
    balancer.apply(RANGE, &[pool(&[&gamma, &alpha], None)]).map_err(text)?;
    equal(&all(|| from_node(80, SHARED))?, &answers(&["alpha", "gamma"]))
}
