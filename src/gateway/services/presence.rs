//! Services are told who is connected: of each WebSocket client that comes and goes, of the
//! gateway itself by a heartbeat, and of all that are there when they ask.
//!
//! All of it leaves in the order in which it happened, so that what a service knows after a
//! snapshot and the events since is what is. NATS can lose events: a heartbeat says how many
//! there were, and whoever has counted otherwise asks for a snapshot.

use crate::gateway::Gateway;
use crate::gateway::model::outbox::{Lane, Outbox, Place};
use crate::gateway::model::time::Time;
use crate::gateway::parts::presence::Passage;
use crate::gateway::parts::worklist::{Origin, Work};
use crate::res::json;
use crate::res::rid::is_subject;
use log::debug;

/// Connections that one part of a snapshot tells, at most. Few in debug builds, so that tests
/// see what comes between two parts.
const PART: usize = if cfg!(debug_assertions) { 2 } else { 256 };

/// Places among connections that one part goes through, at most.
const PLACES: usize = if cfg!(debug_assertions) { 4 } else { 1 << 12 };

/// Bytes of a part beside the connections, and of each of them, at most.
const PART_HEAD: usize = 128;
const PART_EACH: usize = 32;

impl Gateway {
    /// A WebSocket client came or went: services that listen are told.
    pub(in crate::gateway) fn tell_passage(&mut self, cid: &str, passage: Passage) {
        let Some(presence) = &mut self.presence else {
            return;
        };
        presence.count();
        if !self.broker.is_there() {
            return;
        }
        let subject = format!("conn.{cid}.{}", passage.name());
        let mut payload = b"{\"gateway\":".to_vec();
        json::write_string(presence.gateway(), &mut payload);
        payload.extend_from_slice(b",\"cid\":");
        json::write_string(cid, &mut payload);
        payload.push(b'}');
        self.tell(&subject, &payload);
    }

    /// It is time for a heartbeat. Services hear of one, too, whenever the broker is there again.
    pub fn heartbeat(&mut self, now: Time, out: &mut Outbox) {
        self.input(now, out, |gateway| {
            gateway.take_in(0);
            if gateway.broker.is_there() {
                gateway.beat();
            }
            Origin::System
        });
    }

    /// Sends a heartbeat, where services are told who is connected.
    pub(in crate::gateway) fn beat(&mut self) {
        let connections = self.sessions.web_socket_count();
        let Some(presence) = &self.presence else {
            return;
        };
        let (gateway, events) = (presence.gateway(), presence.events());
        let interval = presence.interval();
        let subject = format!("gateway.{gateway}.heartbeat");
        let payload = format!(
            r#"{{"gateway":"{gateway}","connections":{connections},"events":{events},"interval":{interval}}}"#
        );
        self.tell(&subject, payload.as_bytes());
    }

    /// A service asks who is connected.
    pub(in crate::gateway) fn connections_asked(&mut self, reply: Option<&[u8]>) {
        let Some(presence) = &mut self.presence else {
            return;
        };
        let reply = reply.and_then(|reply| std::str::from_utf8(reply).ok());
        let Some(reply) = reply.filter(|reply| is_subject(reply)) else {
            return debug!("system.connections is ignored: it has no reply subject");
        };
        match presence.ask(reply) {
            true => self.work.push(Work::Snapshot),
            false => debug!("system.connections is ignored: too many are being answered"),
        }
    }

    /// Sends one part of the snapshot whose turn it is.
    pub(in crate::gateway) fn go_on_with_snapshots(&mut self) {
        let most = self.requests.max_payload().saturating_sub(PART_HEAD) / PART_EACH;
        let most = most.clamp(1, PART);
        let Some(presence) = &mut self.presence else {
            return;
        };
        let Some(mut snapshot) = presence.take_snapshot() else {
            return;
        };
        let mut payload = b"{\"gateway\":".to_vec();
        json::write_string(presence.gateway(), &mut payload);
        payload.extend_from_slice(b",\"cids\":[");
        let (mut told, is_first) = (0, snapshot.at == 0);
        let end = snapshot.at.saturating_add(PLACES);
        while told < most && snapshot.at < self.sessions.places().min(end) {
            if let Some(client) = self.sessions.web_socket_at(snapshot.at) {
                if told > 0 {
                    payload.push(b',');
                }
                json::write_string(client.cid(), &mut payload);
                told += 1;
            }
            snapshot.at += 1;
        }
        let has_more = snapshot.at < self.sessions.places();
        let rest = format!(
            r#"],"first":{is_first},"more":{has_more},"events":{},"interval":{}}}"#,
            presence.events(),
            presence.interval()
        );
        payload.extend_from_slice(rest.as_bytes());
        self.work.spend(told + PLACES / 64);
        let reply = snapshot.reply.clone();
        if has_more {
            presence.put_snapshot_off(snapshot);
        }
        if presence.has_snapshots() {
            self.work.push(Work::Snapshot);
        }
        self.tell(&reply, &payload);
    }

    /// Publishes what nobody answers.
    fn tell(&mut self, subject: &str, payload: &[u8]) {
        let place = Place {
            after: [0, 0],
            lane: Lane::Direct,
            traced: None,
        };
        self.out
            .publish(subject.as_bytes(), b"", b"", payload, place);
    }
}
