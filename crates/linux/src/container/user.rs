//! Who a container's processes are.

use std::io::Read;

use rustix::fs::Uid;
use rustix::process::Gid;
use serde::{Deserialize, Serialize};

use super::error::StartError;
use crate::error::{During, errno_text};

/// The most of `/etc/passwd` and `/etc/group` that is read: they come with the image.
const FILE_LIMIT: u64 = 1024 * 1024;

/// The largest id; above it lie the numbers that mean "none" or that wrap to root (CVE-2024-40635).
const LARGEST: u32 = i32::MAX as u32;

/// Who to be. What is a name is looked up in the container's own files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// As an image writes it: empty, `1000`, `nobody`, `1000:1000`, `nobody:nogroup`.
    pub image: String,
    /// Instead of the image's user.
    pub user: Option<u32>,
    /// Instead of the image's group, or of the user's own.
    pub group: Option<u32>,
    /// Besides the groups the user is in.
    pub supplementary: Vec<u32>,
}

/// Ids, all looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// A line of `/etc/passwd` (passwd(5)).
struct Account<'a> {
    name: &'a str,
    user: u32,
    group: u32,
    home: &'a str,
}

impl User {
    /// Looks everything up in the files of the root we are in.
    pub(crate) fn look_up(&self) -> Result<Identity, StartError> {
        self.resolve(&read("/etc/passwd"), &read("/etc/group"))
    }

    fn resolve(&self, passwd: &str, group: &str) -> Result<Identity, StartError> {
        let (image_user, image_group) = match self.image.split_once(':') {
            Some((user, group)) => (user, group),
            None => (self.image.as_str(), ""),
        };
        let account = match (self.user, image_user) {
            (Some(id), _) => find(passwd, |account| account.user == id).ok_or(id),
            (None, "") => find(passwd, |account| account.user == 0).ok_or(0),
            (None, name) => match (parse(name), find(passwd, |account| account.name == name)) {
                (_, Some(account)) => Ok(account),
                (Some(id), None) => find(passwd, |account| account.user == id).ok_or(id),
                (None, None) => {
                    return Err(StartError::start(
                        "unable to find user ".to_owned() + name + ": no matching entries in passwd file",
                    ));
                }
            },
        };
        let (user, own_group, home, name) = match account {
            Ok(account) => (account.user, account.group, account.home, account.name),
            Err(id) => (id, 0, "/", ""),
        };
        let image_group = match image_group {
            "" => None,
            name => Some(parse(name).or_else(|| group_id(group, name)).ok_or_else(|| {
                StartError::start(format!("unable to find group {name}: no matching entries in group file"))
            })?),
        };
        // With a user of its own, the container has nothing of the image's group.
        let image_group = if self.user.is_some() { None } else { image_group };
        let primary = self.group.or(image_group).unwrap_or(own_group);
        let mut groups = self.supplementary.clone();
        groups.extend(memberships(group, name));
        groups.push(primary);
        groups.sort_unstable();
        groups.dedup();
        Ok(Identity {
            user,
            group: primary,
            groups,
            home: if home.is_empty() { "/".to_owned() } else { home.to_owned() },
        })
    }
}

impl Identity {
    /// Becomes this user. What root could do is lost, unless it is root.
    pub(crate) fn become_it(&self) -> Result<(), StartError> {
        let refused = |refusal: crate::error::Refusal| StartError::start(refusal);
        for (kind, id, map) in [("user", self.user, "/proc/self/uid_map"), ("group", self.group, "/proc/self/gid_map")]
        {
            if !is_mapped(id, &read(map)) {
                let why = "this cluster was started by an ordinary user and has no such id (see podlab doctor)";
                return Err(StartError::start(format!("{kind} {id}: {why}")));
            }
        }
        let groups: Vec<Gid> = self.groups.iter().map(|id| Gid::from_raw(*id)).collect();
        match rustix::thread::set_thread_groups(&groups) {
            Ok(()) => {}
            // In a user namespace with a single id the list of groups is fixed, and the process stays in its groups.
            Err(rustix::io::Errno::PERM) if self.user == 0 && std::path::Path::new("/proc/self/setgroups").exists() => {
            }
            Err(errno) => return Err(StartError::start(format!("setgroups: {}", errno_text(errno)))),
        }
        let group = Gid::from_raw(self.group);
        rustix::thread::set_thread_res_gid(group, group, group).during("setgid to", self.group).map_err(refused)?;
        let user = Uid::from_raw(self.user);
        rustix::thread::set_thread_res_uid(user, user, user).during("setuid to", self.user).map_err(refused)
    }
}

/// Whether an id exists in a user namespace, by the text of its map (user_namespaces(7)): lines of first id inside,
/// first id outside, how many. A file that cannot be read is no map.
fn is_mapped(id: u32, map: &str) -> bool {
    let ranges = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse::<u64>());
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) = (numbers.next(), numbers.next(), numbers.next()) else {
            return None;
        };
        Some(first..first + count)
    });
    let mut ranges = ranges.peekable();
    ranges.peek().is_none() || ranges.any(|range| range.contains(&u64::from(id)))
}

fn parse(text: &str) -> Option<u32> {
    if text.len() > 1 && text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| *id <= LARGEST)
}

fn find<'a>(passwd: &'a str, wanted: impl Fn(&Account<'_>) -> bool) -> Option<Account<'a>> {
    passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, user, group, _, home, ..] = fields[..] else { return None };
        let account = Account { name, user: parse(user)?, group: parse(group)?, home };
        wanted(&account).then_some(account)
    })
}

fn group_id(group: &str, wanted: &str) -> Option<u32> {
    group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(wanted)).then(|| fields.nth(1).and_then(parse)).flatten()
    })
}

/// The groups whose member list names the user.
fn memberships<'a>(group: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    group.lines().filter_map(move |line| {
        let fields: Vec<_> = line.split(':').collect();
        let [_, _, id, members] = fields[..] else { return None };
        (!user.is_empty() && members.split(',').any(|member| member == user)).then(|| parse(id)).flatten()
    })
}

/// A file of the container, as far as it is one: what is missing, endless, or not a file counts as empty.
fn read(path: &str) -> String {
    use rustix::fs::{FileType, Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return String::new() };
    let regular =
        rustix::fs::fstat(&file).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile);
    if !regular {
        return String::new();
    }
    let mut text = Vec::new();
    // What could be read before an error came is what there is.
    let _ = std::fs::File::from(file).take(FILE_LIMIT).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:www:/var/www:/bin/false\nbroken\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\nadm:x:4:web,root\n";

    fn resolve(user: User) -> Result<(u32, u32, Vec<u32>, String), String> {
        let identity = user.resolve(PASSWD, GROUP).map_err(|error| error.message)?;
        Ok((identity.user, identity.group, identity.groups, identity.home))
    }

    fn image(text: &str) -> User {
        User { image: text.to_owned(), ..User::default() }
    }

    #[test]
    fn users_of_images() {
        assert_eq!(resolve(image("")), Ok((0, 0, vec![0, 4], "/root".to_owned())));
        assert_eq!(resolve(image("web")), Ok((33, 33, vec![4, 33], "/var/www".to_owned())));
        assert_eq!(resolve(image("33:root")), Ok((33, 0, vec![0, 4], "/var/www".to_owned())));
        assert_eq!(resolve(image("1234")), Ok((1234, 0, vec![0], "/".to_owned())));
        assert_eq!(resolve(image("1234:5")), Ok((1234, 5, vec![5], "/".to_owned())));
    }

    #[test]
    fn ids_of_the_pod_come_first() {
        let user = User { user: Some(33), supplementary: vec![2000], ..image("web:adm") };
        assert_eq!(resolve(user), Ok((33, 33, vec![4, 33, 2000], "/var/www".to_owned())));
        let user = User { user: Some(1000), group: Some(3000), ..User::default() };
        assert_eq!(resolve(user), Ok((1000, 3000, vec![3000], "/".to_owned())));
    }

    #[test]
    fn ids_of_a_user_namespace() {
        let ranges = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!([0, 1, 65_536, 65_537].map(|id| is_mapped(id, ranges)), [true, true, true, false]);
        assert!(!is_mapped(1, "0 65534 1\n"));
        assert!(is_mapped(7, ""));
    }

    #[test]
    fn what_is_neither_a_name_nor_a_sound_number_is_refused() {
        for text in ["nobody", "4294967296", "4294967295", "2147483648", "-1", "00", "0x0", "1 ", "web:nobody"] {
            assert!(resolve(image(text)).is_err(), "{text}");
        }
    }
}
