//! Capabilities: root's power in pieces (capabilities(7)).
//!
//! A container's root keeps the pieces that ordinary server programs need and loses those with which the machine could
//! be taken over.

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::{During, Refusal};

/// What a container has unless it asks for more or less: the default of the container runtimes.
pub const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The names, in the order of their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The capability of this name, with or without `CAP_`, in any case.
pub fn parse(name: &str) -> Option<CapabilitySet> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    let number = NAMES.iter().position(|known| *known == name)?;
    Some(CapabilitySet::from_bits_retain(1 << number))
}

/// The default with `add` and without `drop`; `ALL` means all. A name that does not exist is the error.
///
/// The order is the runtimes': `ALL` first, then single names, so that "drop ALL, add CHOWN" leaves one.
pub fn compute<'a>(add: &'a [String], drop: &'a [String]) -> Result<CapabilitySet, &'a str> {
    let all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let every = CapabilitySet::from_bits_retain((1 << NAMES.len()) - 1);
    let mut set = DEFAULT;
    if all(add) {
        set = every;
    }
    if all(drop) {
        set = CapabilitySet::empty();
    }
    let single = |names: &'a [String]| names.iter().filter(|name| !name.eq_ignore_ascii_case("ALL"));
    for name in single(add) {
        set |= parse(name).ok_or(name.as_str())?;
    }
    for name in single(drop) {
        set -= parse(name).ok_or(name.as_str())?;
    }
    Ok(set)
}

/// Every capability there is.
pub fn every() -> CapabilitySet {
    CapabilitySet::from_bits_retain((1 << NAMES.len()) - 1)
}

/// Takes from this thread's bounding set what is not in `keep`: no program it will ever execute can have it again.
///
/// To be called while the thread may still do that (`CAP_SETPCAP`).
pub(crate) fn bound(keep: CapabilitySet) -> Result<(), Refusal> {
    for (number, name) in NAMES.iter().enumerate() {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        let bounded = rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false);
        if bounded && !keep.contains(capability) {
            rustix::thread::remove_capability_from_bounding_set(capability).during("drop capability", name)?;
        }
    }
    Ok(())
}

/// Makes `keep` this thread's capabilities. Nothing is inheritable: a file's own capabilities must not bring back what
/// was dropped (CVE-2022-29162).
pub(crate) fn limit(keep: CapabilitySet) -> Result<(), Refusal> {
    let now = rustix::thread::capabilities(None).during("read", "capabilities")?;
    let kept = now.permitted & keep;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).during("set", "capabilities")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn additions_and_removals() {
        assert_eq!(compute(&[], &[]), Ok(DEFAULT));
        assert_eq!(compute(&names(&["CAP_net_admin"]), &[]), Ok(DEFAULT | CapabilitySet::NET_ADMIN));
        assert_eq!(compute(&names(&["CHOWN"]), &names(&["ALL"])), Ok(CapabilitySet::CHOWN));
        assert_eq!(compute(&names(&["ALL"]), &names(&["MKNOD"])), Ok(every() - CapabilitySet::MKNOD));
        assert_eq!(compute(&names(&["FLY"]), &[]), Err("FLY"));
    }

    #[test]
    fn names_stand_at_their_numbers() {
        assert_eq!(parse("CHOWN"), Some(CapabilitySet::CHOWN));
        assert_eq!(parse("SYS_ADMIN"), Some(CapabilitySet::SYS_ADMIN));
        assert_eq!(parse("AUDIT_WRITE"), Some(CapabilitySet::AUDIT_WRITE));
        assert_eq!(parse("CHECKPOINT_RESTORE"), Some(CapabilitySet::CHECKPOINT_RESTORE));
    }
}
