//! A Pod, seen through, as a person reads it: tables as kubectl prints them, whatever differs from run to run in a
//! column of its own.

use std::fmt::Write as _;

use podlab_linux::xray::{Kind, PAUSE, Xray};

/// The whole text.
pub(super) fn text(xray: &Xray) -> String {
    [namespaces(xray), processes(xray), listening(xray), limits(xray), use_now(xray), paths(xray), mounts(xray)]
        .into_iter()
        .filter(|table| table.lines().count() > 1)
        .fold(heading(xray), |text, table| format!("{text}\n{table}"))
}

fn heading(xray: &Xray) -> String {
    let addresses = match xray.host_network {
        true => "the node's".to_owned(),
        false => list(&xray.addresses),
    };
    let lines = [
        ("Pod", format!("{}/{}", xray.namespace, xray.name)),
        ("Node", xray.node.clone()),
        ("Host name", xray.host_name.clone()),
        ("Address", addresses),
        ("Interfaces", list(&xray.interfaces)),
    ];
    lines.into_iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<13}{value}", format!("{name}:"));
        text
    })
}

/// Who is in which namespace: one number is one namespace.
fn namespaces(xray: &Xray) -> String {
    let rows = xray.namespaces.iter().map(|namespace| {
        let shared = if namespace.shared { "shared" } else { "-" };
        vec![namespace.kind.name().to_owned(), namespace.id.to_string(), shared.to_owned(), list(&namespace.members)]
    });
    table(&["NAMESPACE", "ID", "SHARED", "WHO IS IN IT"], rows)
}

fn processes(xray: &Xray) -> String {
    let rows = xray.processes.iter().map(|process| {
        let ended = if process.zombie { " <defunct>" } else { "" };
        vec![
            holder(process.container.as_deref()),
            process.pid.to_string(),
            process.parent.to_string(),
            process.pid_inside.to_string(),
            process.user.to_string(),
            format!("{}{ended}", one_line(&process.command)),
        ]
    });
    table(&["CONTAINER", "PID", "PARENT", "PID INSIDE", "USER", "COMMAND"], rows)
}

fn listening(xray: &Xray) -> String {
    let rows = xray.listening.iter().map(|socket| {
        vec![
            holder(socket.container.as_deref()),
            socket.pid.to_string(),
            format!("{}/{}", socket.port, socket.protocol.name()),
            socket.address.to_string(),
        ]
    });
    table(&["CONTAINER", "PID", "LISTENS AT", "ADDRESS"], rows)
}

/// What the kernel holds each container to; the Pod's own cgroup bounds all of them together.
fn limits(xray: &Xray) -> String {
    let none = || "none".to_owned();
    let rows = xray.cgroups.iter().map(|cgroup| {
        let limits = &cgroup.limits;
        vec![
            of_cgroup(cgroup.container.as_deref()),
            limits.cpu_weight.map_or_else(none, |weight| weight.to_string()),
            limits.cpu_limit_millis.map_or_else(none, cores),
            limits.memory_limit.map_or_else(none, bytes),
            limits.pids_limit.map_or_else(none, |pids| pids.to_string()),
        ]
    });
    table(&["CGROUP OF", "CPU WEIGHT", "CPU LIMIT", "MEMORY LIMIT", "PIDS LIMIT"], rows)
}

fn use_now(xray: &Xray) -> String {
    let rows = xray.cgroups.iter().map(|cgroup| {
        let used = &cgroup.use_now;
        vec![
            of_cgroup(cgroup.container.as_deref()),
            format!("{:.2}s", used.cpu_nanoseconds as f64 / 1e9),
            format!("{:.1}Mi", used.memory as f64 / f64::from(1 << 20)),
            used.pids.to_string(),
        ]
    });
    table(&["CGROUP OF", "CPU USED", "MEMORY USED", "PIDS"], rows)
}

fn paths(xray: &Xray) -> String {
    let own = xray.cgroups.iter().find(|cgroup| cgroup.container.is_none()).map(|cgroup| cgroup.path.as_str());
    let rows = xray.cgroups.iter().map(|cgroup| {
        let below = own.and_then(|own| cgroup.path.strip_prefix(own)).filter(|below| !below.is_empty());
        let path = below.map_or_else(|| cgroup.path.clone(), |below| format!("…{below}"));
        vec![of_cgroup(cgroup.container.as_deref()), path]
    });
    table(&["CGROUP OF", "PATH"], rows)
}

/// Without the kernel's own, which every container has and `--output json` lists.
fn mounts(xray: &Xray) -> String {
    let rows = xray.mounts.iter().filter(|mount| mount.what != Kind::Kernel).map(|mount| {
        let what = match &mount.what {
            Kind::Image => "image and own changes".to_owned(),
            Kind::Volume(name) => format!("volume {name}"),
            Kind::Memory => "shared memory".to_owned(),
            Kind::Managed(name) => format!("{name} of the Pod"),
            Kind::Termination => "termination message".to_owned(),
            Kind::Kernel => "kernel".to_owned(),
        };
        let shared = if mount.shared_with.is_empty() { "-".to_owned() } else { list(&mount.shared_with) };
        let mode = if mount.read_only { "ro" } else { "rw" };
        vec![mount.container.clone(), one_line(&mount.path), mode.to_owned(), what, shared]
    });
    table(&["CONTAINER", "MOUNTED AT", "MODE", "WHAT", "SHARED WITH"], rows)
}

fn holder(container: Option<&str>) -> String {
    container.unwrap_or(PAUSE).to_owned()
}

fn of_cgroup(container: Option<&str>) -> String {
    container.unwrap_or("(pod)").to_owned()
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Thousandths of a core as manifests have them.
fn cores(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// Bytes as manifests have them: in the largest unit that leaves no rest.
fn bytes(bytes: u64) -> String {
    let units = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let whole = units.into_iter().find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

/// A program chooses its own command line: nothing in it may move the reader's cursor, or begin another line.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// A table as kubectl lays it out: three blanks between the columns.
fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let first = headings.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(first).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}   "));
        text.push_str(cells.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Pod of two containers as the kernel might show it.
    fn example() -> Xray {
        let json = include_str!("example.json");
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_pod_of_two_containers() {
        let expected = include_str!("example.txt");
        let text = text(&example());
        assert!(text == expected, "{text}");
    }

    #[test]
    fn amounts_are_those_of_the_manifest() {
        assert_eq!([250, 1000, 1500].map(cores), ["250m", "1", "1500m"]);
        assert_eq!([64 << 20, 3 << 30, 1536 << 10, 1000, 0].map(bytes), ["64Mi", "3Gi", "1536Ki", "1000", "0"]);
    }

    #[test]
    fn a_command_cannot_draw_on_the_terminal() {
        let mut xray = example();
        xray.processes[1].command = "evil\n\u{1b}[2Jx".to_owned();
        let drawn = text(&xray);
        assert!(drawn.contains("evil??[2Jx") && !drawn.contains('\u{1b}'), "{drawn}");
    }

    #[test]
    fn what_is_empty_has_no_table() {
        let mut xray = example();
        xray.listening.clear();
        xray.cgroups.clear();
        let text = text(&xray);
        assert!(!text.contains("LISTENS") && !text.contains("CGROUP OF"), "{text}");
    }
}
