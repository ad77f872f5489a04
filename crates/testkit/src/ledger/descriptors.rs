//! Open descriptors of a process that lives on, before and after.

use std::collections::BTreeMap;
use std::path::Path;

/// What the descriptors of a process point to, with how many do.
///
/// Sockets and pipes count by kind: their inode numbers differ each time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors(BTreeMap<String, usize>);

impl Descriptors {
    /// The open descriptors of `pid` now. Empty when it has ended.
    pub fn of(pid: i32) -> Self {
        let directory = Path::new("/proc").join(pid.to_string()).join("fd");
        let mut counts = BTreeMap::new();
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if let Ok(target) = std::fs::read_link(entry.path()) {
                let target = target.to_string_lossy().into_owned();
                let kind = target.split_once(":[").map_or(target.as_str(), |(kind, _)| kind);
                *counts.entry(kind.to_owned()).or_insert(0) += 1;
            }
        }
        Self(counts)
    }

    /// What there is more of in `self` than there was `before`.
    pub fn more_than(&self, before: &Self) -> Vec<String> {
        let more = self.0.iter().filter_map(|(kind, count)| {
            let added = count.saturating_sub(before.0.get(kind).copied().unwrap_or(0));
            (added > 0).then(|| format!("{added} more open: {kind}"))
        });
        more.collect()
    }
}
