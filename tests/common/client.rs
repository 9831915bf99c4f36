//! A RES client: tungstenite as WebSocket, and expectations on what it is sent.

use std::net::TcpStream;

use tungstenite::{Message, WebSocket};

use super::{Gateway, PATIENCE, Service, assert_json, member};

/// A connected RES client. Everything it is sent is seen in order; nothing is skipped.
pub struct Client {
    ws: WebSocket<TcpStream>,
    last_id: u64,
}

impl Client {
    /// Connects to the gateway's WebSocket path `/`.
    #[track_caller]
    pub fn connect(gateway: &Gateway) -> Client {
        let stream = gateway.connect();
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("not a zero time-out");
        stream.set_nodelay(true).expect("a live socket");
        let (ws, _) = tungstenite::client(format!("ws://{}/", gateway.addr), stream)
            .expect("the gateway accepts the WebSocket handshake");
        Client { ws, last_id: 0 }
    }

    /// Sends a text frame as it is.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.ws
            .send(Message::text(text))
            .expect("the gateway holds the connection");
    }

    /// Sends a request without params; its id.
    #[track_caller]
    pub fn ask(&mut self, method: &str) -> u64 {
        let id = self.new_id();
        let method = serde_json::to_string(method).expect("a string is always JSON");
        self.send(&format!(r#"{{"id":{id},"method":{method}}}"#));
        id
    }

    /// Sends a request with params given as JSON; its id.
    #[track_caller]
    pub fn ask_with(&mut self, method: &str, params: &str) -> u64 {
        let id = self.new_id();
        let method = serde_json::to_string(method).expect("a string is always JSON");
        self.send(&format!(
            r#"{{"id":{id},"method":{method},"params":{params}}}"#
        ));
        id
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The next WebSocket message, pongs and close frames included.
    #[track_caller]
    pub fn next_message(&mut self) -> Message {
        match self.ws.read() {
            Ok(message) => message,
            Err(e) => panic!("no message came: {e}"),
        }
    }

    /// The text of the next message.
    #[track_caller]
    pub fn next(&mut self) -> String {
        match self.next_message() {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    /// Waits for the end of the connection; the close code sent, if any.
    #[track_caller]
    pub fn next_close(&mut self) -> Option<u16> {
        let mut code = None;
        loop {
            match self.ws.read() {
                Ok(Message::Close(frame)) => code = frame.map(|f| f.code.into()),
                Ok(other) => panic!("expected the end of the connection, got {other:?}"),
                Err(tungstenite::Error::Io(e))
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("the gateway does not close the connection")
                }
                Err(_) => return code,
            }
        }
    }

    /// Whether the gateway answers, rather than that the connection has ended.
    pub fn is_served(&mut self) -> bool {
        let asked = self
            .ws
            .send(Message::text(r#"{"id":0,"method":"version"}"#));
        asked.is_ok() && matches!(self.ws.read(), Ok(Message::Text(_)))
    }

    /// Fails unless the next message is this JSON.
    #[track_caller]
    pub fn expect(&mut self, json: &str) {
        assert_json(&self.next(), json);
    }

    /// Fails unless the next message is the answer to this request with this result.
    #[track_caller]
    pub fn expect_result(&mut self, id: u64, result: &str) {
        self.expect(&format!(r#"{{"id":{id},"result":{result}}}"#));
    }

    /// Fails unless the next message is this error without data as answer to the request.
    #[track_caller]
    pub fn expect_error(&mut self, id: u64, code: &str, message: &str) {
        let message = serde_json::to_string(message).expect("a string is always JSON");
        self.expect(&format!(
            r#"{{"id":{id},"error":{{"code":"{code}","message":{message}}}}}"#
        ));
    }

    /// Fails unless the next message is this event (`resource id.event name`).
    #[track_caller]
    pub fn expect_event(&mut self, event: &str, data: &str) {
        let event = serde_json::to_string(event).expect("a string is always JSON");
        self.expect(&format!(r#"{{"event":{event},"data":{data}}}"#));
    }

    /// Fails unless the next message is the unsubscribe event for this resource.
    #[track_caller]
    pub fn expect_unsubscribed(&mut self, rid: &str, code: &str, message: &str) {
        self.expect_event(
            &format!("{rid}.unsubscribe"),
            &format!(r#"{{"reason":{{"code":"{code}","message":"{message}"}}}}"#),
        );
    }

    /// Makes the version handshake.
    #[track_caller]
    pub fn handshake(&mut self, protocol: &str) {
        let id = self.ask_with("version", &format!(r#"{{"protocol":"{protocol}"}}"#));
        self.expect_result(id, r#"{"protocol":"1.2.3"}"#);
    }

    /// Subscribes a resource; the service grants everything and answers the get request
    /// with `content` (`{"model":..}` or `{"collection":..}`). Checks the answer.
    #[track_caller]
    pub fn subscribe(&mut self, svc: &Service, name: &str, content: &str) {
        let id = self.ask(&format!("subscribe.{name}"));
        svc.serve(name, content);
        let (kind, value) = kind_and_value(content);
        self.expect_result(id, &format!(r#"{{"{kind}s":{{"{name}":{value}}}}}"#));
    }

    /// Unsubscribes once and checks the answer.
    #[track_caller]
    pub fn unsubscribe(&mut self, rid: &str) {
        let id = self.ask(&format!("unsubscribe.{rid}"));
        self.expect(&format!(r#"{{"id":{id}}}"#));
    }

    /// Shows that nothing is on its way: not to this client from whatever the service
    /// has published about `name`, and not to the service from whatever the client has
    /// sent.
    ///
    /// An auth request on the name needs no access and no subscription. The gateway
    /// sends it after all requests it made before, and handles its answer after
    /// everything else that came on that name before, because all of it is one
    /// connection whose order is kept per resource name. So the answer is the next
    /// message to the client, and the request the next one at the service, only if
    /// nothing else was on the way.
    #[track_caller]
    pub fn fence(&mut self, svc: &Service, name: &str) {
        let id = self.ask(&format!("auth.{name}.fence"));
        svc.expect(&format!("auth.{name}.fence"))
            .respond(r#"{"result":"fence"}"#);
        let text = self.next();
        let is_answer = text.contains(r#""fence""#) && text.contains(&format!(r#""id":{id}"#));
        assert!(is_answer, "expected nothing, got {text}");
    }

    /// Shows that the gateway answers nothing to what this client sent before: requests
    /// that need no service are answered in order, and a version request is one.
    #[track_caller]
    pub fn fence_local(&mut self) {
        let id = self.ask_with("version", "null");
        self.expect_result(id, r#"{"protocol":"1.2.3"}"#);
    }

    /// The connection id that the gateway gave this client, learnt from an auth request.
    #[track_caller]
    pub fn cid(&mut self, svc: &Service, name: &str) -> String {
        let id = self.ask(&format!("auth.{name}.whoami"));
        let request = svc.expect(&format!("auth.{name}.whoami"));
        request.respond(r#"{"result":null}"#);
        assert_eq!(member(&self.next(), "id"), id.to_string());
        request.member("cid")
    }

    /// Sets the token by a token event, and waits until it is in force.
    ///
    /// The event travels on another subject than the fence, but on the same connections;
    /// the answer to the auth request follows it.
    #[track_caller]
    pub fn set_token(&mut self, svc: &Service, name: &str, payload: &str) {
        let id = self.ask(&format!("auth.{name}.login"));
        let request = svc.expect(&format!("auth.{name}.login"));
        svc.publish(&format!("conn.{}.token", request.member("cid")), payload);
        request.respond(r#"{"result":"token"}"#);
        assert_json(
            &self.next(),
            &format!(r#"{{"id":{id},"result":{{"payload":"token"}}}}"#),
        );
    }

    /// Fails unless the gateway cuts the connection off; reads what it sent before.
    #[track_caller]
    pub fn expect_cut_off(&mut self) {
        loop {
            match self.ws.read() {
                Ok(_) => {}
                Err(tungstenite::Error::Io(e))
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("the gateway does not close the connection")
                }
                Err(_) => return,
            }
        }
    }

    /// Closes the TCP connection without a close frame.
    pub fn drop_connection(self) {
        let _ = self.ws.get_ref().shutdown(std::net::Shutdown::Both);
    }
}

fn kind_and_value(content: &str) -> (&'static str, String) {
    if content.contains(r#""model""#) && content.trim_start().starts_with(r#"{"model""#) {
        ("model", member_raw(content, "model"))
    } else {
        ("collection", member_raw(content, "collection"))
    }
}

fn member_raw(content: &str, key: &str) -> String {
    let members: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(content).expect("the test's content is JSON");
    members[key].get().to_owned()
}
