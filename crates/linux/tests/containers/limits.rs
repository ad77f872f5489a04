//! What cgroups are for: limits hold, what is used is counted, and everything in one can be ended. The same on every
//! layout of cgroups.

use podlab_linux::cgroups::{Cgroup, Controller, Limits, Tree};
use podlab_linux::node::KubeletConfig;
use podlab_linux::protocol::{PodSpec, Reply, Request};

use crate::cluster::KUBELET_CONFIG;
use crate::pod::{Pod, container, ended, equal, pod_spec, text, until};
use crate::scenarios::{could_not_check, processes};

/// The node's cgroups, as its kubelet was told.
fn tree() -> Result<Tree, String> {
    until(|| Ok(std::fs::exists(KUBELET_CONFIG).unwrap_or_default()))?;
    let config = std::fs::read(KUBELET_CONFIG).map_err(text)?;
    let config: KubeletConfig = serde_json::from_slice(&config).map_err(text)?;
    Ok(config.cgroups)
}

/// The same, where it has this controller. Where it has not, the scenario ends here.
fn tree_with(controller: Controller) -> Result<Tree, String> {
    let tree = tree()?;
    if !tree.has(controller) {
        could_not_check(&tree.could_not.join("; "))?;
    }
    Ok(tree)
}

fn path_of(name: &str) -> String {
    format!("{}/id-{name}", pod_spec("uid-1").cgroup)
}

fn cgroup_of(tree: &Tree, name: &str) -> Cgroup {
    tree.cgroup(&path_of(name))
}

pub(crate) fn a_limit_on_processes() -> Result<(), String> {
    let tree = tree_with(Controller::Pids)?;
    let pod = Pod::create("uid-1")?;
    let mut watch = pod.watch()?;
    let mut spec = container("main", &["threads"]);
    spec.limits.pids = Some(8);
    equal(&pod.start(spec)?, &Ok(()))?;
    equal(&ended(&mut watch, "id-main")?.code, &0)?;
    equal(&pod.log("main"), &"stdout F 8\n".to_owned())?;

    // The Pod's own limit holds for all of its containers together.
    pod.ask(&Request::Remove { container: "id-main".to_owned() })?;
    tree.cgroup(&pod_spec("uid-1").cgroup).set(&Limits { pids: Some(6), ..Limits::default() }).map_err(text)?;
    equal(&pod.start(container("other", &["wait"]))?, &Ok(()))?;
    equal(&pod.run("second", &["threads"])?.code, &0)?;
    equal(&pod.log("second"), &"stdout F 5\n".to_owned())
}

pub(crate) fn a_limit_on_the_processor() -> Result<(), String> {
    let tree = tree_with(Controller::Cpu)?;
    let pod = Pod::create("uid-1")?;
    let mut watch = pod.watch()?;
    let mut spec = container("main", &["burn", "300"]);
    spec.limits.cpu_limit_millis = Some(200);
    equal(&pod.start(spec)?, &Ok(()))?;
    equal(&ended(&mut watch, "id-main")?.code, &0)?;
    // 20 ms in each 100, however much or little of it the machine had to give. Each processor may run a little over.
    let stat = tree.hierarchies.iter().find(|known| known.controllers.contains(&Controller::Cpu)).ok_or("no cpu")?;
    let stat = std::fs::read_to_string(stat.base.join(path_of("main")).join("cpu.stat")).map_err(text)?;
    let periods = stat.lines().find_map(|line| line.strip_prefix("nr_periods ")).ok_or("no nr_periods")?;
    let given = (periods.parse::<u64>().map_err(text)? + 2) * 20_000_000;
    let used = cgroup_of(&tree, "main").usage().cpu_nanoseconds;
    if (300_000_000..=given).contains(&used) { Ok(()) } else { Err(format!("{used} ns were used\n{stat}")) }
}

pub(crate) fn what_a_container_uses() -> Result<(), String> {
    let tree = tree_with(Controller::Memory)?;
    let pod = Pod::create("uid-1")?;
    equal(&pod.start(container("main", &["hold", "33554432"]))?, &Ok(()))?;
    until(|| Ok(pod.log("main").contains("holding")))?;
    let (own, of_pod) = (cgroup_of(&tree, "main").usage(), tree.cgroup(&pod_spec("uid-1").cgroup).usage());
    if !(32 << 20..64 << 20).contains(&own.memory) || of_pod.memory < own.memory || own.pids != 1 {
        return Err(format!("the container: {own:?}, its Pod: {of_pod:?}"));
    }
    Ok(())
}

pub(crate) fn all_of_a_container_is_killed() -> Result<(), String> {
    if tree()?.hierarchies.is_empty() {
        return could_not_check("no cgroup could be made");
    }
    // In the Pod's pid namespace, the end of a container's first process is not the end of its others.
    let pod = Pod::create_with(PodSpec { share_processes: true, ..pod_spec("uid-1") })?;
    let mut watch = pod.watch()?;
    equal(&pod.start(container("two", &["wait"]))?, &Ok(()))?;
    let without = processes(&pod.exec("two", &["list", "/proc"])?.1);
    equal(&pod.start(container("one", &["with-child"]))?, &Ok(()))?;
    until(|| Ok(pod.log("one").contains("two of us")))?;
    equal(&processes(&pod.exec("two", &["list", "/proc"])?.1), &(without + 2))?;
    equal(&pod.ask(&Request::Signal { container: "id-one".to_owned(), signal: libc::SIGKILL })?, &Reply::Done)?;
    equal(&ended(&mut watch, "id-one")?.code, &137)?;
    until(|| Ok(processes(&pod.exec("two", &["list", "/proc"])?.1) == without))?;
    // And nobody of it is left in its cgroup.
    until(|| Ok(pod.ask(&Request::Remove { container: "id-one".to_owned() })? == Reply::Done))
}
