//! Requests and their answers over one connection.

use std::time::{Duration, Instant};

use super::connection::{Connection, Options, Received};
use super::core::args::{Command, Verb};
use super::core::error::Error;
use super::core::messages::{self, Incoming, PROTOCOL};
use super::input::Params;
use super::interrupt::Interrupt;

/// A connection on which the version was agreed on, and which has logged in.
pub struct Link<'a> {
    connection: Connection,
    interrupt: &'a Interrupt,
    timeout: Option<Duration>,
    last_id: u64,
}

impl<'a> Link<'a> {
    /// Connects, agrees on the version, and logs in.
    ///
    /// # Errors
    ///
    /// What fails of that.
    pub fn open(
        command: &Command,
        params: &Params,
        options: &Options<'_>,
        interrupt: &'a Interrupt,
    ) -> Result<Link<'a>, Error> {
        let mut link = Link {
            connection: Connection::open(options, interrupt)?,
            interrupt,
            timeout: command.timeout,
            last_id: 0,
        };
        link.ask("version", Some(PROTOCOL))?;
        if let Some(login) = &command.login {
            let method = request_name(Verb::Auth, &login.rid, &login.method);
            link.ask(&method, params.login.as_deref())?;
        }
        Ok(link)
    }

    /// Asks, and waits for the answer: its result as JSON. Events before it are passed over.
    ///
    /// # Errors
    ///
    /// The answer is an error, or there is none.
    pub fn ask(&mut self, method: &str, params: Option<&str>) -> Result<String, Error> {
        self.last_id += 1;
        let id = self.last_id;
        let request = messages::request(id, method, params);
        self.connection.send(&request)?;
        let end = self.timeout.map(|timeout| Instant::now() + timeout);
        let shown = || method.replacen('.', " ", 1);
        loop {
            let text = match self.connection.receive(end, self.interrupt)? {
                Received::Text(text) => text,
                Received::Pong => continue,
                Received::TimedOut => {
                    let words = format!("{}: no answer in time; see --timeout", shown());
                    return Err(Error::TimedOut(words));
                }
            };
            match messages::read(&text).map_err(|error| strange(&error))? {
                Incoming::Answer { id: other, outcome } if other == id => {
                    return match outcome {
                        Ok(result) => Ok(result.to_owned()),
                        Err(failure) => Err(Error::Refused {
                            request: shown(),
                            code: failure.code,
                            message: failure.message,
                            data: failure.data,
                        }),
                    };
                }
                _ => {}
            }
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub fn receive(&mut self, end: Option<Instant>) -> Result<Received, Error> {
        self.connection.receive(end, self.interrupt)
    }

    /// Asks whether the gateway is there.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub fn ping(&mut self) -> Result<(), Error> {
        self.connection.ping()
    }

    /// Says goodbye.
    pub fn close(self) {
        self.connection.close();
    }
}

/// The method of a request.
pub fn request_name(verb: Verb, rid: &str, method: &str) -> String {
    let verb = match verb {
        Verb::Watch => "subscribe",
        verb => verb.name(),
    };
    match method {
        "" => format!("{verb}.{rid}"),
        method => format!("{verb}.{rid}.{method}"),
    }
}

/// What the gateway sends is none of the protocol's messages.
pub fn strange(error: &dyn std::fmt::Display) -> Error {
    Error::Connection(format!("cannot understand what the gateway sends: {error}"))
}
