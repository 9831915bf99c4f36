//! A long run under a mixed load: clients that stay and clients that come and go, calls, web
//! requests, resets, and now and then a server that is gone. What the gateway holds at rest must
//! be the same at the end as at the beginning.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::clients::Crowd;
use crate::common::Http;
use crate::faults::Fault;
use crate::random::Random;
use crate::servers::{LOOK, Servers};
use crate::service::MODELS;
use crate::stage::Stage;

/// Clients that stay.
const CLIENTS: usize = 20;

/// Clients that come together, hold everything for a moment, and go.
const GUESTS: usize = 10;

/// Between two faults.
const FAULT_STEP: Duration = Duration::from_secs(20);

/// Between two crowds of guests, and between two resets.
const GUEST_STEP: Duration = Duration::from_secs(2);

/// Memory may be so much more at the end, in MiB: what the allocator keeps is not the same
/// each time.
const MEMORY_SLACK: f64 = 8.0;

/// What a gateway holds at rest, and what it has used.
#[derive(Clone, Copy, Debug)]
struct Figures {
    memory: f64,
    descriptors: usize,
    cpu: Duration,
    operations: f64,
    counts: [f64; COUNTS.len()],
}

/// Metrics that are the same whenever all is at rest.
const COUNTS: [&str; 5] = [
    "tidegate_connections",
    "resgate_cache_resources",
    "resgate_cache_subscriptions",
    "tidegate_waiting",
    "tidegate_parked_requests",
];

impl Figures {
    fn of(stage: &Stage) -> Figures {
        let start = Instant::now();
        let mut metrics = stage.metrics();
        while metrics.value(COUNTS[0]) != CLIENTS as f64 {
            assert!(start.elapsed() < PATIENCE, "guests are not gone");
            std::thread::sleep(LOOK);
            metrics = stage.metrics();
        }
        let pid = stage.gateway.pid();
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(path).expect("the gateway runs")
        };
        let status = read("status");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        let nanos = read("schedstat");
        let nanos = nanos.split(' ').next().and_then(|text| text.parse().ok());
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
        Figures {
            memory: memory.expect("a size") / 1_024.0,
            descriptors: descriptors.count(),
            cpu: Duration::from_nanos(nanos.expect("a time")),
            operations: metrics.value("tidegate_nats_messages_received_total")
                + metrics.value("tidegate_nats_messages_sent_total"),
            counts: COUNTS.map(|name| metrics.value(name)),
        }
    }

    /// CPU time of a message from or to NATS, with all that it led to, in microseconds.
    fn cost_since(&self, before: &Figures) -> f64 {
        let operations = self.operations - before.operations;
        (self.cpu - before.cpu).as_secs_f64() * 1e6 / operations
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MiB, {} descriptors",
            self.memory, self.descriptors
        )?;
        for (name, count) in COUNTS.iter().zip(self.counts) {
            write!(f, ", {name} {count}")?;
        }
        Ok(())
    }
}

/// Web requests, one after the other.
struct Browser {
    is_over: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Browser {
    fn start(addr: &str, seed: u64) -> Browser {
        let is_over = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(AtomicU64::new(0));
        let (flag, count, addr) = (Arc::clone(&is_over), Arc::clone(&answers), addr.to_owned());
        let mut random = Random::new(seed);
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::SeqCst) {
                let mut http = Http::connect_to(&addr);
                http.get(&format!("/api/chaos/m/{}", random.below(MODELS)));
                let status = http.response().status;
                // While NATS is away there is none, and a service may be away longer.
                assert!(matches!(status, 200 | 404 | 503 | 504), "{status}");
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Browser {
            is_over,
            answers,
            thread,
        }
    }

    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().expect("the browser does not panic");
        self.answers.load(Ordering::SeqCst)
    }
}

/// The load for so long, and then the rest.
fn load(stage: &mut Stage, time: Duration, random: &mut Random) -> Figures {
    let start = Instant::now();
    let browser = Browser::start(&stage.gateway.addr, random.next());
    let mut next_fault = start + FAULT_STEP.min(time / 2);
    while start.elapsed() < time {
        let guests = Crowd::start(&stage.gateway.addr, GUESTS, random.next());
        guests.set_busy(true);
        std::thread::sleep(GUEST_STEP.min(time / 4));
        if let Some(fault) = guests.fault() {
            panic!("a guest's {fault}\n{}", stage.gateway.log());
        }
        guests.end();
        stage.service.reset();
        if next_fault <= Instant::now() {
            next_fault += FAULT_STEP;
            let fault = Fault::CLUSTER[random.below(Fault::CLUSTER.len())];
            fault.strike(stage, random);
            stage.expect_all_well(&format!("{fault:?}"));
        }
    }
    let answers = browser.end();
    stage.rest("a part of the soak");
    let figures = Figures::of(stage);
    eprintln!(
        "{:6.1} s: {figures}; {answers} web requests; {}",
        start.elapsed().as_secs_f64(),
        stage.summary()
    );
    stage.expect_all_well("the load goes on");
    figures
}

/// The soak for so long.
pub fn run(time: Duration) {
    const PARTS: u32 = 10;
    let seed = crate::number("CHAOS_SEED").unwrap_or(1);
    let mut random = Random::new(seed);
    let mut stage = Stage::start(Servers::cluster(), CLIENTS, seed, &["--maxage", "0"]);
    // The first part is there to fill the buffers.
    let mut before = load(&mut stage, time / PARTS, &mut random);
    let begin = before;
    let mut costs = Vec::new();
    for _ in 1..PARTS {
        let after = load(&mut stage, time / PARTS, &mut random);
        costs.push(after.cost_since(&before));
        before = after;
    }
    let end = before;
    let costs: Vec<String> = costs.iter().map(|cost| format!("{cost:.1}")).collect();
    eprintln!("begin: {begin}\nend:   {end}");
    eprintln!(
        "CPU of a message from or to NATS, in µs: {}",
        costs.join(" ")
    );
    assert_eq!(begin.counts, end.counts, "{COUNTS:?}");
    // Two may be of probes, or of a server that was left, at either time.
    assert!(end.descriptors <= begin.descriptors + 2);
    let most = begin.memory + MEMORY_SLACK;
    assert!(
        end.memory <= most,
        "{} MiB, not {}",
        end.memory,
        begin.memory
    );
    stage.end();
}
