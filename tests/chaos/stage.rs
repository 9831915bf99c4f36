//! Servers, a service, a gateway and its clients.

use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::clients::Crowd;
use crate::common::{Exposition, Gateway, Http, free_port};
use crate::servers::{LOOK, Servers};
use crate::service::Service;

/// Between two resets while servers find each other.
const RESET_STEP: Duration = Duration::from_millis(500);

/// All of it.
pub struct Stage {
    pub servers: Servers,
    pub service: Service,
    pub gateway: Gateway,
    pub crowd: Crowd,
    monitor: String,
    /// Connections of the service that were lost, up to when all was well last.
    losses: u64,
    /// Whether messages may be lost of which neither side hears.
    pub may_lose: bool,
}

impl Stage {
    /// A gateway with these arguments and so many clients, and all is well.
    pub fn start(servers: Servers, clients: usize, seed: u64, args: &[&str]) -> Stage {
        let service = Service::start(servers.addresses(0), seed);
        let port = free_port().to_string();
        let usual = [
            "--metricsport",
            &port,
            "--natsreconnect",
            "60000",
            "--natspinginterval",
            "500",
            "--reqtimeout",
            "2000",
        ];
        let gateway = Gateway::start(&servers.urls(), &[&usual[..], args].concat());
        let crowd = Crowd::start(&gateway.addr, clients, seed);
        let mut stage = Stage {
            servers,
            service,
            gateway,
            crowd,
            monitor: format!("127.0.0.1:{port}"),
            losses: 0,
            may_lose: false,
        };
        stage.expect_all_well("the start");
        stage
    }

    /// Waits until all is at rest and every client has what the service has; then the load goes
    /// on.
    #[track_caller]
    pub fn expect_all_well(&mut self, when: &str) {
        self.rest(when);
        self.service.set_busy(true);
        self.crowd.set_busy(true);
    }

    /// The same, and the load does not go on.
    #[track_caller]
    pub fn rest(&mut self, when: &str) {
        self.crowd.set_busy(false);
        self.service.set_busy(false);
        let (start, mut reset) = (Instant::now(), None);
        loop {
            if let Some(fault) = self.crowd.fault() {
                panic!("{when}: {fault}\n{}", self.gateway.log());
            }
            // What it published while its connection broke may come late, or not at all.
            let losses = self.service.losses();
            let is_due = reset.is_none_or(|reset: Instant| reset.elapsed() > RESET_STEP);
            if self.losses != losses || self.may_lose && is_due {
                self.losses = losses;
                reset = Some(Instant::now());
                self.service.reset();
            }
            let state = self.service.state();
            assert_eq!(state.repeated, 0, "{when}: calls came twice");
            let difference = self.crowd.difference(&state);
            drop(state);
            let Some(difference) = difference else {
                break;
            };
            if start.elapsed() > PATIENCE {
                panic!("{when}: {difference}\n{}", self.gateway.log());
            }
            std::thread::sleep(LOOK);
        }
        self.may_lose = false;
    }

    /// The gateway's metrics.
    pub fn metrics(&self) -> Exposition {
        let mut http = Http::connect_to(&self.monitor);
        http.get("/metrics");
        Exposition::parse(&http.response().body)
    }

    /// What there was to do.
    pub fn summary(&self) -> String {
        let [answered, refused, events, ended] = self.crowd.counts();
        let state = self.service.state();
        format!(
            "{} changes, {events} events, {answered} answers, {refused} errors, {ended} \
             subscriptions ended, {} calls, none twice; {} get and {} access requests",
            state.changes,
            state.calls(),
            state.gets,
            state.accesses
        )
    }

    /// Ends all of it in good order.
    pub fn end(mut self) {
        self.rest("the end");
        self.crowd.end();
        self.gateway.signal(rustix::process::Signal::TERM);
        assert_eq!(
            self.gateway.wait(PATIENCE),
            Some(0),
            "{}",
            self.gateway.log()
        );
    }
}
