//! NATS goes away and comes back: what the loop does about it, and what it tells.

use super::broker::Broker;
use super::denials::{Denial, Denied};
use super::error::{BrokerError, Error};
use super::link::{LASTING, LinkEvent};
use super::{End, Reactor, tell, turn};
use crate::config::{Config, ReconnectTokens};
use crate::gateway::{Gateway, Refusal, Time};
use crate::nats::{Event, Lesson};

/// Requests without answer, one after the other and without a byte from NATS meanwhile,
/// after which it is asked for a sign of life at once.
pub(crate) const SILENT_REQUESTS: u64 = 3;

/// Milliseconds for which clients are kept at least when the process was frozen meanwhile.
const THAW_TIME: u64 = 5_000;

/// Bytes that are read at once from the connection that was left.
const LEFT_READ: usize = 64 << 10;

/// Milliseconds between two log lines about refusals of one kind.
const LOG_STEP: u64 = 60_000;

/// The kind of subscriptions that the gateway cannot be without, beside the three that the
/// metrics tell apart.
const VITAL: usize = 3;

/// What the loop keeps of NATS being away.
#[derive(Debug)]
pub(super) struct Absence {
    /// Milliseconds for which clients are kept; 0 is not at all.
    keep: u64,
    now: Option<Away>,
    /// When clients would have been given up, and when NATS was there again before that.
    before: Option<(Time, Time)>,
    silence: Silence,
    /// What NATS has refused last of what the gateway cannot be without.
    refused: String,
    /// When a refusal of each kind is logged again.
    next_logs: [Time; VITAL + 1],
}

/// NATS is away.
#[derive(Debug)]
struct Away {
    since: Time,
    /// When clients are given up.
    until: Time,
    /// The server that was lost, without credentials.
    url: String,
    cause: BrokerError,
    /// It was said that no server is found.
    is_told: bool,
}

/// Requests that were not answered while nothing at all came.
#[derive(Debug, Default)]
struct Silence {
    /// Requests that were not answered in time, in all.
    timeouts: u64,
    /// Bytes from NATS, in all.
    received: u64,
}

impl Silence {
    /// Whether it lasts so long that NATS is to be asked.
    fn is_long(&mut self, timeouts: u64, received: u64) -> bool {
        if received != self.received {
            *self = Self { timeouts, received };
        }
        let is_long = timeouts - self.timeouts >= SILENT_REQUESTS;
        if is_long {
            self.timeouts = timeouts;
        }
        is_long
    }
}

impl Absence {
    /// As the configuration wants it.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            keep: u64::try_from(config.nats_reconnect.as_millis()).unwrap_or(u64::MAX),
            now: None,
            before: None,
            silence: Silence::default(),
            refused: String::new(),
            next_logs: [Time(0); VITAL + 1],
        }
    }

    /// Whether NATS is away, and clients are kept.
    pub(super) fn is_now(&self) -> bool {
        self.now.is_some()
    }

    /// Milliseconds for which it has been.
    pub(super) fn lasts(&self, now: Time) -> Option<u64> {
        let away = self.now.as_ref()?;
        Some(now.0.saturating_sub(away.since.0))
    }

    /// When clients are given up.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.now.as_ref().map(|away| away.until)
    }

    /// NATS is lost: until when clients are kept. A server that comes and goes does not keep
    /// them for ever: the time begins with the first loss, until NATS was there for a while.
    fn begin(&mut self, now: Time) -> Time {
        let lasting = LASTING.min(self.keep);
        match self.before.take() {
            Some((until, since)) if now.0.saturating_sub(since.0) < lasting => until,
            _ => Time(now.0.saturating_add(self.keep)),
        }
    }

    /// NATS is there again. Returns for how many milliseconds it was away.
    fn end(&mut self, now: Time) -> Option<u64> {
        let away = self.now.take()?;
        self.before = Some((away.until, now));
        Some(now.0.saturating_sub(away.since.0))
    }

    /// The process was frozen, and could not look for NATS: it has a moment for that yet.
    fn thaw(&mut self, now: Time) {
        if let Some(away) = &mut self.now {
            away.until = away.until.max(Time(now.0 + self.keep.min(THAW_TIME)));
        }
    }

    /// Whether a refusal of this kind is logged: clients may cause many.
    fn is_logged(&mut self, kind: usize, now: Time) -> bool {
        let is_logged = self.next_logs[kind] <= now;
        if is_logged {
            self.next_logs[kind] = Time(now.0 + LOG_STEP);
        }
        is_logged
    }

    /// What NATS has refused last of what the gateway cannot be without.
    pub(super) fn refused(&self) -> &str {
        &self.refused
    }
}

/// Whether clients with a token keep it when NATS was away.
pub(super) fn keeps_tokens(config: &Config) -> bool {
    config.nats_reconnect_tokens == ReconnectTokens::Keep
}

impl Reactor {
    /// Goes on with making the link, and tells the gateway when it is ready.
    pub(super) fn step_link(&mut self, now: Time) -> Result<(), End> {
        if self.gap.is_late() {
            // It would find the time over before what the server has done is known.
            self.absence.thaw(now);
            return Ok(());
        }
        match self.link.step(self.poll.registry(), now) {
            None => {}
            Some(LinkEvent::Connected {
                server,
                url,
                limits,
                is_switch,
            }) => {
                log::info!("Connected to {server} at {url}");
                let away = self.absence.end(now);
                if let Some(ms) = away {
                    log::info!("NATS is there again after {ms} ms");
                }
                self.site.is_away = false;
                if is_switch {
                    self.gateway.broker_lost(now, &mut self.outbox);
                    self.carry_out();
                }
                if is_switch || away.is_some() {
                    self.gateway.broker_back(now, limits, &mut self.outbox);
                } else {
                    self.gateway.broker_connected(now, limits, &mut self.outbox);
                }
                self.carry_out();
                if let Some(broker) = self.link.ready() {
                    broker.try_subscription(Gateway::probe());
                    broker.confirm();
                }
            }
            Some(LinkEvent::Unreachable { refusals, retry }) => {
                let error = Error::BrokerUnreachable(refusals);
                if retry.is_none() {
                    return Err(End::Failed(error));
                }
                self.note_unreachable(&error);
            }
        }
        self.check_absence(now)
    }

    /// Says once that no server is found.
    fn note_unreachable(&mut self, error: &Error) {
        match &mut self.absence.now {
            Some(away) if !away.is_told => {
                away.is_told = true;
                log::warn!("{error}; it is tried again");
            }
            _ => log::debug!("{error}; it is tried again"),
        }
    }

    /// Ends the loop when NATS has been away for too long.
    fn check_absence(&mut self, now: Time) -> Result<(), End> {
        if self.absence.next_timeout().is_none_or(|due| now < due) {
            return Ok(());
        }
        match self.absence.now.take() {
            None => Ok(()),
            Some(Away { url, cause, .. }) => Err(End::Lost {
                url,
                cause,
                tried: self.absence.keep,
            }),
        }
    }

    /// The connection to NATS has failed. Clients are kept for a while, unless the process is
    /// starting or ending.
    pub(super) fn lose(&mut self, cause: BrokerError) -> Result<(), End> {
        let now = self.clock.now();
        let loss = self.link.lost(&cause, now);
        // Nothing continues what came before.
        self.outbox.seal();
        self.streak.clear();
        self.metrics.broker_losses += 1;
        let is_kept = self.absence.keep > 0 && self.listener.is_some();
        if !is_kept {
            log::debug!("the connection to NATS is lost: {cause}");
            return Err(End::Lost {
                url: loss.url,
                cause,
                tried: 0,
            });
        }
        let until = self.absence.begin(now);
        log::warn!(
            "lost the connection to NATS at {}: {cause}; clients are kept for {} ms while it is \
             made anew",
            loss.url,
            until.0.saturating_sub(now.0)
        );
        if let Some(learned) = &loss.learned {
            log::warn!("{learned}");
        }
        self.site.is_away = true;
        self.absence.now = Some(Away {
            since: now,
            until,
            url: loss.url,
            cause,
            is_told: false,
        });
        self.gateway.broker_lost(now, &mut self.outbox);
        self.carry_out();
        if let Some(Lesson { reply, .. }) = loss.lesson
            && !reply.is_empty()
        {
            self.gateway
                .publish_refused(now, &reply, Refusal::TooLong, &mut self.outbox);
            self.carry_out();
        }
        Ok(())
    }

    /// Takes from the connection what is no message: what NATS has refused, and what it says
    /// of itself.
    pub(super) fn take_news(&mut self, now: Time) {
        let Some(broker) = self.link.ready() else {
            return;
        };
        if broker.take_info() {
            let limits = broker.limits();
            self.gateway.broker_limits(limits);
            if self.link.learn() {
                log::warn!("NATS server is about to shut down: another one is looked for");
            }
        }
        // One a turn at least; what the turn has no room for is the next one's.
        while let Some(denial) = self.link.ready().and_then(Broker::next_denial) {
            self.deny(denial, now);
            self.turn.step(0, || self.clock.micros());
            if self.is_share_over() {
                return;
            }
        }
    }

    /// Takes answers that come by the connection that was left, and reads once, as far as the
    /// turn's share reaches. Nothing else of it counts: events come by the one that serves.
    pub(super) fn hear_left(&mut self, now: Time) {
        if !self.link.has_left() {
            return;
        }
        self.begin_share(turn::LATE);
        while !self.is_share_over()
            && let Some(broker) = self.link.left(now)
        {
            let mut bytes = 0;
            match broker.next(now) {
                Ok(Some(Event::Message(message))) => {
                    bytes = message.payload.len();
                    if Gateway::is_answer(message.sid) {
                        self.metrics.broker_messages += 1;
                        let message = Event::Message(message);
                        tell(&mut self.gateway, message, now, &mut self.outbox);
                        self.carry_out();
                    }
                }
                Ok(Some(_)) => broker.forget_denials(),
                Ok(None) => {
                    broker.take_info();
                    // What is read when its time is over is too late.
                    let Some(broker) = self.link.left(now) else {
                        return;
                    };
                    if broker.read(LEFT_READ).is_ok() && broker.write().is_ok() {
                        return;
                    }
                    self.link.forget_left();
                }
                Err(_) => self.link.forget_left(),
            }
            self.turn.step(bytes, || self.clock.micros());
        }
    }

    /// Tells the gateway what NATS has refused.
    pub(super) fn deny(&mut self, denial: Denial, now: Time) {
        let Denial { what, reason, text } = denial;
        let hint = match reason {
            Refusal::Permission => "; give the gateway's user the right to it",
            Refusal::Limit => "; raise the server's max_subscriptions",
            Refusal::TooLong => "",
        };
        let kind = match &what {
            Denied::Subscription(_) => 0,
            Denied::Message(_) => 1,
            Denied::Unknown => 2,
        };
        self.metrics.broker_refusals[kind] += 1;
        let is_vital = matches!(what, Denied::Subscription(sid) if Gateway::is_vital(sid, reason));
        let name = ["a subscription", "a request", "an operation"][kind];
        // What clients cause does not hide the others.
        if self
            .absence
            .is_logged(if is_vital { VITAL } else { kind }, now)
        {
            log::error!("NATS refuses {name}: {text}{hint}");
        } else {
            log::debug!("NATS refuses {name} again: {text}");
        }
        match what {
            Denied::Subscription(sid) => {
                self.gateway
                    .subscription_refused(now, sid, reason, &mut self.outbox);
                if is_vital {
                    self.absence.refused = text;
                }
            }
            Denied::Message(subject) => {
                self.gateway
                    .publish_refused(now, &subject, reason, &mut self.outbox);
            }
            Denied::Unknown => {}
        }
        self.carry_out();
    }

    /// Closes the clients whose tokens may have changed while NATS was away, each at its time.
    pub(super) fn say_goodbyes(&mut self, now: Time) {
        while !self.is_share_over()
            && let Some(key) = self.clients.take_goodbye(now)
        {
            let reason = "the token may have changed while NATS was away";
            if let Some(connection) = self.clients.get_mut(key) {
                log::debug!("client {} closed: {reason}", connection.remote);
            }
            self.clients.say_goodbye(key, Some(1012), reason, now);
            self.carry_out();
            self.turn.step(0, || self.clock.micros());
        }
    }

    /// Asks NATS for a sign of life when requests are not answered and nothing comes.
    pub(super) fn look_at_silence(&mut self, now: Time) {
        let timeouts = self.gateway.counters().timeouts;
        let received = self.link.traffic().received;
        if self.absence.silence.is_long(timeouts, received)
            && let Some(broker) = self.link.ready()
        {
            broker.probe(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::link::tests::config;

    #[test]
    fn a_server_that_comes_and_goes_does_not_keep_clients_for_ever() {
        let config = config("nats://shore", &["--natsreconnect", "30000"]);
        let mut absence = Absence::new(&config);
        let lose = |absence: &mut Absence, now| {
            let until = absence.begin(Time(now));
            absence.now = Some(Away {
                since: Time(now),
                until,
                url: String::new(),
                cause: BrokerError::Leaving,
                is_told: false,
            });
            until.0
        };
        for at in (1_000..20_000).step_by(5_000) {
            assert_eq!(lose(&mut absence, at), 31_000);
            assert_eq!(absence.end(Time(at + 1_000)), Some(1_000));
            assert_eq!(absence.next_timeout(), None);
        }
        // It has been there for a while by now.
        assert_eq!(lose(&mut absence, 25_000), 55_000);
        // Whoever is kept for less need not see it there for longer.
        absence.keep = 500;
        absence.end(Time(25_100));
        assert_eq!(lose(&mut absence, 25_599), 55_000);
        absence.end(Time(25_700));
        assert_eq!(lose(&mut absence, 26_200), 26_700);
    }

    #[test]
    fn requests_without_answer_count_while_nothing_comes() {
        let mut silence = Silence::default();
        assert!(!silence.is_long(0, 100));
        assert!(!silence.is_long(2, 100));
        assert!(silence.is_long(3, 100));
        // It is asked again only when as many more were not answered.
        assert!(!silence.is_long(5, 100));
        assert!(silence.is_long(6, 100));
        // Whatever comes is a sign of life.
        assert!(!silence.is_long(8, 101));
        assert!(!silence.is_long(10, 101));
        assert!(silence.is_long(11, 101));
        assert!(!silence.is_long(100, 102));
    }
}
