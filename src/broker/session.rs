//! What is kept of one client of the broker.

use std::fmt;
use std::rc::Rc;

use hashbrown::HashMap;
use hashbrown::hash_map::IntoIter;
use serde_json::Value;

use super::permissions::{Permissions, Replies};
use super::protocol::{Fault, Parser};
use super::trie::{Matches, SubKey};

/// Room for output that is kept while there is none.
const OUTPUT_KEPT: usize = 64 << 10;

/// How a client wants to be served.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Each operation is answered.
    pub(super) verbose: bool,
    /// Subjects are looked at.
    pub(super) pedantic: bool,
    /// It gets what it publishes itself.
    pub(super) echo: bool,
    pub(super) headers: bool,
    /// It wants to know of requests that nobody will answer.
    pub(super) no_responders: bool,
    protocol: i64,
    user: String,
    password: String,
    token: String,
    account: String,
    pub(super) name: String,
}

/// Leaves out what is secret.
impl fmt::Debug for Wishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wishes")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Default for Wishes {
    /// As it is before `CONNECT`.
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            protocol: 0,
            user: String::new(),
            password: String::new(),
            token: String::new(),
            account: String::new(),
            name: String::new(),
        }
    }
}

impl Wishes {
    /// Takes the JSON of `CONNECT` over what was wished before.
    pub(super) fn take(&mut self, json: &[u8]) -> Result<(), Fault> {
        const WRONG: Fault = Fault::Arguments("CONNECT is not the JSON that it should be");
        let members = match serde_json::from_slice(json) {
            Ok(Value::Object(members)) => members,
            Ok(Value::Null) => return Ok(()),
            _ => return Err(WRONG),
        };
        for (name, value) in members {
            let name = name.to_ascii_lowercase();
            let switch = match &*name {
                "verbose" => Some(&mut self.verbose),
                "pedantic" => Some(&mut self.pedantic),
                "echo" => Some(&mut self.echo),
                "headers" => Some(&mut self.headers),
                "no_responders" => Some(&mut self.no_responders),
                _ => None,
            };
            let text = match &*name {
                "user" => Some(&mut self.user),
                "pass" => Some(&mut self.password),
                "auth_token" => Some(&mut self.token),
                "account" => Some(&mut self.account),
                "name" => Some(&mut self.name),
                _ => None,
            };
            match (switch, text, value) {
                (_, _, Value::Null) | (None, None, _) if name != "protocol" => {}
                (_, _, Value::Null) => {}
                (Some(switch), _, Value::Bool(value)) => *switch = value,
                (_, Some(text), Value::String(value)) => *text = value,
                (None, None, value) => self.protocol = value.as_i64().ok_or(WRONG)?,
                _ => return Err(WRONG),
            }
        }
        Ok(())
    }

    /// Whether it speaks a version of the protocol that there is.
    pub(super) fn is_understood(&self) -> bool {
        matches!(self.protocol, 0 | 1)
    }

    /// User, password and token.
    pub(super) fn credentials(&self) -> (&str, &str, &str) {
        (&self.user, &self.password, &self.token)
    }

    /// Whether it asks for an account.
    pub(super) fn has_account(&self) -> bool {
        !self.account.is_empty()
    }
}

/// Why a client is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It sent what is no NATS protocol, or what the broker does not take; with the reason.
    Protocol(&'static str),
    /// It asks for something that only a nats-server has.
    Missing(&'static str),
    /// It has not shown who it is.
    Unauthorized,
    /// It does not read, by bytes or by time.
    Slow,
    /// It does not answer.
    Stale,
    /// There are too many.
    TooMany,
    /// The memory of all waiting data is short.
    Memory,
    /// Its socket has ended.
    Gone,
}

/// What is left of a message that goes to very many.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) matches: Rc<Matches>,
    pub(super) at: usize,
    /// Somebody got it.
    pub(super) is_delivered: bool,
    /// Later subscriptions do not get it.
    pub(super) serial: u64,
}

/// One client.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) parser: Parser,
    pub(super) wishes: Wishes,
    /// `None` for all rights.
    pub(super) permissions: Option<Rc<Permissions>>,
    /// It came by the door for other gateways of this host.
    pub(super) is_worker: bool,
    pub(super) replies: Replies,
    pub(super) subs: HashMap<Rc<[u8]>, SubKey, foldhash::fast::RandomState>,
    /// What its subscriptions take in memory, about.
    pub(super) cost: usize,
    /// Output; what comes before `written` has left.
    pub(super) output: Vec<u8>,
    pub(super) written: usize,
    /// When output last left, or began to wait.
    pub(super) progress: u64,
    /// The message that is being delivered over several turns.
    pub(super) rest: Option<Rest>,
    /// It is among those that the caller must look at.
    pub(super) is_touched: bool,
    pub(super) end: Option<End>,
    /// Its subscriptions, while they are taken out.
    pub(super) leaving: Option<IntoIter<Rc<[u8]>, SubKey>>,
    /// When it must have shown who it is.
    pub(super) connect_by: Option<u64>,
    /// When it is asked for a sign of life.
    pub(super) ping_at: u64,
    /// How often it was asked since it last sent something.
    pub(super) pings: u32,
    /// It has sent something since it was last looked at.
    pub(super) is_heard: bool,
}

impl Session {
    pub(super) fn new(parser: Parser, now: u64, ping_at: u64) -> Self {
        Self {
            parser,
            wishes: Wishes::default(),
            permissions: None,
            is_worker: false,
            replies: Replies::default(),
            subs: HashMap::default(),
            cost: 0,
            output: Vec::new(),
            written: 0,
            progress: now,
            rest: None,
            is_touched: false,
            end: None,
            leaving: None,
            connect_by: None,
            ping_at,
            pings: 0,
            is_heard: false,
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn pending(&self) -> usize {
        self.output.len() - self.written
    }

    /// Notes that so much has left; frees room.
    pub(super) fn wrote(&mut self, len: usize, now: u64) {
        self.written += len;
        if len > 0 {
            self.progress = now;
        }
        let waiting = self.pending();
        if waiting == 0 {
            self.output.clear();
            self.output.shrink_to(OUTPUT_KEPT);
            self.written = 0;
        } else if self.written > OUTPUT_KEPT && self.written > waiting {
            // Moves less than has left since the last time.
            self.output.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_is_read_as_go_reads_it() {
        for (json, is_read) in [
            ("{}", true),
            ("null", true),
            (r#"{"VERBOSE":false} "#, true),
            (r#"{"verbose":null,"protocol":null,"user":null}"#, true),
            (r#"{"else":[1,{}],"tls_required":true}"#, true),
            (r#"{"protocol":1}"#, true),
            ("", false),
            ("{", false),
            ("[]", false),
            ("{}x", false),
            (r#"{"verbose":"x"}"#, false),
            (r#"{"user":1}"#, false),
            (r#"{"protocol":"1"}"#, false),
        ] {
            let taken = Wishes::default().take(json.as_bytes());
            assert_eq!(taken.is_ok(), is_read, "{json}");
        }
        let mut wishes = Wishes::default();
        wishes
            .take(br#"{"Verbose":false,"user":"u","pass":"p"}"#)
            .expect("valid");
        assert_eq!(wishes.credentials(), ("u", "p", ""));
        assert!(!wishes.verbose && wishes.pedantic && wishes.is_understood());
        // What is not named stays.
        wishes.take(br#"{"protocol":2}"#).expect("valid");
        assert!(!wishes.verbose && !wishes.is_understood());
    }
}
