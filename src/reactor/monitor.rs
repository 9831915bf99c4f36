//! The port for operators: `/metrics`, `/healthz` and `/readyz`, on the same loop.
//!
//! It has few connections, of people who are trusted, so it is simple: each keeps its
//! own buffers, and all are looked through in a turn in which one of them is ready.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::Reactor;
use super::clock::unix_seconds;
use super::connection::{MONITOR, is_monitor, monitor_token};
use super::error::Error;
use super::listener::Listener;
use super::process::resident_memory;
use crate::config::Config;
use crate::gateway::Time;
use crate::http::date::{Date, imf_fixdate};
use crate::http::response::{TEXT, write_error};
use crate::http::{Limits, Persistence, Phase, RequestReader, ResponseWriter, Step};
use crate::metrics::{self, CONTENT_TYPE, Snapshot};

/// Most connections at a time; for a further one the longest idle one is closed.
pub(crate) const CONNECTIONS_MAX: usize = 32;

/// Bytes that are read at once.
const READ: usize = 4 << 10;

/// Milliseconds for a request to come in, and for an answer to leave.
pub(crate) const REQUEST_TIME: u64 = 10_000;

/// Milliseconds between two requests: above the usual intervals of scraping.
pub(crate) const IDLE_TIME: u64 = 150_000;

/// Milliseconds between two log lines about connections that had to go.
const LOG_STEP: u64 = 60_000;

const LIMITS: Limits = Limits {
    head: 8 << 10,
    fields: 64,
    body: 1 << 10,
};

/// What a path answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Metrics,
    /// The process runs.
    Live,
    /// The process serves clients.
    Ready,
}

/// Status and body of a page; `None` as long as it is being made.
pub(crate) type Made = Option<(u16, String)>;

/// The listener and its connections.
#[derive(Debug)]
pub(crate) struct Monitor {
    listener: Listener,
    connections: Vec<Connection>,
    /// Connections so far.
    serial: usize,
    /// When the next connection that had to go is logged.
    next_log: Time,
    /// A connection has something to do.
    is_busy: bool,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    token: Token,
    reader: RequestReader,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    due: Time,
    /// When bytes last came or left.
    active: Time,
    readable: bool,
    writable: bool,
    /// The input may hold a whole request.
    unparsed: bool,
    /// A read has shown the end of the client's side.
    ended: bool,
    /// It ends when its output is written.
    is_last: bool,
    /// The request whose page is being made. What follows waits.
    asked: Option<Asked>,
}

/// A request for a page.
#[derive(Clone, Copy, Debug)]
struct Asked {
    page: Page,
    content_type: &'static str,
    is_head: bool,
    persistence: Persistence,
}

impl Monitor {
    /// Listens on the socket that was handed over, or else on the configured port, at the
    /// address that clients use. `None` if there is neither.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`].
    pub(crate) fn bind(
        config: &Config,
        inherited: Option<TcpListener>,
        registry: &Registry,
    ) -> Result<Option<Box<Self>>, Error> {
        if inherited.is_none() && config.metrics_port.is_none() {
            return Ok(None);
        }
        let port = config.metrics_port.unwrap_or(0);
        let refused = |source| Error::Listen {
            addr: config.addr,
            port,
            option: "--metricsport",
            source,
        };
        let listener = match inherited {
            Some(socket) => Listener::inherit(socket),
            // Never shared: a scrape would meet any of the processes.
            None => Listener::bind(config.addr, port, false),
        };
        let mut listener = listener.map_err(refused)?;
        listener.register(registry, MONITOR).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        log::info!("Metrics on http://{address}/metrics");
        Ok(Some(Box::new(Self {
            listener,
            connections: Vec::new(),
            serial: 0,
            next_log: Time(0),
            is_busy: false,
        })))
    }

    /// Notes a readiness event of one of its tokens.
    pub(crate) fn set_ready(&mut self, event: &Event) {
        debug_assert!(is_monitor(event.token()));
        if event.token() == MONITOR {
            self.listener.set_ready();
            return;
        }
        let mut connections = self.connections.iter_mut();
        if let Some(connection) = connections.find(|there| there.token == event.token()) {
            connection.readable |= event.is_readable() || event.is_read_closed();
            connection.writable |= event.is_writable();
            self.is_busy = true;
        }
    }

    /// Whether there is something to do at once.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy || self.listener.is_ready()
    }

    /// A page that was asked for may be there.
    pub(crate) fn wake(&mut self) {
        self.is_busy = true;
    }

    /// When something is to be done.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        let dues = self.connections.iter().map(|connection| connection.due);
        dues.chain(self.listener.next_timeout()).min()
    }

    /// Takes new connections, serves all, and closes those whose time is over, if that may
    /// be judged. Whoever leaves connections open cannot keep others out: a probe that is
    /// not answered may cost the process its life.
    pub(crate) fn serve(
        &mut self,
        registry: &Registry,
        now: Time,
        may_judge: bool,
        page: &mut dyn FnMut(Page) -> Made,
    ) {
        let Self {
            listener,
            connections,
            serial,
            next_log,
            ..
        } = self;
        listener.accept(now, |mut socket, remote| {
            if connections.len() >= CONNECTIONS_MAX {
                let ages = connections.iter().enumerate();
                let longest = ages.min_by_key(|(_, connection)| connection.active);
                if let Some((index, _)) = longest {
                    connections.remove(index);
                }
                if *next_log <= now {
                    *next_log = Time(now.0 + LOG_STEP);
                    log::warn!(
                        "{CONNECTIONS_MAX} connections are open on the metrics port: the longest \
                         idle one is closed for each that comes; who leaves them open?"
                    );
                }
            }
            *serial = serial.wrapping_add(1);
            let token = monitor_token(*serial);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = registry.register(&mut socket, token, interest) {
                log::warn!("cannot take {remote} into the poll loop: {error}");
                return;
            }
            connections.push(Connection::new(socket, token, now));
        });
        self.is_busy = false;
        self.connections.retain_mut(|connection| {
            // What has come counts, even if the loop looks at it late.
            let is_alive = connection.serve(now, page).unwrap_or(false);
            let is_kept = is_alive && (connection.due > now || !may_judge);
            self.is_busy |= is_kept && connection.has_input();
            is_kept
        });
    }
}

impl Connection {
    fn new(socket: TcpStream, token: Token, now: Time) -> Self {
        Self {
            socket,
            token,
            reader: RequestReader::default(),
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            due: Time(now.0 + REQUEST_TIME),
            active: now,
            readable: false,
            writable: true,
            unparsed: false,
            ended: false,
            is_last: false,
            asked: None,
        }
    }

    /// Writes, reads once, answers at most one request. `false` when it has ended.
    fn serve(&mut self, now: Time, page: &mut dyn FnMut(Page) -> Made) -> io::Result<bool> {
        self.write(now)?;
        // What was read is answered first, or pipelined requests would pile up.
        let may_read = self.asked.is_none() && self.output.is_empty() && !self.is_last;
        if may_read && self.readable && !self.unparsed {
            self.read(now)?;
        }
        if may_read {
            self.answer(now);
        }
        if let Some(asked) = self.asked {
            self.asked = asked
                .respond(page, &mut self.output)
                .is_none()
                .then_some(asked);
        }
        self.write(now)?;
        Ok(self.asked.is_some() || !self.output.is_empty() || !self.is_last && !self.ended)
    }

    /// Whether it can be served at once.
    fn has_input(&self) -> bool {
        self.asked.is_none() && self.output.is_empty() && (self.readable || self.unparsed)
    }

    fn read(&mut self, now: Time) -> io::Result<()> {
        let start = self.input.len();
        self.input.resize(start + READ, 0);
        let result = self.socket.read(&mut self.input[start..]);
        self.input
            .truncate(start + result.as_ref().map_or(0, |len| *len));
        match result {
            Ok(0) => self.ended = true,
            Ok(_) => self.active = now,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write(&mut self, now: Time) -> io::Result<()> {
        while self.writable && !self.output.is_empty() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(len) => {
                    self.written += len;
                    self.active = now;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error),
            }
            if self.written == self.output.len() {
                (self.output, self.written) = (Vec::new(), 0);
                self.due = Time(now.0 + IDLE_TIME);
            }
        }
        Ok(())
    }

    /// Answers the next request, if it is complete.
    fn answer(&mut self, now: Time) {
        let date = imf_fixdate(unix_seconds());
        let consumed = match self.reader.read(&mut self.input, &LIMITS) {
            Ok(Step::NeedMore { phase, keep, .. }) => {
                if phase != Phase::Idle {
                    self.due = self.due.min(Time(now.0 + REQUEST_TIME));
                }
                keep_front(&mut self.input, keep);
                self.unparsed = false;
                return;
            }
            Ok(Step::Request { request, consumed }) => {
                let persistence = match self.ended {
                    true => Persistence::Close,
                    false => request.persistence,
                };
                let (method, path) = (request.head.method(), request.head.path());
                self.asked = route(method, path, persistence, &date, &mut self.output);
                self.is_last = !persistence.is_kept();
                consumed
            }
            Err(error) => {
                log::debug!("request on the metrics port refused: {error}");
                write_error(&mut self.output, error.status(), &date);
                self.is_last = true;
                self.input.len()
            }
        };
        self.input.drain(..consumed);
        self.unparsed = true;
        self.due = Time(now.0 + REQUEST_TIME);
    }
}

/// What the reader wants to see again; an idle connection has no memory for it.
fn keep_front(input: &mut Vec<u8>, keep: usize) {
    input.truncate(keep);
    if input.is_empty() {
        *input = Vec::new();
    }
}

/// The page that a request is for; if it is for none, that is answered.
fn route(
    method: &str,
    path: &str,
    persistence: Persistence,
    date: &Date,
    out: &mut Vec<u8>,
) -> Option<Asked> {
    let found = match path {
        "/metrics" => Some((Page::Metrics, CONTENT_TYPE)),
        "/healthz" => Some((Page::Live, TEXT)),
        "/readyz" => Some((Page::Ready, TEXT)),
        _ => None,
    };
    let is_head = method == "HEAD";
    let Some((found, content_type)) = found else {
        ResponseWriter::new(out, 404, date, persistence).body(TEXT, b"not found\n", is_head);
        return None;
    };
    if method != "GET" && !is_head {
        ResponseWriter::new(out, 405, date, persistence)
            .constant("Allow", "GET, HEAD")
            .body(TEXT, b"only GET and HEAD\n", false);
        return None;
    }
    Some(Asked {
        page: found,
        content_type,
        is_head,
        persistence,
    })
}

impl Asked {
    /// Answers, if the page is made.
    fn respond(&self, page: &mut dyn FnMut(Page) -> Made, out: &mut Vec<u8>) -> Option<()> {
        let (status, body) = page(self.page)?;
        let date = imf_fixdate(unix_seconds());
        ResponseWriter::new(out, status, &date, self.persistence)
            .constant("Cache-Control", "no-store")
            .body(self.content_type, body.as_bytes(), self.is_head);
        Some(())
    }
}

impl Reactor {
    /// Serves the operators' port.
    pub(super) fn serve_monitor(&mut self, now: Time, may_judge: bool) {
        let Some(mut monitor) = self.monitor.take() else {
            return;
        };
        if monitor.is_busy() || monitor.next_timeout().is_some_and(|due| due <= now) {
            let registry = self.poll.registry();
            monitor.serve(registry, now, may_judge, &mut |page| Some(self.page(page)));
        }
        self.monitor = Some(monitor);
    }

    /// Status and body of a page.
    fn page(&self, page: Page) -> (u16, String) {
        match page {
            Page::Metrics => (200, self.metrics_text()),
            Page::Live => (200, "ok\n".to_owned()),
            Page::Ready => match self.unready() {
                Some(reason) => (503, format!("{reason}\n")),
                None => (200, "ok\n".to_owned()),
            },
        }
    }

    /// What is counted, as OpenMetrics.
    pub(super) fn metrics_text(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        metrics::write(&self.snapshot(), &mut text);
        text
    }

    /// Logs what there is, if a signal has asked for it.
    pub(super) fn summarise(&self) {
        if !self.signals.take_summary() {
            return;
        }
        let state = self.unready().unwrap_or_else(|| "ready".to_owned());
        for line in metrics::summary(&self.snapshot(), &state) {
            log::info!("{line}");
        }
    }

    /// Why no new clients should be sent here; `None` if they should.
    pub(super) fn unready(&self) -> Option<String> {
        if let Some(ms) = self.absence.lasts(self.clock.now()) {
            Some(format!("NATS is lost, for {} s", ms / 1_000))
        } else if !self.has_broker() {
            Some("NATS is lost".to_owned())
        } else if self.listener.is_none() {
            Some("stopping".to_owned())
        } else if self.link.is_leaving() {
            Some("NATS server is about to shut down".to_owned())
        } else if !self.gateway.is_ready() {
            Some(format!("NATS refuses: {}", self.absence.refused()))
        } else {
            None
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            metrics: &self.metrics,
            counters: self.gateway.counters(),
            stats: self.gateway.stats(),
            connections: self.clients.len(),
            refused_connections: self.clients.refused(),
            client_bytes_out: self.clients.bytes_written(),
            slow_clients: self.clients.slow_closed(),
            buffers: self.clients.held(),
            broker_traffic: match &self.services {
                Some(services) => services.traffic(),
                None => self.link.traffic(),
            },
            broker_published: match &self.services {
                Some(services) => services.published(),
                None => self.link.published(),
            },
            broker_connected: self.has_broker(),
            broker_inside: self.services.as_ref().map(|services| services.counts()),
            broker_away: self.absence.lasts(self.clock.now()).unwrap_or(0),
            memory: resident_memory(),
        }
    }
}
