//! One window for each service: how many requests it may have open at once. Services cannot
//! take all that ten thousand clients ask for when they come back in the same second; what
//! does not fit waits here, clients in turn, and its time begins when it is sent.
//!
//! A window grows while its service is quick with what it has, and shrinks when answers take
//! longer, or do not come. A request without answer gives its place back after a while, so
//! that calls that take long, or that nobody answers, hold nobody up.

use crate::gateway::model::arena::Arena;
use crate::gateway::model::keys::{WindowKey, of};
use crate::gateway::model::parked::{PLACE_TIME, Parked};
use crate::gateway::model::time::Time;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Requests that a service may have open at first.
pub const WINDOW: u32 = 1_024;
/// Fewest and most that it may have later.
pub(crate) const WINDOW_MIN: u32 = 64;
pub(crate) const WINDOW_MAX: u32 = 16_384;

/// Fewest that it has since answers take longer, though they come: some kinds of requests always
/// take longer than others.
pub(crate) const WINDOW_SLOW: u32 = 256;

/// Bytes of the requests that may wait for one service, and for all together.
pub(crate) const WAITING_BYTES: usize = 16 << 20;
pub(crate) const WAITING_BYTES_ALL: usize = 64 << 20;

/// Services that are remembered though nothing of theirs is open.
const KEPT: usize = 256;

/// Milliseconds that answers may take longer than when little is open: up to the first a
/// window grows, beyond the second it shrinks.
const QUICK: u32 = 50;
const SLOW: u32 = 100;

/// What waits of one client at a service.
#[derive(Debug, Default)]
struct Flow {
    queue: VecDeque<Parked>,
    /// When a request of it was answered last, since something waits.
    answered: Option<Time>,
}

/// The window of a service.
#[derive(Debug)]
struct Window {
    service: Box<str>,
    size: u32,
    open: u32,
    /// What waits, by flow, and which flow is next.
    flows: HashMap<u32, Flow, foldhash::fast::RandomState>,
    turns: VecDeque<u32>,
    waiting: usize,
    bytes: usize,
    /// Milliseconds that answers have taken when they were quick, and take now: eighths of
    /// them for the latter.
    base: u32,
    mean: u32,
    /// Answers, and places that were given back without one, since it last changed.
    answers: u32,
    late: u32,
    /// It shrinks no sooner.
    next_cut: Time,
    /// The mean when it last shrank, and the lowest one since.
    cut_at: u32,
    lowest: u32,
}

/// Milliseconds that an answer counts as at most: three days, of which eightfold can be told.
const LONGEST: u32 = u32::MAX / 16;

impl Window {
    fn new(service: &str, size: u32) -> Self {
        Self {
            service: service.into(),
            size,
            open: 0,
            flows: HashMap::default(),
            turns: VecDeque::new(),
            waiting: 0,
            bytes: 0,
            base: u32::MAX,
            mean: 0,
            answers: 0,
            late: 0,
            next_cut: Time(0),
            cut_at: 0,
            lowest: u32::MAX,
        }
    }

    fn has_room(&self) -> bool {
        self.open < self.size
    }

    /// An answer came after so many milliseconds: many, if the process was frozen meanwhile.
    fn answered(&mut self, took: u64, now: Time) {
        let took = u32::try_from(took).map_or(LONGEST, |took| took.min(LONGEST));
        self.base = self.base.min(took);
        if self.mean == 0 {
            self.mean = 8 * took;
        }
        self.mean = self.mean - self.mean / 8 + took;
        self.answers += 1;
        let (mean, usual) = (self.mean / 8, 2 * self.base);
        self.lowest = self.lowest.min(mean);
        if mean > usual + SLOW {
            self.shrink(3, WINDOW_SLOW, now);
        } else if self.waiting > 0 && mean <= usual + QUICK && self.answers >= self.size {
            self.size = (self.size + (self.size / 8).max(1)).min(WINDOW_MAX);
            (self.answers, self.late) = (0, 0);
        }
    }

    /// A request has had its place for long, and no answer.
    fn is_late(&mut self, now: Time) {
        self.late += 1;
        // Some calls are never answered, and say nothing of the others; and a service that is
        // never quicker may be asked for more all the same.
        let is_usual = self.base != u32::MAX && u64::from(self.base) >= PLACE_TIME;
        if self.late > (self.answers + self.size) / 4 && !is_usual {
            self.shrink(2, WINDOW_MIN, now);
        }
    }

    /// Shrinks to so many quarters, but not twice for the same reason.
    fn shrink(&mut self, quarters: u32, least: u32, now: Time) {
        if now >= self.next_cut {
            // If it did not help to have less open, or there cannot be less, the service has
            // become slower by itself. Else it is what is open that takes long.
            let did_help = self.lowest < self.cut_at - self.cut_at / 8;
            if self.cut_at > 0 && !did_help || self.size <= least {
                self.base = self.base.saturating_add(self.base / 4 + 1);
            }
            (self.cut_at, self.lowest) = (self.mean / 8, u32::MAX);
            self.size = (self.size / 4 * quarters).max(least).min(self.size);
            self.next_cut = Time(now.0 + PLACE_TIME);
            (self.answers, self.late) = (0, 0);
        }
    }
}

/// The service that has a name: the name's first part.
fn service_of(name: &str) -> &str {
    let end = name.bytes().position(|byte| byte == b'.');
    end.map_or(name, |end| &name[..end])
}

/// Whether a name is one of a service.
fn is_of(name: &str, service: &str) -> bool {
    let rest = name.strip_prefix(service);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The windows of all services that have something open.
#[derive(Debug)]
pub struct Windows {
    windows: Arena<of::Window, Window>,
    by_service: HashMap<Box<str>, WindowKey, foldhash::fast::RandomState>,
    /// The unused ones are forgotten when there are so many.
    sweep_at: usize,
    /// Requests that a service may have open at first; 0 for no windows.
    first: u32,
    waiting: usize,
    bytes: usize,
    /// The window in which one that has waited has its turn now.
    turn: Option<WindowKey>,
    /// The window that was asked for last: the next request is often for the same service.
    last: Option<WindowKey>,
}

impl Windows {
    /// `first` is what a service may have open at first; 0 is all.
    pub fn new(first: u32) -> Self {
        Self {
            windows: Arena::default(),
            by_service: HashMap::default(),
            sweep_at: KEPT,
            first,
            waiting: 0,
            bytes: 0,
            turn: None,
            last: None,
        }
    }

    /// The window of the service that has a name: of the name's first part.
    pub fn of(&mut self, name: &str) -> Option<WindowKey> {
        if self.first == 0 {
            return None;
        }
        if let Some(last) = self.last
            && let Some(window) = self.windows.get(last)
            && is_of(name, &window.service)
        {
            return self.last;
        }
        let service = service_of(name);
        if let Some(key) = self.by_service.get(service) {
            self.last = Some(*key);
            return self.last;
        }
        if self.windows.len() >= self.sweep_at {
            self.sweep();
        }
        let key = self.windows.insert(Window::new(service, self.first));
        self.by_service.insert(service.into(), key);
        Some(key)
    }

    /// Whether a request may be sent now. While others wait, none passes them but the one whose
    /// turn it is.
    pub fn has_room(&self, key: WindowKey) -> bool {
        let window = &self.windows[key];
        (window.waiting == 0 || self.turn == Some(key)) && window.has_room()
    }

    /// Whether a window that is still there has a place, whoever waits for it.
    pub fn has_place(&self, key: WindowKey) -> Option<bool> {
        self.windows.get(key).map(Window::has_room)
    }

    /// Whether so much waits for a service that no more can.
    pub fn is_crowded(&self, key: WindowKey) -> bool {
        self.windows[key].bytes >= WAITING_BYTES || self.bytes >= WAITING_BYTES_ALL
    }

    /// It is the turn of one that has waited in a window, or its turn is over.
    pub fn set_turn(&mut self, turn: Option<WindowKey>) {
        self.turn = turn;
    }

    /// A request takes a place.
    pub fn enter(&mut self, key: WindowKey) {
        self.windows[key].open += 1;
    }

    /// A request waits for its turn in a flow.
    pub fn wait(&mut self, key: WindowKey, flow: u32, parked: Parked) {
        let window = &mut self.windows[key];
        window.waiting += 1;
        window.bytes += parked.size();
        self.waiting += 1;
        self.bytes += parked.size();
        let queue = &mut window.flows.entry(flow).or_default().queue;
        if queue.is_empty() {
            window.turns.push_back(flow);
        }
        queue.push_back(parked);
    }

    /// The request whose turn it is, if there is a place for it.
    pub fn next(&mut self, key: WindowKey) -> Option<Parked> {
        let window = self.windows.get_mut(key)?;
        if !window.has_room() {
            return None;
        }
        let flow = window.turns.pop_front()?;
        let queue = &mut window.flows.get_mut(&flow)?.queue;
        let parked = queue.pop_front()?;
        if queue.is_empty() {
            window.flows.remove(&flow);
        } else {
            window.turns.push_back(flow);
        }
        window.waiting -= 1;
        window.bytes -= parked.size();
        self.waiting -= 1;
        self.bytes -= parked.size();
        Some(parked)
    }

    /// A request gives its place back. `took` is after how many milliseconds it was answered;
    /// `None` if it was not. Returns the window if somebody waits for the place.
    pub fn leave(&mut self, key: WindowKey, took: Option<u64>, now: Time) -> Option<WindowKey> {
        let window = self.windows.get_mut(key)?;
        window.open -= 1;
        if let Some(took) = took {
            window.answered(took, now);
        }
        (window.waiting > 0).then_some(key)
    }

    /// Whether something waits in a window.
    pub fn is_full(&self, key: WindowKey) -> bool {
        self.windows
            .get(key)
            .is_some_and(|window| window.waiting > 0)
    }

    /// A request of a flow was answered.
    pub fn note_answer(&mut self, key: WindowKey, flow: u32, now: Time) {
        let window = self.windows.get_mut(key);
        if let Some(flow) = window.and_then(|window| window.flows.get_mut(&flow)) {
            flow.answered = Some(now);
        }
    }

    /// When a request of a flow was answered last, since something of it waits.
    pub fn last_answer(&self, key: WindowKey, flow: u32) -> Option<Time> {
        self.windows.get(key)?.flows.get(&flow)?.answered
    }

    /// A request of the service that has a name is answered after all, which has given its place
    /// back before. Returns the window if somebody waits for a place.
    pub fn answered_late(&mut self, name: &str, took: u64, now: Time) -> Option<WindowKey> {
        let key = *self.by_service.get(service_of(name))?;
        let window = self.windows.get_mut(key)?;
        window.late = window.late.saturating_sub(1);
        window.answered(took, now);
        (window.waiting > 0).then_some(key)
    }

    /// A request has had its place for [`PLACE_TIME`]: it has none any more.
    pub fn lose(&mut self, key: WindowKey, now: Time) {
        if let Some(window) = self.windows.get_mut(key) {
            window.open -= 1;
            window.is_late(now);
        }
    }

    /// Forgets the windows in which nothing is open and nothing waits.
    fn sweep(&mut self) {
        let windows = self.windows.iter();
        let unused = windows.filter(|(_, window)| window.open == 0 && window.waiting == 0);
        let unused: Vec<WindowKey> = unused.map(|(key, _)| key).collect();
        for key in unused {
            if let Some(window) = self.windows.remove(key) {
                self.by_service.remove(&window.service);
            }
        }
        self.sweep_at = (2 * self.windows.len()).max(KEPT);
    }

    /// All windows in which something waits.
    pub fn full(&self) -> Vec<WindowKey> {
        let windows = self.windows.iter();
        let full = windows.filter(|(_, window)| window.waiting > 0);
        full.map(|(key, _)| key).collect()
    }

    /// The service of each window, its size, its open and its waiting requests.
    pub fn iter(&self) -> impl Iterator<Item = (&str, [usize; 3])> {
        self.windows.iter().map(|(_, window)| {
            let counts = [window.size as usize, window.open as usize, window.waiting];
            (&*window.service, counts)
        })
    }

    /// Requests that wait for a place.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Checks the counts. `places` has the place of each request.
    ///
    /// # Errors
    /// What does not agree.
    pub fn audit(&self, places: impl Iterator<Item = WindowKey>) -> Result<(), String> {
        let mut open: HashMap<u32, u32, foldhash::fast::RandomState> = HashMap::default();
        for place in places {
            *open.entry(place.index()).or_default() += 1;
        }
        let (mut waiting, mut bytes) = (0, 0);
        for (key, window) in self.windows.iter() {
            let parked = window.flows.values().flat_map(|flow| &flow.queue);
            let here = parked.clone().map(Parked::size).sum::<usize>();
            if here != window.bytes {
                return Err(format!("what waits for {} is miscounted", window.service));
            }
            bytes += here;
            let queued = parked.count();
            waiting += queued;
            let counted = open.remove(&key.index()).unwrap_or_default();
            if (window.open, window.waiting) != (counted, queued) {
                return Err(format!(
                    "the window of {} has {} places taken and {} waiting, not {counted} and {queued}",
                    window.service, window.open, window.waiting
                ));
            }
            if window.turns.len() != window.flows.len() {
                return Err(format!("a flow of {} has no turn", window.service));
            }
        }
        if let Some(stale) = open.keys().next() {
            return Err(format!(
                "a request has a place in the window {stale}, which is gone"
            ));
        }
        match (waiting, bytes) == (self.waiting, self.bytes) {
            true => Ok(()),
            false => Err("what waits for services is miscounted".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::keys::PendingKey;

    #[test]
    fn names_with_the_same_first_part_share_a_window() {
        let mut windows = Windows::new(8);
        let key = windows.of("a.b.c");
        for (name, is_same) in [("a", true), ("a.x", true), ("ab", false), ("ab.c", false)] {
            assert_eq!(windows.of(name) == key, is_same, "{name}");
            // Whichever was asked for last.
            assert_eq!((windows.of("a.b"), windows.of("b.a") == key), (key, false));
        }
        assert_eq!(Windows::new(0).of("a.b"), None);
    }

    #[test]
    fn an_answer_may_have_taken_as_long_as_it_likes() {
        let mut window = Window::new("test", 8);
        for took in [u64::from(u32::MAX), 600_000_000, u64::MAX, 1, u64::MAX] {
            window.answered(took, Time(u64::from(u32::MAX)));
            assert!(window.mean < 8 * (LONGEST + 1));
        }
    }

    #[test]
    fn places_that_are_lost_without_answer_make_it_smaller() {
        let mut windows = Windows::new(1_024);
        let key = windows.of("a.b").expect("windows");
        let size = |windows: &Windows| windows.windows[key].size;
        (0..2_000).for_each(|_| windows.enter(key));
        // A quarter of them says nothing yet; more halve it.
        (0..256).for_each(|_| windows.lose(key, Time(1_000)));
        assert_eq!(size(&windows), 1_024);
        windows.lose(key, Time(1_000));
        assert_eq!(size(&windows), 512);
        // What was sent before that is no further reason.
        (0..300).for_each(|_| windows.lose(key, Time(1_000 + PLACE_TIME - 1)));
        assert_eq!(size(&windows), 512);
        windows.lose(key, Time(1_000 + PLACE_TIME));
        assert_eq!(size(&windows), 256);
    }

    #[test]
    fn an_answer_that_comes_late_lets_the_next_look_for_a_place() {
        let mut windows = Windows::new(64);
        let key = windows.of("a.b").expect("windows");
        windows.enter(key);
        windows.lose(key, Time(500));
        assert_eq!(windows.answered_late("a.c", 600, Time(600)), None);
        let request = PendingKey::from_parts(1, 1);
        windows.wait(key, 7, Parked::new(request, b"call.a.b", 8));
        assert_eq!(windows.answered_late("a.c", 700, Time(700)), Some(key));
        assert_eq!(windows.answered_late("b.c", 700, Time(700)), None);
    }
}
