//! Access tokens of connections.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{ClientKey, ClientRef, PendingKey};
use crate::gateway::model::sid::Sid;
use crate::gateway::parts::holdings::AccessState;
use crate::gateway::parts::requests::{Job, Subject, Then};
use crate::gateway::parts::worklist::Work;
use crate::res::rid::is_subject;
use crate::res::service;
use hashbrown::HashSet;
use log::{debug, warn};
use std::rc::Rc;

impl Gateway {
    /// Subscribes to a connection's events, before a service can learn its ID.
    pub(in crate::gateway) fn listen_to_connection(&mut self, key: ClientKey) {
        let Some(Some(client)) = self.clients.get_mut(key.0 as usize) else {
            return;
        };
        if client.listening {
            return;
        }
        client.listening = true;
        let sid = Sid::Client(ClientRef {
            key,
            serial: client.serial,
        })
        .number();
        let cid = client.cid;
        let cid = std::str::from_utf8(&cid).unwrap_or_default();
        self.out.subscribe(sid, &["conn.", cid, ".*"]);
    }

    /// A token event came for a connection.
    pub(in crate::gateway) fn token_event(&mut self, key: ClientKey, payload: &[u8]) {
        let event = match service::token(payload) {
            Ok(event) => event,
            Err(error) => return debug!("token event is ignored: {error}"),
        };
        let Some(client) = self.client_mut(key) else {
            return;
        };
        let had_token = std::mem::replace(&mut client.had_token, true);
        client.token = event.token.map(|token| Rc::from(&*token));
        client.tid = event.tid.map(Into::into);
        client.token_serial = client.token_serial.wrapping_add(1);
        let mut next = client.first;
        while let Some(sub_key) = next {
            next = self.subs.arena.key_at(self.subs.arena[sub_key].next);
            let sub = &mut self.subs.arena[sub_key];
            if had_token && (sub.direct > 0 || sub.open > 0) {
                self.work.push_back(Work::Reaccess(sub_key));
            } else {
                // Asked again when it is next needed. An answer that is still open was
                // asked with the token before, and is for those only who wait for it.
                sub.access = AccessState::Unknown;
            }
        }
    }

    /// A token reset event came: services want some clients' tokens renewed.
    pub(in crate::gateway) fn token_reset(&mut self, payload: &[u8]) {
        let event = match service::token_reset(payload) {
            Ok(event) => event,
            Err(error) => return warn!("system.tokenReset is ignored: {error}"),
        };
        if event.tids.is_empty() || !is_subject(&event.subject) {
            return debug!("system.tokenReset is ignored: no token IDs or no valid subject");
        }
        let subject: Rc<str> = event.subject.into();
        let tids: HashSet<&str, foldhash::fast::RandomState> =
            event.tids.iter().map(|tid| &**tid).collect();
        for (key, client) in self.clients.iter_mut().enumerate() {
            let Some(client) = client else { continue };
            let matches = client.tid.as_deref().is_some_and(|tid| tids.contains(tid));
            if !matches || client.is_http() {
                continue;
            }
            // One that still waits is replaced: it would renew the same token.
            if client.renewal.replace(subject.clone()).is_none() {
                let client = ClientRef {
                    key: ClientKey(key as u32),
                    serial: client.serial,
                };
                self.jobs.push_back((Job::TokenReset(client), None));
            }
        }
    }

    pub(in crate::gateway) fn send_token_reset(&mut self, client: ClientRef) -> Option<PendingKey> {
        self.present(client)?;
        let subject = self.client_mut(client.key)?.renewal.take()?;
        self.listen_to_connection(client.key);
        let subject = Subject::Chosen(&subject, None);
        let sent = self.request(subject, Then::Ignore, |gateway, out| {
            out.push(b'{');
            gateway.write_identity(client.key, "", out);
            gateway.write_connection(client.key, out);
            out.push(b'}');
        });
        if let Err(unsent) = &sent {
            debug!("token reset is not sent: {}", unsent.error);
        }
        sent.ok()
    }
}
