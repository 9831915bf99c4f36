//! A scripted service: it sees every request on its resource names in the order in
//! which the gateway sent them, and answers when the test says so.

#![allow(
    deprecated,
    reason = "the nats crate is deprecated as a whole; blocking suits test services"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::{Broker, PATIENCE, assert_json, member};

/// A service for all resource names below one prefix.
pub struct Service {
    nc: nats::Connection,
    requests: nats::Subscription,
}

/// A request of the gateway, waiting for its answer.
pub struct Request {
    message: nats::Message,
}

impl Request {
    /// The subject, `type.resource name[.method]`.
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// The payload as text.
    pub fn payload(&self) -> &str {
        std::str::from_utf8(&self.message.data).expect("requests are UTF-8")
    }

    /// One member of the payload: of a string its content, else its text.
    #[track_caller]
    pub fn member(&self, key: &str) -> String {
        member(self.payload(), key)
    }

    /// A header of the message.
    pub fn header(&self, name: &str) -> Option<String> {
        self.message.headers.as_ref()?.get(name).cloned()
    }

    /// Answers with this payload. May be called again, as services should not.
    pub fn respond(&self, payload: &(impl AsRef<[u8]> + ?Sized)) {
        self.message.respond(payload).expect("the broker is there");
    }

    /// Answers `{"result":<json>}`.
    pub fn result(&self, json: &str) {
        self.respond(&format!(r#"{{"result":{json}}}"#));
    }

    /// Answers with an error.
    pub fn error(&self, code: &str, message: &str) {
        self.respond(&format!(
            r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#
        ));
    }

    /// Grants get and all calls (answer to an access request).
    pub fn grant(&self) {
        self.result(r#"{"get":true,"call":"*"}"#);
    }

    /// Fails unless the payload is this JSON once `cid` is taken out.
    #[track_caller]
    pub fn assert_payload(&self, expected: &str) {
        let mut got: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(self.payload()).expect("requests are JSON objects");
        if let Some(cid) = got.remove("cid") {
            let cid = cid.get().trim_matches('"');
            assert!(
                cid.len() == 20 && cid.bytes().all(|b| b.is_ascii_alphanumeric()),
                "odd connection id {cid:?}"
            );
        }
        let got = serde_json::to_string(&got).expect("was JSON");
        assert_json(&got, expected);
    }
}

/// A connection to the broker for services.
pub fn connect(broker_url: &str) -> nats::Connection {
    nats::Options::new()
        .no_echo()
        // The broker is local and plain. Naming a file without certificates spares
        // the loading of the system's.
        .add_root_certificate("/dev/null")
        .connect(broker_url)
        .expect("the broker takes connections")
}

impl Service {
    /// Subscribes everything that concerns the prefix. Services of one stack share a
    /// connection, because this client library waits up to a second before each.
    pub fn new(nc: nats::Connection, prefix: &str) -> Service {
        // One subscription, so that all kinds of requests come in the order they were
        // sent. The service's own events are not echoed.
        let requests = nc
            .subscribe(&format!("*.{prefix}.>"))
            .expect("the broker is there");
        nc.flush().expect("the broker is there");
        Service { nc, requests }
    }

    /// The same with a connection of its own, to this broker.
    pub fn of(broker: &Broker, prefix: &str) -> Service {
        Service::of_url(&broker.url(), prefix)
    }

    /// The same by an URL.
    pub fn of_url(broker_url: &str, prefix: &str) -> Service {
        Service::new(connect(broker_url), prefix)
    }

    /// The next request of the gateway.
    #[track_caller]
    pub fn next(&self) -> Request {
        match self.requests.next_timeout(PATIENCE) {
            Ok(message) => Request { message },
            Err(e) => panic!("no request came: {e}"),
        }
    }

    /// The next request, if one comes within this time.
    pub fn try_next(&self, patience: Duration) -> Option<Request> {
        let message = self.requests.next_timeout(patience).ok()?;
        Some(Request { message })
    }

    /// The next request, which must have this subject.
    #[track_caller]
    pub fn expect(&self, subject: &str) -> Request {
        let request = match self.requests.next_timeout(PATIENCE) {
            Ok(message) => Request { message },
            Err(e) => panic!("expected a request {subject}: {e}"),
        };
        assert_eq!(request.subject(), subject, "another request came");
        request
    }

    /// The next requests, which must have these subjects in any order; returned in the
    /// order asked for.
    #[track_caller]
    pub fn expect_all<const N: usize>(&self, subjects: [&str; N]) -> [Request; N] {
        let mut found: [Option<Request>; N] = [const { None }; N];
        for _ in 0..N {
            let request = match self.requests.next_timeout(PATIENCE) {
                Ok(message) => Request { message },
                Err(e) => panic!("expected requests {subjects:?}: {e}"),
            };
            let slot = (0..N)
                .find(|&i| found[i].is_none() && subjects[i] == request.subject())
                .unwrap_or_else(|| {
                    panic!("expected one of {subjects:?}, got {}", request.subject())
                });
            found[slot] = Some(request);
        }
        found.map(|r| r.expect("N requests filled N slots"))
    }

    /// Answers the access and the get request for a resource: everything granted, this
    /// content.
    #[track_caller]
    pub fn serve(&self, name: &str, content: &str) {
        let [access, get] = self.expect_all([&format!("access.{name}"), &format!("get.{name}")]);
        access.grant();
        get.result(content);
    }

    /// Answers the get request for a resource.
    #[track_caller]
    pub fn serve_get(&self, name: &str, content: &str) {
        self.expect(&format!("get.{name}")).result(content);
    }

    /// Grants everything to the next access request, which must be for this resource.
    #[track_caller]
    pub fn grant(&self, name: &str) {
        self.expect(&format!("access.{name}")).grant();
    }

    /// Publishes an event of a resource (`resource name.event name`).
    pub fn event(&self, event: &str, payload: &str) {
        self.publish(&format!("event.{event}"), payload);
    }

    /// Publishes a system reset.
    pub fn reset(&self, payload: &str) {
        self.publish("system.reset", payload);
    }

    /// Publishes anything.
    pub fn publish(&self, subject: &str, payload: impl AsRef<[u8]>) {
        self.nc
            .publish(subject, payload)
            .expect("the broker is there");
    }

    /// Returns when the broker has taken everything published so far.
    pub fn flush(&self) {
        self.nc.flush().expect("the broker is there");
    }

    /// Waits until the gateway no longer listens to events of this resource name, and
    /// says how long that took.
    ///
    /// A request sent as a custom event finds no responder exactly when the gateway's
    /// subscription is gone: the broker then says so at once.
    #[track_caller]
    pub fn wait_unsubscribed(&self, name: &str) -> Duration {
        let start = Instant::now();
        while self.is_listened_to(name) {
            assert!(
                start.elapsed() < PATIENCE,
                "the gateway still listens to event.{name}.*"
            );
        }
        start.elapsed()
    }

    /// True if the gateway listens to events of this resource name. Takes 100 ms if so.
    pub fn is_listened_to(&self, name: &str) -> bool {
        let probe = self.nc.request_timeout(
            &format!("event.{name}.probe"),
            "",
            Duration::from_millis(100),
        );
        match probe {
            Ok(answer) => !answer.is_no_responders(),
            Err(e) => e.kind() == std::io::ErrorKind::TimedOut,
        }
    }
}
