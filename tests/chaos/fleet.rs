//! Three gateways on a cluster of three servers, and clients that come back to another gateway
//! when theirs goes. Any of the six is killed or restarted under load, and in the end each
//! client has what the service has.

use std::time::Instant;

use rustix::process::Signal;

use crate::PATIENCE;
use crate::clients::Crowd;
use crate::common::{Gateway, Http, free_port};
use crate::random::Random;
use crate::servers::{LOOK, Servers};
use crate::service::Service;

/// Clients, of all gateways together.
const CLIENTS: usize = 30;

/// What happens to one of the six.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// A server is killed, and starts again.
    KillServer(usize),
    /// A server ends in good order, and starts again.
    StopServer(usize),
    /// A gateway is killed, and another starts in its place.
    KillGateway(usize),
    /// A gateway ends in good order, and another starts in its place.
    StopGateway(usize),
}

impl Blow {
    /// All that can happen.
    fn all() -> Vec<Blow> {
        let each = |blow: fn(usize) -> Blow| (0..3).map(blow);
        each(Blow::KillServer)
            .chain(each(Blow::KillGateway))
            .chain(each(Blow::StopServer))
            .chain(each(Blow::StopGateway))
            .collect()
    }
}

/// All of it.
struct Fleet {
    servers: Servers,
    service: Service,
    gateways: Vec<Gateway>,
    /// Where gateways tell of themselves.
    monitors: Vec<String>,
    crowd: Crowd,
    /// Connections of the service that were lost, up to when all was well last.
    losses: u64,
}

impl Fleet {
    fn start(seed: u64) -> Fleet {
        let servers = Servers::cluster();
        let service = Service::start(servers.addresses(0), seed);
        let monitors: Vec<String> = (0..3).map(|_| free_port().to_string()).collect();
        let start = |(number, port): (usize, &String)| {
            Gateway::start(&servers.urls_from(number), &arguments(port))
        };
        let gateways: Vec<Gateway> = monitors.iter().enumerate().map(start).collect();
        let addresses: Vec<String> = gateways.iter().map(|it| it.addr.clone()).collect();
        let crowd = Crowd::start_at(&addresses, CLIENTS, seed);
        let mut fleet = Fleet {
            servers,
            service,
            gateways,
            monitors,
            crowd,
            losses: 0,
        };
        fleet.expect_all_well("the start");
        fleet
    }

    /// It happens, and is over when this returns: all six run, and all gateways serve.
    fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::KillServer(number) | Blow::StopServer(number) => {
                let broker = &mut self.servers.nodes[number].broker;
                match blow {
                    Blow::KillServer(_) => broker.kill(),
                    _ => broker.stop(),
                }
                // The others go on without it.
                self.wait_served();
                self.servers.nodes[number].broker.restart();
            }
            Blow::KillGateway(number) | Blow::StopGateway(number) => {
                let gateway = &mut self.gateways[number];
                let is_killed = matches!(blow, Blow::KillGateway(_));
                gateway.signal(if is_killed {
                    Signal::KILL
                } else {
                    Signal::TERM
                });
                let code = gateway.wait(PATIENCE);
                assert_eq!(code, (!is_killed).then_some(0), "{}", gateway.log());
                // Its clients are at the others, or on their way there.
                let arguments = arguments(&self.monitors[number]);
                let urls = self.servers.urls_from(number);
                let next = Gateway::start_beside(&self.gateways[number], &urls, &arguments);
                self.gateways[number] = next;
            }
        }
        self.servers.wait_together();
        self.wait_served();
    }

    /// Waits until all gateways have a server, and would take clients.
    fn wait_served(&self) {
        let start = Instant::now();
        for (monitor, gateway) in self.monitors.iter().zip(&self.gateways) {
            loop {
                let mut http = Http::connect_to(&format!("127.0.0.1:{monitor}"));
                http.get("/readyz");
                if http.response().status == 200 {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "{}", gateway.log());
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Waits until all is at rest and every client has what the service has; then the load goes
    /// on.
    #[track_caller]
    fn expect_all_well(&mut self, when: &str) {
        self.crowd.set_busy(false);
        self.service.set_busy(false);
        let start = Instant::now();
        loop {
            if let Some(fault) = self.crowd.fault() {
                panic!("{when}: {fault}\n{}", self.log());
            }
            // What it published while its connection broke may come late, or not at all.
            let losses = self.service.losses();
            if std::mem::replace(&mut self.losses, losses) != losses {
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
                panic!("{when}: {difference}\n{}", self.log());
            }
            std::thread::sleep(LOOK);
        }
        self.service.set_busy(true);
        self.crowd.set_busy(true);
    }

    /// What the gateways have to say.
    fn log(&self) -> String {
        let logs: Vec<String> = self.gateways.iter().map(Gateway::log).collect();
        logs.join("\n---\n")
    }
}

/// Those of a gateway whose metrics are at this port.
fn arguments(port: &str) -> [&str; 10] {
    [
        "--metricsport",
        port,
        "--natsreconnect",
        "60000",
        "--natspinginterval",
        "500",
        "--reqtimeout",
        "2000",
        "--draintime",
        "500",
    ]
}

/// So many blows, in which each of those that there are has its turn, in a random order.
pub fn run(count: usize, seed: u64) {
    let mut random = Random::new(seed);
    let mut fleet = Fleet::start(seed);
    let mut times = Vec::new();
    let mut left: Vec<Blow> = Vec::new();
    for round in 1..=count {
        if left.is_empty() {
            left = Blow::all();
        }
        let blow = left.swap_remove(random.below(left.len()));
        let start = Instant::now();
        fleet.strike(blow);
        let healed = start.elapsed();
        fleet.expect_all_well(&format!("seed {seed}, round {round}, {blow:?}"));
        let total = start.elapsed();
        times.push(total - healed);
        eprintln!(
            "fleet {round:3}: {:14} over after {:5.2} s, all clients right {:5.2} s later",
            format!("{blow:?}"),
            healed.as_secs_f64(),
            (total - healed).as_secs_f64(),
        );
    }
    times.sort();
    let [answered, refused, events, _] = fleet.crowd.counts();
    let state = fleet.service.state();
    eprintln!(
        "fleet: {} changes, {events} events, {answered} answers, {refused} errors, {} calls, none \
         twice, {} connections made anew; all clients right after {:.2} s in the middle, {:.2} s \
         at most",
        state.changes,
        state.calls(),
        fleet.crowd.returns(),
        times[times.len() / 2].as_secs_f64(),
        times[times.len() - 1].as_secs_f64()
    );
    drop(state);
    fleet.crowd.end();
}
