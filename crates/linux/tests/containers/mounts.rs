//! `mountPropagation`: who sees what is mounted below a volume while a container runs.

use std::path::{Path, PathBuf};

use podlab_linux::capabilities;
use podlab_linux::container::{ContainerSpec, Seccomp};
use podlab_linux::rootfs::{BindMount, Propagation};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::pod::{Pod, container, equal, text, until};

const VOLUME: &str = "/tmp/volume";

fn with_volume(name: &str, words: &[&str], propagation: Propagation) -> ContainerSpec {
    let volume = BindMount {
        source: PathBuf::from(VOLUME),
        sub_path: String::new(),
        target: "/data".to_owned(),
        read_only: false,
        recursive: true,
        propagation,
    };
    ContainerSpec { mounts: vec![volume], ..container(name, words) }
}

/// What the node mounts later arrives where it was asked for, what a privileged container mounts too; else nothing.
pub(crate) fn mounts_arrive_later() -> Result<(), String> {
    for name in ["from-node", "from-container"] {
        std::fs::create_dir_all(Path::new(VOLUME).join(name)).map_err(text)?;
    }
    let pod = Pod::create("uid-1")?;
    let all = [("private", Propagation::Private), ("slave", Propagation::FromNode), ("shared", Propagation::Both)];
    for (name, propagation) in all {
        equal(&pod.start(with_volume(name, &["wait"], propagation))?, &Ok(()))?;
    }
    let point = format!("{VOLUME}/from-node");
    mount("none", point.as_str(), "tmpfs", MountFlags::empty(), None).map_err(text)?;
    std::fs::write(format!("{point}/mark"), "").map_err(text)?;
    let seen = |container: &str, path: &str| pod.exec(container, &["list", path]).map(|(_, output)| output);
    equal(&seen("slave", "/data/from-node")?, &"mark\n".to_owned())?;
    equal(&seen("shared", "/data/from-node")?, &"mark\n".to_owned())?;
    equal(&seen("private", "/data/from-node")?, &"\n".to_owned())?;

    let powerful = |name: &str, propagation| {
        let mut spec = with_volume(name, &["mount", "/data/from-container"], propagation);
        spec.privileges.capabilities = capabilities::every().bits();
        spec.privileges.seccomp = Seccomp::Unconfined;
        spec
    };
    let mark = Path::new(VOLUME).join("from-container/mark");
    // It mounts for itself alone; when its own mark is there, the node must not have it.
    equal(&pod.start(powerful("alone", Propagation::FromNode))?, &Ok(()))?;
    equal(&pod.exec("alone", &["exists", "/data/from-container/mark"])?.0, &0)?;
    equal(&mark.exists(), &false)?;
    equal(&pod.start(powerful("both", Propagation::Both))?, &Ok(()))?;
    until(|| Ok(mark.exists()))?;
    equal(&seen("slave", "/data/from-container")?, &"mark\n".to_owned())?;
    for name in ["from-node", "from-container"] {
        unmount(Path::new(VOLUME).join(name), UnmountFlags::DETACH).map_err(text)?;
    }
    Ok(())
}
