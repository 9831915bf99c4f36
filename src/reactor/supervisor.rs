//! What the supervisor is told (sd_notify(3)): that the gateway is ready, reads files again or
//! stops, and signs of life from the loop. Datagrams on its socket, which never wait.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

use crate::gateway::Time;

/// Milliseconds that the supervisor is asked for beyond the end that is planned.
const GRACE: u64 = 1_000;

/// The socket, and the signs of life that are wanted on it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Milliseconds from one sign of life to the next, if it wants any.
    step: Option<u64>,
    due: Time,
}

impl Supervisor {
    /// Whoever the environment says wants to be told; `None` if nobody does. What cannot be
    /// used is logged: the gateway serves its clients all the same.
    pub(crate) fn take() -> Option<Box<Self>> {
        let variable = |name: &str| std::env::var_os(name);
        let name = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        let step = watchdog(&variable, std::process::id());
        match Self::new(&name, step) {
            Ok(supervisor) => Some(Box::new(supervisor)),
            Err(error) => {
                let name = name.display();
                log::warn!("cannot tell the supervisor at NOTIFY_SOCKET={name}: {error}");
                None
            }
        }
    }

    fn new(name: &OsStr, step: Option<u64>) -> io::Result<Self> {
        let address = address(name)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            address,
            step,
            due: Time(0),
        })
    }

    /// When a sign of life is due.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.step.map(|_| self.due)
    }

    /// Gives a sign of life, if one is due.
    pub(crate) fn tick(&mut self, now: Time) {
        let Some(step) = self.step.filter(|_| self.due <= now) else {
            return;
        };
        // One for which there is no room now is tried again soon.
        let step = match self.send("WATCHDOG=1") {
            true => step,
            false => (step / 8).max(1),
        };
        self.due = Time(now.0 + step);
    }

    /// Clients are served, with so many words about it.
    pub(crate) fn ready(&self, words: &str) {
        self.send(&format!("READY=1\nSTATUS={words}"));
    }

    /// Files are read again, until [`Self::ready`].
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The gateway ends within so many milliseconds, which may be more than the supervisor
    /// would wait.
    pub(crate) fn stopping(&self, millis: u64) {
        let micros = (millis + GRACE) * 1_000;
        let words = "Closing clients";
        self.send(&format!(
            "STOPPING=1\nSTATUS={words}\nEXTEND_TIMEOUT_USEC={micros}"
        ));
    }

    /// Whether it was taken.
    fn send(&self, text: &str) -> bool {
        let result = (self.socket).send_to_addr(text.as_bytes(), &self.address);
        if let Err(error) = &result
            && error.kind() != ErrorKind::WouldBlock
        {
            log::debug!("cannot tell the supervisor {text:?}: {error}");
        }
        result.is_ok()
    }
}

/// The address of a name: a path, or behind an `@` a name that has no file.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        _ => Err(io::Error::new(
            ErrorKind::Unsupported,
            "it is neither a path nor an abstract name",
        )),
    }
}

/// Milliseconds between signs of life: half of what the supervisor waits for one, if it wants
/// them of the process with this number.
fn watchdog(variable: &impl Fn(&str) -> Option<OsString>, process: u32) -> Option<u64> {
    let number = |name| -> Option<u64> { variable(name)?.to_str()?.parse().ok() };
    let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 0)?;
    let is_ours = match variable("WATCHDOG_PID") {
        None => true,
        Some(_) => number("WATCHDOG_PID") == Some(process.into()),
    };
    is_ours.then(|| (micros / 2_000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_are_wanted_in_half_of_the_time_by_whom_they_are_meant_for() {
        let cases: [(&str, &str, Option<u64>); 8] = [
            ("", "", None),
            ("10000000", "", Some(5_000)),
            ("10000000", "77", Some(5_000)),
            ("10000000", "78", None),
            ("10000000", "x", None),
            ("0", "77", None),
            ("1", "77", Some(1)),
            ("-1", "77", None),
        ];
        for (micros, process, expected) in cases {
            let variable = |name: &str| {
                let text = match name {
                    "WATCHDOG_USEC" => micros,
                    _ => process,
                };
                (!text.is_empty()).then(|| text.into())
            };
            assert_eq!(watchdog(&variable, 77), expected, "{micros} {process}");
        }
    }

    #[test]
    fn names_that_are_no_address_are_refused() {
        assert!(address(OsStr::new("/run/x")).is_ok());
        for name in ["run/x", "vsock:2:1"] {
            assert!(address(OsStr::new(name)).is_err(), "{name}");
        }
        assert!(address(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_socket_is_tried_again_and_never_waited_for() {
        use std::os::linux::net::SocketAddrExt;

        let name = format!("tidegate-test-{}", std::process::id());
        let theirs = SocketAddr::from_abstract_name(&name).unwrap();
        let theirs = UnixDatagram::bind_addr(&theirs).unwrap();
        let name = OsString::from(format!("@{name}"));
        let mut supervisor = Supervisor::new(&name, Some(800)).unwrap();
        assert_eq!(supervisor.next_timeout(), Some(Time(0)));
        let mut now = Time(0);
        // The queue of a datagram socket holds few.
        while supervisor.due == now {
            supervisor.tick(now);
            now = Time(now.0 + 800);
        }
        assert_eq!(supervisor.due, Time(now.0 - 800 + 100));
        let mut buffer = [0; 64];
        let len = theirs.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"WATCHDOG=1");
        // Not yet due, then due, and there is room.
        let due = supervisor.due;
        supervisor.tick(Time(due.0 - 1));
        assert_eq!(supervisor.due, due);
        supervisor.tick(due);
        assert_eq!(supervisor.due, Time(due.0 + 800));
    }
}
