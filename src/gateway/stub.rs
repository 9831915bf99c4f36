//! Stand-in for the heart while the reactor is written; dropped on merge.
#![allow(missing_docs, dead_code)]
use super::*;
#[derive(Debug)]
pub struct Gateway { options: Options, waiting: std::collections::VecDeque<(u64, ClientKey, bool, Vec<u8>)>, sids: u64, clients: Vec<ClientKey> }
impl Gateway {
    pub fn new(options: Options) -> Self { Self { options, waiting: Default::default(), sids: 0, clients: vec![] } }
    pub fn broker_connected(&mut self, _: Time, _: BrokerLimits, out: &mut Outbox) {
        out.subscribe(1, b"system.*"); out.subscribe(2, b"_INBOX.stub.*"); out.subscribe(3, b"event.>");
    }
    pub fn broker_message(&mut self, _: Time, m: BrokerMessage<'_>, out: &mut Outbox) {
        if m.sid == 3 { // a broadcast
            let message = Message::new(m.payload);
            for &c in &self.clients { out.send(c, message.clone()); }
            return;
        }
        let Some((_, client, web, _)) = self.waiting.pop_front() else { return };
        let text = if m.status == Some(503) { b"{\"code\":\"system.notFound\",\"message\":\"Not found\"}".to_vec() } else { m.payload.to_vec() };
        if web { out.deliver(client, Delivery::Web(Box::new(WebResponse { status: if m.status == Some(503) { 404 } else { 200 }, body: Some(text), location: None }))); }
        else { out.send(client, Message::new(&text)); out.deliver(client, Delivery::Resume); }
    }
    pub fn client_connected(&mut self, _: Time, client: ClientKey, _head: Box<[u8]>, _: SocketAddr, _: &mut Outbox) { self.clients.push(client) }
    pub fn client_message(&mut self, now: Time, client: ClientKey, m: &[u8], out: &mut Outbox) {
        if m == b"overflow" { out.deliver(client, Delivery::Close(CloseReason::Overflow)); return; }
        if m.starts_with(b"echo") { out.send(client, Message::new(m)); return; }
        if let Some(n) = m.strip_prefix(b"flood") { let n: usize = std::str::from_utf8(n).unwrap().trim().parse().unwrap(); let t = vec![b'x'; 1000]; let msg = Message::new(&t); for _ in 0..n { out.send(client, msg.clone()); } return; }
        self.waiting.push_back((now.0 + self.options.request_timeout, client, false, vec![]));
        out.publish(b"test.ws", b"_INBOX.stub.1", m);
    }
    pub fn takes_requests(&self, client: ClientKey) -> bool { self.waiting.iter().filter(|w| w.1 == client).count() < 256 }
    pub fn client_closed(&mut self, _: Time, client: ClientKey, _: &mut Outbox) { self.waiting.retain(|w| w.1 != client); self.clients.retain(|c| *c != client); }
    pub fn web_request(&mut self, now: Time, client: ClientKey, r: WebRequest<'_>, out: &mut Outbox) {
        if r.path == "big" { out.deliver(client, Delivery::Web(Box::new(WebResponse { status: 200, body: Some(vec![b'1'; 20 << 20]), location: None }))); return; }
        if r.path == "len" { out.deliver(client, Delivery::Web(Box::new(WebResponse { status: 200, body: Some(format!("{}", r.body.len()).into_bytes()), location: None }))); return; }
        self.waiting.push_back((now.0 + self.options.request_timeout, client, true, vec![]));
        out.publish(format!("test.{}", r.path).as_bytes(), b"_INBOX.stub.1", r.body);
    }
    pub fn next_timeout(&self) -> Option<Time> { self.waiting.front().map(|w| Time(w.0)) }
    pub fn timeout(&mut self, now: Time, out: &mut Outbox) {
        while self.waiting.front().is_some_and(|w| w.0 <= now.0) {
            let Some((_, client, web, _)) = self.waiting.pop_front() else { return };
            let t = b"{\"code\":\"system.timeout\",\"message\":\"Request timeout\"}";
            if web { out.deliver(client, Delivery::Web(Box::new(WebResponse { status: 404, body: Some(t.to_vec()), location: None }))); }
            else { out.send(client, Message::new(t)); out.deliver(client, Delivery::Resume); }
        }
    }
}
