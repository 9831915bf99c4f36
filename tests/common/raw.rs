//! A WebSocket connection whose frames the test writes byte by byte, valid or not.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Gateway, PATIENCE, assert_json};

/// A connection after a valid handshake.
pub struct RawWs {
    stream: TcpStream,
}

/// A frame from the gateway.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// First byte: FIN, reserved bits and opcode.
    pub first: u8,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The status code of a close frame; `None` if it has no body.
    #[track_caller]
    pub fn close_code(&self) -> Option<u16> {
        assert_eq!(self.first, 0x88, "expected a close frame, got {self:?}");
        let code = self.payload.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*code))
    }
}

impl RawWs {
    /// Connects and makes the handshake.
    #[track_caller]
    pub fn open(gateway: &Gateway) -> RawWs {
        RawWs::open_with(gateway, "").0
    }

    /// As [`RawWs::open`] with further header lines, each ended by CRLF; also gives the
    /// head of the answer, in lower case.
    #[track_caller]
    pub fn open_with(gateway: &Gateway, headers: &str) -> (RawWs, String) {
        let mut stream = gateway.connect();
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("not a zero time-out");
        stream.set_nodelay(true).expect("a live socket");
        stream
            .write_all(
                format!(
                    "GET / HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
                )
                .as_bytes(),
            )
            .expect("the gateway holds the connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream
                .read_exact(&mut byte)
                .expect("the gateway answers the handshake");
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        (RawWs { stream }, head)
    }

    /// Writes these bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .expect("the gateway holds the connection");
    }

    /// Writes a masked frame with this first byte (FIN, reserved bits, opcode).
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.write(&RawWs::masked(first, payload));
    }

    /// The bytes of a masked frame with the shortest length form.
    pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut out = vec![first];
        match payload.len() {
            n @ 0..=125 => out.push(0x80 | n as u8),
            n @ 126..=0xffff => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(n as u16).to_be_bytes());
            }
            n => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(n as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        out
    }

    /// The next frame. Fails if it is masked.
    #[track_caller]
    pub fn next(&mut self) -> Frame {
        match self.try_next() {
            Some(frame) => frame,
            None => panic!("the gateway closed the connection instead of sending a frame"),
        }
    }

    /// The next frame, or `None` if the gateway closed the connection first.
    #[track_caller]
    pub fn try_next(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            Err(e) => panic!("no frame came: {e}"),
        }
        assert_eq!(head[1] & 0x80, 0, "a server must not mask");
        let length = match head[1] {
            126 => {
                let mut bytes = [0; 2];
                self.read(&mut bytes);
                u64::from(u16::from_be_bytes(bytes))
            }
            127 => {
                let mut bytes = [0; 8];
                self.read(&mut bytes);
                u64::from_be_bytes(bytes)
            }
            n => u64::from(n),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a length that fits memory")];
        self.read(&mut payload);
        Some(Frame {
            first: head[0],
            payload,
        })
    }

    #[track_caller]
    fn read(&mut self, bytes: &mut [u8]) {
        self.stream.read_exact(bytes).expect("the frame is whole");
    }

    /// Fails unless the next frame is a final text frame with this JSON.
    #[track_caller]
    pub fn expect_text(&mut self, json: &str) {
        let frame = self.next();
        assert_eq!(frame.first, 0x81, "expected a text frame, got {frame:?}");
        assert_json(&String::from_utf8(frame.payload).expect("UTF-8"), json);
    }

    /// As [`RawWs::expect_text`], but the frame may be compressed; `unpack` reads those.
    #[track_caller]
    pub fn expect_text_or_packed(&mut self, json: &str, unpack: fn(&Frame) -> String) {
        let frame = self.next();
        let text = match frame.first {
            0x81 => String::from_utf8(frame.payload).expect("UTF-8"),
            _ => unpack(&frame),
        };
        assert_json(&text, json);
    }

    /// Fails unless a version request is answered, which shows that the connection
    /// works and that nothing else was sent before.
    #[track_caller]
    pub fn expect_alive(&mut self) {
        self.frame(0x81, br#"{"id":99,"method":"version"}"#);
        self.expect_text(r#"{"id":99,"result":{"protocol":"1.2.3"}}"#);
    }

    /// Fails unless the gateway closes the TCP connection without sending more.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        if let Some(frame) = self.try_next() {
            panic!("expected the end of the connection, got {frame:?}");
        }
    }
}
