//! One worker after the other is replaced: its follower is ready before it leaves, and has the
//! same socket, so that nobody is refused meanwhile.

use std::collections::VecDeque;

use super::First;
use super::slot::Slot;
use crate::control::Order;
use crate::gateway::Time;

/// Milliseconds for a follower to be ready.
const START_TIME: u64 = 60_000;

/// Who is still to be replaced.
#[derive(Debug)]
pub(super) struct Rolling {
    left: VecDeque<usize>,
    now: Option<(usize, Stage)>,
}

/// How far it is with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its follower is not ready yet, and must be by then.
    Starting(Time),
    /// Its follower serves, and it closes its clients.
    Leaving,
    /// It has the broker, of which there can be one: its follower is started when it has gone.
    Gap,
}

impl Rolling {
    /// All of so many; the broker's worker last: by then it is known that the others start.
    pub(super) fn of_all(workers: usize, has_broker: impl Fn(usize) -> bool) -> Self {
        let (broker, others): (Vec<_>, Vec<_>) = (0..workers).partition(|it| has_broker(*it));
        Self {
            left: others.into_iter().chain(broker).collect(),
            now: None,
        }
    }

    /// When a follower must be ready.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        match self.now {
            Some((_, Stage::Starting(deadline))) => Some(deadline),
            _ => None,
        }
    }
}

impl First {
    /// Goes on with what is being replaced.
    pub(super) fn step_rolling(&mut self, now: Time) {
        let Some(mut rolling) = self.rolling.take() else {
            return;
        };
        loop {
            let Some((place, stage)) = rolling.now else {
                let Some(place) = rolling.left.pop_front() else {
                    return self.end_rolling();
                };
                rolling.now = self.begin_with(place, now).map(|stage| (place, stage));
                continue;
            };
            let slot = &mut self.slots[place];
            let is_done = match stage {
                Stage::Leaving => slot.leaving.is_empty(),
                Stage::Gap => slot.leaving.is_empty() && slot.is_ready(),
                Stage::Starting(deadline) => match follow(slot, deadline, now) {
                    Ok(is_following) => {
                        if is_following {
                            rolling.now = Some((place, Stage::Leaving));
                            continue;
                        }
                        false
                    }
                    Err(why) => {
                        log::error!(
                            "worker {place} was not replaced, and the rest stay as they are: {why}"
                        );
                        slot.due = slot.serving.is_none().then_some(now);
                        return;
                    }
                },
            };
            if !is_done {
                self.rolling = Some(rolling);
                return;
            }
            rolling.now = None;
        }
    }

    /// Begins to replace a worker; `None` if there is none: who is started next is a new one.
    fn begin_with(&mut self, place: usize, now: Time) -> Option<Stage> {
        self.slots[place].serving.as_ref()?;
        if self.sockets.has_broker(place) {
            let slot = &mut self.slots[place];
            let mut worker = slot.serving.take()?;
            worker.order(Order::LeaveAtOnce);
            slot.leaving.push(worker);
            slot.due = Some(now);
            return Some(Stage::Gap);
        }
        match self.start(place, now) {
            Ok(worker) => {
                self.slots[place].next = Some(worker);
                Some(Stage::Starting(Time(now.0 + START_TIME)))
            }
            Err(error) => {
                log::error!("worker {place} was not replaced: {error}");
                None
            }
        }
    }

    fn end_rolling(&mut self) {
        log::info!("All workers are replaced");
        if std::mem::take(&mut self.wants_rolling) {
            self.begin_rolling();
        }
    }
}

/// Whether the follower has taken the place.
///
/// # Errors
///
/// It has not, and will not.
fn follow(slot: &mut Slot, deadline: Time, now: Time) -> Result<bool, String> {
    let Some(next) = &mut slot.next else {
        return Err("its follower ended before it was ready".to_owned());
    };
    if next.is_ready {
        if let Some(mut worker) = slot.serving.take() {
            worker.order(Order::Leave);
            slot.leaving.push(worker);
        }
        slot.serving = slot.next.take();
        return Ok(true);
    }
    if deadline <= now {
        next.kill();
        let seconds = START_TIME / 1_000;
        return Err(format!("its follower was not ready in {seconds} s"));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_with_the_broker_is_the_last() {
        let rolling = Rolling::of_all(3, |worker| worker == 0);
        assert_eq!(rolling.left, [1, 2, 0]);
        assert_eq!(Rolling::of_all(2, |_| false).left, [0, 1]);
        assert_eq!(rolling.next_timeout(), None);
    }
}
