//! What cannot be seen from outside: the order of what leaves, and what is remembered.

use super::model::sid::Sid;
use super::*;
use core::net::SocketAddr;

/// The reply subjects of the requests that were sent on a subject.
fn asked(out: &Outbox, on: &str) -> Vec<Vec<u8>> {
    let asked = out.broker().iter().filter_map(|op| match *op {
        BrokerOp::Publish { subject, reply, .. } if out.bytes(subject) == on.as_bytes() => {
            Some(out.bytes(reply).to_vec())
        }
        _ => None,
    });
    asked.collect()
}

fn tell(gateway: &mut Gateway, sid: u64, subject: &[u8], payload: &[u8], out: &mut Outbox) {
    out.clear();
    let message = BrokerMessage {
        sid,
        subject,
        payload,
        status: None,
        reply: None,
    };
    gateway.broker_message(Time(0), message, out);
}

/// How many outcomes are remembered while events wait for one of two clients, whose
/// list has so many values.
fn remembered(values: usize, events: usize) -> usize {
    const MAY_GET: &[u8] = br#"{"result":{"get":true}}"#;
    let (mut gateway, mut out) = (Gateway::new(Options::default()), Outbox::default());
    let (now, inbox) = (Time(0), Sid::Inbox.number());
    let limits = BrokerLimits {
        max_payload: 1 << 20,
        max_line: 4_096,
    };
    gateway.broker_connected(now, limits, &mut out);
    let list = format!(
        r#"{{"result":{{"collection":[{}]}}}}"#,
        vec!["0"; values].join(",")
    );
    let remote = SocketAddr::from(([127, 0, 0, 1], 4000));
    let mut listener = None;
    for client in [ClientKey(0), ClientKey(1)] {
        gateway.client_connected(now, client, Box::default(), remote, &mut out);
        out.clear();
        let subscribe = br#"{"id":1,"method":"subscribe.test.list"}"#;
        gateway.client_message(now, client, subscribe, &mut out);
        listener = listener.or(out.broker().iter().find_map(|op| match *op {
            BrokerOp::Subscribe { sid, subject, .. } => {
                (out.bytes(subject) == b"event.test.list.*").then_some(sid)
            }
            _ => None,
        }));
        let (gets, accesses) = (
            asked(&out, "get.test.list"),
            asked(&out, "access.test.list"),
        );
        for get in gets {
            tell(&mut gateway, inbox, &get, list.as_bytes(), &mut out);
        }
        for access in accesses {
            tell(&mut gateway, inbox, &access, MAY_GET, &mut out);
        }
    }
    let listener = listener.expect("events are subscribed");
    let mut event = |name: &str, payload: &str, gateway: &mut Gateway| {
        let subject = format!("event.test.list.{name}");
        tell(
            gateway,
            listener,
            subject.as_bytes(),
            payload.as_bytes(),
            &mut out,
        );
        asked(&out, "access.test.list")
    };
    let accesses = event("reaccess", "null", &mut gateway);
    assert_eq!(accesses.len(), 2);
    for _ in 0..events {
        event("add", r#"{"idx":0,"value":1}"#, &mut gateway);
    }
    tell(&mut gateway, inbox, &accesses[0], MAY_GET, &mut out);
    assert_eq!(out.drain_clients().len(), events);
    let waiting = gateway
        .holdings
        .iter()
        .find_map(|(_, sub)| sub.standing.lag());
    let queue = &waiting.expect("one client still waits").queue;
    assert_eq!(queue.len(), events);
    queue.iter().filter(|update| update.has_outcome()).count()
}

#[test]
fn what_is_remembered_of_waiting_updates_is_bounded() {
    // The last one leads to what the resource itself is.
    assert_eq!(remembered(1_000, 50), 49);
    assert_eq!(remembered(1_000, 500), 0);
    assert_eq!(remembered(10, 500), 499);
}

#[test]
fn events_are_subscribed_before_access_is_asked() {
    let mut gateway = Gateway::new(Options::default());
    let mut out = Outbox::default();
    let (now, client) = (Time(0), ClientKey(0));
    let limits = BrokerLimits {
        max_payload: 1 << 20,
        max_line: 4_096,
    };
    let remote = SocketAddr::from(([127, 0, 0, 1], 4000));
    gateway.broker_connected(now, limits, &mut out);
    gateway.client_connected(now, client, Box::default(), remote, &mut out);
    let subscribe = br#"{"id":1,"method":"subscribe.test.model"}"#;
    gateway.client_message(now, client, subscribe, &mut out);
    let position = |text: &str| {
        out.broker().iter().position(|op| match *op {
            BrokerOp::Publish { subject, .. } | BrokerOp::Subscribe { subject, .. } => {
                out.bytes(subject) == text.as_bytes()
            }
            BrokerOp::Unsubscribe { .. } => false,
        })
    };
    let events = position("event.test.model.*").expect("events are subscribed");
    let access = position("access.test.model").expect("access is asked");
    assert!(events < access);
}
