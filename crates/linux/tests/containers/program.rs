//! The program inside the containers: `program in-container WHAT`.

use std::io::{BufRead, Read, Write};
use std::process::{Command, ExitCode};

pub(crate) fn main(words: &[&str]) -> ExitCode {
    match words {
        ["print", texts @ ..] => texts.iter().for_each(|text| println!("{text}")),
        ["error", text] => eprintln!("{text}"),
        ["exit", code] => return ExitCode::from(code.parse::<u8>().unwrap_or(99)),
        ["wait"] => wait(),
        // Ends on SIGTERM, which a first process only gets when it asks for it.
        ["serve", port] => serve(port, "hello"),
        ["serve", port, greeting] => serve(port, greeting),
        ["talk", address] => match std::net::TcpStream::connect(address) {
            Ok(mut stream) => {
                let _ = stream.write_all(b"there\n").and_then(|()| std::io::copy(&mut stream, &mut std::io::stdout()));
            }
            Err(error) => println!("{:?}", error.kind()),
        },
        ["cat"] => drop(std::io::copy(&mut std::io::stdin(), &mut std::io::stdout())),
        ["read", paths @ ..] => {
            for path in paths {
                match std::fs::read_to_string(path) {
                    Ok(text) => print!("{text}"),
                    Err(error) => println!("{path}: {error}"),
                }
            }
        }
        ["write", path, text] => {
            if let Err(error) = std::fs::write(path, text) {
                println!("{error}");
                return ExitCode::FAILURE;
            }
        }
        ["list", path] => {
            let mut names: Vec<_> = std::fs::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            println!("{}", names.join(" "));
        }
        ["descriptors"] => {
            let open = (0..1024).filter(|number| std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
            println!("{}", open.map(|number| number.to_string()).collect::<Vec<_>>().join(" "));
        }
        ["environment"] => {
            let mut variables: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            variables.sort();
            println!("{}", variables.join("\n"));
        }
        ["where"] => println!("{}", std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default()),
        ["eat", bytes] => eat(bytes.parse().unwrap_or(usize::MAX)),
        ["hold", bytes] => hold(bytes.parse().unwrap_or(0)),
        ["threads"] => threads(),
        ["burn", milliseconds] => burn(milliseconds.parse().unwrap_or(0)),
        ["with-child"] => {
            let child = Command::new("/proc/self/exe").args(["in-container", "wait"]).spawn();
            println!("{}", if child.is_ok() { "two of us" } else { "alone" });
            wait();
        }
        ["first-line"] => {
            let mut line = String::new();
            let _ = std::io::stdin().lock().read_line(&mut line);
            print!("got {line}");
        }
        ["lines", count] => {
            let mut stdout = std::io::BufWriter::new(std::io::stdout());
            for number in 0..count.parse::<u64>().unwrap_or(0) {
                // A hundred bytes each.
                if writeln!(stdout, "{number:099}").is_err() {
                    return ExitCode::FAILURE;
                }
            }
        }
        ["fail", texts @ ..] => {
            texts.iter().for_each(|text| println!("{text}"));
            return ExitCode::from(3);
        }
        // As soon as it is told to.
        ["flood-on-line", bytes] => {
            let mut line = String::new();
            let _ = std::io::stdin().lock().read_line(&mut line);
            return main(&["flood", bytes]);
        }
        ["spy", enough] => spy(enough),
        ["overwrite", enough] => overwrite(enough),
        ["swap", one, other] => loop {
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            let _ = rustix::fs::renameat_with(rustix::fs::CWD, *one, rustix::fs::CWD, *other, exchange);
        },
        ["fill", path, bytes] => {
            if let Err(error) = fill(path, bytes.parse().unwrap_or(0)) {
                println!("{error}");
            }
        }
        ["exists", path] => {
            // Until it does.
            while !std::path::Path::new(path).exists() {
                std::thread::yield_now();
            }
        }
        ["mount", path] => {
            use rustix::mount::{MountFlags, mount};
            if let Err(error) = mount("none", *path, "tmpfs", MountFlags::empty(), None) {
                println!("{error}");
                return ExitCode::FAILURE;
            }
            let _ = std::fs::write(format!("{path}/mark"), "");
            loop {
                let _ = rustix::event::poll(&mut [], None);
            }
        }
        ["flood", bytes] => {
            let (mut left, chunk) = (bytes.parse::<usize>().unwrap_or(0), [b'x'; 64 * 1024]);
            let mut stdout = std::io::stdout();
            while left > 0 {
                let count = left.min(chunk.len());
                if stdout.write_all(&chunk[..count]).is_err() {
                    return ExitCode::FAILURE;
                }
                left -= count;
            }
        }
        ["mknod-disk"] => return make_disk(),
        ["refused"] => return refused(),
        _ => return ExitCode::from(98),
    }
    ExitCode::SUCCESS
}

/// Does nothing, for ever.
fn wait() -> ! {
    loop {
        let _ = rustix::event::poll(&mut [], None);
    }
}

/// Starts threads until that is refused, and says how many there were with the first one.
fn threads() {
    let running = std::sync::Barrier::new(usize::MAX);
    std::thread::scope(|scope| {
        let refused = (1..100).find(|_| std::thread::Builder::new().spawn_scoped(scope, || running.wait()).is_err());
        println!("{}", refused.unwrap_or(100));
        std::process::exit(0);
    });
}

/// Uses the processor for this long, in its own time.
fn burn(milliseconds: i64) {
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    while used().tv_sec * 1000 + used().tv_nsec / 1_000_000 < milliseconds {}
}

/// Holds this much memory, touched, and waits.
fn hold(bytes: usize) -> ! {
    let held = vec![1_u8; bytes];
    println!("holding {}", std::hint::black_box(&held).len());
    wait();
}

/// Answers every connection with one line.
fn serve(port: &str, greeting: &str) {
    let Ok(listener) = std::net::TcpListener::bind(("0.0.0.0", port.parse().unwrap_or(0))) else { return };
    println!("listening");
    for mut stream in listener.incoming().flatten() {
        let mut line = String::new();
        let _ = std::io::BufReader::new(&stream).take(100).read_line(&mut line);
        let _ = stream.write_all(format!("{greeting} {line}").as_bytes());
    }
}

/// Until a file appears: looks for what other processes have open, and says what is not a container's.
fn spy(enough: &str) {
    let own = std::process::id().to_string();
    let mut saw = 0;
    while !std::path::Path::new(enough).exists() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_string_lossy();
            if *pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            saw += 1;
            for descriptor in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
                let Ok(target) = std::fs::read_link(descriptor.path()) else { continue };
                let harmless = ["/dev/", "/proc", "/tmp", "/bin/program"].iter().any(|known| target.starts_with(known));
                if target.is_absolute() && !harmless {
                    println!("opened {}", target.display());
                }
            }
        }
    }
    println!("saw {saw}");
}

/// Until a file appears: writes to the program of every other process, when it is not this one.
fn overwrite(enough: &str) {
    let own = std::fs::metadata("/proc/self/exe").map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata)).ok();
    while !std::path::Path::new(enough).exists() {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let path = entry.path().join("exe");
            let inode = std::fs::metadata(&path).map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata)).ok();
            if inode.is_none() || inode == own {
                continue;
            }
            if let Ok(mut program) = std::fs::OpenOptions::new().write(true).open(&path)
                && program.write_all(b"overwritten").is_ok()
            {
                println!("wrote to {}", path.display());
            }
        }
    }
}

fn fill(path: &str, bytes: usize) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    (0..bytes >> 16).try_for_each(|_| file.write_all(&[b'x'; 1 << 16]))
}

/// Uses up memory until something stops it.
fn eat(bytes: usize) {
    let mut eaten = Vec::new();
    while eaten.len() < bytes {
        eaten.resize(eaten.len() + (1 << 20), 1_u8);
    }
    println!("ate {}", eaten.len());
}

/// Makes the device of the machine's first disk and tries to read it.
fn make_disk() -> ExitCode {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    for directory in ["/tmp", "/dev"] {
        let path = format!("{directory}/disk");
        if mknodat(CWD, &path, FileType::BlockDevice, Mode::from_raw_mode(0o600), makedev(254, 0)).is_ok()
            && std::fs::File::open(&path).is_ok()
        {
            println!("{path} could be opened");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Tries what a container must not be able to do.
fn refused() -> ExitCode {
    use rustix::mount::{MountFlags, mount};
    let attempts: [(&str, bool); 7] = [
        ("mount tmpfs", mount("none", "/tmp", "tmpfs", MountFlags::empty(), None).is_ok()),
        ("mount cgroup", mount("none", "/tmp", "cgroup", MountFlags::empty(), Some(c"memory")).is_ok()),
        ("write /proc/sys", std::fs::write("/proc/sys/kernel/core_pattern", "x").is_ok()),
        ("trigger sysrq", std::fs::write("/proc/sysrq-trigger", "").is_ok()),
        ("read /proc/kcore", std::fs::read("/proc/kcore").is_ok_and(|bytes| !bytes.is_empty())),
        (
            "write a cgroup",
            ["", "memory/", "unified/"]
                .iter()
                .any(|tree| std::fs::write(format!("/sys/fs/cgroup/{tree}cgroup.procs"), "1").is_ok()),
        ),
        ("change host name", rustix::system::sethostname(b"mine").is_ok()),
    ];
    let done: Vec<_> = attempts.iter().filter(|(_, done)| *done).map(|(what, _)| *what).collect();
    if done.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("could: {}", done.join(", "));
    ExitCode::FAILURE
}
