//! NATS servers, alone or three of them in a cluster, each with a wire between it and the
//! gateway, and with one between it and the other servers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::PATIENCE;
use crate::common::{Broker, Http, Wire, broker_binary, free_port};

/// A server.
pub struct Node {
    pub broker: Broker,
    /// Between it and the gateway.
    pub wire: Wire,
    /// Between it and the servers that connect to it.
    route: Option<Wire>,
    /// Where it tells of itself.
    monitor: String,
}

impl Node {
    /// How many others it has a way to.
    fn routes(&self) -> usize {
        let mut http = Http::connect_to(&self.monitor);
        http.get("/routez");
        let page: Value = serde_json::from_str(&http.response().body).expect("JSON");
        let routes = page["routes"].as_array().map_or(&[][..], Vec::as_slice);
        let others = routes
            .iter()
            .filter_map(|route| route["remote_id"].as_str());
        others.collect::<BTreeSet<&str>>().len()
    }
}

/// The servers.
pub struct Servers {
    pub nodes: Vec<Node>,
}

impl Servers {
    /// One server.
    pub fn one() -> Servers {
        let broker = Broker::start_by(broker_binary(), &[]);
        let wire = Wire::to(&broker.addr);
        let node = Node {
            broker,
            wire,
            route: None,
            monitor: String::new(),
        };
        Servers { nodes: vec![node] }
    }

    /// Three servers that know each other, and tell nobody of it.
    pub fn cluster() -> Servers {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let routes: Vec<Wire> = ports
            .iter()
            .map(|port| Wire::to(&format!("127.0.0.1:{port}")))
            .collect();
        let all: Vec<String> = routes.iter().map(Wire::url).collect();
        let all = all.join(",");
        let nodes = ports.iter().zip(routes).map(|(port, route)| {
            let listen = format!("nats://127.0.0.1:{port}");
            let monitor = free_port().to_string();
            let args = [
                "--cluster_name",
                "chaos",
                "--cluster",
                &listen,
                "--cluster_advertise",
                &route.addr,
                "--routes",
                &all,
                "--no_advertise",
                "-m",
                &monitor,
            ];
            let broker = Broker::start_by(broker_binary(), &args);
            let wire = Wire::to(&broker.addr);
            Node {
                broker,
                wire,
                route: Some(route),
                monitor: format!("127.0.0.1:{monitor}"),
            }
        });
        let servers = Servers {
            nodes: nodes.collect(),
        };
        servers.wait_together();
        servers
    }

    /// Waits until each server of a cluster knows all others.
    pub fn wait_together(&self) {
        let others = self.nodes.len() - 1;
        let start = Instant::now();
        while others > 0 && self.nodes.iter().any(|node| node.routes() != others) {
            assert!(
                start.elapsed() < PATIENCE,
                "the servers do not come together"
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Their addresses as the gateway takes them.
    pub fn urls(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(|node| node.wire.url()).collect();
        urls.join(",")
    }

    /// The same, this one first.
    pub fn urls_from(&self, first: usize) -> String {
        let mut urls: Vec<String> = self.nodes.iter().map(|node| node.wire.url()).collect();
        urls.rotate_left(first % self.nodes.len());
        urls.join(",")
    }

    /// Their addresses for the service, this one first.
    pub fn addresses(&self, first: usize) -> Vec<String> {
        let count = self.nodes.len();
        let nodes = (0..count).map(|index| &self.nodes[(first + index) % count]);
        nodes.map(|node| node.broker.addr.clone()).collect()
    }

    /// The server that the gateway is connected to, by its log.
    pub fn of_gateway(&self, log: &str) -> usize {
        let line = log.lines().rfind(|line| line.contains("Connected to "));
        let line = line.expect("it was connected");
        let find = |node: &Node| line.ends_with(&node.wire.addr);
        self.nodes.iter().position(find).expect("one of ours")
    }

    /// Each server is alone from now on, or no longer.
    pub fn part(&self, is_parted: bool) {
        for route in self.nodes.iter().filter_map(|node| node.route.as_ref()) {
            match is_parted {
                true => route.take_away(),
                false => route.mend(),
            }
        }
    }
}

/// Pauses between two looks at what others do.
pub const LOOK: Duration = Duration::from_millis(2);
