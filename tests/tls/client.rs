//! Clients that speak TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};
use tungstenite::{Message, WebSocket};

use crate::Site;
use crate::common::*;

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Both versions that there are.
pub const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

/// A TCP connection with a time-out.
pub fn socket(gateway: &Gateway) -> TcpStream {
    let socket = gateway.connect();
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    socket.set_nodelay(true).expect("a live socket");
    socket
}

/// A session that has not begun, for the host `localhost`.
pub fn session(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = "localhost".try_into().expect("a valid name");
    ClientConnection::new(Arc::clone(config), name).expect("a valid configuration")
}

/// Connects and finishes the handshake.
pub fn connect(gateway: &Gateway, config: &Arc<ClientConfig>) -> Result<Stream, std::io::Error> {
    let mut stream = StreamOwned::new(session(config), socket(gateway));
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

/// What the gateway answers to one request, up to the end of the connection, which must be
/// a proper one.
#[track_caller]
pub fn exchange(stream: &mut Stream, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("a live stream");
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Ok(_) => answer,
        Err(error) => panic!("the connection ends by {error} after {answer:?}"),
    }
}

/// A request whose answer ends the connection.
pub const REQUEST: &str = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Fails unless a new client gets an answer.
#[track_caller]
pub fn expect_served(gateway: &Gateway, config: &Arc<ClientConfig>) {
    match connect(gateway, config) {
        Ok(mut stream) => {
            let answer = exchange(&mut stream, REQUEST);
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
        }
        Err(error) => panic!("no TLS connection: {error}; {}", gateway.log()),
    }
}

impl Site {
    /// A client of either version.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::new(self.authority.client(&[&TLS12, &TLS13]))
    }

    /// A RES client.
    pub fn websocket(&self) -> Wss {
        self.websocket_with(&self.config())
    }

    /// A RES client with this configuration.
    #[track_caller]
    pub fn websocket_with(&self, config: &Arc<ClientConfig>) -> Wss {
        let stream = connect(&self.stack.gateway, config).expect("a TLS connection");
        let (ws, _) = tungstenite::client("wss://localhost/", stream).expect("a WebSocket");
        let mut wss = Wss { ws };
        wss.send(r#"{"id":1,"method":"version","params":{"protocol":"1.2.3"}}"#);
        wss.expect(r#"{"id":1,"result":{"protocol":"1.2.3"}}"#);
        wss
    }
}

/// A WebSocket over TLS.
pub struct Wss {
    pub ws: WebSocket<Stream>,
}

impl Wss {
    /// Sends a text frame.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.ws
            .send(Message::text(text))
            .expect("a live connection");
    }

    /// The next text.
    #[track_caller]
    pub fn next(&mut self) -> String {
        match self.ws.read() {
            Ok(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("expected a text, got {other:?}"),
        }
    }

    /// Fails unless the next message is this JSON.
    #[track_caller]
    pub fn expect(&mut self, json: &str) {
        assert_json(&self.next(), json);
    }

    /// Subscribes a resource that the service grants and answers with this content.
    #[track_caller]
    pub fn subscribe(&mut self, svc: &Service, name: &str, model: &str) {
        self.send(&format!(r#"{{"id":2,"method":"subscribe.{name}"}}"#));
        svc.serve(name, &format!(r#"{{"model":{model}}}"#));
        self.expect(&format!(
            r#"{{"id":2,"result":{{"models":{{"{name}":{model}}}}}}}"#
        ));
    }

    /// Fails unless a request is answered.
    #[track_caller]
    pub fn expect_alive(&mut self) {
        self.send(r#"{"id":9,"method":"version"}"#);
        self.expect(r#"{"id":9,"result":{"protocol":"1.2.3"}}"#);
    }
}
