//! Who holds a subscription, counted. The counts change here alone.

use log::error;

/// How a parent holds what it references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The client holds the parent, and knows that it references this.
    Sent,
    /// The client does not hold the parent yet; or it is an event that waits.
    Unsent,
}

/// The holders of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    direct: u16,
    open: u16,
    sent: u32,
    unsent: u32,
}

impl Holders {
    /// Direct subscriptions that the client was told of.
    pub fn direct(&self) -> u16 {
        self.direct
    }

    /// Requests for it that are open.
    pub fn open(&self) -> u16 {
        self.open
    }

    /// Direct subscriptions, and requests that may lead to more of them.
    pub fn asked(&self) -> u32 {
        u32::from(self.direct) + u32::from(self.open)
    }

    /// Parents of one kind.
    pub fn parents(&self, hold: Hold) -> u32 {
        match hold {
            Hold::Sent => self.sent,
            Hold::Unsent => self.unsent,
        }
    }

    /// Parents of both kinds.
    pub fn all_parents(&self) -> u32 {
        self.sent.saturating_add(self.unsent)
    }

    /// Whether anything holds it.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// A parent begins to hold it.
    pub fn hold(&mut self, hold: Hold) {
        let count = self.count(hold);
        *count = more(*count, "parents");
    }

    /// A parent holds it no longer.
    pub fn release(&mut self, hold: Hold) {
        let count = self.count(hold);
        *count = less(*count, 1, "parents");
    }

    /// The client was sent a parent, or the event that brought this.
    pub fn promote(&mut self) {
        self.release(Hold::Unsent);
        self.hold(Hold::Sent);
    }

    /// The client does not hold a parent any more, which goes on holding this.
    pub fn demote(&mut self) {
        self.release(Hold::Sent);
        self.hold(Hold::Unsent);
    }

    /// A request for it begins.
    pub fn open_request(&mut self) {
        self.open = more(self.open.into(), "open requests") as u16;
    }

    /// A request for it is over.
    pub fn close_request(&mut self) {
        self.open = less(self.open.into(), 1, "open requests") as u16;
    }

    /// The client was told of one more direct subscription.
    pub fn subscribe(&mut self) {
        self.direct = more(self.direct.into(), "direct subscriptions") as u16;
    }

    /// As many direct subscriptions end.
    pub fn unsubscribe(&mut self, count: u16) {
        self.direct = less(self.direct.into(), count.into(), "direct subscriptions") as u16;
    }

    /// All direct subscriptions end; returns how many there were.
    pub fn end_direct(&mut self) -> u16 {
        std::mem::take(&mut self.direct)
    }

    fn count(&mut self, hold: Hold) -> &mut u32 {
        match hold {
            Hold::Sent => &mut self.sent,
            Hold::Unsent => &mut self.unsent,
        }
    }
}

fn more(count: u32, what: &str) -> u32 {
    count.checked_add(1).unwrap_or_else(|| slip(count, what))
}

fn less(count: u32, by: u32, what: &str) -> u32 {
    count.checked_sub(by).unwrap_or_else(|| slip(0, what))
}

/// A count that was wrong before. It is said rather than left to wrap around, which would
/// keep the subscription for ever and tell nobody.
#[cold]
fn slip(count: u32, what: &str) -> u32 {
    debug_assert!(false, "the count of {what} does not fit what is held");
    error!("the count of {what} of a subscription does not fit what is held: please report this");
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_change_their_kind_and_are_counted_once() {
        let mut holders = Holders::default();
        assert!(!holders.any());
        holders.hold(Hold::Unsent);
        holders.hold(Hold::Unsent);
        holders.promote();
        assert_eq!(
            (holders.parents(Hold::Sent), holders.parents(Hold::Unsent)),
            (1, 1)
        );
        holders.demote();
        holders.release(Hold::Unsent);
        assert_eq!((holders.all_parents(), holders.any()), (1, true));
        holders.release(Hold::Unsent);
        assert!(!holders.any());
    }

    #[test]
    fn requests_and_subscriptions_are_counted_apart() {
        let mut holders = Holders::default();
        holders.open_request();
        holders.subscribe();
        holders.subscribe();
        assert_eq!(
            (holders.asked(), holders.open(), holders.direct()),
            (3, 1, 2)
        );
        holders.close_request();
        holders.unsubscribe(1);
        assert_eq!((holders.end_direct(), holders.any()), (1, false));
    }

    #[test]
    #[cfg_attr(debug_assertions, should_panic = "does not fit what is held")]
    fn a_count_never_wraps_around() {
        let mut holders = Holders::default();
        holders.release(Hold::Sent);
        assert!(!holders.any());
    }
}
