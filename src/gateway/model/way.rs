//! The way of a walk through what a client was not sent: where it is, so that it can go on in
//! a later turn, or when what it has come to is loaded.

use crate::gateway::model::few::Few;
use crate::gateway::model::keys::SubKey;
use std::rc::Rc;

/// From some subscriptions down, depth first.
#[derive(Debug, Default)]
pub struct Way {
    roots: Few<SubKey>,
    /// How many of the roots are passed.
    passed: usize,
    below: Vec<Level>,
}

/// What is below a subscription, and how much of it is passed.
#[derive(Debug)]
enum Level {
    /// What its references hold.
    Children(SubKey, usize),
    /// Some of that, found before.
    Listed(Rc<[SubKey]>, usize),
}

/// Where a walk is.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    At(SubKey),
    /// The child of this place that a subscription has, if it has as many.
    Child(SubKey, usize),
}

impl Way {
    pub fn from(roots: Few<SubKey>) -> Self {
        Self {
            roots,
            ..Self::default()
        }
    }

    /// Where it is; `None` at the end.
    pub fn place(&mut self) -> Option<Place> {
        loop {
            let Some(level) = self.below.last() else {
                let root = self.roots.as_slice().get(self.passed);
                return root.copied().map(Place::At);
            };
            match level {
                Level::Children(parent, passed) => return Some(Place::Child(*parent, *passed)),
                Level::Listed(list, passed) => {
                    if let Some(child) = list.get(*passed) {
                        return Some(Place::At(*child));
                    }
                    self.below.pop();
                }
            }
        }
    }

    /// Where it is has been looked at.
    pub fn pass(&mut self) {
        match self.below.last_mut() {
            None => self.passed += 1,
            Some(Level::Children(_, passed) | Level::Listed(_, passed)) => *passed += 1,
        }
    }

    /// What a subscription holds comes next.
    pub fn descend(&mut self, parent: SubKey) {
        self.below.push(Level::Children(parent, 0));
    }

    /// These come next.
    pub fn descend_to(&mut self, listed: Rc<[SubKey]>) {
        self.below.push(Level::Listed(listed, 0));
    }

    /// There is no more below where it is.
    pub fn ascend(&mut self) {
        self.below.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_down_and_comes_back() {
        let key = |n| SubKey::from_parts(n, 1);
        let mut way = Way::from(Few::More(vec![key(1), key(2)]));
        assert_eq!(way.place(), Some(Place::At(key(1))));
        way.pass();
        way.descend(key(1));
        assert_eq!(way.place(), Some(Place::Child(key(1), 0)));
        way.pass();
        way.descend_to([key(3), key(4)].into());
        for n in 3..5 {
            assert_eq!(way.place(), Some(Place::At(key(n))));
            way.pass();
        }
        assert_eq!(way.place(), Some(Place::Child(key(1), 1)));
        way.ascend();
        assert_eq!(way.place(), Some(Place::At(key(2))));
        way.pass();
        assert_eq!(way.place(), None);
    }
}
