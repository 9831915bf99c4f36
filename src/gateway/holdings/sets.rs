//! Resource sets: what a client is sent with an answer or an event, since it does not hold
//! it (RES-Client protocol, "Resource set").
//!
//! Whoever follows a tree lacks what others before lacked: its set is found by a walk of its
//! own, but encoded once for all.

use crate::gateway::Gateway;
use crate::gateway::model::keys::SubKey;
use crate::gateway::model::set::{Member, Set};
use crate::gateway::parts::holdings::Standing;
use crate::res::version::ValueForm;
use crate::res::{Error, json, order};
use hashbrown::HashSet;

impl Gateway {
    /// What the client does not hold of some trees, each after what references it.
    ///
    /// # Errors
    /// Those that are still being loaded.
    pub(in crate::gateway) fn unsent_below(&self, roots: &[SubKey]) -> Result<Set, Vec<SubKey>> {
        let mut set = Set::default();
        let mut loading = Vec::new();
        // Those that may be come to again. The others have one holder, which is gone through
        // once.
        let mut seen: Option<HashSet<SubKey, foldhash::fast::RandomState>> = None;
        let (mut roots, mut stack) = (roots.iter().copied(), Vec::new());
        while let Some(next) = stack.pop().or_else(|| roots.next()) {
            let sub = &self.holdings[next];
            // An error is no state that a client keeps: each set tells it again.
            let holds = sub.standing.is_sent() && sub.standing.error().is_none();
            let has_one_holder = sub.holders.asked() == 0 && sub.holders.all_parents() == 1;
            if holds || !has_one_holder && !seen.get_or_insert_default().insert(next) {
                continue;
            }
            let content = match &sub.standing {
                Standing::Loading(_) => {
                    loading.push(next);
                    continue;
                }
                // What is deleted and could not be loaded again stays as the client holds it.
                Standing::Failed(failure) if failure.old.is_some() => continue,
                Standing::Failed(_) => None,
                Standing::Deleted(_) => continue,
                Standing::Pinned(_) | Standing::Live | Standing::Lagging(_) => {
                    if self.holdings.takings.has(next) {
                        loading.push(next);
                        continue;
                    }
                    self.content(next)
                }
            };
            let version = content.map_or(0, |content| content.version);
            let has_references = content.is_some_and(|content| content.has_references());
            let children = set.push(next, sub.alias(), version, |children| {
                if has_references {
                    self.push_children(next, children);
                }
            });
            stack.extend(children.iter().rev());
        }
        if loading.is_empty() {
            Ok(set)
        } else {
            Err(loading)
        }
    }

    /// Appends the members of a resource set, without braces.
    pub(in crate::gateway) fn write_set(&self, set: &[Member], form: ValueForm, out: &mut Vec<u8>) {
        let rid = |member: &Member| self.cache.rid(member.alias());
        let (mut models, mut collections, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for member in set {
            match self.content(member.sub) {
                Some(content) if content.is_model() => models.push(member),
                Some(_) => collections.push(member),
                None => errors.push(member),
            }
        }
        let start = out.len();
        for (group, members) in [
            ("models", &mut models),
            ("collections", &mut collections),
            ("errors", &mut errors),
        ] {
            if members.is_empty() {
                continue;
            }
            if members.len() < order::MANY {
                members.sort_by(|a, b| rid(a).cmp(rid(b)));
            } else {
                let places = order::places(members.len(), |place| rid(members[place]));
                *members = places.into_iter().map(|place| members[place]).collect();
            }
            if out.len() > start {
                out.push(b',');
            }
            json::write_string(group, out);
            out.extend_from_slice(b":{");
            for (i, member) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                json::write_string(rid(member), out);
                out.push(b':');
                let sub = member.sub;
                match (self.content(sub), self.holdings[sub].standing.error()) {
                    (Some(content), _) => content.write(form, out),
                    (None, Some(error)) => error.write(out),
                    (None, None) => Error::NOT_FOUND.write(out),
                }
            }
            out.push(b'}');
        }
    }
}
