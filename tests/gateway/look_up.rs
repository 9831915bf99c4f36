//! NATS servers whose host has a name, which the system must look up.
//!
//! The gateway runs where the system asks a name server of the test's. That takes a mount
//! namespace of its own and the port of name servers, so the right to both; where one is
//! not to be had, these tests say so and are skipped.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::*;

/// Puts its arguments in the place of the system's files, in a namespace of its own, and
/// runs what follows.
const MOUNT: &str = r#"mount --make-rprivate / && mount --bind "$0" /etc/resolv.conf &&
    if [ -e /etc/nsswitch.conf ]; then mount --bind "$1" /etc/nsswitch.conf; fi &&
    shift && exec "$@""#;

/// A name server that answers when the test does.
struct NameServer {
    socket: UdpSocket,
    directory: Directory,
}

impl NameServer {
    /// At 127.83.71.`host`; `None` if that cannot be done here.
    fn start(host: u8) -> Option<NameServer> {
        if is_peer() {
            return None;
        }
        let ip = Ipv4Addr::new(127, 83, 71, host);
        let socket = match UdpSocket::bind((ip, 53)) {
            Ok(socket) => socket,
            Err(error) => {
                eprintln!("skipped: no name server can be had at {ip}: {error}");
                return None;
            }
        };
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let directory = Directory::new();
        directory.write("nsswitch.conf", "hosts: files dns\n");
        let text = format!("nameserver {ip}\noptions timeout:30 attempts:5\n");
        directory.write("resolv.conf", &text);
        let server = NameServer { socket, directory };
        let output = server.command().arg("true").output();
        match output {
            Ok(output) if output.status.success() => Some(server),
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                eprintln!("skipped: no mount namespace can be had: {words}");
                None
            }
            Err(error) => {
                eprintln!("skipped: there is no unshare: {error}");
                None
            }
        }
    }

    /// Runs the command in its arguments where this name server is asked.
    fn command(&self) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", MOUNT])
            .arg(self.directory.path("resolv.conf"))
            .arg(self.directory.path("nsswitch.conf"))
            .stdin(Stdio::null());
        command
    }

    /// Answers all questions from now on, in the background: with the address where one of
    /// IPv4 is asked for, or that there is no such name.
    fn answer(&self, address: Option<Ipv4Addr>) {
        let socket = self.socket.try_clone().expect("a handle");
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((len, client)) = socket.recv_from(&mut packet) {
                let answer = answer(&packet[..len], address);
                socket.send_to(&answer, client).expect("it is sent");
            }
        });
    }
}

/// The answer to a question for a name.
fn answer(question: &[u8], address: Option<Ipv4Addr>) -> Vec<u8> {
    let name_len = question[12..].iter().position(|&byte| byte == 0);
    let end = 12 + name_len.expect("a name") + 5;
    let mut answer = question[..end].to_vec();
    // An answer, recursion available; one question, nothing else.
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
    match address {
        // No such name.
        None => answer[3] |= 3,
        Some(address) if question[end - 4..end - 2] == [0, 1] => {
            answer[7] = 1;
            // The question's name, an IPv4 address, not to be kept.
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            answer.extend(address.octets());
        }
        // It has no address of that kind.
        Some(_) => {}
    }
    answer
}

#[test]
fn a_signal_during_a_look_up_ends_the_process_at_once_with_0_unlike_resgate() {
    for signal in [Signal::TERM, Signal::INT] {
        let Some(server) = NameServer::start(1) else {
            return;
        };
        let mut gateway = Gateway::start_by(server.command(), "nats://shore.test:4222");
        let mut packet = [0; 512];
        let (len, _) = server.socket.recv_from(&mut packet).expect("a question");
        let question = &packet[..len];
        assert!(
            question
                .windows(11)
                .any(|name| name == b"\x05shore\x04test")
        );
        // From now on somebody waits for an answer, for minutes.
        let start = Instant::now();
        gateway.signal(signal);
        assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
        let taken = start.elapsed();
        assert!(taken < Duration::from_secs(1), "took {taken:?}");
        assert_eq!(gateway.log(), "");
    }
}

#[test]
fn a_name_leads_to_the_server_unlike_resgate() {
    let Some(server) = NameServer::start(2) else {
        return;
    };
    let broker = Broker::start();
    let port = broker.addr.rsplit(':').next().expect("a port");
    let url = format!("nats://shore.test:{port}");
    let mut gateway = Gateway::start_by(server.command(), &url);
    server.answer(Some(Ipv4Addr::LOCALHOST));
    gateway.wait_for_log("Listening on", 1);
    assert!(
        gateway.log().contains(&format!(" at {url}")),
        "{}",
        gateway.log()
    );
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    drop(client);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
}

#[test]
fn a_name_that_nobody_knows_ends_the_process_with_1_unlike_resgate() {
    let Some(server) = NameServer::start(3) else {
        return;
    };
    let mut gateway = Gateway::start_by(server.command(), "nats://shore.test");
    server.answer(None);
    assert_eq!(gateway.wait(PATIENCE), Some(1), "{}", gateway.log());
    let log = gateway.log();
    let line = " [ERR] cannot connect to NATS at nats://shore.test:4222: the host has no known \
                address (";
    assert!(log.contains(line), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}
