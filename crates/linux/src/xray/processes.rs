//! The processes of a Pod: everything below its supervisor (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;

use serde::{Deserialize, Serialize};

/// A process of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessView {
    /// `None`: the one that holds the Pod.
    pub container: Option<String>,
    /// Its number on the node.
    pub pid: i32,
    /// Its parent's number on the node.
    pub parent: i32,
    /// Its number in its own pid namespace: the first process of a container is 1 there.
    pub pid_inside: i32,
    /// The user it runs as.
    pub user: u32,
    /// It has ended, and its parent has not asked how.
    pub zombie: bool,
    pub command: String,
}

/// What is read of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) pid: i32,
    pub(super) parent: i32,
    inside: i32,
    user: u32,
    zombie: bool,
    name: String,
}

/// No file of a process is read further than this.
const LIMIT: u64 = 1 << 20;

/// The text of a file of a process; empty when it has ended.
pub(super) fn read(pid: i32, file: &str) -> String {
    let mut text = Vec::new();
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/{file}")) {
        // What was read before an error counts: a process may end meanwhile.
        let _ = file.take(LIMIT).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Every process that `/proc` shows.
pub(super) fn all() -> Vec<Row> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| parse(pid, &read(pid, "status"))).collect()
}

/// The lines of `/proc/PID/status` that say who a process is.
fn parse(pid: i32, status: &str) -> Option<Row> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|text| text.split_whitespace().collect::<Vec<_>>())
    };
    Some(Row {
        pid,
        parent: field("PPid")?.first()?.parse().ok()?,
        // From the outermost namespace to the process's own.
        inside: field("NSpid")?.last()?.parse().ok()?,
        // Real, effective, saved, file system.
        user: field("Uid")?.get(1)?.parse().ok()?,
        zombie: field("State")?.first() == Some(&"Z"),
        name: field("Name")?.join(" "),
    })
}

/// The process `top` and all that came from it, parents before children and otherwise by number.
pub(super) fn below(rows: Vec<Row>, top: i32) -> Vec<Row> {
    let mut children: BTreeMap<i32, Vec<Row>> = BTreeMap::new();
    let mut waiting: Vec<Row> = Vec::new();
    for row in rows {
        if row.pid == top {
            waiting.push(row);
        } else {
            children.entry(row.parent).or_default().push(row);
        }
    }
    let mut found = Vec::new();
    while let Some(row) = waiting.pop() {
        let mut next = children.remove(&row.pid).unwrap_or_default();
        // The last of the stack comes first.
        next.sort_by_key(|row| std::cmp::Reverse(row.pid));
        waiting.append(&mut next);
        found.push(row);
    }
    found
}

/// Which container each process of [`below`] belongs to: what `marked` says of it, else what its parent belongs to.
pub(super) fn owners(rows: &[Row], top: i32, marked: impl Fn(i32) -> Option<usize>) -> Vec<Option<usize>> {
    let mut known: BTreeMap<i32, Option<usize>> = BTreeMap::new();
    rows.iter()
        .map(|row| {
            let inherited = known.get(&row.parent).copied().flatten();
            let owner = if row.pid == top { None } else { marked(row.pid).or(inherited) };
            known.insert(row.pid, owner);
            owner
        })
        .collect()
}

/// The supervisor's process, then those of each container together.
pub(super) fn describe(
    rows: &[Row],
    owners: &[Option<usize>],
    name_of: impl Fn(Option<usize>) -> Option<String>,
) -> Vec<ProcessView> {
    let order: BTreeSet<(Option<usize>, usize)> =
        owners.iter().enumerate().map(|(index, owner)| (*owner, index)).collect();
    let view = |(owner, index): (Option<usize>, usize)| {
        let row = &rows[index];
        ProcessView {
            container: name_of(owner),
            pid: row.pid,
            parent: row.parent,
            pid_inside: row.inside,
            user: row.user,
            zombie: row.zombie,
            command: command(&read(row.pid, "cmdline"), &row.name),
        }
    };
    order.into_iter().map(view).collect()
}

/// The arguments, with blanks between them; the name in brackets when there are none (it has ended), as ps(1) has it.
fn command(cmdline: &str, name: &str) -> String {
    let text = cmdline.trim_end_matches('\0').replace('\0', " ");
    if text.is_empty() { format!("[{name}]") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: i32, parent: i32) -> Row {
        Row { pid, parent, inside: 1, user: 0, zombie: false, name: "sh".to_owned() }
    }

    #[test]
    fn a_status_says_who_a_process_is() {
        let text = "Name:\tgit sync\nState:\tZ (zombie)\nPPid:\t7\nUid:\t0\t101\t0\t0\nNSpid:\t40\t9\t3\n";
        let row = parse(40, text).unwrap();
        assert_eq!((row.parent, row.inside, row.user, row.zombie), (7, 3, 101, true));
        assert_eq!(row.name, "git sync");
        assert_eq!(parse(40, "Name:\tx\n"), None, "it ended while it was read");
    }

    #[test]
    fn only_what_is_below_the_supervisor_belongs_to_the_pod() {
        let rows = vec![row(9, 5), row(1, 0), row(5, 1), row(6, 1), row(7, 5), row(8, 7), row(10, 6)];
        let pids: Vec<_> = below(rows, 5).iter().map(|row| row.pid).collect();
        assert_eq!(pids, [5, 7, 8, 9]);
    }

    #[test]
    fn who_is_not_marked_belongs_where_its_parent_does() {
        // A zombie is in no cgroup any more, and has no root.
        let rows = below(vec![row(5, 1), row(7, 5), row(8, 7), row(9, 5)], 5);
        let marks = BTreeMap::from([(7, 0), (9, 1), (5, 0)]);
        let owners = owners(&rows, 5, |pid| marks.get(&pid).copied());
        assert_eq!(owners, [None, Some(0), Some(0), Some(1)], "the supervisor is nobody's");
    }

    #[test]
    fn a_command_reads_as_it_was_typed() {
        assert_eq!(command("sh\0-c\0sleep 1\0", "sh"), "sh -c sleep 1");
        assert_eq!(command("", "sh"), "[sh]");
    }
}
