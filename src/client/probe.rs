//! `--probe`: whether a gateway that runs is well, asked at its port for operators. For
//! containers, whose health checks have no other program to ask with.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::config::{Config, Probe};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Bytes of an answer that are read: these pages are a line long.
const ANSWER: usize = 4 << 10;

/// Asks the gateway that runs with this configuration on this host; what it says.
///
/// # Errors
///
/// A sentence that says what is not as it should be.
pub fn probe(config: &Config, probe: Probe) -> Result<String, String> {
    let Some(port) = config.metrics_port else {
        return Err(
            "--probe: the gateway has no port to ask; set --metricsport or \
             TIDEGATE_METRICSPORT as for the gateway itself"
                .to_owned(),
        );
    };
    let ip = match config.addr {
        Some(ip) if !ip.is_unspecified() => ip,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let address = SocketAddr::new(ip, port);
    let path = match probe {
        Probe::Live => "/healthz",
        Probe::Ready => "/readyz",
    };
    let shown = format!("http://{address}{path}");
    let answer = ask(address, path)
        .map_err(|error| format!("{shown} does not answer: {}", in_words(&error)))?;
    match read(&answer) {
        Some((200, words)) => Ok(format!("{shown} says {words}\n")),
        Some((status, words)) => Err(format!("{shown} says {status}: {words}")),
        None => Err(format!("{shown} says what is no HTTP; is it the gateway?")),
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("nothing came in {} s", PATIENCE.as_secs())
        }
        _ => error.to_string(),
    }
}

/// Sends the request, and reads all that is answered.
fn ask(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut answer = vec![0; ANSWER];
    let mut len = 0;
    while len < ANSWER {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut answer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    answer.truncate(len);
    Ok(answer)
}

/// The status of an answer, and the first line of its body.
fn read(answer: &[u8]) -> Option<(u16, String)> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let words = body.lines().next().unwrap_or_default();
    Some((status.parse().ok()?, words.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_their_status_and_first_line() {
        let cases: [(&str, Option<(u16, &str)>); 7] = [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nok\n", Some((200, "ok"))),
            (
                "HTTP/1.1 503 No\r\n\r\nNATS is lost\nx",
                Some((503, "NATS is lost")),
            ),
            ("HTTP/1.1 204\r\n\r\n", Some((204, ""))),
            ("HTTP/1.1 20\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("", None),
        ];
        for (answer, expected) in cases {
            let found = read(answer.as_bytes());
            let found = found.as_ref().map(|(status, words)| (*status, &**words));
            assert_eq!(found, expected, "{answer:?}");
        }
    }
}
