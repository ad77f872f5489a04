//! What a container writes: however much, and however long its lines are.

use std::io::{Read, Write};
use std::os::fd::AsFd;

use podlab_linux::protocol::{Reply, Request};
use podlab_linux::supervisor::log::rotate::{MAX_FILES, MAX_SIZE, older};

use crate::pod::{Pod, container, ended, equal, text, until};

/// A line of 2 GiB costs neither memory nor the disk.
pub(crate) fn a_line_without_end() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let memory = |pod: &Pod| -> Result<u64, String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pod.supervised.pid)).map_err(text)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        line.trim().trim_end_matches(" kB").parse().map_err(text)
    };
    let before = memory(&pod)?;
    equal(&pod.run("main", &["flood", &(2_u64 << 30).to_string()])?.code, &0)?;
    let grown = memory(&pod)?.saturating_sub(before);
    if grown > 8 * 1024 {
        return Err(format!("the supervisor grew by {grown} KiB"));
    }
    let whole = pod.log("main").lines().any(|line| !line.starts_with("stdout P "));
    equal(&whole, &false)?;
    equal(&sizes(&pod)?.iter().all(|size| *size <= MAX_SIZE), &true)
}

/// Somebody attaches and does not read: the container waits, and what lies between the two is a pipe's worth. Then all of
/// it arrives.
pub(crate) fn a_slow_reader_holds_the_writer_up() -> Result<(), String> {
    const BYTES: usize = 64 << 20;
    let pod = Pod::create("uid-1")?;
    let mut watch = pod.watch()?;
    let mut spec = container("main", &["flood-on-line", &BYTES.to_string()]);
    (spec.stdin, spec.stdin_once) = (true, true);
    equal(&pod.start(spec)?, &Ok(()))?;
    let mut connection = pod.connect()?;
    let (mut reader, writer) = std::io::pipe().map_err(text)?;
    let request = Request::Attach { container: "id-main".to_owned(), stdin: true, stdout: true, stderr: false };
    let (_, descriptors) = connection.ask::<_, Reply>(&request, &[writer.as_fd()]).map_err(text)?;
    drop(writer);
    let mut stdin = std::fs::File::from(descriptors.into_iter().next().ok_or("no stdin")?);
    stdin.write_all(b"go\n").map_err(text)?;
    // The pipe to the reader is full; nothing more is taken from the container then.
    let full = 60 * 1024;
    until(|| Ok(rustix::io::ioctl_fionread(&reader).map_err(text)? >= full))?;
    for _ in 0..100 {
        // Each answer is given after everything that could be read was read.
        pod.ask(&Request::State)?;
    }
    let logged = std::fs::metadata(pod.directory().log("main", 0)).map_err(text)?.len();
    if logged > 256 * 1024 {
        return Err(format!("{logged} bytes were taken from the container while nobody read"));
    }
    let mut read = 0;
    let mut bytes = vec![0; 64 * 1024];
    while read < BYTES {
        read += reader.read(&mut bytes).map_err(text)?;
    }
    equal(&ended(&mut watch, "id-main")?.code, &0)
}

/// The sizes of the files of the log of `main`, the newest first.
fn sizes(pod: &Pod) -> Result<Vec<u64>, String> {
    let log = pod.directory().log("main", 0);
    let sizes = (0..2 * MAX_FILES).map(|age| std::fs::metadata(older(&log, age)).map(|metadata| metadata.len()));
    let sizes: Vec<_> = sizes.take_while(Result::is_ok).flatten().collect();
    // And nothing else lies there.
    let all = std::fs::read_dir(log.parent().ok_or("no directory")?).map_err(text)?.count();
    equal(&sizes.len(), &all)?;
    Ok(sizes)
}

/// 25 MiB of lines: three files, none of them too long, and not a line is lost between them.
pub(crate) fn a_long_log_is_several_files() -> Result<(), String> {
    const LINES: usize = 25 * 10 * 1024;
    let pod = Pod::create("uid-1")?;
    equal(&pod.run("main", &["lines", &LINES.to_string()])?.code, &0)?;
    let sizes = sizes(&pod)?;
    equal(&(sizes.len(), sizes.iter().all(|size| *size <= MAX_SIZE)), &(4, true))?;
    let log = pod.directory().log("main", 0);
    let mut next = 0;
    for age in (0..sizes.len()).rev() {
        for line in std::fs::read_to_string(older(&log, age)).map_err(text)?.lines() {
            let number = line.rsplit(' ').next().unwrap_or_default().parse::<usize>().map_err(text)?;
            equal(&number, &next)?;
            next += 1;
        }
    }
    equal(&next, &LINES)
}

/// The end of the log is what a failed container leaves, when it was asked for and nothing was written for it.
pub(crate) fn last_words_from_the_log() -> Result<(), String> {
    let pod = Pod::create("uid-1")?;
    let message = |name: &str, words: &[&str], from_log: bool| -> Result<String, String> {
        let mut watch = pod.watch()?;
        let mut spec = container(name, words);
        spec.last_words_from_log = from_log;
        pod.start(spec)?.map_err(text)?;
        Ok(ended(&mut watch, &format!("id-{name}"))?.message)
    };
    equal(&message("failed", &["fail", "one", "two"], true)?, &"one\ntwo\n".to_owned())?;
    equal(&message("unasked", &["fail", "one", "two"], false)?, &String::new())?;
    equal(&message("fine", &["print", "one"], true)?, &String::new())
}
