//! More updates wait at a subscription than may: they are dropped, and the difference takes
//! their place.

use crate::gateway::Gateway;
use crate::gateway::model::content::Content;
use crate::gateway::model::keys::{AliasKey, SubKey};
use crate::gateway::model::outbox::{CloseReason, Delivery};
use crate::gateway::model::update::{StepKind, Update};
use crate::gateway::parts::warnings::Warning;
use std::rc::Rc;

impl Gateway {
    /// Puts in place of all that waits at a subscription what leads from what its client has,
    /// or will have after the update that it is being sent, to what the resource is now:
    /// `update`, of which no room is left, is in that already. What no state tells, a custom
    /// event, is lost. Where the difference is too much itself the client has to begin anew.
    pub(super) fn shorten(&mut self, key: SubKey, update: &Rc<Update>) {
        let sub = &mut self.holdings[key];
        let (client, alias) = (sub.client(), sub.alias());
        let Some(lag) = sub.standing.lag_mut() else {
            return;
        };
        let before = lag.queue.len();
        let customs = lag.queue.iter().filter(|update| is_custom(update)).count()
            + usize::from(is_custom(update));
        match lag.step > 0 || lag.waiting.is_some() {
            true => lag.queue.keep_first(),
            false => lag.queue = Default::default(),
        }
        lag.queue_size = lag.queue.front().map_or(0, |update| update.size);
        let kept = lag.queue.len();
        lag.cleared = lag.cleared.min(kept);
        lag.asked = lag.asked.min(kept);
        let mut version = lag.version.clone();
        if let Some(front) = lag.queue.front() {
            let steps = lag.applied..front.steps.len();
            front.bring(&mut version, steps, before, || self.cache.new_version());
        }
        self.work.spend(before / 8);
        let newest = match update.ends_resource() {
            true => Ok(Some(update.clone())),
            false => self.difference(alias, &version),
        };
        let Some(lag) = self.holdings[key].standing.lag_mut() else {
            return;
        };
        match newest {
            Ok(None) => {}
            Ok(Some(newest)) if !self.queues.have_no_bytes(lag, &newest) => {
                lag.ended = newest.ends_resource();
                self.queues.push(lag, newest);
            }
            Ok(Some(_)) | Err(Unlike) => {
                lag.ended = true;
                let close = Delivery::Close(CloseReason::Overflow);
                return self.out.deliver(client, close);
            }
        }
        self.counters.queues_shortened += 1;
        if customs > 0 {
            let name = self.cache.name_text(self.cache.aliases()[alias].name);
            let text = format_args!(
                "{name}: {customs} custom events are lost: at one subscription {before} events \
                 waited for the answer to an access or get request"
            );
            self.warnings.warn(self.now, Warning::Limit, name, text);
        }
    }

    /// What leads from a version to what the resource of an alias is now; none where they
    /// are the same.
    fn difference(
        &mut self,
        alias: AliasKey,
        from: &Rc<Content>,
    ) -> Result<Option<Rc<Update>>, Unlike> {
        let resource = self.cache.aliases()[alias].resource.ok_or(Unlike)?;
        let to = self.cache.resources()[resource].content.clone();
        if from.version == to.version {
            return Ok(None);
        }
        if let Some(known) = self.queues.known(from, &to) {
            return Ok(Some(known));
        }
        let (steps, compared) = from.difference(&to).ok_or(Unlike)?;
        self.work.spend(compared + steps.len());
        if steps.is_empty() {
            return Ok(None);
        }
        let update = Update::leading_to(to.clone(), steps);
        self.queues.note(from, &to, &update);
        Ok(Some(update))
    }
}

/// There is no resource any more that a version is one of.
struct Unlike;

fn is_custom(update: &Update) -> bool {
    let mut kinds = update.steps.iter().map(|step| &step.kind);
    kinds.any(|kind| matches!(kind, StepKind::Custom { .. }))
}
