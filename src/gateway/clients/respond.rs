//! Answers to requests of WebSocket clients (RES-Client protocol), and what they leave the
//! client to wait for.

use crate::gateway::Gateway;
use crate::gateway::model::keys::{ClientKey, SubKey};
use crate::gateway::model::outbox::{Delivery, Message, SharedAnswer};
use crate::gateway::model::set::{AnswerForm, Member};
use crate::gateway::parts::sessions::Client;
use crate::res::{Error, json};
use std::rc::Rc;

impl Gateway {
    /// What the text of an answer to a client depends on beside its set; `None` if the client
    /// is gone.
    pub(in crate::gateway) fn answer_form(
        &self,
        client: ClientKey,
        named: Option<SubKey>,
    ) -> Option<AnswerForm> {
        let there = self.sessions.get(client)?;
        Some(AnswerForm {
            values: there.dialect.value_form(),
            named: named.map(|key| self.holdings[key].alias()),
            same: there.is_told_tags().then_some(0),
        })
    }

    /// Answers a request with the resources that the client lacks, if the text is known.
    pub(in crate::gateway) fn respond_known(
        &mut self,
        client: ClientKey,
        id: u64,
        form: AnswerForm,
        set: &[Member],
    ) -> bool {
        let body = self.texts.known_answer(self.now, form, set);
        let is_known = body.is_some();
        if let Some(body) = body {
            self.respond_shared(client, id, body);
        }
        is_known
    }

    /// The beginning of such an answer, behind which the set is written; for a resource
    /// response with the ID of the resource.
    pub(in crate::gateway) fn begin_set(&mut self, form: AnswerForm, is_empty: bool) -> Vec<u8> {
        let mut text = self.begin_response();
        text.extend_from_slice(b"\"result\":{");
        if let Some(alias) = form.named {
            text.extend_from_slice(b"\"rid\":");
            json::write_string(self.cache.rid(alias), &mut text);
            if !is_empty {
                text.push(b',');
            }
        }
        text
    }

    /// Ends the answer and sends it.
    pub(in crate::gateway) fn finish_set(
        &mut self,
        client: ClientKey,
        id: u64,
        form: AnswerForm,
        set: &[Member],
        mut text: Vec<u8>,
    ) {
        text.push(b'}');
        match self.texts.share_answer(self.now, form, set, &mut text) {
            Some(body) => self.respond_shared(client, id, body),
            None => self.finish_response(client, id, text),
        }
    }

    /// Ends the text of such an answer, for a stream that begins with it.
    pub(in crate::gateway) fn body_of_set(
        &mut self,
        form: AnswerForm,
        set: &[Member],
        mut text: Vec<u8>,
    ) -> Rc<Message> {
        text.push(b'}');
        let shared = self.texts.share_answer(self.now, form, set, &mut text);
        shared.unwrap_or_else(|| {
            let body = Message::new(&text);
            self.texts.keep_scratch(text);
            body
        })
    }

    /// Answers a call with a resource that the client cannot be given.
    pub(in crate::gateway) fn respond_resource_error(
        &mut self,
        client: ClientKey,
        id: u64,
        rid: &str,
        error: &Error,
    ) {
        self.respond(client, id, |out| {
            out.extend_from_slice(b"\"result\":{\"rid\":");
            json::write_string(rid, out);
            out.extend_from_slice(b",\"errors\":{");
            json::write_string(rid, out);
            out.push(b':');
            error.write(out);
            out.extend_from_slice(b"}}");
        });
    }

    /// Answers a client's request. `members` writes what stands before the ID.
    pub(in crate::gateway) fn respond(
        &mut self,
        key: ClientKey,
        id: u64,
        members: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut text = self.begin_response();
        members(&mut text);
        self.finish_response(key, id, text);
    }

    pub(in crate::gateway) fn respond_error(&mut self, key: ClientKey, id: u64, error: &Error) {
        self.respond(key, id, |out| {
            out.extend_from_slice(b"\"error\":");
            error.write(out);
        });
    }

    /// The beginning of an answer. It is written into the scratch buffer, which
    /// [`Gateway::finish_response`] gives back.
    fn begin_response(&mut self) -> Vec<u8> {
        let mut text = self.texts.take_scratch();
        text.push(b'{');
        text
    }

    /// Ends an answer and sends it.
    fn finish_response(&mut self, key: ClientKey, id: u64, mut text: Vec<u8>) {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(b"\"id\":");
        json::write_number(id, &mut text);
        text.push(b'}');
        self.out.send(key, Message::new(&text));
        self.texts.keep_scratch(text);
        self.responded(key);
    }

    /// Answers a client's request with a text that is the same for others, but for the
    /// request's ID.
    fn respond_shared(&mut self, key: ClientKey, id: u64, body: Rc<Message>) {
        let answer = SharedAnswer::new(body, id);
        self.out.deliver(key, Delivery::Answer(answer));
        self.responded(key);
    }

    pub(super) fn responded(&mut self, key: ClientKey) {
        self.relieve(key, Client::end_request);
    }

    /// Lessens what a client waits for, and lets it be read again if that was too much.
    pub(in crate::gateway) fn relieve(&mut self, key: ClientKey, lessen: impl FnOnce(&mut Client)) {
        let Some(client) = self.sessions.get_mut(key) else {
            return;
        };
        let was_blocked = !client.takes_requests();
        lessen(client);
        if was_blocked && client.takes_requests() {
            self.unsettled.resume(key);
        }
    }
}
