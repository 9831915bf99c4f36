//! From the clients' sockets to the gateway: reading, requests, messages.

use std::ops::Range;

use super::Reactor;
use super::broker::PACED_HIGH;
use super::connection::{ConnectionKey, Farewell, Phase, Upgrade, Work};
use super::deadlines::Kind;
use super::events;
use super::output::{Piece, SOFT_LIMIT};
use super::pulse::Silence;
use super::stream::ReadError;
use super::turn::{self, READ_STEP, Share};
use crate::gateway::{Have, WebAction, WebRequest};
use crate::http::{self, Request, Route, route};
use crate::res::meta::Fields;
use crate::tls::Failure;
use crate::ws::{self, frame, handshake};

/// Bytes that are read from one client before the next one has its turn.
pub(crate) const READ_MAX: usize = 64 << 10;

/// Bytes that a message has once it is inflated and that cost a work unit.
const INFLATED_STEP: usize = 16;

/// Unwritten answers above which the next pipelined request waits.
pub(crate) const PIPELINE_MAX: usize = 64 << 10;

/// Longest message that a client may send, in bytes.
pub(crate) const MESSAGE_MAX: usize = 1 << 20;

/// Unwritten output for writable sockets above which nothing is taken in that may add much
/// to it.
pub(crate) const OUTPUT_BUDGET: usize = 32 << 20;

impl Reactor {
    /// Serves the clients that have input, each once and for so long as it has a share of
    /// the turn: first those that have left some of it the last time.
    pub(super) fn serve_clients(&mut self) {
        self.begin_share(turn::CLIENTS);
        for _ in 0..self.clients.ready_len() {
            if self.is_share_over() || !self.takes_clients_input() {
                break;
            }
            let Some(key) = self.clients.next_ready() else {
                break;
            };
            self.serve(key);
        }
        if !self.turn.serves_busy() || self.clients.busy_len() == 0 {
            return;
        }
        self.begin_share(turn::BUSY);
        for _ in 0..self.clients.busy_len() {
            if self.is_share_over() || !self.takes_busy_input() {
                break;
            }
            let Some(key) = self.clients.next_busy() else {
                break;
            };
            self.serve(key);
        }
    }

    /// Goes on with TLS handshakes, for a while.
    pub(super) fn shake_hands(&mut self) {
        if self.clients.shaking_len() == 0 || !self.takes_clients_input() {
            return;
        }
        self.begin_share(turn::HANDSHAKES);
        for _ in 0..self.clients.shaking_len() {
            let Some(key) = self.clients.next_shaking() else {
                return;
            };
            self.serve(key);
            self.turn.long_step(self.clock.micros());
            if self.is_share_over() {
                return;
            }
        }
    }

    /// Begins a share of the turn.
    pub(super) fn begin_share(&mut self, share: Share) {
        self.gateway.begin_turn(share.units);
        self.turn.share(self.clock.micros(), share);
    }

    /// Whether the share of the turn is used up.
    pub(super) fn is_share_over(&self) -> bool {
        self.turn.is_over() || self.gateway.units_left() == 0
    }

    /// Whether there is room and time for what clients' requests lead to.
    pub(super) fn takes_clients_input(&self) -> bool {
        self.compression.has_budget()
            && !self.link.is_congested()
            && self.gateway.parked() <= PACED_HIGH
    }

    /// The same for clients that used up their share.
    pub(super) fn takes_busy_input(&self) -> bool {
        self.takes_clients_input() && self.clients.fresh() < OUTPUT_BUDGET
    }

    /// Whether any client's input would be taken at once.
    pub(super) fn has_clients_input(&self) -> bool {
        let clients = &self.clients;
        clients.ready_len() + clients.shaking_len() > 0 && self.takes_clients_input()
            || clients.busy_len() > 0 && self.takes_busy_input()
    }

    /// Serves one client.
    pub(super) fn serve(&mut self, key: ConnectionKey) {
        if self.is_blocked(key) && !self.take_proxy_header(key) {
            return self.end_wait_in_vain(key);
        }
        self.turn.begin_visit(self.gateway.units_left());
        self.parse_stash(key);
        if !self.is_blocked(key) && !self.has_visited() {
            self.read(key);
        }
        let has_visited = self.has_visited();
        if let Some(connection) = self.clients.get_mut(key) {
            connection.busy = has_visited;
            if connection.held > 0 || !connection.stash.is_empty() || connection.is_partial() {
                self.clients.count_input(key);
            }
        }
        // A blocked connection is woken by what blocks it.
        match self.is_blocked(key) {
            true => self.end_wait_in_vain(key),
            false => self.clients.wake(key),
        }
    }

    /// A request waits for a change no longer where its client has ended its side: it has gone,
    /// or asks for nothing more.
    fn end_wait_in_vain(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.clients.get_mut(key)
            && (connection.hung_up || connection.ended)
            && connection.is_waiting()
        {
            let now = self.clock.now();
            self.clients.disarm(key);
            self.gateway.end_poll(now, key.client(), &mut self.outbox);
            self.carry_out();
        }
    }

    /// Whether the client that is served has used its share up.
    fn has_visited(&self) -> bool {
        self.turn.has_visited(self.gateway.units_left())
    }

    /// Whether input of the connection must wait. An answer of the gateway, or output
    /// that leaves, ends this and wakes the connection.
    fn is_blocked(&mut self, key: ConnectionKey) -> bool {
        let has_room = self.clients.fresh() < OUTPUT_BUDGET;
        let Some(connection) = self.clients.get_mut(key) else {
            return true;
        };
        match &connection.phase {
            Phase::Http(http) => http.work.is_some() || connection.output_bytes() > PIPELINE_MAX,
            Phase::WebSocket(_) => {
                connection.output_cost() > SOFT_LIMIT
                    || !has_room && connection.output_bytes() > PIPELINE_MAX
                    || !self.gateway.takes_requests(key.client())
            }
            Phase::Events(_) | Phase::Closing(_) => false,
            Phase::Proxied | Phase::Dead => true,
        }
    }

    /// Goes on with input that had to wait.
    fn parse_stash(&mut self, key: ConnectionKey) {
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        if connection.unparsed {
            let stash = std::mem::take(&mut connection.stash);
            self.parse_owned(key, stash);
        }
    }

    /// Reads once and parses.
    fn read(&mut self, key: ConnectionKey) {
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        if !connection.readable {
            return;
        }
        let was_handshaking = connection.stream.is_handshaking();
        let got = match connection.stream.read(&mut self.buffer, &mut self.wire) {
            Ok(got) => got,
            Err(ReadError::Socket(error)) => {
                log::debug!("client {} is gone: {error}", connection.remote);
                self.clients.kill(key);
                return self.carry_out();
            }
            Err(ReadError::Tls(failure)) => return self.tls_failed(key, &failure),
        };
        self.metrics.client_bytes_in += got.len as u64;
        // Less than asked for is all there was; more will be an event. A client that
        // has hung up sends no further event, so that the end must be read.
        if got.is_ended || got.would_block || got.is_drained && !connection.hung_up {
            connection.readable = false;
        }
        connection.ended |= got.is_ended;
        if got.taken > 0 {
            connection.silence = Silence::default();
        }
        let now = self.clock.now();
        let is_closing = matches!(connection.phase, Phase::Closing(_));
        if was_handshaking && !connection.stream.is_handshaking() && !is_closing {
            // From now on it has the time for a head.
            self.clients.arm(key, Kind::Head, now);
        }
        self.clients.flush_tls(key, now);
        self.take_input(key, got.len);
        self.turn.count_visit(got.taken / READ_STEP);
        self.turn.step(got.taken, || self.clock.micros());
        self.clients.end_completed(key);
        if got.is_ended {
            self.client_ended(key);
        }
    }

    /// Parses what was read into the buffer.
    fn take_input(&mut self, key: ConnectionKey, len: usize) {
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        if len == 0 {
            return;
        }
        if connection.stash.is_empty() {
            let mut buffer = std::mem::take(&mut self.buffer);
            let rest = self.parse(key, &mut buffer[..len]);
            if !rest.is_empty()
                && let Some(connection) = self.clients.get_mut(key)
            {
                connection.stash = buffer[rest].to_vec();
            }
            self.buffer = buffer;
        } else {
            let mut stash = std::mem::take(&mut connection.stash);
            stash.extend_from_slice(&self.buffer[..len]);
            self.parse_owned(key, stash);
        }
    }

    /// The TLS session of a connection cannot go on.
    fn tls_failed(&mut self, key: ConnectionKey, failure: &Failure) {
        let now = self.clock.now();
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        log::debug!("client {} refused: {failure}", connection.remote);
        if *failure == Failure::PlainHttp {
            connection.stream.strip();
            self.site.fail(&mut self.clients, key, 400, now);
        } else {
            self.clients.flush_tls(key, now);
            self.clients.close(key, Kind::Linger, now);
        }
        self.carry_out();
    }

    /// The client has ended its side.
    fn client_ended(&mut self, key: ConnectionKey) {
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        let is_unparsed = connection.unparsed;
        if is_unparsed && connection.is_websocket() && !self.is_blocked(key) {
            // What it said before has its turn yet.
            return;
        }
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        let is_done = match &connection.phase {
            // Half a WebSocket is none, and whoever ends its side of a stream has gone.
            Phase::WebSocket(_) | Phase::Events(_) => true,
            // It may still wait for answers.
            Phase::Http(http) => {
                http.work.is_none() && !connection.unparsed && connection.output.is_none()
            }
            Phase::Closing(_) => connection.output.is_none(),
            Phase::Proxied | Phase::Dead => false,
        };
        if is_done {
            self.clients.kill(key);
            self.carry_out();
        }
    }

    /// Parses input that is the connection's own, and gives it back what is left.
    fn parse_owned(&mut self, key: ConnectionKey, mut input: Vec<u8>) {
        let rest = self.parse(key, &mut input);
        if let Some(connection) = self.clients.get_mut(key)
            && !rest.is_empty()
        {
            input.truncate(rest.end);
            input.drain(..rest.start);
            connection.stash = input;
        }
        if self
            .clients
            .get_mut(key)
            .is_some_and(|connection| connection.ended)
        {
            self.client_ended(key);
        }
    }

    /// Takes requests and messages off the input; what must be kept is left.
    fn parse(&mut self, key: ConnectionKey, input: &mut [u8]) -> Range<usize> {
        let mut at = 0;
        loop {
            let must_wait = self.is_blocked(key) || self.has_visited();
            let now = self.clock.now();
            let Some(connection) = self.clients.get_mut(key) else {
                return 0..0;
            };
            connection.unparsed = must_wait && at < input.len();
            if must_wait {
                return at..input.len();
            }
            let rest = &mut input[at..];
            match &mut connection.phase {
                // Nothing is asked while a stream is sent.
                Phase::Events(_)
                | Phase::Closing(Farewell::End | Farewell::Nothing)
                | Phase::Proxied
                | Phase::Dead => return 0..0,
                Phase::Http(http) => match http.reader.read(rest, &self.site.limits) {
                    Ok(http::Step::Request { request, consumed }) => {
                        at += consumed;
                        self.request(key, &request);
                        self.count_step(consumed);
                    }
                    Ok(http::Step::NeedMore {
                        phase,
                        keep,
                        send_continue,
                    }) => {
                        self.await_more(key, phase);
                        if send_continue {
                            self.site.say_continue(&mut self.clients, key, now);
                        }
                        return at..at + keep;
                    }
                    Err(error) => {
                        log::debug!("client {} refused: {error}", connection.remote);
                        self.site.fail(&mut self.clients, key, error.status(), now);
                        return 0..0;
                    }
                },
                Phase::WebSocket(decoder) | Phase::Closing(Farewell::CloseFrame(decoder)) => {
                    match decoder.next(rest, MESSAGE_MAX, self.compression.inflater()) {
                        Ok(ws::Step::Event { event, consumed }) => {
                            at += consumed;
                            self.frame(key, event);
                            if !self.count_inflated(key) {
                                return 0..0;
                            }
                            self.count_step(consumed);
                        }
                        Ok(ws::Step::NeedMore { consumed }) => {
                            at += consumed;
                            self.await_rest(key, at < input.len());
                            return at..input.len();
                        }
                        Err(violation) => {
                            log::debug!("client {} closed: {violation}", connection.remote);
                            let code = Some(violation.close_code());
                            self.clients.say_goodbye(key, code, "", now);
                            self.count_inflated(key);
                            self.carry_out();
                            return 0..0;
                        }
                    }
                }
            }
        }
    }

    /// Notes a request, message or control frame of so many bytes that was taken.
    fn count_step(&mut self, bytes: usize) {
        self.turn.count_visit(1);
        self.turn.step(bytes, || self.clock.micros());
    }

    /// Charges a client's share and the turn for what was inflated, and closes the client if
    /// that is what it is about; whether it may go on.
    fn count_inflated(&mut self, key: ConnectionKey) -> bool {
        let done = self.compression.inflater().take_done();
        if done.message == 0 {
            return true;
        }
        self.gateway.charge(done.message / INFLATED_STEP);
        self.turn.step(done.message, || self.clock.micros());
        let now = self.clock.now();
        let Some(connection) = self.clients.get_mut(key) else {
            return true;
        };
        if connection.inflated.count(done, now) || !connection.is_websocket() {
            return true;
        }
        let reason = "messages grow too much when they are decompressed";
        log::debug!("client {} closed: {reason}", connection.remote);
        self.clients.say_goodbye(key, Some(1008), reason, now);
        self.carry_out();
        false
    }

    /// An incomplete message must become complete in time. Whether some of it was kept
    /// beside what the decoder has of it.
    fn await_rest(&mut self, key: ConnectionKey, is_kept: bool) {
        let now = self.clock.now();
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        if !connection.is_websocket() {
            return;
        }
        if is_kept || connection.is_partial() {
            self.clients.arm_once(key, Kind::Message, now);
        } else if connection.timer.is_armed() && self.clients.deadline(key) != Some(Kind::Quiet) {
            self.clients.hear(key, now);
        }
    }

    /// An incomplete request must become complete in time.
    fn await_more(&mut self, key: ConnectionKey, phase: http::Phase) {
        let now = self.clock.now();
        match phase {
            // The deadline is that of the accept, or of the last answer.
            http::Phase::Idle => {}
            http::Phase::Head => self.clients.arm_once(key, Kind::Head, now),
            http::Phase::Body => self.clients.arm_once(key, Kind::Body, now),
        }
    }

    /// A whole request.
    fn request(&mut self, key: ConnectionKey, request: &Request<'_>) {
        let now = self.clock.now();
        self.clients.disarm(key);
        let (head, persistence) = (&request.head, request.persistence);
        if self.site.pages.is_some() && self.show_page(key, request) {
            return;
        }
        if self.site.console.is_some() && self.show_console(key, request) {
            return;
        }
        if (self.site).answer_visit(&mut self.clients, key, head, persistence, now) {
            return;
        }
        match route(head, &self.site.ws_path, &self.site.api_path) {
            Route::WebSocket if self.site.is_unavailable() => {
                let work = self.site.work(head, persistence);
                self.site.unavailable(&mut self.clients, key, &work, now);
            }
            Route::WebSocket => self.upgrade(key, request),
            Route::Api { rest } => {
                if !self
                    .site
                    .answer_alone(&mut self.clients, key, head, persistence, now)
                {
                    self.ask(key, request, rest);
                }
            }
            Route::OptionsAsterisk | Route::NotFound => {
                self.site
                    .answer_outside(&mut self.clients, key, head, persistence, now);
            }
        }
    }

    /// Gives an API request to the gateway.
    fn ask(&mut self, key: ConnectionKey, request: &Request<'_>, path: &str) {
        let head = &request.head;
        let mut work = self.site.work(head, request.persistence);
        let Some(mut action) = self.site.action(head.method()) else {
            return;
        };
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        let remote = self.proxies.client(head, connection.remote);
        if let Err(seconds) = self.rates.take(remote.ip(), self.clock.now()) {
            return self.refuse_hasty(key, &work, seconds);
        }
        let now = self.clock.now();
        let mut have = Have::Nothing;
        if action == WebAction::Get {
            (action, have) = events::heed(head, remote, now, &mut work);
        }
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        let Phase::Http(http) = &mut connection.phase else {
            return;
        };
        self.metrics.http_requests.count(head.method());
        let waits = work.wait.is_some();
        http.work = Some(work);
        connection.known = true;
        let request = WebRequest {
            action,
            path,
            query: head.query(),
            have: &have,
            waits,
            body: request.body,
            head: head.bytes(),
            remote,
        };
        if waits {
            self.clients.arm(key, Kind::Wait, now);
        }
        self.gateway
            .web_request(now, key.client(), request, &mut self.outbox);
        self.carry_out();
    }

    /// Refuses a request that comes too soon behind others of its address.
    fn refuse_hasty(&mut self, key: ConnectionKey, work: &Work, seconds: u64) {
        self.metrics.hasty_requests += 1;
        let now = self.clock.now();
        let Some(connection) = self.clients.get_mut(key) else {
            return;
        };
        log::debug!(
            "client {} is refused a request with 429: it sends too many (maxRequestsPerSecond)",
            connection.remote
        );
        (self.site).too_active(&mut self.clients, key, work, seconds, now);
    }

    /// Makes a WebSocket of the connection, if the request is fit for it and a service,
    /// where one is asked, does not forbid it.
    fn upgrade(&mut self, key: ConnectionKey, request: &Request<'_>) {
        let now = self.clock.now();
        let head = &request.head;
        let is_allowed = self.site.cors.allows_upgrade(head.field("origin"));
        let proof = handshake::check(head, is_allowed);
        let agreement = self.compression.agree(head);
        let mut work = self.site.work(head, request.persistence);
        let Some(peer) = self.clients.get_mut(key).map(|it| it.remote) else {
            return;
        };
        let remote = self.proxies.client(head, peer);
        if self.site.has_ws_auth
            && is_allowed
            && let Err(seconds) = self.rates.take(remote.ip(), now)
        {
            return self.refuse_hasty(key, &work, seconds);
        }
        let (clients, site) = (&mut self.clients, &self.site);
        let Some(connection) = clients.get_mut(key) else {
            return;
        };
        // The service is asked even about a request that is not fit, as Resgate does.
        if site.has_ws_auth && is_allowed {
            let Phase::Http(http) = &mut connection.phase else {
                return;
            };
            work.upgrade = Some(proof.map(|proof| {
                Box::new(Upgrade {
                    proof: proof.into(),
                    remote,
                    agreement,
                })
            }));
            http.work = Some(work);
            connection.known = true;
            let head = head.bytes().into();
            self.gateway
                .client_connecting(now, key.client(), head, remote, &mut self.outbox);
            return self.carry_out();
        }
        match proof {
            Err(refusal) => {
                site.refuse_upgrade(clients, key, refusal, &work, now);
            }
            Ok(proof) => {
                if let Err(crowded) = clients.identify(key, remote) {
                    return site.refuse_crowded(clients, key, &work, crowded, now);
                }
                if let Some(connection) = clients.get_mut(key) {
                    connection.known = true;
                }
                site.upgrade(clients, key, proof, agreement, &Fields::default(), now);
                let head = head.bytes().into();
                self.gateway
                    .client_connected(now, key.client(), head, remote, &mut self.outbox);
                self.carry_out();
            }
        }
    }

    /// Something that a WebSocket client sent.
    fn frame(&mut self, key: ConnectionKey, event: ws::Event<'_>) {
        let now = self.clock.now();
        match event {
            ws::Event::Close { code, .. } => {
                self.clients.say_goodbye(key, code, "", now);
                self.clients.complete(key);
            }
            // We have said goodbye: nothing else is heard.
            _ if !self
                .clients
                .get_mut(key)
                .is_some_and(|it| it.is_websocket()) => {}
            ws::Event::Message { data, .. } => {
                self.clients.hear(key, now);
                if self.console.is_some() {
                    self.show_request(key.client(), &data);
                }
                self.gateway
                    .client_message(now, key.client(), &data, &mut self.outbox);
            }
            ws::Event::Ping(payload) => {
                let mut pong = Vec::with_capacity(2 + payload.len());
                frame::write_pong(payload, &mut pong);
                self.clients.push(key, Piece::Bytes(pong.into()), now);
            }
            ws::Event::Pong(_) => {}
        }
        self.carry_out();
    }
}

#[cfg(test)]
mod tests;
