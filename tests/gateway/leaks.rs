//! What a group of tests leaves behind in the gateway, as its metrics tell, and a client
//! beside it that must notice nothing.

use std::net::TcpListener;
use std::time::Instant;

use crate::common::*;

/// What the gateway holds on behalf of clients and services.
const HELD: [&str; 9] = [
    "resgate_ws_current_connections",
    "resgate_cache_resources",
    "resgate_cache_subscriptions",
    "tidegate_cached_resources",
    "tidegate_lingering_names",
    "tidegate_pending_requests",
    "tidegate_queued_requests",
    "tidegate_waiting",
    "tidegate_connections",
];

/// Memory that may come and not go again: buffers grow to what was once needed.
const MEMORY_MAX: f64 = 64.0 * 1024.0 * 1024.0;

/// A gateway under observation, with an innocent client.
pub struct Observed {
    /// The gateway and its broker.
    pub stack: Stack,
    metrics: Http,
    service: Service,
    bystander: Client,
    count: u64,
    held: Vec<String>,
    memory: f64,
}

impl Observed {
    /// Starts a gateway with these arguments.
    pub fn start(args: &[&str]) -> Observed {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("the loopback interface has a free port")
            .port()
            .to_string();
        let stack = Stack::start(&[&["--metricsport", &port], args].concat());
        let service = stack.service("bystander");
        let mut bystander = stack.client();
        bystander.subscribe(&service, "bystander.a", r#"{"model":{"n":0}}"#);
        let mut observed = Observed {
            metrics: Http::connect_to(&format!("127.0.0.1:{port}")),
            stack,
            service,
            bystander,
            count: 0,
            held: Vec::new(),
            memory: 0.0,
        };
        (observed.held, observed.memory) = observed.scrape();
        observed
    }

    /// Fails unless the bystander gets an event, an answer, and nothing else.
    #[track_caller]
    pub fn is_undisturbed(&mut self) {
        self.count += 1;
        let values = format!(r#"{{"values":{{"n":{}}}}}"#, self.count);
        self.service.event("bystander.a.change", &values);
        self.bystander.expect_event("bystander.a.change", &values);
        self.bystander.fence(&self.service, "bystander.a");
    }

    /// Fails unless all that came since the start is let go again: connections, cached
    /// resources and requests all, memory up to a bound.
    #[track_caller]
    pub fn expect_nothing_left(mut self) {
        self.is_undisturbed();
        // Names linger for five seconds.
        let start = Instant::now();
        let (held, memory) = loop {
            let (held, memory) = self.scrape();
            if held == self.held || start.elapsed() > PATIENCE {
                break (held, memory);
            }
            // Paces the loop: the answer to this takes 100 ms.
            self.service.is_listened_to("bystander.a");
            self.bystander.expect_event("bystander.a.probe", "null");
        };
        assert_eq!(held, self.held, "something is left behind");
        let grown = memory - self.memory;
        assert!(grown < MEMORY_MAX, "{grown} bytes more than before");
        assert!(!self.stack.gateway.log().contains("panicked"));
    }

    fn scrape(&mut self) -> (Vec<String>, f64) {
        self.metrics.get("/metrics");
        let response = self.metrics.response();
        assert_eq!(response.status, 200);
        let metrics = Exposition::parse(&response.body);
        let held = response.body.lines().filter(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            HELD.contains(&name)
        });
        let held: Vec<String> = held.map(str::to_owned).collect();
        // Resgate has the first three.
        let least = if is_peer() { 3 } else { HELD.len() };
        assert!(held.len() >= least, "{held:?}");
        (held, metrics.value("go_memstats_sys_bytes"))
    }
}
