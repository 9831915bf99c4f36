//! Answers with what a client lacks: it is looked for, written, and noted as sent, as far as the
//! turn's budget reaches. The client is sent nothing else meanwhile, so that nothing changes
//! what it holds.

use crate::gateway::Gateway;
use crate::gateway::holdings::sets::write_tags;
use crate::gateway::model::keys::{ClientKey, SubKey};
use crate::gateway::model::set::{AnswerForm, Member};
use crate::gateway::model::tag::{HASHED, Tag};
use crate::gateway::parts::sendings::{Sending, Stage};
use crate::gateway::parts::waiters::Want;
use crate::gateway::parts::worklist::{Origin, Work};

/// Members of a set that cost a unit when it is compared with those that are known.
const COMPARED: usize = 8;

/// Children that cost a unit when the client holds their parent from now on.
const PROMOTED: usize = 2;

/// Units of writing one member, beside its text.
const MEMBER_UNITS: usize = 2;

impl Gateway {
    /// Goes on with the answer to a client.
    pub(in crate::gateway) fn go_on_sending(&mut self, client: ClientKey) {
        if let Some(sending) = self.sendings.take(client) {
            self.send(*sending);
        }
    }

    /// The same, whatever the budget is.
    pub(in crate::gateway) fn finish_sending(&mut self, client: ClientKey) {
        let units = self.work.lift();
        self.go_on_sending(client);
        self.work.restore(units);
    }

    /// Goes on with an answer, one step at least.
    pub(super) fn send(&mut self, mut sending: Sending) {
        let client = sending.client;
        loop {
            sending.stage = match sending.stage {
                Stage::Gather => self.gather_on(&mut sending),
                Stage::Compare(form) => self.compare_on(&mut sending, form),
                Stage::Wait(form) if self.must_wait(sending.written()) => Stage::Wait(form),
                Stage::Wait(form) => self.begin_writing(&mut sending, form),
                Stage::Write(form) => self.write_on(&mut sending, form),
                Stage::Tag => self.tag_on(&mut sending),
                Stage::Mark(first) => self.mark_on(&sending, first),
                Stage::Done => {
                    for key in sending.suspects {
                        self.holdings.suspect(key);
                    }
                    self.collect();
                    return self.release_held(client);
                }
            };
            let must_wait = match sending.stage {
                Stage::Wait(_) => true,
                Stage::Done => false,
                _ => self.work.is_spent(),
            };
            if must_wait {
                self.unsettled.hold(client);
                match sending.stage {
                    // What it waits for is done first.
                    Stage::Wait(_) => {
                        let origin = Origin::Client(client);
                        self.work.put_off(origin, Work::Send(client));
                    }
                    _ => self.work.push(Work::Send(client)),
                }
                self.sendings.put(Box::new(sending));
                // What is suspect of this client is put off.
                return self.collect();
            }
        }
    }

    fn gather_on(&mut self, sending: &mut Sending) -> Stage {
        while !sending.gathering.is_over() {
            self.gather(&mut sending.gathering);
            if self.work.is_spent() && !sending.gathering.is_over() {
                return Stage::Gather;
            }
        }
        let loading = std::mem::take(&mut sending.gathering.loading);
        if !loading.is_empty() {
            self.wait_again(sending.waiter, loading);
            return Stage::Done;
        }
        match self.answer_form(sending.client, sending.named) {
            Some(form) if form.same.is_some() => Stage::Compare(form),
            Some(form) => self.begin_writing(sending, form),
            None => Stage::Done,
        }
    }

    /// What the client lacks is compared with what it says that it has. Access was granted,
    /// and what is equal would be sent now.
    fn compare_on(&mut self, sending: &mut Sending, form: AnswerForm) -> Stage {
        let members = &sending.gathering.set.members;
        // What it has may come to its end on the way.
        if sending.tags.is_some() || self.haves.has(sending.client) {
            let tags = sending.tags.get_or_insert_default();
            let first = tags.compared;
            for (place, member) in members.iter().enumerate().skip(first) {
                if self.work.is_spent() && place > first {
                    return Stage::Compare(form);
                }
                if self.is_had(sending.client, member) {
                    tags.same.push(place as u32);
                }
                tags.compared += 1;
            }
            sending.left_out = tags.same.len();
            let same = std::mem::take(&mut tags.same);
            sending.gathering.set.move_back(&same);
        }
        let same = Some(sending.left_out as u32);
        self.begin_writing(sending, AnswerForm { same, ..form })
    }

    /// Whether the client has the content of a resource that it lacks. What it says that it
    /// has counts once.
    fn is_had(&mut self, client: ClientKey, member: &Member) -> bool {
        self.work.spend(1);
        let rid = self.cache.rid(member.alias());
        let Some(tag) = self.haves.take(client, rid) else {
            return false;
        };
        // It may have gone since the last turn.
        if !self.holdings.contains(member.sub) {
            return false;
        }
        let Some(content) = self.content(member.sub).cloned() else {
            return false;
        };
        if content.known_text_tag().is_none() {
            self.work
                .spend(content.bytes() / 64 + content.bytes() / HASHED);
        }
        content.text_tag(None) == tag
    }

    /// What the client lacks is known: others may have been sent the same.
    fn begin_writing(&mut self, sending: &mut Sending, form: AnswerForm) -> Stage {
        let members = sending.written();
        self.work.spend(members.len() / COMPARED);
        if sending.want == Want::Stream {
            if let Some(body) = self.texts.known_answer(self.now, form, members) {
                sending.tagging = Some((body, Box::default()));
                return Stage::Tag;
            }
        } else if self.respond_known(sending.client, sending.id, form, members) {
            return Stage::Mark(0);
        }
        if self.must_wait(members) {
            return Stage::Wait(form);
        }
        let (writing, text) = (
            self.order_of(members),
            self.begin_set(form, members.is_empty()),
        );
        (sending.writing, sending.text) = (writing, text);
        if form.same.is_some() {
            sending.tags.get_or_insert_default();
        }
        Stage::Write(form)
    }

    /// Whether another answer is written first.
    fn must_wait(&self, written: &[Member]) -> bool {
        !self.work.is_unbounded() && self.sendings.must_wait(written)
    }

    fn write_on(&mut self, sending: &mut Sending, form: AnswerForm) -> Stage {
        let is_gone = |member: &Member| !self.holdings.contains(member.sub);
        if sending.left_out().iter().any(is_gone) {
            sending.begin_anew();
            return Stage::Gather;
        }
        let members = &sending.gathering.set.members;
        while let Some(turn) = sending.writing.next() {
            if !self.holdings.contains(members[turn.member].sub) {
                // What it lacks is not what it was.
                sending.begin_anew();
                return Stage::Gather;
            }
            let before = sending.text.len();
            let tags = sending.tags.as_mut().map(|tags| &mut tags.text);
            let hashed = tags.is_some();
            self.write_member(members, &turn, form.values, &mut sending.text, tags);
            let written = sending.text.len() - before;
            self.work.spend(MEMBER_UNITS + written / 64);
            if hashed {
                self.work.spend(written / HASHED);
            }
            if self.work.is_spent() && !sending.writing.is_over() {
                return Stage::Write(form);
            }
        }
        let mut text = std::mem::take(&mut sending.text);
        if let Some(tags) = &sending.tags {
            write_tags(&tags.text, sending.left_out, &mut text);
        }
        let members = sending.written();
        if sending.want == Want::Stream {
            let body = self.body_of_set(form, members, text);
            sending.tagging = Some((body, Box::default()));
            return Stage::Tag;
        }
        self.finish_set(sending.client, sending.id, form, members, text);
        Stage::Mark(0)
    }

    /// The tag that a stream would begin with which has all that a client holds below a
    /// subscription; `None` if the client is not in step with that, or if it is too much.
    pub(in crate::gateway) fn tag_of_all(
        &mut self,
        client: ClientKey,
        root: SubKey,
    ) -> Option<Tag> {
        let set = self.all_below(root)?;
        let form = self.answer_form(client, None)?;
        let members = &set.members;
        self.work.spend(members.len() / COMPARED);
        let body = match self.texts.known_answer(self.now, form, members) {
            Some(body) => body,
            None => {
                let mut text = self.begin_set(form, members.is_empty());
                for turn in self.order_of(members) {
                    self.write_member(members, &turn, form.values, &mut text, None);
                }
                self.work
                    .spend(MEMBER_UNITS * members.len() + text.len() / 64);
                self.body_of_set(form, members, text)
            }
        };
        let tag = body.tag().unwrap_or_else(|| {
            let text = set_in(body.text());
            self.work.spend(text.len() / HASHED);
            Tag::of(text)
        });
        body.keep_tag(tag);
        Some(tag)
    }

    /// The tag of what a stream begins with is made, and then the stream begins.
    fn tag_on(&mut self, sending: &mut Sending) -> Stage {
        let Some((body, tagging)) = &mut sending.tagging else {
            return Stage::Done;
        };
        let mut units = self.work.units().max(1);
        let before = units;
        let tag = body
            .tag()
            .or_else(|| tagging.step(set_in(body.text()), &mut units));
        self.work.spend(before - units);
        let Some(tag) = tag else { return Stage::Tag };
        body.keep_tag(tag);
        if let Some((body, _)) = sending.tagging.take() {
            self.begin_stream(sending.client, sending.root, body, tag);
        }
        Stage::Mark(0)
    }

    fn mark_on(&mut self, sending: &Sending, first: usize) -> Stage {
        if first == 0 {
            self.counters.spared += sending.left_out as u64;
        }
        if sending.want.subscribes() {
            let set = sending.set();
            for (at, member) in set.members.iter().enumerate().skip(first) {
                if self.work.is_spent() && at > first {
                    return Stage::Mark(at);
                }
                let children = set.children_of(member);
                self.work.spend(1 + children.len() / PROMOTED);
                if self.holdings.contains(member.sub) {
                    self.mark_member_sent(member.sub, children);
                }
            }
        }
        self.is_answered(sending.waiter, sending.root, sending.want);
        Stage::Done
    }
}

/// The resource set in the answer to a subscribe request, which is given but for its tail.
fn set_in(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"{\"result\":").unwrap_or(body)
}
