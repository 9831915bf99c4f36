//! What the process asks of its host before the loop runs.

use std::io;

use ring::rand::{SecureRandom, SystemRandom};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one, since each client is a
/// descriptor. The limit then in force; `None` for no limit.
///
/// # Errors
///
/// The system refused the new limit. The old one stays in force.
pub(super) fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(limit.current);
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(limit.maximum)
}

/// The limit of open descriptors; `None` for no limit.
pub(super) fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Binds this thread, and those that it will make, to one CPU, counted from zero.
///
/// # Errors
///
/// There is no such CPU, or the process may not use it, or the system cannot pin.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(super) fn pin_to_cpu(cpu: usize) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};

    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Binds this thread to one CPU: not on this system.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(super) fn pin_to_cpu(_cpu: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The CPU time of this thread, in microseconds; `None` where the system does not tell.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(super) fn cpu_micros() -> Option<u64> {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    Some(seconds.ok()? * 1_000_000 + nanos.ok()? / 1_000)
}

/// The CPU time of this thread: not on this system.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(super) fn cpu_micros() -> Option<u64> {
    None
}

/// The memory that the process has in use, in bytes; `None` where the system does not
/// tell in the way of Linux.
pub(super) fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// Random words from the system, for IDs that nobody must guess. By a system call where
/// there is one: a jail has no `/dev`, and descriptors can be short.
///
/// # Errors
///
/// The system has no random numbers to give.
pub(super) fn random_seed() -> io::Result<[u64; 4]> {
    let mut bytes = [0; 32];
    (SystemRandom::new().fill(&mut bytes))
        .map_err(|_| io::Error::other("the system has none to give"))?;
    let mut seed = [0; 4];
    for (word, chunk) in seed.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = chunk
            .iter()
            .fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_reaches_the_hard_one() {
        let raised = raise_descriptor_limit().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(raised, limit.maximum);
        assert_eq!(limit.current, limit.maximum);
    }

    #[test]
    fn no_such_cpu_is_an_error() {
        assert!(pin_to_cpu(1 << 30).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_that_of_a_process() {
        let memory = resident_memory().unwrap();
        assert!((1 << 20..1 << 40).contains(&memory), "{memory}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_takes_cpu_time_and_sleep_does_not() {
        let start = std::time::Instant::now();
        let before = cpu_micros().unwrap();
        while cpu_micros().unwrap() < before + 1_000 {}
        let wall = start.elapsed().as_micros() as u64;
        let cpu = cpu_micros().unwrap() - before;
        assert!((1_000..=wall + 1_000).contains(&cpu), "{cpu} of {wall}");
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random_seed().unwrap(), random_seed().unwrap());
    }
}
