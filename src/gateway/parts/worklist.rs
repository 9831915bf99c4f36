//! The worklist: consequences of an input, one after the other, none within another; and
//! what is left of them when the turn's budget is used up.

use crate::gateway::model::keys::{
    ClientKey, ClientRef, NameKey, PendingKey, SubKey, WaiterKey, WindowKey,
};
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Entries for which the list keeps room.
const KEPT: usize = 1 << 12;

/// Entries of one origin that are done before another's turn comes.
pub const SLICE: usize = 16;

/// Something that follows from what was done. Each looks at what is true when its turn
/// comes: inputs may have come between.
#[derive(Debug)]
pub enum Work {
    /// A subscription needs content.
    Load(SubKey),
    /// A subscription goes on with holding what its content references.
    Take(SubKey),
    /// A request or event may have all that it waited for.
    Ready(WaiterKey),
    /// A request or event goes on with looking for what it waits for.
    Walk(WaiterKey),
    /// A subscription may go on with the events that wait.
    Pump(SubKey),
    /// A name's inputs may go on.
    Inbox(NameKey),
    /// The first of the reset events that are acted on goes on.
    Reset,
    /// The first of the token reset events that are acted on goes on.
    Renew,
    /// The web answer whose turn it is goes on.
    Expand,
    /// A call that waited for its client goes on.
    Call(PendingKey),
    /// What a call has brought is wanted, which waited for its client.
    Result(ClientRef),
    /// A service may take requests that wait for it.
    Window(WindowKey),
    /// A client whose token may not hold any more is closed.
    Dismiss(ClientRef),
    /// A stream whose resource has gone is closed.
    EndStream(ClientRef),
    /// What a web request waits for may have changed.
    Poll(ClientRef),
    /// The broker is told more of what it does not know since it is there again.
    Return,
    /// More of what a client holds is put in question, since its token has changed.
    Doubt(ClientKey),
    /// A client's answer goes on.
    Send(ClientKey),
    /// More is due than the budget reached.
    Due,
    /// What has lost a holder is looked at further.
    Collect,
    /// More of what a client that has left held is taken out.
    Leave(ClientKey),
    /// More is cached than may be.
    Evict,
    /// A service is told more of who is connected.
    Snapshot,
    /// A get request that may take long, and that nobody may want any more.
    Unwanted(PendingKey),
}

/// Whose input work follows from. What is left of one is done in its order; those of
/// several in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    Client(ClientKey),
    Name(NameKey),
    /// Web answers that are being made.
    Web,
    /// Time, the broker, and system events.
    System,
}

/// A turn's budget that is not bounded.
const UNBOUNDED: u32 = u32::MAX;

/// What is to be done, and how much of it may be.
#[derive(Debug)]
pub struct Worklist {
    /// What follows from the input at hand.
    list: VecDeque<Work>,
    /// Work units that are left of the turn's budget.
    units: u32,
    /// Work units that were ever used up.
    spent: u64,
    /// What was left over, by origin, and whose turn is next.
    left: HashMap<Origin, VecDeque<Work>, foldhash::fast::RandomState>,
    turns: VecDeque<Origin>,
    /// Whether [`Work::Due`] is among it.
    due: bool,
}

impl Default for Worklist {
    fn default() -> Self {
        Self {
            list: VecDeque::new(),
            units: UNBOUNDED,
            spent: 0,
            left: HashMap::default(),
            turns: VecDeque::new(),
            due: false,
        }
    }
}

impl Worklist {
    /// Begins a turn with this budget, in work units.
    pub fn begin_turn(&mut self, units: u32) {
        self.units = units;
    }

    /// Uses up work units: one is a node walked, a pattern tried, a message queued, or 64
    /// bytes of text.
    pub fn spend(&mut self, units: usize) {
        self.spent = self.spent.wrapping_add(units as u64);
        if self.units != UNBOUNDED {
            let units = u32::try_from(units).unwrap_or(u32::MAX);
            self.units = self.units.saturating_sub(units);
        }
    }

    /// Work units that are left of the turn's budget.
    pub fn units_left(&self) -> u32 {
        self.units
    }

    /// Work units that were used up so far.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Whether the turn's budget is used up.
    pub fn is_spent(&self) -> bool {
        self.units == 0
    }

    /// Whether the turn has no budget.
    pub fn is_unbounded(&self) -> bool {
        self.units == UNBOUNDED
    }

    /// Work units that are left of the turn's budget.
    pub fn units(&self) -> usize {
        match self.units {
            UNBOUNDED => usize::MAX,
            units => units as usize,
        }
    }

    /// Lifts the budget. Returns what [`Worklist::restore`] puts back.
    pub fn lift(&mut self) -> u32 {
        std::mem::replace(&mut self.units, UNBOUNDED)
    }

    /// Puts a budget back.
    pub fn restore(&mut self, units: u32) {
        self.units = units;
    }

    /// Something follows.
    pub fn push(&mut self, work: Work) {
        self.list.push_back(work);
    }

    /// Some things follow, in order.
    pub fn extend(&mut self, work: impl Iterator<Item = Work>) {
        self.list.extend(work);
    }

    /// The next thing to do, while there is a budget for it.
    pub fn next(&mut self) -> Option<Work> {
        match self.is_spent() {
            true => None,
            false => self.list.pop_front(),
        }
    }

    /// Whether nothing follows from the input at hand any more.
    pub fn is_done(&self) -> bool {
        self.list.is_empty()
    }

    /// Leaves the rest of what follows for later, behind what was left of that origin.
    pub fn leave(&mut self, origin: Origin) {
        if self.list.is_empty() {
            return;
        }
        match self.left.get_mut(&origin) {
            Some(left) => left.append(&mut self.list),
            None => {
                self.left.insert(origin, std::mem::take(&mut self.list));
                self.turns.push_back(origin);
            }
        }
    }

    /// Leaves something for later that does not belong to the input at hand.
    pub fn put_off(&mut self, origin: Origin, work: Work) {
        match self.left.get_mut(&origin) {
            Some(left) => left.push_back(work),
            None => {
                self.left.insert(origin, [work].into());
                self.turns.push_back(origin);
            }
        }
    }

    /// Whether earlier work of an origin is left: what follows from it now comes behind.
    pub fn is_behind(&self, origin: Origin) -> bool {
        !self.left.is_empty() && self.left.contains_key(&origin)
    }

    /// Whether what is due was left over.
    pub fn has_due(&self) -> bool {
        self.due
    }

    /// Says whether what is due is left over.
    pub fn set_due(&mut self, due: bool) {
        self.due = due;
    }

    /// Whether any work was left over.
    pub fn has_left(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Takes up what was left over from the origin whose turn it is. The caller does
    /// [`SLICE`] entries of it and leaves the rest.
    pub fn take_up(&mut self) -> Option<Origin> {
        if self.is_spent() {
            return None;
        }
        let origin = self.turns.pop_front()?;
        if let Some(left) = self.left.remove(&origin) {
            self.list = left;
        }
        Some(origin)
    }

    /// Gives back memory that an unusual input has taken.
    pub fn trim(&mut self) {
        self.list.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origin = Origin::Client(ClientKey(1));
    const THERE: Origin = Origin::Client(ClientKey(2));

    fn key(work: Option<Work>) -> Option<u32> {
        match work? {
            Work::Ready(key) => Some(key.index()),
            _ => None,
        }
    }

    fn ready(n: u32) -> Work {
        Work::Ready(WaiterKey::from_parts(n, 1))
    }

    #[test]
    fn work_is_left_when_the_budget_is_spent_and_done_in_order() {
        let mut list = Worklist::default();
        list.begin_turn(2);
        list.extend((0..3).map(ready));
        assert_eq!(key(list.next()), Some(0));
        list.spend(2);
        assert!(list.next().is_none() && !list.is_done());
        list.leave(HERE);
        assert!(list.is_done() && list.has_left() && list.is_behind(HERE));
        assert!(!list.is_behind(THERE) && list.take_up().is_none());
        list.push(ready(3));
        list.leave(HERE);
        list.begin_turn(100);
        assert_eq!(list.take_up(), Some(HERE));
        for n in 1..4 {
            assert_eq!(key(list.next()), Some(n));
        }
        assert!(list.is_done() && !list.has_left());
    }

    #[test]
    fn origins_take_turns() {
        let mut list = Worklist::default();
        for origin in [HERE, THERE, HERE] {
            list.push(ready(7));
            list.leave(origin);
        }
        let mut order = Vec::new();
        while let Some(origin) = list.take_up() {
            order.push(origin);
            list.next();
            list.leave(origin);
        }
        assert_eq!(order, [HERE, THERE, HERE]);
    }

    #[test]
    fn without_a_turn_there_is_no_bound() {
        let mut list = Worklist::default();
        list.spend(usize::MAX);
        list.spend(usize::MAX);
        assert!(!list.is_spent());
    }
}
