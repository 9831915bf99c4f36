//! The console: its pages, who may see them, and what it is told and tells as a service.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Reactor;
use super::connection::ConnectionKey;
use super::turn;
use crate::config::Config;
use crate::console::{Console, Facts, Frame, Host, access};
use crate::gateway::{ClientKey, Delivery, Gateway, Message, Time};
use crate::http::{Head, Request};

/// Milliseconds since 1970.
fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// The console of a configuration, if it has one.
pub(super) fn make(config: &Config, seed: u64) -> Option<Box<Console>> {
    config.console.as_ref()?;
    let facts = Facts {
        token: config.console_token.clone(),
        ws_path: config.ws_path.clone(),
        api_path: config.api_path.clone(),
        seed,
    };
    Some(Box::new(Console::new(facts, 0, unix_millis())))
}

/// Shows the console something that is for a client. `is_lead` says that others may follow.
#[cold]
pub(super) fn show(
    console: &mut Console,
    gateway: &Gateway,
    client: ClientKey,
    delivery: &Delivery,
    is_lead: bool,
    now: Time,
) {
    if is_lead {
        console.lead(client);
    }
    // Only then is a text made that may be long.
    if !console.traces(client) {
        return;
    }
    if let Some(text) = delivery.text() {
        let frame = Frame {
            client,
            is_request: false,
            text: &text,
            unix: unix_millis(),
        };
        console.see(&frame, gateway, now.0);
    }
}

impl Host for Reactor {
    /// What is known of the connection decides, and the head that it came with: whatever it has
    /// said since to services changes nothing.
    fn may_see(&mut self, cid: &str, token: Option<&str>) -> bool {
        let Some(client) = self.gateway.find_client(cid) else {
            return false;
        };
        let Some((_, connection)) = self.clients.find(client) else {
            return false;
        };
        if connection.has_console {
            return true;
        }
        let (Ok(peer), Some((head, remote))) = (
            connection.stream.peer_addr(),
            self.gateway.origin_of(client),
        ) else {
            return false;
        };
        let addresses = [peer.ip(), connection.remote.ip(), remote.ip()];
        Head::parse(head).is_some_and(|head| access::may_see(&head, addresses, token))
    }

    fn let_in(&mut self, cid: &str) -> bool {
        let client = self.gateway.find_client(cid);
        let connection = client.and_then(|client| self.clients.find(client));
        match connection {
            Some((_, connection)) => {
                connection.has_console = true;
                true
            }
            None => false,
        }
    }

    fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    fn queued(&self, client: ClientKey) -> usize {
        self.clients.queued(client)
    }
}

impl Reactor {
    /// Lets the console do what it has to do, as far as the turn has time for it.
    #[cold]
    pub(super) fn serve_console(&mut self, now: Time) {
        self.begin_share(turn::CONSOLE);
        let Some(mut console) = self.console.take() else {
            return;
        };
        if console.next_timeout() <= now.0 {
            console.timeout(now.0, unix_millis(), &self.snapshot(), &self.gateway);
        }
        self.console = Some(console);
        while !self.is_share_over() {
            let Some(mut console) = self.console.take_if(|console| console.has_work()) else {
                return;
            };
            let letter = console.next(self, now.0);
            self.console = Some(console);
            if let Some(letter) = letter {
                let message = letter.message();
                self.gateway.broker_message(now, message, &mut self.outbox);
                // What follows is of another resource, as a rule, and seldom.
                self.outbox.seal();
                self.carry_out();
            }
            self.turn.long_step(self.clock.micros());
        }
    }

    /// Answers a request for a page of the console. `false` if it is not for the console.
    #[cold]
    pub(super) fn show_console(&mut self, key: ConnectionKey, request: &Request<'_>) -> bool {
        let (head, now) = (&request.head, self.clock.now());
        let pages = self.site.console.as_ref();
        let is_read = matches!(head.method(), "GET" | "HEAD") && head.field("upgrade").is_none();
        if !is_read || !pages.is_some_and(|pages| pages.has(head.path())) {
            return false;
        }
        // With a token it may be opened from anywhere: the page has nothing in it to be kept.
        let token = self.console.as_ref().and_then(|console| console.token());
        let may_see = token.is_some() || self.is_of_this_host(key, head);
        let persistence = request.persistence;
        (self.site).answer_console(&mut self.clients, key, head, persistence, may_see, now);
        true
    }

    fn is_of_this_host(&mut self, key: ConnectionKey, head: &Head<'_>) -> bool {
        let Some(connection) = self.clients.get_mut(key) else {
            return false;
        };
        let Ok(peer) = connection.stream.peer_addr() else {
            return false;
        };
        let remote = self.proxies.client(head, connection.remote);
        let addresses = [peer.ip(), connection.remote.ip(), remote.ip()];
        access::may_see(head, addresses, None)
    }

    /// Shows what a client has sent, if anybody looks at its frames.
    #[cold]
    pub(super) fn show_request(&mut self, client: ClientKey, text: &[u8]) {
        let now = self.clock.now();
        let console = self.console.as_mut();
        if let Some(console) = console.filter(|console| console.traces(client)) {
            let frame = Frame {
                client,
                is_request: true,
                text,
                unix: unix_millis(),
            };
            console.see(&frame, &self.gateway, now.0);
        }
    }

    /// A streak begins with what is for clients now, if it `is_lead`.
    pub(super) fn show_streak(&mut self, is_lead: bool) {
        if is_lead && let Some(console) = &mut self.console {
            console.begin_streak();
        }
    }

    /// Shows an event for all clients that got the one before it.
    pub(super) fn show_follower(&mut self, message: &Message) {
        let console = self.console.as_mut();
        let Some(console) = console.filter(|console| console.is_tracing()) else {
            return;
        };
        let now = self.clock.now();
        for client in console.followers() {
            let frame = Frame {
                client,
                is_request: false,
                text: message.text(),
                unix: unix_millis(),
            };
            console.see(&frame, &self.gateway, now.0);
        }
    }
}
