//! Client sockets: HTTP on a bare connection, and WebSocket frames on top of it. They
//! check as little as possible, so that a scenario can send anything.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A TCP connection with what was read ahead.
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The last request was HEAD, so that its answer has no body.
    pub head_only: bool,
}

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Header lines in order.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    /// The values of a header, joined by `, `.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// A WebSocket frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The message in it: one final text frame, inflated if it is compressed.
    pub fn text(self) -> Result<String, Lack> {
        let bytes = match self.first {
            0x81 => self.payload,
            0xc1 => inflate(&self.payload)?,
            _ => return Err(Lack::Bad(format!("no message: {self:?}"))),
        };
        String::from_utf8(bytes).map_err(|_| Lack::Bad("text that is not UTF-8".to_owned()))
    }
}

/// Most that a compressed message may become.
const INFLATED_MAX: usize = 1 << 20;

/// A message compressed without context takeover.
fn inflate(payload: &[u8]) -> Result<Vec<u8>, Lack> {
    let mut input = payload.to_vec();
    // What permessage-deflate takes off.
    input.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let mut out = Vec::with_capacity(INFLATED_MAX);
    flate2::Decompress::new(false)
        .decompress_vec(&input, &mut out, flate2::FlushDecompress::Sync)
        .map_err(|e| Lack::Bad(format!("not deflated: {e}")))?;
    Ok(out)
}

/// A message as a client compresses it.
pub fn deflate(message: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(message.len() + 64);
    flate2::Compress::new(flate2::Compression::default(), false)
        .compress_vec(message, &mut out, flate2::FlushCompress::Sync)
        .map_err(|e| e.to_string())?;
    out.truncate(out.len().saturating_sub(4));
    Ok(out)
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// Nothing came in time.
    Silence,
    /// The gateway closed the connection.
    Closed,
    /// What came is no HTTP or WebSocket.
    Bad(String),
}

impl Socket {
    /// Connects.
    pub fn connect(addr: &str) -> Result<Socket, String> {
        let stream =
            TcpStream::connect(addr).map_err(|e| format!("cannot connect to {addr}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Socket {
            stream,
            buffer: Vec::new(),
            head_only: false,
        })
    }

    /// Connects and makes the WebSocket handshake.
    pub fn open(addr: &str, path: &str, headers: &str) -> Result<Socket, String> {
        let mut socket = Socket::connect(addr)?;
        socket.write(upgrade(path, headers).as_bytes());
        let answer = socket.response(Duration::from_secs(10));
        match answer {
            Ok(response) if response.status == 101 => Ok(socket),
            other => Err(format!("no WebSocket: {other:?}")),
        }
    }

    /// Writes as much as the gateway takes. Whether it should have is seen by what it
    /// answers.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Writes a frame masked with a fixed key.
    pub fn write_frame(&mut self, first: u8, payload: &[u8]) {
        let key = [0x21, 0x43, 0x65, 0x87];
        let mut bytes = frame_head(first, 0x80, payload.len());
        bytes.extend_from_slice(&key);
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
        self.write(&bytes);
    }

    /// Writes a frame that is not masked, as clients must not.
    pub fn write_bare_frame(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = frame_head(first, 0, payload.len());
        bytes.extend_from_slice(payload);
        self.write(&bytes);
    }

    /// No more will be written.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), Lack> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Lack::Silence);
        }
        let set = self.stream.set_read_timeout(Some(left));
        set.map_err(|e| Lack::Bad(e.to_string()))?;
        let mut chunk = [0; 16384];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(Lack::Closed),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            Err(e) => match e.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Err(Lack::Silence),
                _ => Err(Lack::Closed),
            },
        }
    }

    fn take(&mut self, count: usize, deadline: Instant) -> Result<Vec<u8>, Lack> {
        while self.buffer.len() < count {
            self.fill(deadline)?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    fn line(&mut self, deadline: Instant) -> Result<String, Lack> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill(deadline)?;
        }
    }

    /// The next response.
    pub fn response(&mut self, patience: Duration) -> Result<Response, Lack> {
        let deadline = Instant::now() + patience;
        let line = self.line(deadline)?;
        let bad = || Lack::Bad(format!("no status line: {line:?}"));
        let mut words = line.splitn(3, ' ');
        if !words.next().is_some_and(|w| w.starts_with("HTTP/1.")) {
            return Err(bad());
        }
        let status: u16 = words.next().and_then(|w| w.parse().ok()).ok_or_else(bad)?;
        let mut response = Response {
            status,
            headers: Vec::new(),
            body: String::new(),
        };
        loop {
            let line = self.line(deadline)?;
            if line.is_empty() {
                break;
            }
            match line.split_once(':') {
                Some((name, value)) => {
                    let value = value.trim().to_owned();
                    response.headers.push((name.to_owned(), value));
                }
                None => return Err(Lack::Bad(format!("no header line: {line:?}"))),
            }
        }
        if !self.head_only && status >= 200 && status != 204 && status != 304 {
            let body = self.body(&response, deadline)?;
            response.body = String::from_utf8_lossy(&body).into_owned();
        }
        if status != 100 {
            self.head_only = false;
        }
        Ok(response)
    }

    fn body(&mut self, response: &Response, deadline: Instant) -> Result<Vec<u8>, Lack> {
        if response.header("transfer-encoding").as_deref() == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let size = self.line(deadline)?;
                let size = usize::from_str_radix(&size, 16)
                    .map_err(|_| Lack::Bad(format!("no chunk size: {size:?}")))?;
                body.extend(self.take(size, deadline)?);
                self.line(deadline)?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        if let Some(length) = response.header("content-length") {
            let length = length
                .parse()
                .map_err(|_| Lack::Bad(format!("no length: {length:?}")))?;
            return self.take(length, deadline);
        }
        loop {
            match self.fill(deadline) {
                Ok(()) => {}
                Err(Lack::Closed) => return Ok(std::mem::take(&mut self.buffer)),
                Err(lack) => return Err(lack),
            }
        }
    }

    /// The next frame.
    pub fn frame(&mut self, patience: Duration) -> Result<Frame, Lack> {
        let deadline = Instant::now() + patience;
        let head = self.take(2, deadline)?;
        if head[1] & 0x80 != 0 {
            return Err(Lack::Bad("a masked frame".to_owned()));
        }
        let length = match head[1] {
            126 => self.number(2, deadline)?,
            127 => self.number(8, deadline)?,
            n => usize::from(n),
        };
        Ok(Frame {
            first: head[0],
            payload: self.take(length, deadline)?,
        })
    }

    fn number(&mut self, bytes: usize, deadline: Instant) -> Result<usize, Lack> {
        let bytes = self.take(bytes, deadline)?;
        Ok(bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)))
    }
}

/// A valid upgrade request; `headers` are whole lines.
pub fn upgrade(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

fn frame_head(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => bytes.push(mask | short),
        (_, Ok(middle)) => {
            bytes.push(mask | 126);
            bytes.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}
