//! The broker that Tidegate has inside, beside the world's own: each message goes through both,
//! and both must hand it to the same subscriptions, as it was.

use std::net::{IpAddr, Ipv4Addr};
use tidegate::broker::{Broker, Key, Options, Users};
use tidegate::nats;

/// Payloads of any test fit.
const MAX_PAYLOAD: usize = 8 << 20;

/// The broker, and a service that hears all that the gateway says.
#[derive(Debug)]
pub struct Inside {
    broker: Broker,
    service: Key,
    now: u64,
    messages: u64,
}

impl Inside {
    pub fn new(now: u64) -> Result<Self, String> {
        let mut broker = Broker::new(Options {
            host: "127.0.0.1".to_owned(),
            port: 4222,
            tls: false,
            max_payload: MAX_PAYLOAD,
            max_connections: 2,
            users: Users::default(),
            worker: None,
            seed: [1, 2, 3, 4],
        });
        let service = broker.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), now);
        let mut inside = Self {
            broker,
            service,
            now,
            messages: 0,
        };
        let hello = b"CONNECT {\"headers\":true,\"no_responders\":true,\"echo\":false,\
            \"verbose\":false}\r\nSUB > 1\r\nPING\r\n";
        inside.say(hello, &mut Vec::new())?;
        match inside.heard().strip_suffix(b"PONG\r\n") {
            Some(info) if info.starts_with(b"INFO {") => Ok(inside),
            _ => Err("the broker inside does not greet".to_owned()),
        }
    }

    pub fn subscribe(&mut self, sid: u64, subject: &str) {
        self.broker.subscribe(sid, subject.as_bytes());
    }

    pub fn unsubscribe(&mut self, sid: u64) {
        self.broker.unsubscribe(sid);
    }

    /// The gateway publishes: the service gets just that.
    pub fn publish(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &str,
        payload: &str,
    ) -> Result<(), String> {
        self.broker.publish(
            subject.as_bytes(),
            reply.as_bytes(),
            headers.as_bytes(),
            payload.as_bytes(),
            self.now,
        );
        let line = match reply {
            "" => format!("MSG {subject} 1"),
            reply => format!("MSG {subject} 1 {reply}"),
        };
        let (length, all) = (headers.len(), headers.len() + payload.len());
        let expected = match headers {
            "" => format!("{line} {all}\r\n{payload}\r\n"),
            _ => format!("H{line} {length} {all}\r\n{headers}{payload}\r\n"),
        };
        let heard = self.heard();
        if heard != expected.as_bytes() || self.broker.has_unanswered() {
            let heard = String::from_utf8_lossy(&heard);
            return Err(format!("the broker inside makes {heard:?} of {expected:?}"));
        }
        Ok(())
    }

    /// A service publishes: these subscriptions of the gateway get it.
    pub fn carry(
        &mut self,
        subject: &str,
        payload: &[u8],
        status: Option<u16>,
        expected: &[u64],
    ) -> Result<(), String> {
        let mut text = match status {
            None => format!("PUB {subject} {}\r\n", payload.len()).into_bytes(),
            Some(status) => {
                let headers = format!("NATS/1.0 {status}\r\n\r\n");
                let (length, all) = (headers.len(), headers.len() + payload.len());
                format!("HPUB {subject} {length} {all}\r\n{headers}").into_bytes()
            }
        };
        text.extend_from_slice(payload);
        text.extend_from_slice(b"\r\n");
        let mut heard = Vec::new();
        self.say(&text, &mut heard)?;
        let got = |(_, there, bytes, of): &(u64, String, Vec<u8>, Option<u16>)| {
            there == subject && bytes == payload && *of == status
        };
        let mut sids: Vec<_> = heard.iter().map(|(sid, ..)| *sid).collect();
        sids.sort_unstable();
        if !heard.iter().all(got) || sids != expected {
            return Err(format!(
                "the broker inside gives {subject} to {sids:?}, not to {expected:?}"
            ));
        }
        // A subject that is none reaches nobody, here as there.
        match &self.heard()[..] {
            b"" => {}
            b"-ERR 'Invalid Publish Subject'\r\n" if expected.is_empty() => {}
            told => {
                let told = String::from_utf8_lossy(told);
                return Err(format!("the broker inside says {told:?} of {subject}"));
            }
        }
        self.messages += 1;
        if self.messages.is_multiple_of(64) {
            self.broker.audit();
        }
        Ok(())
    }

    /// The service sends bytes. What the gateway hears of that comes to the end of `heard`.
    fn say(
        &mut self,
        mut input: &[u8],
        heard: &mut Vec<(u64, String, Vec<u8>, Option<u16>)>,
    ) -> Result<(), String> {
        while !input.is_empty() {
            let taken = self.broker.take(self.service, input, self.now);
            let (len, message) = (taken.len, taken.message);
            if let Some(message) = message {
                let subject = String::from_utf8_lossy(message.subject).into_owned();
                let (payload, status) = (message.payload.to_vec(), nats::status(message.headers));
                while let Some(sid) = self.broker.next_hearer() {
                    heard.push((sid, subject.clone(), payload.clone(), status));
                }
            }
            if len == 0 {
                let end = self.broker.end(self.service);
                return Err(format!("the broker inside takes nothing more: {end:?}"));
            }
            input = &input[len..];
        }
        match self.broker.end(self.service) {
            None => Ok(()),
            Some(end) => Err(format!("the broker inside ends the service: {end:?}")),
        }
    }

    /// What the service is sent.
    fn heard(&mut self) -> Vec<u8> {
        while self.broker.next_touched().is_some() {}
        let output = self.broker.output(self.service).to_vec();
        self.broker.wrote(self.service, output.len(), self.now);
        output
    }
}
