//! Answers with what a client lacks: it is looked for, written, and noted as sent, as far as the
//! turn's budget reaches. The client is sent nothing else meanwhile, so that nothing changes
//! what it holds.

use crate::gateway::Gateway;
use crate::gateway::model::keys::ClientKey;
use crate::gateway::model::set::{AnswerForm, Gathering, Set, Writing};
use crate::gateway::parts::sendings::{Sending, Stage};
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
            let stage = std::mem::take(&mut sending.stage);
            sending.stage = match stage {
                Stage::Gather(gathering) => self.gather_on(&sending, gathering),
                Stage::Wait(set, form) if self.must_wait(&set) => Stage::Wait(set, form),
                Stage::Wait(set, form) => self.begin_writing(&sending, set, form),
                Stage::Write(set, form, writing, text) => {
                    self.write_on(&sending, (set, form), writing, text)
                }
                Stage::Mark(set, first) => self.mark_on(&sending, set, first),
                Stage::Done => {
                    for key in sending.suspects {
                        self.holdings.suspect(key);
                    }
                    self.collect();
                    return self.release_held(client);
                }
            };
            let must_wait = match &sending.stage {
                Stage::Wait(..) => true,
                Stage::Done => false,
                _ => self.work.is_spent(),
            };
            if must_wait {
                self.unsettled.hold(client);
                match sending.stage {
                    // What it waits for is done first.
                    Stage::Wait(..) => {
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

    fn gather_on(&mut self, sending: &Sending, mut gathering: Gathering) -> Stage {
        while !gathering.is_over() {
            self.gather(&mut gathering);
            if self.work.is_spent() && !gathering.is_over() {
                return Stage::Gather(gathering);
            }
        }
        let Gathering { set, loading, .. } = gathering;
        if !loading.is_empty() {
            self.wait_again(sending.waiter, loading);
            return Stage::Done;
        }
        let Some(form) = self.answer_form(sending.client, sending.named) else {
            return Stage::Done;
        };
        self.begin_writing(sending, set, form)
    }

    /// What the client lacks is known: others may have been sent the same.
    fn begin_writing(&mut self, sending: &Sending, set: Set, form: AnswerForm) -> Stage {
        self.work.spend(set.members.len() / COMPARED);
        if self.respond_known(sending.client, sending.id, form, &set.members) {
            return Stage::Mark(set, 0);
        }
        if self.must_wait(&set) {
            return Stage::Wait(set, form);
        }
        let writing = self.order_of(&set.members);
        let text = self.begin_set(form, set.members.is_empty());
        Stage::Write(set, form, writing, text)
    }

    /// Whether another answer is written first.
    fn must_wait(&self, set: &Set) -> bool {
        !self.work.is_unbounded() && self.sendings.must_wait(set)
    }

    fn write_on(
        &mut self,
        sending: &Sending,
        (set, form): (Set, AnswerForm),
        mut writing: Writing,
        mut text: Vec<u8>,
    ) -> Stage {
        while let Some(turn) = writing.next() {
            if !self.holdings.contains(set.members[turn.member].sub) {
                // What it lacks is not what it was.
                return Stage::Gather(Gathering::below(&[sending.root]));
            }
            let before = text.len();
            self.write_member(&set.members, &turn, form.values, &mut text);
            self.work.spend(MEMBER_UNITS + (text.len() - before) / 64);
            if self.work.is_spent() && !writing.is_over() {
                return Stage::Write(set, form, writing, text);
            }
        }
        self.finish_set(sending.client, sending.id, form, &set.members, text);
        Stage::Mark(set, 0)
    }

    fn mark_on(&mut self, sending: &Sending, set: Set, first: usize) -> Stage {
        if sending.want.subscribes() {
            for (at, member) in set.members.iter().enumerate().skip(first) {
                if self.work.is_spent() && at > first {
                    return Stage::Mark(set, at);
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
