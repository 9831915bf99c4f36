//! Streams of events: clients that ask for one resource over HTTP, and come back with the ID
//! of what they have.

use super::choices::Choices;
use super::client::{Client, Pending};
use super::content::Generation;
use super::driver::Input;
use super::simulator::World;
use super::traces;
use serde_json::{Value, json};
use tidegate::gateway::{ClientKey, Have, StreamStart, Tag, WebAction, WebRequest, WebResponse};

/// The request that the first event of a stream answers.
const FIRST: u64 = 1;

/// What a client knows of its stream.
#[derive(Clone, Debug)]
pub struct Stream {
    rid: String,
    /// The tag and the text of the first event, or of what it has by now; `None` before
    /// that.
    first: Option<(Tag, Value)>,
    /// No event came behind that.
    is_last: bool,
    /// It is not that of the first event.
    at_rest: bool,
}

/// What a client has of a stream that it has left.
#[derive(Clone, Debug)]
pub struct Left {
    rid: String,
    tag: Tag,
    set: Value,
    /// It was told so behind other events.
    at_rest: bool,
}

impl World {
    /// Asks for a stream on a connection where none is, or anew for the one that is there; as
    /// somebody who comes back, if that had no event behind the first one.
    pub fn stream(&mut self, slot: usize, rid: &str) {
        let before = self.clients[slot].as_ref().map(|it| it.stream.clone());
        let rid = match before {
            // It is cut off and comes back.
            Some(Some(before)) => before.rid,
            Some(None) => return,
            // In a request target an empty query is none.
            None => rid.trim_end_matches('?').to_owned(),
        };
        self.disconnect(slot);
        if self.is_away() {
            return;
        }
        let rid = &*rid;
        let left = self.left[slot].as_ref().filter(|left| left.rid == rid);
        let have = left.map_or(Have::Nothing, |left| Have::Tagged(Box::new([left.tag])));
        self.log(|| format!("client {slot} asks for a stream of {rid}, has {have:?}"));
        let mut client = Client::new(Generation::V1_2_1, self.profile.queue > 0);
        client.stream = Some(Stream {
            rid: rid.to_owned(),
            first: None,
            is_last: false,
            at_rest: false,
        });
        let pending = Pending::Subscribe(rid.to_owned());
        client.observer.ask(FIRST, pending.asked());
        client.pending.insert(FIRST, (pending, self.driver.now));
        self.clients[slot] = Some(client);
        self.acting = Some(slot);
        let (name, query) = match rid.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (rid, None),
        };
        let path = name.replace('.', "/");
        let request = WebRequest {
            action: WebAction::Stream,
            have: &have,
            query,
            head: &traces::head(slot),
            ..super::driver::web_get(&path)
        };
        self.input(Input::Web(ClientKey(slot as u32), request));
    }

    /// A stream begins.
    pub fn stream_begins(&mut self, slot: usize, start: &StreamStart, text: Option<&[u8]>) {
        let Some(stream) = self.clients[slot]
            .as_mut()
            .and_then(|it| it.stream.as_mut())
        else {
            return self.fail(format!("client {slot} did not ask for a stream"));
        };
        let set = match (text, &self.left[slot]) {
            (Some(text), _) => serde_json::from_slice(text).ok(),
            // It is told that it has what it had.
            (None, Some(left)) if left.tag == start.tag && left.rid == stream.rid => {
                self.resumed += u64::from(left.at_rest);
                Some(left.set.clone())
            }
            (None, _) => None,
        };
        let Some(set) = set else {
            return self.fail(format!(
                "client {slot} has nothing of its stream: {start:?}"
            ));
        };
        if stream.first.replace((start.tag, set.clone())).is_some() {
            return self.fail(format!("the stream of client {slot} begins twice"));
        }
        stream.is_last = true;
        self.client_receives(slot, &set);
    }

    /// A client is sent a message: what it has of its stream is in no event from now on.
    pub fn stream_goes_on(&mut self, slot: usize) {
        if let Some(stream) = self.clients[slot]
            .as_mut()
            .and_then(|it| it.stream.as_mut())
        {
            stream.is_last = false;
            if stream.first.is_none() {
                self.fail(format!("the stream of client {slot} has not begun"));
            }
        }
    }

    /// Streams that have begun may have been silent for long enough.
    pub fn let_streams_rest(&mut self) {
        for slot in 0..self.clients.len() {
            let client = self.clients[slot].as_ref();
            let stream = client.and_then(|client| client.stream.as_ref());
            if self.failure.is_none()
                && stream.is_some_and(|stream| stream.first.is_some() && !stream.is_last)
                && self.roll("rest").chance(20)
            {
                self.input(Input::Rest(ClientKey(slot as u32)));
            }
        }
    }

    /// A client is told what all that it has of its stream is known by.
    pub fn stream_rests(&mut self, slot: usize, tag: Tag) {
        self.log(|| format!("client {slot} has {tag:?} of its stream"));
        let Some(client) = self.clients[slot].as_mut() else {
            return self.fail(format!("client {slot} is gone and rests"));
        };
        let set = client.replica.whole_set();
        let Some(stream) = client.stream.as_mut().filter(|it| it.first.is_some()) else {
            return self.fail(format!("client {slot} rests, and has no stream"));
        };
        let Some(set) = set else {
            return self.fail(format!("client {slot} has what nobody can come back with"));
        };
        self.rested += 1;
        let answer = json!({"result": set, "id": FIRST});
        stream.first = Some((tag, answer));
        (stream.is_last, stream.at_rest) = (true, true);
    }

    /// There will be no stream.
    pub fn stream_is_refused(&mut self, slot: usize, response: &WebResponse) {
        let body: Value = serde_json::from_slice(response.body.as_deref().unwrap_or_default())
            .unwrap_or_default();
        self.log(|| format!("client {slot} gets no stream: {} {body}", response.status));
        let Some(client) = self.clients[slot].as_mut() else {
            return self.fail(format!("client {slot} is gone and gets {body}"));
        };
        let Some(Stream { first: None, .. }) = client.stream else {
            return self.fail(format!("client {slot} waits for no answer"));
        };
        let Some((Pending::Subscribe(rid), _)) = client.pending.remove(&FIRST) else {
            return self.fail(format!("client {slot} has not asked"));
        };
        let (in_doubt, code) = (client.in_doubt, body["code"].as_str().unwrap_or("no code"));
        if response.status < 400 {
            self.fail(format!(
                "client {slot} is answered with {}",
                response.status
            ));
        } else if !in_doubt {
            let result = self.check_error(slot, Some(&rid), code);
            self.check(result);
        }
        // The gateway has forgotten it.
        self.clients[slot] = None;
    }

    /// A stream has come to its end.
    pub fn stream_ends(&mut self, slot: usize) {
        let client = self.clients[slot].as_ref();
        let Some((client, stream)) = client.and_then(|it| Some((it, it.stream.as_ref()?))) else {
            return self.fail(format!("client {slot} has no stream to end"));
        };
        let left = client.replica.direct(&stream.rid);
        if stream.first.is_none() || left > 0 {
            self.fail(format!("the stream of client {slot} ends, {left} are left"));
        }
        self.disconnect(slot);
    }
}

impl Client {
    /// What it has of its stream, and can come back with.
    pub fn leaves(&self) -> Option<Left> {
        let stream = self.stream.as_ref().filter(|stream| stream.is_last)?;
        let (tag, set) = stream.first.clone()?;
        let (rid, at_rest) = (stream.rid.clone(), stream.at_rest);
        Some(Left {
            rid,
            tag,
            set,
            at_rest,
        })
    }
}
