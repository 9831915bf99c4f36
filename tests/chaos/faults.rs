//! What happens to servers and connections.

use rustix::process::Signal;

use crate::random::Random;
use crate::stage::Stage;

/// Changes of the service's state that a fault lasts for where nothing else ends it.
const LASTS: u64 = 60;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A server is killed, and starts again.
    Kill,
    /// A server stands still, and goes on.
    Freeze,
    /// A server ends in good order, and starts again.
    Restart,
    /// A server tells that it will end, and does.
    LameDuck,
    /// What the gateway and its server send does not arrive, and nobody is told.
    BlackHole,
    /// Connections between the gateway and its server are closed, and new ones too.
    NoWay,
    /// The connection ends in the middle of a message.
    Cut,
    /// The servers do not reach each other.
    Partition,
}

impl Fault {
    /// Those of a server without others.
    pub const ALONE: [Fault; 6] = [
        Fault::Kill,
        Fault::Freeze,
        Fault::Restart,
        Fault::BlackHole,
        Fault::NoWay,
        Fault::Cut,
    ];

    /// Those of a cluster.
    pub const CLUSTER: [Fault; 8] = [
        Fault::Kill,
        Fault::Freeze,
        Fault::Restart,
        Fault::LameDuck,
        Fault::BlackHole,
        Fault::NoWay,
        Fault::Cut,
        Fault::Partition,
    ];

    /// It happens, and is over when this returns: all servers run, all ways are free, and the
    /// gateway is connected.
    pub fn strike(self, stage: &mut Stage, random: &mut Random) {
        let log = stage.gateway.log();
        let scene = Scene {
            node: stage.servers.of_gateway(&log),
            losses: log.matches(LOST).count(),
            connections: log.matches(CONNECTED).count(),
            has_others: stage.servers.nodes.len() > 1,
        };
        match self {
            Fault::Kill | Fault::Restart => self.end_server(stage, &scene, random),
            Fault::Freeze => freeze(stage, &scene),
            Fault::LameDuck => {
                let broker = &mut stage.servers.nodes[scene.node].broker;
                broker.signal(Signal::USR2);
                scene.wait_connected(stage);
                let broker = &mut stage.servers.nodes[scene.node].broker;
                broker.kill();
                broker.restart();
            }
            Fault::BlackHole | Fault::NoWay => {
                let wire = &stage.servers.nodes[scene.node].wire;
                match self {
                    Fault::BlackHole => wire.hold(),
                    _ => wire.take_away(),
                }
                scene.wait_lost(stage);
                match scene.has_others {
                    true => scene.wait_connected(stage),
                    // So often that clients have missed something.
                    false => stage.service.wait_changes(LASTS),
                }
                stage.servers.nodes[scene.node].wire.mend();
                scene.wait_connected(stage);
            }
            Fault::Cut => {
                let text = ["chaos.m.", "\"values\"", "MSG ", "\r\n"][random.below(4)];
                stage.servers.nodes[scene.node].wire.cut_within(text);
                scene.wait_lost(stage);
                scene.wait_connected(stage);
            }
            Fault::Partition => {
                stage.servers.part(true);
                stage.service.wait_changes(LASTS);
                stage.servers.part(false);
                // No side hears of what did not cross, so that only a reset can tell.
                stage.may_lose = true;
            }
        }
        stage.servers.wait_together();
    }

    /// A server ends, and starts again; of a cluster also one that the gateway does not use.
    fn end_server(self, stage: &mut Stage, scene: &Scene, random: &mut Random) {
        let node = match scene.has_others {
            true => random.below(stage.servers.nodes.len()),
            false => scene.node,
        };
        let is_ours = node == scene.node;
        let broker = &mut stage.servers.nodes[node].broker;
        match self {
            Fault::Kill => broker.kill(),
            _ => broker.stop(),
        }
        if is_ours {
            scene.wait_lost(stage);
        }
        if is_ours && scene.has_others {
            scene.wait_connected(stage);
        }
        stage.servers.nodes[node].broker.restart();
        if is_ours {
            scene.wait_connected(stage);
        }
    }
}

/// The gateway's server stands still until the gateway has noticed.
fn freeze(stage: &mut Stage, scene: &Scene) {
    // What it has of the service would come behind what the service says later.
    if scene.has_others && stage.service.server() == scene.node {
        stage.service.move_on();
    }
    let broker = |stage: &Stage, signal| stage.servers.nodes[scene.node].broker.signal(signal);
    broker(stage, Signal::STOP);
    scene.wait_lost(stage);
    if scene.has_others {
        scene.wait_connected(stage);
    }
    broker(stage, Signal::CONT);
    scene.wait_connected(stage);
}

/// How it was before.
struct Scene {
    /// The gateway's server.
    node: usize,
    /// Connections that the gateway had lost and made.
    losses: usize,
    connections: usize,
    /// Whether there are other servers.
    has_others: bool,
}

impl Scene {
    /// Waits until the gateway has noticed.
    fn wait_lost(&self, stage: &Stage) {
        stage.gateway.wait_for_log(LOST, self.losses + 1);
    }

    /// Waits until the gateway has a server again.
    fn wait_connected(&self, stage: &Stage) {
        stage.gateway.wait_for_log(CONNECTED, self.connections + 1);
    }
}

/// What the gateway says of its connection.
const LOST: &str = "lost the connection to NATS";
const CONNECTED: &str = "Connected to nats-server";
