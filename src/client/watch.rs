//! `tidegate watch`: a resource and its events, over as many connections as it takes.

use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use super::connection::{Options, Received};
use super::core::args::Command;
use super::core::error::Error;
use super::core::messages::{self, Incoming};
use super::core::resources::{Happening, Resources, reference};
use super::input::Params;
use super::interrupt::Interrupt;
use super::link::{Link, request_name, strange};
use super::output::Output;
use super::too_much;

/// The first pause before another try, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// After so much silence the gateway is asked whether it is there, and after as much again
/// it is not.
const SILENCE: Duration = Duration::from_secs(20);

/// Watches a resource until the user wants to end, or what is watched is no more.
///
/// # Errors
///
/// What ends it, [`Error::Ended`] above all.
pub fn watch(
    command: &Command,
    params: &Params,
    options: &Options<'_>,
    output: &Output,
) -> Result<(), Error> {
    let interrupt = Interrupt::new()?;
    let mut watch = Watch {
        command,
        output,
        resources: Resources::default(),
        has_begun: false,
        pause: PAUSE,
    };
    loop {
        let error = match watch.connect(params, options, &interrupt) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !watch.has_begun || is_final(&error) {
            return Err(error);
        }
        let pause = watch.next_pause();
        let tenths = pause.as_millis() / 100;
        let (seconds, tenth) = (tenths / 10, tenths % 10);
        output.say(&format_args!(
            "{error}; trying again in {seconds}.{tenth} s"
        ));
        interrupt.sleep(pause)?;
    }
}

/// Whether another try would come to the same. A service that is not there may come back.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Usage(_) | Error::Output(_) | Error::Ended => true,
        Error::Connection(_) | Error::TimedOut(_) => false,
        Error::Refused { code, .. } => !matches!(
            &**code,
            "system.timeout"
                | "system.notFound"
                | "system.internalError"
                | "system.serviceUnavailable"
                | "common.tooActive"
        ),
    }
}

struct Watch<'a> {
    command: &'a Command,
    output: &'a Output,
    /// What is held, or was when the connection was lost.
    resources: Resources,
    /// The resource was there once.
    has_begun: bool,
    pause: Duration,
}

impl Watch<'_> {
    /// Watches over one connection, until it ends.
    fn connect(
        &mut self,
        params: &Params,
        options: &Options<'_>,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        let command = self.command;
        let mut link = Link::open(command, params, options, interrupt)?;
        let set = link.ask(&request_name(command.verb, &command.rid, ""), None)?;
        self.take(&set)?;
        match self.listen(&mut link) {
            Err(Error::Ended) => {
                link.close();
                Err(Error::Ended)
            }
            result => result,
        }
    }

    /// Takes what is there now, and shows it: all at the beginning, what is new later.
    fn take(&mut self, set: &str) -> Result<(), Error> {
        let mut now = Resources::default();
        now.put(set).map_err(|error| strange(&error))?;
        let before = std::mem::replace(&mut self.resources, now);
        self.pause = PAUSE;
        let (rid, url) = (&self.command.rid, self.command.server.url());
        if !std::mem::replace(&mut self.has_begun, true) {
            let words = format_args!("watching {rid} at {url}; Ctrl-C ends");
            self.output.remark(&words);
            return self.show_state(rid);
        }
        let is_other = |rid: &str| {
            let old = before.get(rid);
            old.is_some_and(|old| self.resources.get(rid) != Some(old))
        };
        let rids = self.resources.iter().map(|(rid, _)| rid);
        let others: Vec<&str> = rids.filter(|rid| is_other(rid)).collect();
        self.output.say(&match others.len() {
            0 => format!("watching {rid} again; nothing has changed meanwhile"),
            1 => format!("watching {rid} again; a resource has changed meanwhile"),
            count => format!("watching {rid} again; {count} resources have changed meanwhile"),
        });
        others.into_iter().try_for_each(|rid| self.show_state(rid))
    }

    fn show_state(&self, rid: &str) -> Result<(), Error> {
        let stamp = self.output.now();
        let line = self.output.form.state(&stamp, rid, &self.resources);
        self.output.line(&line.map_err(too_much)?)
    }

    /// Shows events as they come.
    fn listen(&mut self, link: &mut Link<'_>) -> Result<(), Error> {
        let mut is_asked = false;
        loop {
            match link.receive(Some(Instant::now() + SILENCE))? {
                Received::Text(text) => {
                    is_asked = false;
                    self.hear(&text)?;
                }
                Received::Pong => is_asked = false,
                Received::TimedOut if is_asked => {
                    let words = "lost the connection: the gateway is silent".to_owned();
                    return Err(Error::Connection(words));
                }
                Received::TimedOut => {
                    link.ping()?;
                    is_asked = true;
                }
            }
        }
    }

    fn hear(&mut self, text: &str) -> Result<(), Error> {
        let message = messages::read(text).map_err(|error| strange(&error))?;
        let Incoming::Event { rid, name, data } = message else {
            return Ok(());
        };
        let happening = self.resources.apply(&rid, &name, data);
        let happening = happening.map_err(|error| strange(&error))?;
        let stamp = self.output.now();
        let form = self.output.form;
        let line = form.event(&stamp, &rid, &name, &happening, &self.resources);
        self.output.line(&line.map_err(too_much)?)?;
        if has_let_go(&happening) {
            self.resources.keep_reachable(&self.command.rid);
        }
        match happening {
            Happening::Unsubscribed(reason) if rid == self.command.rid => Err(Error::Refused {
                request: format!("watch {rid}"),
                code: reason.code,
                message: reason.message,
                data: reason.data,
            }),
            _ => Ok(()),
        }
    }

    /// How long to wait: longer each time, and not as long as everybody else.
    fn next_pause(&mut self) -> Duration {
        let mut byte = [128u8];
        // Without random numbers it is the middle.
        let _ = SystemRandom::new().fill(&mut byte);
        let pause = self.pause * (128 + u32::from(byte[0])) / 256;
        self.pause = PAUSE_MAX.min(self.pause * 2);
        pause
    }
}

/// Whether an event has taken a reference away.
fn has_let_go(happening: &Happening) -> bool {
    let is_reference = |value: &String| reference(value).is_some_and(|it| !it.is_soft);
    match happening {
        Happening::Changed(changes) => changes
            .iter()
            .any(|change| change.before.as_ref().is_some_and(is_reference)),
        Happening::Removed(_, Some(value)) => is_reference(value),
        _ => false,
    }
}
