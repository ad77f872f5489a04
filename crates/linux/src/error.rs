//! What every fallible step here returns: what was being done, to what, and the kernel's answer.

use std::fmt;

use rustix::io::Errno;

/// A step the kernel refused. Reads `mount proc on /proc: permission denied`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was being done, as a verb phrase: `mount`, `create cgroup`.
    pub action: &'static str,
    /// What it was done to.
    pub object: String,
    /// The kernel's answer.
    pub errno: Errno,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.action, self.object, errno_text(self.errno))
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for std::io::Error {
    fn from(refusal: Refusal) -> Self {
        std::io::Error::new(refusal.errno.kind(), refusal)
    }
}

/// Adds to a bare errno what was being done when it came.
pub trait During<T> {
    fn during(self, action: &'static str, object: impl fmt::Display) -> Result<T, Refusal>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, action: &'static str, object: impl fmt::Display) -> Result<T, Refusal> {
        self.map_err(|errno| Refusal { action, object: object.to_string(), errno })
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, action: &'static str, object: impl fmt::Display) -> Result<T, Refusal> {
        // An error without a number did not come from the kernel; `EIO` is what a failed transfer is.
        self.map_err(|error| Refusal {
            action,
            object: object.to_string(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })
    }
}

/// The kernel's message as Go programs print it, and with them every text of Kubernetes: `no such file or directory`.
pub fn errno_text(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // "No such file" becomes "no such file"; "RPC struct is bad" stays.
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_like_a_go_path_error() {
        let refused: Result<(), _> = Err(Errno::NOENT);
        let text = refused.during("stat", "/no/such/binary").map_err(|refusal| refusal.to_string());
        assert_eq!(text, Err("stat /no/such/binary: no such file or directory".to_owned()));
    }
}
