//! What somebody might take in place of a gateway for the RES protocol: how each is started,
//! and what it does not do.
//!
//! They hand a text from a NATS subject to those who subscribed to it, and that is all that is
//! asked of them here: services, access, a cache and what follows from it are beyond them. So
//! their clients get the very text that a client of Tidegate gets, which the driver publishes
//! ready-made.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fault::Fault;
use crate::load::Speaks;
use crate::process::find_program;
use crate::subject::{Broker, Kind};

/// One of them.
#[derive(Clone, Debug)]
pub struct Other {
    /// Which.
    pub kind: Kind,
    /// Its program; for Bun, what runs the script.
    pub program: PathBuf,
}

/// All of them: the name on the command line, what it is, and what it does not do.
const OTHERS: [(&str, Kind, &str); 3] = [
    (
        "nats-ws",
        Kind::NatsWs,
        "nats-server's own WebSocket: clients are clients of NATS, so broker and gateway are one \
         process and its CPU is that of both (beside it Tidegate with `--broker`, for which the \
         same holds). No state: whoever subscribes gets what is published later, so there is no \
         cache, no first answer, no resync after a gap or a slow moment (it drops the client). \
         No access by resource and no asking a service: users and subjects stand in its \
         configuration or in an account's JWT. No HTTP for clients, no tokens of services, no \
         references, and it is the clients' matter what events mean.",
    ),
    (
        "centrifugo",
        Kind::Centrifugo,
        "Centrifugo 6 in the raw mode of its NATS broker: texts on channels. In raw mode it keeps \
         no history, so no recovery and no presence of join and leave; in any mode no cache of \
         resources that services own, no state with a subscription but what a history has, no \
         references, no model or collection that events change. Access is by tokens, patterns or \
         a proxied request at the subscription, not asked again when a service says so; calls are \
         proxied over HTTP or gRPC, not over NATS.",
    ),
    (
        "bun",
        Kind::Bun,
        "A script of fifty lines on Bun's WebSocket server (uWebSockets inside) with its \
         publish and subscribe: what somebody writes who needs nothing else. No access, no \
         cache, no state, no resync, no limits beyond the library's, no reconnection to NATS; a \
         slow client's messages are dropped without a word at 16 MiB.",
    ),
];

impl Kind {
    /// What it does not do, if it is no gateway for the RES protocol.
    pub fn lacks(self) -> Option<&'static str> {
        let found = OTHERS.iter().find(|(_, kind, _)| *kind == self);
        found.map(|(.., lacks)| *lacks)
    }
}

/// Reads what `--beside` says: `nats-ws,centrifugo=PATH,bun=PATH`.
///
/// # Errors
///
/// If a name is unknown or a program is not there.
pub fn parse(list: &str) -> Result<Vec<Other>, Fault> {
    let one = |item: &str| {
        let (name, path) = match item.split_once('=') {
            Some((name, path)) => (name, Some(PathBuf::from(path))),
            None => (item, None),
        };
        let found = OTHERS.iter().find(|(known, ..)| *known == name);
        let Some(&(name, kind, _)) = found else {
            let names = OTHERS.map(|(known, ..)| known).join(", ");
            return Err(Fault::Surprise(format!(
                "--beside: {name} is not known; there are {names}"
            )));
        };
        let program = match (kind, path) {
            (_, Some(path)) => std::path::absolute(path)?,
            (Kind::NatsWs, None) => Broker::program(),
            (_, None) => find_program(name),
        };
        match program.is_file() {
            true => Ok(Other { kind, program }),
            false => Err(Fault::Surprise(format!(
                "--beside: {name}: there is no {}; docs/BENCHMARKS.md says how it is got",
                program.display()
            ))),
        }
    };
    list.split(',')
        .filter(|item| !item.is_empty())
        .map(one)
        .collect()
}

/// The command that starts one of them, with its configuration in a folder. `nats` is the
/// broker; for nats-server, where services connect to it.
///
/// # Errors
///
/// If the configuration cannot be written.
pub fn command(
    kind: Kind,
    program: &Path,
    folder: &Path,
    nats: SocketAddr,
    clients: SocketAddr,
) -> Result<Command, Fault> {
    let mut command = Command::new(program);
    let write = |name: &str, text: &str| -> Result<PathBuf, Fault> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    match kind {
        Kind::NatsWs => {
            let text = format!(
                "listen: \"{nats}\"\nwebsocket {{ listen: \"{clients}\", no_tls: true }}\n"
            );
            command.arg("-c").arg(write("nats-ws.conf", &text)?);
        }
        Kind::Centrifugo => {
            let text = serde_json::json!({
                "http_server": {"address": clients.ip(), "port": clients.port().to_string()},
                "client": {
                    "allowed_origins": ["*"],
                    "allow_anonymous_connect_without_token": true,
                },
                "channel": {"without_namespace": {
                    "allow_subscribe_for_client": true,
                    "allow_subscribe_for_anonymous": true,
                }},
                "broker": {
                    "enabled": true,
                    "type": "nats",
                    "nats": {"url": format!("nats://{nats}"), "raw_mode": {"enabled": true}},
                },
            });
            let path = write("centrifugo.json", &text.to_string())?;
            command.arg("--config").arg(path);
        }
        _ => {
            let path = write("bun.js", include_str!("beside/bun.js"))?;
            let ports = [nats.port(), clients.port()].map(|port| port.to_string());
            command.arg(path).args(ports);
        }
    }
    command.current_dir(folder);
    Ok(command)
}

/// How clients of a subject speak.
pub fn speaks(kind: Kind, flags: &[&str]) -> Speaks {
    match kind {
        Kind::NatsWs => Speaks::Nats,
        Kind::Centrifugo => Speaks::Centrifugo,
        Kind::Bun => Speaks::Topics,
        _ if flags.contains(&"--wscompression") => Speaks::Deflated,
        _ => Speaks::WebSocket,
    }
}
