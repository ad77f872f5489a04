//! What a container writes: however much, and however long its lines are.

use podlab_linux::supervisor::log::rotate::{MAX_FILES, MAX_SIZE, older};

use crate::pod::{Pod, container, ended, equal, text};

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
