//! From an argument list to a running program: finding it, and execve(2).

use std::ffi::CString;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::error::StartError;
use crate::error::errno_text;
use crate::syscalls;

/// Where programs are looked for when the environment does not say.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that has been found, ready to be executed.
pub(crate) struct Program {
    path: CString,
    arguments: Vec<CString>,
    variables: Vec<CString>,
}

impl Program {
    /// Looks for the program as the caller's user, in the caller's root.
    pub(crate) fn find(arguments: &[String], environment: &[(String, String)]) -> Result<Self, StartError> {
        let c_string = |text: String| {
            CString::new(text).map_err(|error| StartError::start(format!("invalid argument: {:?}", error.into_vec())))
        };
        let name = arguments.first().map(String::as_str).unwrap_or_default();
        let search = environment.iter().rev().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        let path = look_up(name, search).map_err(|error| StartError::start(format!("exec: {name:?}: {error}")))?;
        // Of a name given twice the last one counts, in the place of the first.
        let mut variables: Vec<(&str, &str)> = Vec::new();
        for (name, value) in environment {
            match variables.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = value,
                None => variables.push((name, value)),
            }
        }
        Ok(Self {
            path: c_string(path)?,
            arguments: arguments.iter().cloned().map(c_string).collect::<Result<_, _>>()?,
            variables: variables
                .into_iter()
                .map(|(name, value)| c_string(format!("{name}={value}")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Becomes the program. Returns only when the kernel refuses.
    pub(crate) fn execute(&self) -> String {
        let errno = syscalls::execute(&self.path, &self.arguments, &self.variables);
        format!("exec {}: {}", self.path.to_string_lossy(), errno_text(errno))
    }
}

/// The file a program's name means. The texts are those of Go's `exec.LookPath`, which the container runtimes' users
/// know.
fn look_up(name: &str, search: &str) -> Result<String, String> {
    if name.contains('/') {
        return match executable(name) {
            Ok(()) => Ok(name.to_owned()),
            Err((action, errno)) => Err(format!("{action}{}", errno_text(errno)).replace("{}", name)),
        };
    }
    let found = search.split(':').filter(|directory| !directory.is_empty()).find_map(|directory| {
        let path = format!("{}/{name}", directory.trim_end_matches('/'));
        (!name.is_empty() && executable(&path).is_ok()).then_some(path)
    });
    found.ok_or_else(|| "executable file not found in $PATH".to_owned())
}

/// Whether a file can be executed; if not, the start of the message and the errno.
fn executable(path: &str) -> Result<(), (&'static str, Errno)> {
    let status = rustix::fs::stat(path).map_err(|errno| ("stat {}: ", errno))?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        return Err(("", Errno::ISDIR));
    }
    let path = Path::new(path);
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).map_err(|_| ("", Errno::ACCESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_reference() {
        let text = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
            let environment = [("PATH".to_owned(), "/nowhere:/dev".to_owned())];
            Program::find(&arguments, &environment).map(drop).map_err(|error| error.message)
        };
        let refused = |text: &str| Err(text.to_owned());
        assert_eq!(
            text(&["/no/such/binary"]),
            refused(r#"exec: "/no/such/binary": stat /no/such/binary: no such file or directory"#)
        );
        assert_eq!(text(&["bash"]), refused(r#"exec: "bash": executable file not found in $PATH"#));
        assert_eq!(text(&["/tmp"]), refused(r#"exec: "/tmp": is a directory"#));
        assert_eq!(text(&["/etc/passwd"]), refused(r#"exec: "/etc/passwd": permission denied"#));
        assert_eq!(text(&[""]), refused(r#"exec: "": executable file not found in $PATH"#));
        assert_eq!(text(&["/bin/sh", "a"]), Ok(()));
    }
}
