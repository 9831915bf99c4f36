//! What a client does and gets.

use super::{Heart, asked_id};
use crate::driver::Input;
use tidegate::gateway::ClientKey;

/// A connected client.
pub struct Client<'a> {
    pub(super) heart: &'a mut Heart,
    pub(super) number: u32,
}

impl Client<'_> {
    /// Sends a message.
    pub fn send(self, message: &str) -> Self {
        self.send_bytes(message.as_bytes(), asked_id(message))
    }

    /// Sends what may be no text. `asked` is the ID of the request in it, if it must be
    /// answered.
    pub fn send_bytes(self, message: &[u8], asked: Option<u64>) -> Self {
        let key = ClientKey(self.number);
        let peer = self.heart.clients.get_mut(&self.number);
        peer.expect("it is connected").open.extend(asked);
        self.heart.input(Input::Say(key, message));
        self.heart.learn_cid(self.number);
        self
    }

    /// Sends a request without parameters.
    pub fn request(self, id: u64, method: &str) -> Self {
        self.send(&format!(r#"{{"id":{id},"method":"{method}"}}"#))
    }

    pub fn subscribe(self, id: u64, rid: &str) -> Self {
        self.request(id, &format!("subscribe.{rid}"))
    }

    pub fn unsubscribe(self, id: u64, rid: &str) -> Self {
        self.request(id, &format!("unsubscribe.{rid}"))
    }

    pub fn get(self, id: u64, rid: &str) -> Self {
        self.request(id, &format!("get.{rid}"))
    }

    /// Calls a method, given as `<rid>.<method>`, without parameters.
    pub fn call(self, id: u64, method: &str) -> Self {
        self.request(id, &format!("call.{method}"))
    }

    /// The next message.
    pub fn message(&mut self) -> String {
        let peer = self.heart.clients.get_mut(&self.number);
        let message = peer.and_then(|peer| peer.messages.pop_front());
        message.unwrap_or_else(|| panic!("client {} has no message", self.number))
    }

    /// How many messages have come.
    pub fn messages_waiting(&self) -> usize {
        self.heart.clients[&self.number].messages.len()
    }

    /// All messages.
    pub fn messages(&mut self) -> Vec<String> {
        let peer = self.heart.clients.get_mut(&self.number);
        peer.map(|peer| peer.messages.drain(..).collect())
            .unwrap_or_default()
    }

    /// The next message is this one.
    pub fn receives(mut self, expected: &str) -> Self {
        let got = self.message();
        assert_eq!(got, expected, "to client {}", self.number);
        self
    }

    /// Nothing more has come.
    pub fn receives_nothing(self) -> Self {
        let messages = &self.heart.clients[&self.number].messages;
        assert_eq!(*messages, [""; 0], "to client {}", self.number);
        self
    }

    /// Whether the client waits for an answer.
    pub fn has_requests(&self) -> bool {
        self.heart
            .driver
            .gateway
            .has_requests(ClientKey(self.number))
    }

    /// Whether further requests are taken now.
    pub fn takes_requests(&self) -> bool {
        self.heart
            .driver
            .gateway
            .takes_requests(ClientKey(self.number))
    }

    /// How often the client was told to go on.
    pub fn resumed(&self) -> usize {
        self.heart.clients[&self.number].resumed
    }

    /// Whether the gateway wants it closed.
    pub fn is_closed(&self) -> bool {
        self.heart.clients[&self.number].closed
    }
}
