//! What is measured: Tidegate, the peer, or the floor, each as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::beside::{self, Other};
use crate::fault::Fault;
use crate::load::Speaks;
use crate::process::{self, Memory, Process, find_program, free_address};
use crate::secure;
use crate::stats::Histogram;
use crate::syscalls::Counter;

/// Who serves the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The gateway of this package.
    Tidegate,
    /// Another gateway with the same flags, such as Resgate.
    Peer,
    /// The event loop that only moves the bytes.
    Floor,
    /// Tidegate with its own broker, which is measured with it.
    Inside,
    /// nats-server with clients of NATS over WebSocket: broker and gateway in one.
    NatsWs,
    /// Centrifugo with NATS as its broker.
    Centrifugo,
    /// A script on Bun's WebSocket server.
    Bun,
}

impl Kind {
    /// The name that reports show.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Tidegate => "tidegate",
            Kind::Peer => "peer",
            Kind::Floor => "floor",
            Kind::Inside => "--broker",
            Kind::NatsWs => "nats-ws",
            Kind::Centrifugo => "centrifugo",
            Kind::Bun => "bun",
        }
    }

    /// Whether it hands texts on and is no gateway for the RES protocol.
    pub fn is_other(self) -> bool {
        matches!(self, Kind::NatsWs | Kind::Centrifugo | Kind::Bun)
    }
}

/// What the floor does in a scenario, as arguments of its process.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// Round trips to the broker before a client's request is answered.
    pub hops: u32,
    /// JSON text of the answer to a request, its `result`; the HTTP body too.
    pub answer: &'static str,
    /// Whether the events' subjects name the one client that they are for.
    pub addressed: bool,
}

/// The floor that answers at once and sends every event to every client.
pub const PLAIN: Floor = Floor {
    hops: 0,
    answer: "null",
    addressed: false,
};

/// Where programs and scratch files are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The gateway of this package.
    pub tidegate: PathBuf,
    /// The peer's binary, if one is to be compared with.
    pub peer: Option<PathBuf>,
    /// Whether the peer is Tidegate as its own broker, and the broker's time counts.
    pub is_inside: bool,
    /// With how many workers, if the peer is Tidegate with workers.
    pub workers: Option<String>,
    /// What somebody might take instead.
    pub others: Vec<Other>,
    /// A folder for logs and control files.
    pub folder: PathBuf,
}

/// A broker of the run's own.
pub struct Broker {
    /// `None` if it is inside the gateway.
    process: Option<Process>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Broker {
    /// The nats-server: `NATS_SERVER_BIN`, or the one of the search path.
    pub fn program() -> PathBuf {
        std::env::var_os("NATS_SERVER_BIN")
            .map_or_else(|| find_program("nats-server"), PathBuf::from)
    }

    /// Starts [`program`](Self::program).
    pub fn start(folder: &Path) -> Result<Self, Fault> {
        let address = free_address()?;
        let mut command = Command::new(Self::program());
        command
            .args(["-a", &address.ip().to_string()])
            .args(["-p", &address.port().to_string()]);
        let log = folder.join("nats-server.log");
        let mut process = Process::start("nats-server", &mut command, &log)?;
        process.await_port(address)?;
        Ok(Self {
            process: Some(process),
            address,
        })
    }

    /// The one inside a gateway that is started with this address.
    fn inside() -> Result<Self, Fault> {
        Ok(Self {
            process: None,
            address: free_address()?,
        })
    }

    /// CPU time so far in nanoseconds.
    pub fn cpu_ns(&self) -> Result<u64, Fault> {
        match &self.process {
            Some(process) => process::cpu_ns(process.pid()),
            None => Ok(0),
        }
    }
}

/// The flag of a gateway that is its own broker. In a scenario's flags it stands alone: the
/// address is that of the run.
pub const INSIDE: &str = "--broker";

/// The flag of a gateway with workers.
pub const WORKERS: &str = "--workers";

/// The command of a gateway or of the floor, but for what depends on the scenario.
fn gateway(
    kind: Kind,
    places: &Places,
    floor: Floor,
    address: SocketAddr,
) -> Result<Command, Fault> {
    let mut command = match kind {
        Kind::Peer => Command::new(places.peer.as_deref().unwrap_or(Path::new("resgate"))),
        Kind::Floor => {
            let mut command = Command::new(std::env::current_exe()?);
            command
                .arg("floor")
                .args(["--hops", &floor.hops.to_string()])
                .args(["--answer", floor.answer])
                .args(floor.addressed.then_some("--addressed"));
            command
        }
        _ => Command::new(&places.tidegate),
    };
    command
        .args(["--addr", "127.0.0.1", "--port", &address.port().to_string()])
        .current_dir(&places.folder);
    Ok(command)
}

/// A running subject with its broker.
pub struct Subject {
    process: Process,
    /// Which it is.
    pub kind: Kind,
    /// Where clients connect.
    pub address: SocketAddr,
    /// The services' side.
    pub broker: Broker,
    /// From start to the first accepted connection.
    pub start_time: Duration,
    /// What its clients speak.
    pub speaks: Speaks,
    /// How its clients speak TLS, if its flags say so.
    pub secure: Option<Arc<ClientConfig>>,
    /// Size of its program in bytes.
    pub program_size: u64,
    folder: PathBuf,
    /// Whether the broker's time is part of its own.
    counts_broker: bool,
    /// Whether system calls are counted instead of time.
    pub is_counting: bool,
}

impl Subject {
    /// Starts a broker and the subject with `flags` beside those that it needs.
    pub fn start(
        kind: Kind,
        places: &Places,
        floor: Floor,
        flags: &[&str],
        is_counting: bool,
    ) -> Result<Self, Fault> {
        let has_broker = match kind {
            Kind::Peer => places.is_inside,
            Kind::Tidegate => flags.contains(&INSIDE),
            kind => matches!(kind, Kind::Inside | Kind::NatsWs),
        };
        let broker = match has_broker {
            true => Broker::inside()?,
            false => Broker::start(&places.folder)?,
        };
        let address = free_address()?;
        let mut command = match kind.is_other() {
            true => {
                let found = places.others.iter().find(|other| other.kind == kind);
                let program = found.map_or(Path::new(kind.name()), |other| &other.program);
                beside::command(kind, program, &places.folder, broker.address, address)?
            }
            false => gateway(kind, places, floor, address)?,
        };
        match (kind.is_other(), has_broker) {
            (true, _) => {}
            (false, true) => drop(command.args([INSIDE, &broker.address.to_string()])),
            (false, false) => drop(command.args(["--nats", &format!("nats://{}", broker.address)])),
        }
        if !kind.is_other() && kind != Kind::Floor {
            command.args(flags.iter().filter(|flag| **flag != INSIDE));
        }
        let workers = places.workers.as_ref().filter(|_| kind == Kind::Peer);
        if let Some(workers) = workers {
            command.args([WORKERS, workers]);
        }
        let secure = match flags.contains(&"--tls") {
            true => Some(secure::prepare(&places.folder)?),
            false => None,
        };
        let program_size = std::fs::metadata(command.get_program())?.len();
        let log = places.folder.join(format!("{}.log", kind.name()));
        let mut process = Process::start(kind.name(), &mut command, &log)?;
        let start_time = process.await_port(address)?;
        if workers.is_some() || flags.contains(&WORKERS) {
            process.await_line(&log, "Serving clients with")?;
        }
        if has_broker {
            process.await_port(broker.address)?;
        }
        Ok(Self {
            process,
            kind,
            address,
            broker,
            start_time,
            speaks: beside::speaks(kind, flags),
            secure,
            program_size,
            folder: places.folder.clone(),
            counts_broker: places.is_inside,
            is_counting,
        })
    }

    /// Its memory now.
    pub fn memory(&self) -> Result<Memory, Fault> {
        let processes = process::family(self.process.pid());
        processes.into_iter().map(process::memory).sum()
    }

    /// The most memory that was ever resident, in bytes.
    pub fn peak(&self) -> Result<u64, Fault> {
        process::peak(self.process.pid())
    }

    /// Its CPU time so far in nanoseconds.
    pub fn cpu_ns(&self) -> Result<u64, Fault> {
        let processes = process::family(self.process.pid());
        processes.into_iter().map(process::cpu_ns).sum()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    /// Begins the measured part of a scenario.
    pub fn begin(&self) -> Result<Window, Fault> {
        let mut counter = match self.is_counting {
            true => Counter::attach(&process::family(self.process.pid()), &self.folder),
            false => None,
        };
        if let Some(counter) = &mut counter {
            counter.enable()?;
        }
        Ok(Window {
            counter,
            cpu: self.cpu_ns()?,
            driver: process::cpu_ns(std::process::id())?,
            broker: self.broker.cpu_ns()?,
            memory: self.memory()?,
            start: Instant::now(),
        })
    }

    /// Ends it, after `ops` operations.
    pub fn end(&self, window: Window, ops: u64) -> Result<Sample, Fault> {
        let wall = window.start.elapsed();
        let share = |ns: u64| ns as f64 / wall.as_nanos() as f64;
        let broker = self.broker.cpu_ns()? - window.broker;
        let counted = if self.counts_broker { broker } else { 0 };
        Ok(Sample {
            ops,
            wall,
            cpu_ns: self.cpu_ns()? - window.cpu + counted,
            driver: share(process::cpu_ns(std::process::id())? - window.driver),
            broker: share(broker),
            syscalls: match window.counter {
                Some(counter) => Some(counter.finish()?),
                None => None,
            },
            before: window.memory,
            after: self.memory()?,
            latency: Histogram::default(),
            extra: Vec::new(),
        })
    }
}

/// The measured part of a scenario, while it lasts.
pub struct Window {
    counter: Option<Counter>,
    cpu: u64,
    driver: u64,
    broker: u64,
    memory: Memory,
    start: Instant,
}

/// Name of a further figure: the largest resident set.
pub const PEAK: &str = "peak RSS MiB";

/// Name of a further figure: how much the largest resident set grew.
pub const PEAK_GROWTH: &str = "peak growth MiB";

/// What one run of a scenario showed.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Operations done.
    pub ops: u64,
    /// How long they took.
    pub wall: Duration,
    /// CPU time of the subject for all of them.
    pub cpu_ns: u64,
    /// Share of one core that the driver used.
    pub driver: f64,
    /// Share of one core that the broker used.
    pub broker: f64,
    /// System calls of the subject for all of them.
    pub syscalls: Option<u64>,
    /// Memory before the first operation.
    pub before: Memory,
    /// Memory after the last.
    pub after: Memory,
    /// Time of each operation, where it is measured.
    pub latency: Histogram,
    /// Further figures of the scenario: name, value, unit.
    pub extra: Vec<(&'static str, f64, &'static str)>,
}

impl Sample {
    /// CPU time for one operation in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.ops as f64
    }

    /// Operations in a second.
    pub fn rate(&self) -> f64 {
        self.ops as f64 / self.wall.as_secs_f64()
    }

    /// Growth of the private memory for one operation in bytes.
    pub fn growth(&self) -> f64 {
        (self.after.pss as f64 - self.before.pss as f64) / self.ops as f64
    }

    /// Whether rates and latencies tell of the driver rather than of the subject.
    pub fn is_driver_bound(&self) -> bool {
        self.driver > 0.9
    }
}
