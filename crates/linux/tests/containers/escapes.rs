//! Ways out of a container that others have been through, each tried here.
//!
//! | way | held by |
//! |---|---|
//! | CVE-2016-9962: an exec is looked into before it has given up its rights | [`nobody_looks_into_an_exec`] |
//! | CVE-2019-5736: the runtime's own program is executed, then overwritten | [`the_own_program_is_not_written`] |
//! | CVE-2019-16884, -19921, CVE-2023-27561, -28642, CVE-2026-41579: a link where the runtime mounts | `hostile_images` |
//! | CVE-2021-30465, CVE-2024-45310, CVE-2017-1002101, CVE-2021-25741: a directory exchanged for a link | [`a_sub_path_is_exchanged`] |
//! | CVE-2022-0492, CVE-2023-25809: cgroups written from inside | `powers_are_limited` |
//! | CVE-2022-0811: a sysctl's value that is two | unit tests of `supervisor::set_up` |
//! | CVE-2022-29162: inheritable capabilities | `powers_are_limited` |
//! | CVE-2024-21626: a leaked descriptor as working directory | `start_errors`, `nothing_of_the_host` |
//! | CVE-2025-31133: `/dev/null` of the image over a masked path | `hostile_images`; what masks is a checked device of the node |
//! | CVE-2025-52565: a terminal exchanged under `/dev/console` | cannot apply: there is no such mount, a terminal is reached by its master's descriptor only (`terminals`) |
//! | CVE-2025-52881: a write to `/proc` led elsewhere | cannot apply: what is written there is written before the container's mounts exist, and no label is |
//! | CVE-2020-15257: a socket in the abstract namespace | [`no_abstract_sockets`] |
//! | CVE-2022-23648: a volume that the image declares | cannot apply: no volume is made for it, nothing is copied |
//! | CVE-2024-40635: a user beyond 31 bits | unit tests of `container::user` |
//! | CVE-2024-25621, CVE-2025-64329: open directories; an attach that leaves something behind | [`attaching_leaves_nothing`], [`directories_are_closed`] |
//! | CVE-2020-8557: the node's disk filled through `/etc/hosts` | [`small_files_stay_small`] |
//! | CVE-2019-11245: another user after a restart | [`the_user_stays_the_same`] |
//! | CVE-2017-1002102, CVE-2023-2431, gitRepo, logs as links, teardown across mounts | tests of `podlab-runtime` and of the command line |

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use podlab_linux::container::ContainerSpec;
use podlab_linux::paths::inside;
use podlab_linux::protocol::{Reply, Request};
use podlab_linux::rootfs::{BindMount, Propagation};

use crate::cluster::LAYER;
use crate::pod::{Pod, container, ended, equal, pod_spec, text};
use crate::scenarios::{could_not_check, single_id};

/// The program that all of this runs from.
fn own_program() -> Result<Vec<u8>, String> {
    std::fs::read("/proc/self/exe").map_err(text)
}

/// A container that looks at every other process, while 200 programs are started beside it.
pub(crate) fn nobody_looks_into_an_exec() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let mut watch = pod.watch()?;
    equal(&pod.start(container("spy", &["spy", "/tmp/enough"]))?, &Ok(()))?;
    for _ in 0..200 {
        equal(&pod.exec("spy", &["exit", "0"])?.0, &0)?;
    }
    // Its code says nothing: what it writes ends the container, which may take it down before it ends by itself.
    pod.exec("spy", &["write", "/tmp/enough", ""])?;
    equal(&ended(&mut watch, "id-spy")?.code, &0)?;
    let log = pod.log("spy");
    let saw: usize = log.lines().filter_map(|line| line.strip_prefix("stdout F saw ")?.parse::<usize>().ok()).sum();
    let opened: Vec<_> = log.lines().filter(|line| line.starts_with("stdout F opened ")).collect();
    equal(&opened, &Vec::new())?;
    // With nobody seen, nothing was tried.
    if saw > 0 { Ok(()) } else { Err("no other process was seen".to_owned()) }
}

/// The image's program is a script for `/proc/self/exe`, which at that moment is ours; beside it another container writes
/// to whatever is being executed.
pub(crate) fn the_own_program_is_not_written() -> Result<(), String> {
    let before = own_program()?;
    let layer = PathBuf::from("/var/lib/podlab/images/own-program");
    std::fs::create_dir_all(layer.join("bin")).map_err(text)?;
    std::fs::write(layer.join("bin/self"), "#!/proc/self/exe\n").map_err(text)?;
    for path in [layer.join("bin/self"), layer.clone(), layer.join("bin")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).map_err(text)?;
    }
    let pod = Pod::create_with(podlab_linux::protocol::PodSpec { share_processes: true, ..pod_spec("uid-1") })?;
    let mut watch = pod.watch()?;
    equal(&pod.start(container("writer", &["overwrite", "/tmp/enough"]))?, &Ok(()))?;
    for number in 0..50 {
        let name = format!("self-{number}");
        let mut spec = container(&name, &[]);
        spec.layers.insert(0, layer.clone());
        spec.arguments = vec!["/bin/self".to_owned()];
        // It may start (and then end) or not; neither may leave a trace in the program.
        if pod.start(spec)?.is_ok() {
            ended(&mut watch, &format!("id-{name}"))?;
        }
    }
    // Its code says nothing, as above.
    pod.exec("writer", &["write", "/tmp/enough", ""])?;
    equal(&ended(&mut watch, "id-writer")?.code, &0)?;
    equal(&pod.log("writer"), &String::new())?;
    equal(&(own_program()? == before), &true)
}

/// A directory of a volume changes places with a link out of it, as fast as it can, while containers are started that
/// mount it.
pub(crate) fn a_sub_path_is_exchanged() -> Result<(), String> {
    const STARTS: usize = 100;
    std::fs::create_dir_all("/canary").map_err(text)?;
    std::fs::write("/canary/secret", "").map_err(text)?;
    std::fs::create_dir_all("/volume/here").map_err(text)?;
    std::fs::write("/volume/here/inside", "").map_err(text)?;
    symlink("/canary", "/volume/there").map_err(text)?;
    let volume = |sub_path: &str| BindMount {
        source: "/volume".into(),
        sub_path: sub_path.to_owned(),
        target: "/data".to_owned(),
        read_only: false,
        recursive: true,
        propagation: Propagation::Private,
    };
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").map_err(text);
    let pod = Pod::create("uid-1")?;
    let before = mounts()?;
    let swapper =
        ContainerSpec { mounts: vec![volume("")], ..container("swap", &["swap", "/data/here", "/data/there"]) };
    equal(&pod.start(swapper)?, &Ok(()))?;
    let (mut started, mut refused) = (0, 0);
    for number in 0..STARTS {
        let mut watch = pod.watch()?;
        let name = format!("mounts-{number}");
        // What is missing is made, also beyond a link that is there just now.
        let sub_path = if number % 2 == 0 { "here" } else { "here/made" };
        let words = ["list", "/data"];
        match pod.start(ContainerSpec { mounts: vec![volume(sub_path)], ..container(&name, &words) })? {
            Ok(()) => {
                started += 1;
                ended(&mut watch, &format!("id-{name}"))?;
                let seen = pod.log(&name);
                equal(&seen.contains("secret"), &false).map_err(|_| format!("{name} saw {seen}"))?;
            }
            Err(_) => refused += 1,
        }
    }
    let outside: Vec<_> =
        std::fs::read_dir("/canary").map_err(text)?.flatten().map(|entry| entry.file_name()).collect();
    equal(&outside, &vec!["secret".into()])?;
    equal(&mounts()?, &before)?;
    // Both ends of the exchange were met, or it was no race.
    if started == 0 || refused == 0 { Err(format!("{started} started, {refused} refused")) } else { Ok(()) }
}

/// Everything that the node writes into a container fits into a megabyte.
pub(crate) fn small_files_stay_small() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["wait"]))?, &Ok(()))?;
    for path in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"] {
        let (_, said) = pod.exec("main", &["fill", path, "104857600"])?;
        equal(&said.contains("No space left on device"), &true).map_err(|_| format!("{path}: {said}"))?;
    }
    // The Pod goes on, and so does the node.
    equal(&pod.exec("main", &["exit", "0"])?.0, &0)
}

/// Nothing of ours listens where a container in the node's network could reach it.
pub(crate) fn no_abstract_sockets() -> Result<(), String> {
    let pod = Pod::create_with(podlab_linux::protocol::PodSpec { host_network: true, ..pod_spec("uid-1") })?;
    equal(&pod.start(container("main", &["wait"]))?, &Ok(()))?;
    let (_, sockets) = pod.exec("main", &["read", "/proc/net/unix"])?;
    // Those with a path are there; their paths lead nowhere in a container.
    equal(&sockets.lines().any(|line| line.contains(inside::SUPERVISORS)), &true)?;
    equal(&sockets.lines().filter(|line| line.contains(" @")).collect::<Vec<_>>(), &Vec::new())
}

/// Two thousand clients attach and go: no descriptor of theirs stays with the supervisor.
pub(crate) fn attaching_leaves_nothing() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let mut spec = container("main", &["cat"]);
    spec.stdin = true;
    equal(&pod.start(spec)?, &Ok(()))?;
    let open = || -> Result<usize, String> {
        let mut connection = pod.connect()?;
        // What was closed before the first of these questions is seen in the round of the supervisor's loop that answers
        // it, or before; when the second is answered, that round is over. This connection itself is open.
        for _ in 0..2 {
            let (reply, _) = connection.ask::<_, Reply>(&Request::State, &[]).map_err(text)?;
            equal(&matches!(reply, Reply::State(_)), &true)?;
        }
        Ok(std::fs::read_dir(format!("/proc/{}/fd", pod.supervised.pid)).map_err(text)?.count())
    };
    let before = open()?;
    for _ in 0..2000 {
        let mut connection = pod.connect()?;
        let request = Request::Attach { container: "id-main".to_owned(), stdin: true, stdout: false, stderr: false };
        let (reply, descriptors) = connection.ask::<_, Reply>(&request, &[]).map_err(text)?;
        equal(&(reply, descriptors.len()), &(Reply::Attached { stdin: true, terminal: false }, 1))?;
    }
    equal(&open()?, &before)
}

/// What lies in a Pod's directory is nobody else's business.
pub(crate) fn directories_are_closed() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    equal(&pod.run("main", &["print", "x"])?.code, &0)?;
    let mode =
        |path: &Path| std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o007).map_err(text);
    equal(&mode(pod.directory().path())?, &0)?;
    equal(&mode(&pod.directory().log("main", 0))?, &0)?;
    equal(&Path::new(LAYER).exists(), &true)
}

/// However often a container is started, it is the same user.
pub(crate) fn the_user_stays_the_same() -> Result<(), String> {
    if single_id() {
        return could_not_check("the cluster has one id");
    }
    let pod = Pod::create("uid-1")?;
    for attempt in 0..5 {
        let mut watch = pod.watch()?;
        let mut spec = container("main", &["read", "/proc/self/status"]);
        spec.id = format!("id-main-{attempt}");
        spec.attempt = attempt;
        spec.user.image = "user".to_owned();
        equal(&pod.start(spec)?, &Ok(()))?;
        ended(&mut watch, &format!("id-main-{attempt}"))?;
        let log = std::fs::read_to_string(pod.directory().log("main", attempt)).map_err(text)?;
        equal(&log.contains("Uid:\t1000\t1000\t1000\t1000"), &true).map_err(|_| format!("attempt {attempt}: {log}"))?;
    }
    Ok(())
}
