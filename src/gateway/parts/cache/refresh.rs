//! Resources in doubt: whether what is cached of them is still true.

use super::Cache;
use crate::gateway::model::event::EventKind;
use crate::gateway::model::keys::ResourceKey;
use crate::gateway::model::time::Time;

/// First pause before a get request that failed is sent again, in milliseconds. It
/// doubles with every failure, up to the longest one.
const FIRST_PAUSE: u64 = 1_000;
const LONGEST_PAUSE: u64 = 60_000;

/// Events that may be kept back for a get request, and the memory that they may cost, in
/// bytes.
const EVENTS_MAX: usize = 1 << 16;
const SIZE_MAX: usize = 64 << 20;

/// A resource whose content is in doubt.
#[derive(Debug)]
pub struct Refresh {
    state: RefreshState,
    failures: u32,
    /// Put in doubt once more since the get request was sent.
    again: bool,
    /// Events were lost since the get request was sent.
    lost: bool,
    kept: Kept,
}

/// What is known of a resource when the answer to its get request is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    Certain,
    /// It was put in doubt again meanwhile.
    Doubted,
    /// Events were lost meanwhile.
    Lost,
}

/// Events since the get request was sent: a good answer has them in it.
#[derive(Debug)]
enum Kept {
    All {
        events: Vec<KeptEvent>,
        size: usize,
    },
    /// Too many came. Only a good answer can mend it now.
    Lost,
}

/// An event that was kept back, its payload compact.
pub type KeptEvent = (EventKind<'static>, Box<str>);

impl Default for Kept {
    fn default() -> Self {
        Self::All {
            events: Vec::new(),
            size: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefreshState {
    /// The get request waits for its turn.
    Queued,
    /// The get request is open.
    Open,
    /// The get request failed and is sent again at this time.
    Pausing(Time),
}

impl Cache {
    /// Puts a resource in doubt. Returns whether a get request is to be queued for it.
    ///
    /// While a get request is open, one more follows its answer: the service may have
    /// looked before whatever put the resource in doubt again.
    pub fn doubt(&mut self, key: ResourceKey) -> bool {
        let Some(resource) = self.resources.get_mut(key) else {
            return false;
        };
        match &mut resource.refresh {
            Some(refresh) => {
                let RefreshState::Pausing(due) = refresh.state else {
                    refresh.again = true;
                    return false;
                };
                refresh.state = RefreshState::Queued;
                self.pauses.remove(&(due, key));
            }
            None => {
                resource.refresh = Some(Box::new(Refresh {
                    state: RefreshState::Queued,
                    failures: 0,
                    again: false,
                    lost: false,
                    kept: Kept::default(),
                }));
            }
        }
        true
    }

    /// Events of a resource were lost: it is in doubt, and what comes until a good answer
    /// means nothing. Returns whether a get request is to be queued for it.
    pub fn lose_events(&mut self, key: ResourceKey) -> bool {
        let is_due = self.doubt(key);
        let resource = self.resources.get_mut(key);
        if let Some(refresh) = resource.and_then(|resource| resource.refresh.as_mut()) {
            refresh.kept = Kept::Lost;
            refresh.lost = refresh.state == RefreshState::Open;
        }
        is_due
    }

    /// No answer will come to the get request of a resource in doubt. Returns whether one is to
    /// be queued again.
    pub fn reopen_refresh(&mut self, key: ResourceKey) -> bool {
        let resource = self.resources.get_mut(key);
        match resource.and_then(|resource| resource.refresh.as_mut()) {
            Some(refresh) if refresh.state == RefreshState::Open => {
                refresh.state = RefreshState::Queued;
                refresh.kept = Kept::Lost;
                true
            }
            _ => false,
        }
    }

    /// Whether events of a resource were lost since it was last known for certain.
    pub fn has_lost_events(&self, key: ResourceKey) -> bool {
        let refresh = self.resources[key].refresh.as_ref();
        refresh.is_some_and(|refresh| matches!(refresh.kept, Kept::Lost))
    }

    /// The get request of a resource in doubt is about to be sent. Returns whether it is
    /// still wanted.
    pub fn open_refresh(&mut self, key: ResourceKey) -> bool {
        let refresh = self.resources.get_mut(key);
        let Some(refresh) = refresh.and_then(|resource| resource.refresh.as_mut()) else {
            return false;
        };
        if refresh.state != RefreshState::Queued {
            return false;
        }
        (refresh.state, refresh.again, refresh.lost) = (RefreshState::Open, false, false);
        true
    }

    /// Whether an answer that is to come will make events of a resource moot.
    pub fn is_refreshing(&self, key: ResourceKey) -> bool {
        let refresh = self.resources[key].refresh.as_ref();
        refresh.is_some_and(|refresh| refresh.state == RefreshState::Open)
            || self.has_lost_events(key)
    }

    /// Keeps an event of a resource back that such an answer will make moot.
    pub fn keep_event(&mut self, key: ResourceKey, event: KeptEvent) {
        let Some(refresh) = &mut self.resources[key].refresh else {
            return;
        };
        if let Kept::All { events, size } = &mut refresh.kept {
            *size += event.1.len();
            if events.len() >= EVENTS_MAX || *size > SIZE_MAX {
                refresh.kept = Kept::Lost;
            } else {
                events.push(event);
            }
        }
    }

    /// The answer is there, and the resource not in doubt any more, unless it was put in
    /// doubt again meanwhile.
    pub fn end_refresh(&mut self, key: ResourceKey) -> Certainty {
        let resource = self.resources.get_mut(key);
        match resource.and_then(|resource| resource.refresh.take()) {
            Some(refresh) if refresh.lost => Certainty::Lost,
            Some(refresh) if refresh.again => Certainty::Doubted,
            _ => Certainty::Certain,
        }
    }

    /// The get request has failed: it is sent again after a pause. Returns the events that
    /// were kept back, to be applied now.
    pub fn pause_refresh(&mut self, key: ResourceKey, now: Time) -> Vec<KeptEvent> {
        let Some(refresh) = &mut self.resources[key].refresh else {
            return Vec::new();
        };
        let pause = (FIRST_PAUSE << refresh.failures.min(16)).min(LONGEST_PAUSE);
        let due = Time(now.0.saturating_add(pause));
        refresh.failures = refresh.failures.saturating_add(1);
        refresh.state = RefreshState::Pausing(due);
        self.pauses.insert((due, key));
        match &mut refresh.kept {
            Kept::All { events, size } => {
                *size = 0;
                std::mem::take(events)
            }
            // What was lost stays so.
            Kept::Lost => Vec::new(),
        }
    }

    /// A resource whose pause is over: its get request is to be queued.
    pub fn end_pause(&mut self, now: Time) -> Option<ResourceKey> {
        loop {
            let (due, key) = self
                .pauses
                .first()
                .copied()
                .filter(|(due, _)| *due <= now)?;
            self.pauses.remove(&(due, key));
            let resource = self.resources.get_mut(key);
            if let Some(refresh) = resource.and_then(|resource| resource.refresh.as_mut()) {
                refresh.state = RefreshState::Queued;
                return Some(key);
            }
        }
    }

    /// When the next pause is over.
    pub fn next_pause(&self) -> Option<Time> {
        self.pauses.first().map(|(due, _)| *due)
    }

    /// A resource is forgotten: so is the doubt about it.
    pub(super) fn stop_refresh(&mut self, key: ResourceKey) {
        let Some(resource) = self.resources.get_mut(key) else {
            return;
        };
        let refresh = resource.refresh.take();
        if let Some(RefreshState::Pausing(due)) = refresh.map(|refresh| refresh.state) {
            self.pauses.remove(&(due, key));
        }
    }

    pub(super) fn audit_pauses(&self) -> Result<(), String> {
        let mut pausing = 0;
        for (key, resource) in self.resources.iter() {
            let state = resource.refresh.as_ref().map(|refresh| refresh.state);
            if let Some(RefreshState::Pausing(due)) = state {
                pausing += 1;
                if !self.pauses.contains(&(due, key)) {
                    return Err(format!("the pause of {key:?} has no timer"));
                }
            }
        }
        match pausing == self.pauses.len() {
            true => Ok(()),
            false => Err(format!("{} timers of {pausing} pauses", self.pauses.len())),
        }
    }
}
