//! What clients speak: how they begin, and where the texts of events are in what they get.
//!
//! All but [`Speaks::Http`] hand over texts as the client of a gateway for the RES protocol
//! gets them; what stands around them differs.

use flate2::{Decompress, FlushDecompress};

use super::{Load, Net, UPGRADE};
use crate::fault::{Fault, Outcome};
use crate::wire::{self, Frame, Line, find};

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// WebSocket, after the recorded upgrade request.
    WebSocket,
    /// The same, with compressed messages (RFC 7692).
    Deflated,
    /// The client protocol of NATS over WebSocket.
    Nats,
    /// Centrifugo's JSON protocol over WebSocket.
    Centrifugo,
    /// A text is a topic, whose texts then come.
    Topics,
    /// HTTP/1.1 with a kept connection.
    Http,
    /// A stream of events as the answer to the GET of a path: server-sent events.
    Stream(&'static str),
}

impl Speaks {
    /// What is sent as soon as the connection stands.
    pub(super) fn upgrade(self) -> Option<String> {
        match self {
            Speaks::Http => None,
            Speaks::Stream(path) => Some(format!(
                "GET {path} HTTP/1.1\r\nHost: gateway.example.com:8080\r\n\
                 Accept: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"
            )),
            Speaks::Centrifugo => Some(UPGRADE.replacen("GET / ", "GET /connection/websocket ", 1)),
            _ => Some(UPGRADE.to_owned()),
        }
    }

    /// How the answer to that begins.
    pub(super) fn accepted(self) -> &'static [u8] {
        match self {
            Speaks::Stream(_) => b"HTTP/1.1 200 ",
            _ => b"HTTP/1.1 101 ",
        }
    }

    /// Of the frames that it sends.
    pub(super) fn opcode(self) -> u8 {
        match self {
            Speaks::Nats => wire::BINARY,
            _ => wire::TEXT,
        }
    }
}

impl Net {
    /// Takes a frame of a client.
    pub(super) fn take_frame(
        &mut self,
        load: &mut impl Load,
        index: usize,
        speaks: Speaks,
        frame: &Frame,
        payload: &[u8],
    ) -> Outcome {
        match (frame.opcode, speaks) {
            (wire::PING, _) => Ok(()),
            (wire::TEXT, Speaks::Deflated) if frame.is_compressed => {
                let mut inflater = std::mem::take(&mut self.inflater);
                let outcome = match inflater.inflate(payload) {
                    Some(text) => load.message(self, index, text),
                    None => Err(Fault::unexpected(index, payload)),
                };
                self.inflater = inflater;
                outcome
            }
            (wire::TEXT, Speaks::Centrifugo) => payload
                .split(|byte| *byte == b'\n')
                .filter(|text| !text.is_empty())
                .try_for_each(|text| self.take_reply(load, index, text)),
            (wire::TEXT, Speaks::WebSocket | Speaks::Deflated | Speaks::Topics) => {
                load.message(self, index, payload)
            }
            (wire::BINARY, Speaks::Nats) => self.take_lines(load, index, payload),
            (opcode, _) => load.control(self, index, opcode, payload),
        }
    }

    /// A reply of Centrifugo's, or a publication, of which the load is given the data.
    fn take_reply(&mut self, load: &mut impl Load, index: usize, text: &[u8]) -> Outcome {
        const PUBLICATION: &[u8] = br#"{"push":{"channel":"#;
        const DATA: &[u8] = br#","pub":{"data":"#;
        if text == b"{}" {
            return self.send(index, b"{}");
        }
        let data = match text.starts_with(PUBLICATION) {
            true => find(text, DATA).and_then(|at| text.get(at + DATA.len()..text.len() - 3)),
            false => Some(text),
        };
        match data {
            Some(data) => load.message(self, index, data),
            None => Err(Fault::unexpected(index, text)),
        }
    }

    /// Lines of the NATS protocol, wherever frames part them; the load hears of messages and
    /// of `PONG`.
    fn take_lines(&mut self, load: &mut impl Load, index: usize, payload: &[u8]) -> Outcome {
        self.in_parts(index, payload, |net, data| {
            wire::split_lines(data, |line| match line {
                Line::Message(delivery) => load.message(net, index, delivery.payload),
                Line::Ping => net.send(index, b"PONG\r\n"),
                Line::Pong => load.message(net, index, b"PONG"),
                Line::Error(text) => Err(Fault::unexpected(index, text.as_bytes())),
            })
        })
    }

    /// Events of a stream, wherever chunks part them.
    pub(super) fn take_events(
        &mut self,
        load: &mut impl Load,
        index: usize,
        chunk: &[u8],
    ) -> Outcome {
        self.in_parts(index, chunk, |net, data| {
            let mut used = 0;
            while let Some(len) = data[used..].iter().position(|byte| *byte == b'\n') {
                let line = &data[used..used + len];
                used += len + 1;
                if let Some(text) = line.strip_prefix(b"data:") {
                    load.message(net, index, text)?;
                }
            }
            Ok(used)
        })
    }

    /// Hands over what of a client's bytes was left before, with what came now; `take` says
    /// how much of it it has used.
    fn in_parts(
        &mut self,
        index: usize,
        came: &[u8],
        take: impl FnOnce(&mut Self, &[u8]) -> Result<usize, Fault>,
    ) -> Outcome {
        let mut part = std::mem::take(&mut self.clients[index].part);
        if part.is_empty() {
            let used = take(self, came)?;
            part.extend_from_slice(&came[used..]);
        } else {
            part.extend_from_slice(came);
            let used = take(self, &part)?;
            part.drain(..used);
        }
        self.clients[index].part = part;
        Ok(())
    }
}

/// Decompresses messages that stand for themselves.
#[derive(Default)]
pub(super) struct Inflater {
    decompress: Option<Decompress>,
    text: Vec<u8>,
}

impl Inflater {
    /// The text behind a frame's payload.
    fn inflate(&mut self, payload: &[u8]) -> Option<&[u8]> {
        let decompress = self
            .decompress
            .get_or_insert_with(|| Decompress::new(false));
        decompress.reset(false);
        self.text.clear();
        self.text.reserve(4 << 10);
        for part in [payload, &[0, 0, 0xff, 0xff]] {
            let before = decompress.total_in();
            let mut taken = 0;
            loop {
                let made = self.text.len();
                decompress
                    .decompress_vec(&part[taken..], &mut self.text, FlushDecompress::Sync)
                    .ok()?;
                let now = (decompress.total_in() - before) as usize;
                if now == part.len() && self.text.len() < self.text.capacity() {
                    break;
                }
                if now == taken && self.text.len() == made {
                    return None;
                }
                taken = now;
                self.text.reserve(4 << 10);
            }
        }
        Some(&self.text)
    }
}
