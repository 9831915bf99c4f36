//! Web requests for resources are answered: from what was made for others, from the cache,
//! or from the client's own subscriptions; at once, or a slice in each turn.

use crate::gateway::Gateway;
use crate::gateway::model::content::Content;
use crate::gateway::model::expansion::{
    Assembly, Count, Followed, Form, Known, Limits, Outcome, TooLarge, Tree,
};
use crate::gateway::model::keys::{AliasKey, ClientKey, ClientRef, SubKey};
use crate::gateway::model::outbox::{Message, WebBody};
use crate::gateway::model::tag::Tag;
use crate::gateway::parts::expansions::{Ask, Job, Phase, SLICE_UNITS, Source};
use crate::gateway::parts::texts::Texts;
use crate::gateway::parts::worklist::{Origin, Work};
use crate::res::Error;
use std::rc::Rc;

/// Why the resources of an answer are not read on.
enum Stop {
    TooLarge(TooLarge),
    /// Something is not in the cache, or is not the same for all clients.
    NotCached,
}

impl From<TooLarge> for Stop {
    fn from(limit: TooLarge) -> Self {
        Self::TooLarge(limit)
    }
}

/// What a slice has led to.
enum Slice {
    More,
    Done,
    NotCached,
}

impl Gateway {
    /// Answers a web request whose access is granted, with its resource and what that
    /// references nested in it.
    ///
    /// The answer is the state of each resource at some time since the request; it is made
    /// over several turns if it is large. While all is cached it is the same for all clients.
    pub(in crate::gateway) fn expand(&mut self, client: ClientKey, root: SubKey) {
        let Some(there) = self.sessions.reference(client) else {
            return;
        };
        let web = self.sessions.get_mut(client).and_then(|c| c.web_mut());
        let Some(web) = web.filter(|web| !web.expanding) else {
            return;
        };
        web.expanding = true;
        let root = self.holdings[root].alias();
        self.begin_expansion(Ask {
            client: there,
            root,
            source: Source::Cache,
        });
    }

    fn begin_expansion(&mut self, ask: Ask) {
        if ask.source == Source::Cache {
            let epoch = self.cache.epoch();
            if let Some(known) = self.texts.fresh_body(self.now, ask.root, epoch) {
                return self.send_expansion(ask.client, made_of(&known.outcome));
            }
            if self.expansions.join(ask, epoch) {
                return;
            }
        }
        if !self.expansions.has_room(ask) {
            self.expansions.wait(ask);
            return self.schedule_expansions();
        }
        self.start_expansion(ask);
    }

    /// Begins to make an answer, and does the first slice at once.
    fn start_expansion(&mut self, ask: Ask) {
        let known = match ask.source {
            Source::Cache => self.texts.known_body(self.now, ask.root),
            Source::Client => None,
        };
        if ask.source == Source::Client && !self.is_followed(ask) {
            return;
        }
        let mut job = Job::new(ask, self.cache.epoch(), known);
        self.expansions.gather(&mut job);
        self.do_slice(job);
    }

    /// Whether the client has all that it needs for its answer; otherwise it is asked for, or
    /// the client has gone.
    fn is_followed(&mut self, ask: Ask) -> bool {
        if self.sessions.present(ask.client).is_none() {
            return false;
        }
        let key = ask.client.key;
        let Some(root) = self.holdings.find(key, ask.root) else {
            return false;
        };
        let waits = self.follow_web(key, root);
        if waits && let Some(web) = self.sessions.get_mut(key).and_then(|c| c.web_mut()) {
            web.expanding = false;
        }
        !waits
    }

    /// The answer whose turn it is goes on.
    pub(in crate::gateway) fn go_on_expanding(&mut self) {
        self.expansions.set_scheduled(false);
        if let Some(job) = self.expansions.take() {
            self.do_slice(job);
        }
        // Each turn begins one at most, since it does a slice of that too.
        if let Some(ask) = self.expansions.next_waiting() {
            self.begin_expansion(ask);
        }
        self.schedule_expansions();
    }

    fn schedule_expansions(&mut self) {
        if !self.expansions.is_scheduled() && !self.expansions.is_empty() {
            self.expansions.set_scheduled(true);
            self.work.put_off(Origin::Web, Work::Expand);
        }
    }

    fn do_slice(&mut self, mut job: Job) {
        // Who is gone needs no answer.
        while let Some(last) = job.clients.last()
            && self.sessions.present(*last).is_none()
        {
            job.clients.pop();
        }
        let units = self.work.units().clamp(1, SLICE_UNITS);
        let mut left = units;
        let slice = loop {
            if job.clients.is_empty() {
                break Slice::Done;
            }
            if left == 0 {
                break Slice::More;
            }
            if let Err(Stop::NotCached) = self.do_phase(&mut job, &mut left) {
                break Slice::NotCached;
            }
        };
        self.work.spend(units - left);
        match slice {
            Slice::More => self.expansions.put_back(job),
            Slice::Done => {}
            Slice::NotCached => self.expansions.wait_apart(job),
        }
        self.schedule_expansions();
    }

    /// Does what it can of one phase, and takes what it used off the work units.
    ///
    /// # Errors
    /// When it cannot be answered from the cache.
    fn do_phase(&mut self, job: &mut Job, units: &mut usize) -> Result<(), Stop> {
        let is_flat = self.options.flat;
        job.phase = match std::mem::take(&mut job.phase) {
            Phase::Checking { known, next } => self.check_known(job, known, next, units),
            Phase::Reading(mut tree) => match self.read_some(job, &mut tree, units) {
                Ok(()) if !tree.is_read() => Phase::Reading(tree),
                Ok(()) if tree.is_leaf() => {
                    let text = tree.take_text();
                    let tag = self.tagged_by(job, &tree).and_then(|content| content.tag());
                    match tag {
                        Some(tag) => self.keep_expansion(job, &tree, text, tag),
                        None => Phase::Tagging(tree, text, Box::default()),
                    }
                }
                Ok(()) => {
                    let count = Count::new(&tree, is_flat, self.web_limits());
                    Phase::Counting(tree, count)
                }
                Err(Stop::TooLarge(limit)) => self.refuse_expansion(job, &tree, limit),
                Err(stop) => return Err(stop),
            },
            Phase::Counting(tree, mut count) => match count.step(&tree, units) {
                Ok(None) => Phase::Counting(tree, count),
                Ok(Some(size)) => {
                    let assembly = Assembly::new(&tree, is_flat, size);
                    Phase::Joining(tree, assembly)
                }
                Err(limit) => self.refuse_expansion(job, &tree, limit),
            },
            Phase::Joining(tree, mut assembly) => match assembly.step(&tree, units) {
                Some(text) => Phase::Tagging(tree, text, Box::default()),
                None => Phase::Joining(tree, assembly),
            },
            Phase::Tagging(tree, text, mut tagging) => match tagging.step(&text, units) {
                Some(tag) => {
                    if let Some(content) = self.tagged_by(job, &tree) {
                        content.keep_tag(tag);
                    }
                    self.keep_expansion(job, &tree, text, tag)
                }
                None => Phase::Tagging(tree, text, tagging),
            },
            Phase::Sending(made) => {
                let held = self.holdings.len();
                if let Some(client) = job.clients.pop() {
                    let is_last = job.clients.is_empty();
                    job.phase = match is_last {
                        true => Phase::Done,
                        false => Phase::Sending(made.clone()),
                    };
                    self.send_expansion(client, made);
                }
                let dropped = held.saturating_sub(self.holdings.len());
                *units = units.saturating_sub(1 + dropped);
                return Ok(());
            }
            Phase::Done => Phase::Done,
        };
        Ok(())
    }

    /// Compares what was answered before with the cache.
    fn check_known(
        &mut self,
        job: &mut Job,
        known: Rc<Known>,
        mut next: usize,
        units: &mut usize,
    ) -> Phase {
        while let Some((alias, version)) = known.parts.get(next) {
            if *units == 0 {
                return Phase::Checking { known, next };
            }
            *units -= 1;
            if self
                .read_cached(*alias)
                .is_none_or(|content| content.version != *version)
            {
                job.epoch = self.cache.epoch();
                return Phase::Reading(Tree::new(job.root));
            }
            next += 1;
        }
        self.texts.note_checked(self.now, job.root, job.epoch);
        Phase::Sending(made_of(&known.outcome))
    }

    /// The content of an alias in the cache, if it can be handed on at once. Its name counts
    /// as used.
    fn read_cached(&mut self, alias: AliasKey) -> Option<Rc<Content>> {
        let resource = self.settled(alias)?;
        let (name, content) = (resource.name, resource.content.clone());
        self.cache.touch_name(name, self.now);
        Some(content)
    }

    /// Reads resources, each at one version.
    fn read_some(&mut self, job: &Job, tree: &mut Tree, units: &mut usize) -> Result<(), Stop> {
        let limits = self.web_limits();
        while *units > 0 && !tree.is_read() {
            let before = tree.work();
            if let Some(alias) = tree.wanted() {
                self.give_content(job, tree, alias)?;
            }
            let form = Form {
                is_flat: self.options.flat,
                api_path: &self.options.api_path,
            };
            let result = tree.read(form, limits, *units, |content, rid, place| {
                self.follow_reference(job, content, rid, place)
            });
            *units = units.saturating_sub((tree.work() - before).max(1));
            result?;
        }
        Ok(())
    }

    fn give_content(&mut self, job: &Job, tree: &mut Tree, alias: AliasKey) -> Result<(), Stop> {
        if job.source == Source::Cache {
            let content = self.read_cached(alias).ok_or(Stop::NotCached)?;
            tree.give(content);
            return Ok(());
        }
        let client = job.clients.last().map(|client| client.key);
        let sub = client.and_then(|client| self.holdings.find(client, alias));
        match sub.and_then(|sub| self.content(sub)) {
            Some(content) => tree.give(content.clone()),
            None => {
                let error = sub.and_then(|sub| self.holdings[sub].standing.error());
                tree.give_error(error.map_or(&Error::NOT_FOUND, |error| &**error));
            }
        }
        Ok(())
    }

    /// What a reference leads to. `place` is where it is expected among the content's
    /// references, which are in order mostly.
    fn follow_reference(
        &self,
        job: &Job,
        content: &Content,
        rid: &Rc<str>,
        place: &mut usize,
    ) -> Result<Followed, Stop> {
        let child = content.known_references().get(*place);
        let child = child.filter(|child| child.rid == *rid);
        *place += usize::from(child.is_some());
        if job.source == Source::Cache {
            let alias = match child {
                Some(child) => self.cached_alias(child),
                None => self.cache.alias(rid, None),
            };
            let alias = alias.filter(|alias| self.settled(*alias).is_some());
            return alias.map(Followed::To).ok_or(Stop::NotCached);
        }
        let client = job.clients.last().map(|client| client.key);
        let sub = client.and_then(|client| match child {
            Some(child) => self.find_child(client, child),
            None => self.find_sub(client, rid),
        });
        Ok(sub.map_or(Followed::Nowhere, |sub| {
            Followed::To(self.holdings[sub].alias())
        }))
    }

    /// The content that is all that an answer depends on, and keeps its tag.
    fn tagged_by(&self, job: &Job, tree: &Tree) -> Option<&Content> {
        self.cache.aliases().get(job.root)?;
        let content = &self.cache.resource_of(job.root)?.content;
        let is_alone = !content.has_references() && tree.is_leaf() && job.source == Source::Cache;
        (is_alone && tree.root_version() == Some(content.version)).then_some(&**content)
    }

    /// The answer is made.
    fn keep_expansion(&mut self, job: &Job, tree: &Tree, text: Vec<u8>, tag: Tag) -> Phase {
        let is_kept = job.source == Source::Cache && Texts::is_shared(&text);
        if !is_kept && job.clients.len() == 1 {
            return Phase::Sending(Ok((WebBody::Own(text), tag)));
        }
        let outcome = Outcome::Body(Message::of(text), tag);
        if is_kept {
            self.keep_outcome(job, tree, &outcome);
        }
        Phase::Sending(made_of(&outcome))
    }

    /// The answer would be too large. That is remembered too.
    fn refuse_expansion(&mut self, job: &Job, tree: &Tree, limit: TooLarge) -> Phase {
        let outcome = Outcome::TooLarge(limit);
        if job.source == Source::Cache {
            self.keep_outcome(job, tree, &outcome);
        }
        Phase::Sending(Err(limit))
    }

    fn keep_outcome(&mut self, job: &Job, tree: &Tree, outcome: &Outcome) {
        if let Some(parts) = tree.parts() {
            let outcome = outcome.clone();
            let known = Known { parts, outcome };
            self.texts.keep_body(self.now, job.root, job.epoch, known);
        }
    }

    fn send_expansion(&mut self, client: ClientRef, made: Result<(WebBody, Tag), TooLarge>) {
        if self.sessions.present(client).is_none() {
            return;
        }
        match made {
            Ok((body, tag)) => self.reply_found(client.key, body, tag),
            Err(limit) => self.reply_web_error(client.key, &limit.error()),
        }
    }

    fn web_limits(&self) -> Limits {
        Limits {
            resources: self.options.web_resources,
            bytes: self.options.web_bytes,
        }
    }
}

/// What others were answered, for one more.
fn made_of(outcome: &Outcome) -> Result<(WebBody, Tag), TooLarge> {
    match outcome {
        Outcome::Body(body, tag) => Ok((WebBody::Shared(body.clone()), *tag)),
        Outcome::TooLarge(limit) => Err(*limit),
    }
}
