//! The texts that WebSocket clients are sent (RES-Client protocol).

use crate::gateway::Gateway;
use crate::gateway::model::keys::{ClientKey, SubKey};
use crate::gateway::model::set::{AnswerForm, Member};
use crate::res::{Error, json};

impl Gateway {
    /// SharedAnswers a request with the resources that the client lacks; for a resource
    /// response also with the ID of the resource.
    pub(in crate::gateway) fn respond_set(
        &mut self,
        client: ClientKey,
        id: u64,
        named: Option<SubKey>,
        set: &[Member],
    ) {
        let Some(there) = self.sessions.get(client) else {
            return;
        };
        let form = AnswerForm {
            values: there.dialect.value_form(),
            named: named.map(|key| self.holdings[key].alias()),
        };
        self.work.spend(set.len());
        if let Some(body) = self.texts.known_answer(self.now, form, set) {
            return self.respond_shared(client, id, body);
        }
        let mut text = self.begin_response();
        text.extend_from_slice(b"\"result\":{");
        if let Some(alias) = form.named {
            text.extend_from_slice(b"\"rid\":");
            json::write_string(self.cache.rid(alias), &mut text);
            if !set.is_empty() {
                text.push(b',');
            }
        }
        self.write_set(set, form.values, &mut text);
        text.push(b'}');
        self.work.spend(text.len() / 64);
        match self.texts.share_answer(self.now, form, set, &mut text) {
            Some(body) => self.respond_shared(client, id, body),
            None => self.finish_response(client, id, text),
        }
    }

    /// SharedAnswers a call with a resource that the client cannot be given.
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
}
