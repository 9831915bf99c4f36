//! Child processes, and what the kernel tells of them in `/proc`.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::fault::Fault;

/// A child that is ended with its owner.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a command; what it says goes to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self, Fault> {
        let log = fs::File::create(log)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            Fault::Surprise(format!("cannot start {name} ({program}): {error}"))
        })?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    /// Waits until it has written a text into its log.
    pub fn await_line(&mut self, log: &Path, text: &str) -> Result<(), Fault> {
        let start = Instant::now();
        while !fs::read_to_string(log)?.contains(text) {
            if !self.is_alive() || start.elapsed() > Duration::from_secs(60) {
                let name = &self.name;
                return Err(Fault::Surprise(format!("{name} does not say {text:?}")));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process accepts connections; returns how long that took.
    pub fn await_port(&mut self, address: SocketAddr) -> Result<Duration, Fault> {
        let start = Instant::now();
        loop {
            if TcpStream::connect(address).is_ok() {
                return Ok(start.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                let name = &self.name;
                return Err(Fault::Surprise(format!("{name} ended at once: {status}")));
            }
            if start.elapsed() > Duration::from_secs(60) {
                let name = &self.name;
                return Err(Fault::Surprise(format!("{name} does not accept")));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Asks it to end, as operators do.
    pub fn terminate(&self) -> Result<(), Fault> {
        use rustix::process::{Pid, Signal, kill_process};
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| Fault::Io(error.into()))
    }

    /// Its exit code, once it has ended; none if a signal ended it.
    pub fn exit_code(&mut self) -> Result<Option<Option<i32>>, Fault> {
        Ok(self.child.try_wait()?.map(|status| status.code()))
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on the loopback interface that nothing listens on.
///
/// Below the ports that the kernel gives to clients, of which a run has thousands: one of
/// them might take the port before it is listened on.
pub fn free_address() -> io::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = std::process::id() as u16 % 64 * 200;
    for _ in 0..200 {
        let port = 15_000 + own + NEXT.fetch_add(1, Ordering::Relaxed) % 200;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A process and those that it has started.
pub fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    [pid].into_iter().chain(children).collect()
}

/// CPU time of a process, all its threads, user and system, in nanoseconds.
///
/// From `schedstat`, which the scheduler keeps exactly; `stat` counts ticks.
pub fn cpu_ns(pid: u32) -> Result<u64, Fault> {
    let mut total = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while the list is read.
        let Ok(text) = fs::read_to_string(entry?.path().join("schedstat")) else {
            continue;
        };
        let first = text.split(' ').next().unwrap_or_default();
        total += first.parse::<u64>().unwrap_or(0);
    }
    Ok(total)
}

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident set.
    pub rss: u64,
    /// Proportional set: shared pages divided among those who share them.
    pub pss: u64,
    /// Pages of the process alone that no file backs: heap and stacks.
    pub anonymous: u64,
}

impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, it| Self {
            rss: sum.rss + it.rss,
            pss: sum.pss + it.pss,
            anonymous: sum.anonymous + it.anonymous,
        })
    }
}

/// Reads the memory of a process.
pub fn memory(pid: u32) -> Result<Memory, Fault> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(0)
            << 10
    };
    Ok(Memory {
        rss: field("Rss:"),
        pss: field("Pss:"),
        anonymous: field("Anonymous:"),
    })
}

/// The largest resident set that a process ever had, in bytes.
pub fn peak(pid: u32) -> Result<u64, Fault> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = text.lines().find_map(|line| {
        let value = line.strip_prefix("VmHWM:")?.trim();
        value.trim_end_matches(" kB").parse::<u64>().ok()
    });
    peak.map(|kib| kib << 10)
        .ok_or_else(|| Fault::Surprise(format!("process {pid} has no memory")))
}

/// Where a program is: as named, or in the search path or one of the places of servers.
pub fn find_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| name.into())
}

/// Lets the driver, and the subjects that inherit it, have as many clients as permitted.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused, the scenarios with the most clients say what they lack.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
