//! Resource sets: what a client is sent with an answer or an event, since it does not hold
//! it (RES-Client protocol, "Resource set").
//!
//! Whoever follows a tree lacks what others before lacked: its set is found by a walk of its
//! own, but encoded once for all.

use crate::gateway::Gateway;
use crate::gateway::model::keys::SubKey;
use crate::gateway::model::set::{Gathering, Member, Set, Turn, Writing};
use crate::gateway::model::tag::Tag;
use crate::gateway::parts::holdings::Standing;
use crate::res::version::ValueForm;
use crate::res::{Error, json, order};

/// References that are gone through in one go.
const CHILDREN: usize = 64;

/// Resources of all that a client holds, and their bytes, up to which it is gone through at
/// once: half a millisecond.
const ALL_MEMBERS: usize = 2_000;
const ALL_BYTES: usize = 128 << 10;

impl Gateway {
    /// What the client does not hold of some trees, each after what references it.
    ///
    /// # Errors
    /// Those that are still being loaded.
    pub(in crate::gateway) fn unsent_below(
        &mut self,
        roots: &[SubKey],
    ) -> Result<Set, Vec<SubKey>> {
        let mut gathering = Gathering::below(roots);
        while !gathering.is_over() {
            self.gather(&mut gathering);
        }
        match gathering.loading.is_empty() {
            true => Ok(gathering.set),
            false => Err(gathering.loading),
        }
    }

    /// All that a client holds below a subscription, if it is in step with that. `None` also
    /// if that is too much to go through at once.
    pub(in crate::gateway) fn all_below(&mut self, root: SubKey) -> Option<Set> {
        let mut gathering = Gathering::of_all_below(root);
        let mut bytes = 0;
        while !gathering.is_over() {
            let before = gathering.set.members.len();
            self.gather(&mut gathering);
            if let [.., last] = &gathering.set.members[before..] {
                bytes += self.content(last.sub)?.bytes();
            }
            let is_much = gathering.set.members.len() > ALL_MEMBERS || bytes > ALL_BYTES;
            if is_much || !gathering.loading.is_empty() {
                return None;
            }
        }
        Some(gathering.set)
    }

    /// What the client does not hold of one tree, if that is a resource without references
    /// which is there: most that an event brings are.
    pub(in crate::gateway) fn unsent_leaf(&mut self, root: SubKey) -> Option<Member> {
        let sub = self.holdings.get(root)?;
        let Standing::Pinned(content) = &sub.standing else {
            return None;
        };
        let member = Member::leaf(root, sub.alias(), content.version);
        (!content.has_references()).then(|| {
            self.work.spend(1);
            member
        })
    }

    /// Goes one step further with finding out what a client does not hold, or all that it
    /// holds.
    pub(super) fn gather(&mut self, to: &mut Gathering) {
        if let (Some(first), Some(last)) = (to.open, to.set.members.last()) {
            let parent = last.sub;
            let count = to.set.push_children(|children| {
                self.push_some_children(parent, first, CHILDREN, children)
            });
            self.work.spend(count);
            to.open = Some(first + count);
            if count < CHILDREN {
                to.close();
            }
            return;
        }
        let Some(next) = to.take_next() else { return };
        self.work.spend(1);
        // It may have gone since the last turn.
        let Some(sub) = self.holdings.get(next) else {
            return;
        };
        if to.is_whole && !sub.is_live() {
            return to.loading.push(next);
        }
        // An error is no state that a client keeps: each set tells it again.
        let holds = !to.is_whole && sub.standing.is_sent() && sub.standing.error().is_none();
        // One that has one holder is gone through once.
        let has_one_holder = sub.holders.asked() == 0 && sub.holders.all_parents() == 1;
        if holds || !has_one_holder && !to.is_new(next) {
            return;
        }
        let content = match &sub.standing {
            Standing::Loading(_) => return to.loading.push(next),
            // What is deleted and could not be loaded again stays as the client holds it.
            Standing::Failed(failure) if failure.old.is_some() => return,
            Standing::Failed(_) => None,
            Standing::Deleted(_) => return,
            Standing::Pinned(_) | Standing::Live | Standing::Lagging(_) => {
                if self.holdings.takings.has(next) {
                    return to.loading.push(next);
                }
                self.content(next)
            }
        };
        let version = content.map_or(0, |content| content.version);
        to.open = content
            .is_some_and(|content| content.has_references())
            .then_some(0);
        to.set.push(next, sub.alias(), version);
    }

    /// Appends the members of a resource set, without braces, with their tags if those are
    /// told.
    pub(in crate::gateway) fn write_set(
        &self,
        set: &[Member],
        form: ValueForm,
        is_tagged: bool,
        out: &mut Vec<u8>,
    ) {
        let mut tags = Vec::new();
        for turn in self.order_of(set) {
            self.write_member(set, &turn, form, out, is_tagged.then_some(&mut tags));
        }
        write_tags(&tags, 0, out);
    }

    /// The order in which the members of a set are written.
    pub(super) fn order_of(&self, set: &[Member]) -> Writing {
        let group = |member: &Member| match self.content(member.sub) {
            Some(content) if content.is_model() => 0,
            Some(_) => 1,
            None => 2,
        };
        if let [only] = set {
            return Writing::one(group(only));
        }
        let mut groups: [Vec<u32>; 3] = Default::default();
        for (place, member) in set.iter().enumerate() {
            groups[group(member)].push(place as u32);
        }
        let rid = |place: u32| self.cache.rid(set[place as usize].alias());
        for group in &mut groups {
            if group.len() < order::MANY {
                group.sort_by(|a, b| rid(*a).cmp(rid(*b)));
            } else {
                let places = order::places(group.len(), |place| rid(group[place]));
                *group = places.into_iter().map(|place| group[place]).collect();
            }
        }
        Writing::of(groups)
    }

    /// Appends one member of a set, and its tag to `tags`, if it has one.
    pub(super) fn write_member(
        &self,
        set: &[Member],
        turn: &Turn,
        form: ValueForm,
        out: &mut Vec<u8>,
        tags: Option<&mut Vec<u8>>,
    ) {
        if !turn.is_first {
            out.push(b',');
        }
        if let Some(group) = turn.opens {
            json::write_string(group, out);
            out.extend_from_slice(b":{");
        }
        let member = &set[turn.member];
        json::write_string(self.cache.rid(member.alias()), out);
        out.push(b':');
        let sub = member.sub;
        match (self.content(sub), self.holdings[sub].standing.error()) {
            (Some(content), _) => {
                let start = out.len();
                content.write(form, out);
                if let Some(tags) = tags {
                    let text = (form == ValueForm::Full).then(|| &out[start..]);
                    let tag = content.text_tag(text);
                    write_tag(self.cache.rid(member.alias()), tag, tags);
                }
            }
            (None, Some(error)) => error.write(out),
            (None, None) => Error::NOT_FOUND.write(out),
        }
        if turn.closes {
            out.push(b'}');
        }
    }
}

/// Appends the tag of a resource to those of others.
fn write_tag(rid: &str, tag: Tag, tags: &mut Vec<u8>) {
    if !tags.is_empty() {
        tags.push(b',');
    }
    json::write_string(rid, tags);
    tags.extend_from_slice(b":\"");
    tags.extend_from_slice(&tag.text());
    tags.push(b'"');
}

/// Appends tags to the resource set that they are of, and how many resources are not in it,
/// since the client has them.
pub(super) fn write_tags(tags: &[u8], left_out: usize, out: &mut Vec<u8>) {
    if !tags.is_empty() {
        out.extend_from_slice(b",\"etags\":{");
        out.extend_from_slice(tags);
        out.push(b'}');
    }
    if left_out > 0 {
        // The answer may have nothing else in it.
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.extend_from_slice(b"\"same\":");
        json::write_number(left_out as u64, out);
    }
}
