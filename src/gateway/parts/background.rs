//! The background: requests that resets, token changes and the like cause. So many are open
//! at once, and of one reset event no more than its throttle lets.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::delay::DelayQueue;
use crate::gateway::model::keys::{
    ClientRef, NameKey, ResetKey, ResourceKey, SubKey, WindowKey, of,
};
use crate::gateway::model::time::Time;
use crate::gateway::parts::throttle::Throttle;
use std::collections::{BTreeMap, VecDeque};

/// Requests of the background that are open at once.
pub(crate) const MAX_BACKGROUND: usize = 1024;

/// Milliseconds until access is asked again that nobody was there to tell of.
pub(crate) const REACCESS_PAUSE: u64 = 1_000;

/// Jobs for which the queue keeps room.
const JOBS_KEPT: usize = 1 << 12;

/// A request that waits until fewer of its kind are open.
#[derive(Debug)]
pub enum Job {
    /// Fetch a resource again.
    Refresh(ResourceKey),
    /// Ask a subscription's access again.
    Reaccess(SubKey),
    /// See whether a cached resource is still what its service has.
    Check(ResourceKey),
    /// Let a service renew a client's token.
    TokenReset(ClientRef),
    /// Ask the next query resource of a name what a query event means for it.
    Query(NameKey),
}

/// Queues that have turns. Events wait for the first.
const LANES: usize = 4;

impl Job {
    fn lane(&self) -> usize {
        match self {
            Self::Query(_) => 0,
            Self::Refresh(_) => 1,
            Self::Reaccess(_) => 2,
            Self::TokenReset(_) | Self::Check(_) => 3,
        }
    }
}

/// A job, and the reset event that it belongs to.
pub type Queued = (Job, Option<ResetKey>);

/// The requests of the background, those that wait and those that are open.
#[derive(Debug)]
pub struct Background {
    jobs: [VecDeque<Queued>; LANES],
    /// What waits for room at its service, and holds nobody up meanwhile, by its window.
    aside: BTreeMap<WindowKey, VecDeque<Queued>>,
    /// Windows with room in which some wait until fewer requests are open.
    owed: VecDeque<WindowKey>,
    /// Subscriptions whose access is asked again after a pause.
    pausing: DelayQueue<SubKey>,
    /// The queue whose turn it is.
    turn: usize,
    open: usize,
    /// The reset event that is being acted on.
    reset: Option<ResetKey>,
    throttles: Arena<of::ResetThrottle, Throttle<Job>>,
    /// Requests that one reset event may have open; 0 for no such limit.
    places: usize,
}

impl Background {
    pub fn new(places: usize) -> Self {
        Self {
            jobs: Default::default(),
            aside: BTreeMap::new(),
            owed: VecDeque::new(),
            pausing: DelayQueue::new(REACCESS_PAUSE),
            turn: 0,
            open: 0,
            reset: None,
            throttles: Arena::default(),
            places,
        }
    }

    /// Begins to act on a reset event: its requests share a throttle, if there is to be
    /// one. Returns what [`Background::resume_reset`] goes on with.
    pub fn begin_reset(&mut self) -> Option<ResetKey> {
        if self.places > 0 {
            let throttle = self.throttles.insert(Throttle::new(self.places));
            self.reset = Some(throttle);
            self.throttles[throttle].join();
        }
        self.reset
    }

    /// What is queued from now on belongs to this reset event, or to none.
    pub fn resume_reset(&mut self, reset: Option<ResetKey>) {
        self.reset = reset;
    }

    /// Acts on a part of a reset event later; the throttle is kept for it.
    pub fn put_off_reset(&mut self) -> Option<ResetKey> {
        if let Some(throttle) = self.reset.and_then(|key| self.throttles.get_mut(key)) {
            throttle.join();
        }
        self.reset
    }

    /// Has acted on a reset event, or on the part of it that was put off.
    pub fn end_reset(&mut self) {
        let Some(key) = self.reset.take() else { return };
        if let Some(throttle) = self.throttles.get_mut(key) {
            throttle.part();
            if throttle.is_over() {
                self.throttles.remove(key);
            }
        }
    }

    /// Queues a request. One that a reset event causes waits for a place among the event's
    /// first.
    pub fn queue(&mut self, job: Job) {
        let job = match self.reset {
            Some(key) => self.throttles[key].enter(job),
            None => Some(job),
        };
        if let Some(job) = job {
            self.push((job, self.reset));
        }
    }

    /// Queues a request among those that events wait for, if no throttle counts what reset
    /// events cause. What was queued for the same before will not be needed.
    pub fn hurry(&mut self, job: Job) {
        if self.places == 0 {
            self.jobs[0].push_back((job, None));
        }
    }

    /// Asks a subscription's access again after a pause.
    pub fn reaccess_later(&mut self, sub: SubKey, now: Time) {
        self.pausing.insert(now, sub);
    }

    /// When the next pause ends.
    pub fn next_pause(&self) -> Option<Time> {
        self.pausing.next()
    }

    /// Queues a request whose pause is over. Whether there was one.
    pub fn end_pause(&mut self, now: Time) -> bool {
        let Some(sub) = self.pausing.pop(now) else {
            return false;
        };
        self.push((Job::Reaccess(sub), None));
        true
    }

    fn push(&mut self, job: Queued) {
        self.jobs[job.0.lane()].push_back(job);
    }

    /// Whether a request could be sent.
    pub fn can_start(&self) -> bool {
        !self.is_full() && (self.jobs.iter().any(|jobs| !jobs.is_empty()) || !self.owed.is_empty())
    }

    /// Whether no more requests may be open.
    pub fn is_full(&self) -> bool {
        self.open >= MAX_BACKGROUND
    }

    /// A request waits until its service has room.
    pub fn set_aside(&mut self, window: WindowKey, job: Queued) {
        self.aside.entry(window).or_default().push_back(job);
    }

    /// The next of those that wait for room at a service.
    pub fn take_aside(&mut self, window: WindowKey) -> Option<Queued> {
        let jobs = self.aside.get_mut(&window)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.aside.remove(&window);
        }
        job
    }

    /// Those that waited for room at a service wait among the others again.
    pub fn bring_back(&mut self, window: WindowKey) {
        for job in self.aside.remove(&window).unwrap_or_default() {
            self.push(job);
        }
    }

    /// Whether any wait for room at this service.
    pub fn waits_for(&self, window: WindowKey) -> bool {
        self.aside.contains_key(&window)
    }

    /// The services at which some wait for room.
    pub fn waited_for(&self) -> impl Iterator<Item = WindowKey> {
        self.aside.keys().copied()
    }

    /// A service has room, and too many requests are open.
    pub fn owe(&mut self, window: WindowKey) {
        if !self.owed.contains(&window) {
            self.owed.push_back(window);
        }
    }

    /// A service that has room, if few enough requests are open by now.
    pub fn take_owed(&mut self) -> Option<WindowKey> {
        match self.is_full() {
            true => None,
            false => self.owed.pop_front(),
        }
    }

    /// The next request, if few enough are open. It is followed by
    /// [`Background::opened`], or by [`Background::done`] if it was not needed.
    pub fn next(&mut self) -> Option<Queued> {
        if self.is_full() {
            return None;
        }
        for _ in 0..LANES {
            let lane = self.turn;
            self.turn = (lane + 1) % LANES;
            if let Some(job) = self.jobs[lane].pop_front() {
                return Some(job);
            }
        }
        None
    }

    /// A request was sent.
    pub fn opened(&mut self) {
        self.open += 1;
    }

    /// A request that was sent has no answer to come any more.
    pub fn closed(&mut self) {
        debug_assert!(self.open > 0, "a request is closed once");
        self.open = self.open.saturating_sub(1);
    }

    /// A request is done, or was not needed.
    pub fn done(&mut self, reset: Option<ResetKey>) {
        let Some(key) = reset else { return };
        let throttle = &mut self.throttles[key];
        throttle.leave();
        if let Some(job) = throttle.next() {
            throttle.take();
            self.push((job, reset));
        } else if throttle.is_over() {
            self.throttles.remove(key);
        }
    }

    /// The subscriptions whose access is to be asked, those included that pause.
    pub fn reaccesses(&self) -> impl Iterator<Item = SubKey> {
        let jobs = self.queued().map(|(job, _)| job);
        let throttles = self.throttles.iter();
        let throttled = throttles.flat_map(|(_, throttle)| throttle.waiting());
        let queued = jobs.chain(throttled).filter_map(|job| match job {
            Job::Reaccess(sub) => Some(*sub),
            _ => None,
        });
        queued.chain(self.pausing.iter())
    }

    /// Requests that wait until fewer are open, or for room at their service.
    pub fn waiting(&self) -> usize {
        let queues = self.jobs.iter().chain(self.aside.values());
        queues.map(VecDeque::len).sum()
    }

    fn queued(&self) -> impl Iterator<Item = &Queued> {
        self.jobs.iter().chain(self.aside.values()).flatten()
    }

    /// Throttles in use.
    pub fn throttles(&self) -> usize {
        self.throttles.len()
    }

    /// Gives back memory that an unusual input has taken.
    pub fn trim(&mut self) {
        for jobs in &mut self.jobs {
            if jobs.len() < JOBS_KEPT {
                jobs.shrink_to(JOBS_KEPT);
            }
        }
    }

    /// The names whose query resources are to be asked.
    pub fn queries(&self) -> impl Iterator<Item = NameKey> {
        self.queued().filter_map(|(job, _)| match job {
            Job::Query(name) => Some(*name),
            _ => None,
        })
    }

    /// Checks the counts. `open` has the reset event of each open request; `parts` says
    /// for a reset event how many parts of it are still to be acted on.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(
        &self,
        open: &[Option<ResetKey>],
        parts: impl Fn(ResetKey) -> usize,
    ) -> Result<(), String> {
        if open.len() != self.open {
            return Err(format!(
                "{} requests of the background are counted as {}",
                open.len(),
                self.open
            ));
        }
        if self.aside.values().any(VecDeque::is_empty) {
            return Err("nothing waits for room at a service, and it is remembered".into());
        }
        if let Some(reset) = self.reset {
            return Err(format!("the reset event {reset:?} is still acted on"));
        }
        for (key, throttle) in self.throttles.iter() {
            let sent = open.iter().filter(|reset| **reset == Some(key)).count();
            let queued = self.queued().filter(|(_, reset)| *reset == Some(key));
            let expected = (parts(key), sent + queued.count());
            let (members, taken, _) = throttle.counts();
            if (members, taken) != expected || throttle.is_over() {
                return Err(format!(
                    "the throttle {key:?} has {members} members and {taken} places taken, \
                     not {expected:?}"
                ));
            }
        }
        Ok(())
    }
}
