//! The worklist: consequences of an input, one after the other, none within another.

use crate::gateway::Gateway;
use crate::gateway::parts::worklist::Work;

/// Entries for which each of the lists of what is to be done keeps room.
const KEPT: usize = 1 << 12;

impl Gateway {
    /// Does all that follows from an input, and then what the background has room for.
    pub(in crate::gateway) fn settle(&mut self) {
        loop {
            while let Some(work) = self.work.pop_front() {
                // It may change who gets what, also where nothing is sent.
                self.run = None;
                self.out.seal();
                match work {
                    Work::Load(sub) => self.load(sub),
                    Work::Ready(waiter) => self.ready(waiter),
                    Work::Pump(sub) => self.pump(sub),
                    Work::Reaccess(sub) => self.reaccess(sub),
                    Work::Inbox(name) => self.next_input(name),
                }
            }
            self.start_jobs();
            if self.work.is_empty() {
                self.work.shrink_to(KEPT);
                self.suspects.shrink_to(KEPT);
                if self.jobs.len() < KEPT {
                    self.jobs.shrink_to(KEPT);
                }
                return;
            }
        }
    }
}
