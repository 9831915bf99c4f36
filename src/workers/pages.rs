//! The operators' port of all workers: what it shows is asked of them when somebody wants to
//! see it, and whoever does not answer in time is left out.

use std::fmt::Write;

use super::First;
use super::slot::Slot;
use super::worker::Worker;
use crate::control::Order;
use crate::gateway::Time;
use crate::reactor::Page;

/// Milliseconds for workers to answer: below what those who ask wait for.
const ANSWER_TIME: u64 = 2_000;

/// What all workers are asked.
#[derive(Debug)]
pub(super) struct Question {
    order: Order,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// It is answered until then, or not.
    Open(Time),
    Answered,
}

impl Question {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            state: State::Idle,
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        match self.state {
            State::Open(deadline) => Some(deadline),
            State::Idle | State::Answered => None,
        }
    }

    /// Asks all, unless they were asked.
    fn ask(&mut self, slots: &mut [Slot], now: Time) {
        if self.state == State::Idle {
            self.state = State::Open(Time(now.0 + ANSWER_TIME));
            let workers = slots.iter_mut().flat_map(Slot::workers_mut);
            workers.for_each(|worker| worker.order(self.order));
        }
    }

    /// Whether it is answered as far as it will be.
    fn look(&mut self, slots: &[Slot], now: Time) -> bool {
        let State::Open(deadline) = self.state else {
            return false;
        };
        let has_answered = |worker: &Worker| match self.order {
            Order::Metrics => worker.has_told_metrics,
            _ => worker.readiness.is_some(),
        };
        let is_answered = slots.iter().flat_map(Slot::workers).all(has_answered);
        if is_answered || deadline <= now {
            self.state = State::Answered;
        }
        self.state == State::Answered
    }
}

impl First {
    /// When workers must have answered, or the port has something to do.
    pub(super) fn next_page_timeout(&self) -> Option<Time> {
        let questions = [&self.metrics, &self.readiness].map(Question::next_timeout);
        let monitor = self.monitor.as_ref().and_then(|it| it.next_timeout());
        questions.into_iter().flatten().chain(monitor).min()
    }

    /// Serves the port.
    pub(super) fn serve_pages(&mut self, now: Time) {
        let Some(mut monitor) = self.monitor.take() else {
            return;
        };
        for question in [&mut self.metrics, &mut self.readiness] {
            if question.look(&self.slots, now) {
                monitor.wake();
            }
        }
        if monitor.is_busy() || monitor.next_timeout().is_some_and(|due| due <= now) {
            let (mut wants_metrics, mut wants_readiness) = (false, false);
            let registry = self.poll.registry();
            monitor.serve(registry, now, true, &mut |page| match page {
                Page::Live => Some((200, "ok\n".to_owned())),
                Page::Metrics if self.metrics.state == State::Answered => {
                    Some((200, self.metrics_text()))
                }
                Page::Ready if self.readiness.state == State::Answered => Some(self.readiness()),
                Page::Metrics => {
                    wants_metrics = true;
                    None
                }
                Page::Ready => {
                    wants_readiness = true;
                    None
                }
            });
            for (question, is_wanted) in [
                (&mut self.metrics, wants_metrics),
                (&mut self.readiness, wants_readiness),
            ] {
                // What was answered before somebody asked is old.
                if question.state == State::Answered {
                    question.state = State::Idle;
                }
                if is_wanted {
                    question.ask(&mut self.slots, now);
                    // There may be nobody who could answer.
                    if question.look(&self.slots, now) {
                        monitor.wake();
                    }
                }
            }
        }
        self.monitor = Some(monitor);
    }

    /// Whether clients should be sent here: to all workers.
    fn readiness(&self) -> (u16, String) {
        let mut text = String::new();
        for (place, slot) in self.slots.iter().enumerate() {
            let worker = slot.serving.as_ref().filter(|worker| worker.is_ready);
            let reason = match worker {
                None => "not started",
                Some(worker) => worker.readiness.as_deref().unwrap_or("no answer"),
            };
            if !reason.is_empty() {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "worker {place}: {reason}");
            }
        }
        if self.is_stopping() {
            text = "stopping\n".to_owned();
        }
        match text.is_empty() {
            true => (200, "ok\n".to_owned()),
            false => (503, text),
        }
    }

    /// The metrics of all, with those of the first process.
    fn metrics_text(&self) -> String {
        let mut totals = self.totals.clone();
        for (place, slot) in self.slots.iter().enumerate() {
            let name = place.to_string();
            let leaving = format!("{place} leaving");
            for worker in slot.serving.iter().chain(&slot.next) {
                count(&mut totals, worker, &name);
            }
            for worker in &slot.leaving {
                count(&mut totals, worker, &leaving);
            }
        }
        let mut text = String::with_capacity(32 << 10);
        totals.write(&mut text);
        self.write_own(&mut text);
        text.push_str("# EOF\n");
        text
    }

    /// What the first process itself has to tell.
    fn write_own(&self, out: &mut String) {
        // Writing into a string cannot fail.
        let _ = writeln!(
            out,
            "# TYPE tidegate_workers gauge\n\
             # HELP tidegate_workers Workers that there should be.\n\
             tidegate_workers {}\n\
             # TYPE tidegate_worker_up gauge\n\
             # HELP tidegate_worker_up Whether a worker serves clients and has answered, 1 or 0.",
            self.slots.len()
        );
        for (place, slot) in self.slots.iter().enumerate() {
            let worker = slot.serving.as_ref();
            let is_up = worker.is_some_and(|worker| worker.is_ready && worker.has_told_metrics);
            let is_up = u8::from(is_up);
            let _ = writeln!(out, "tidegate_worker_up{{worker=\"{place}\"}} {is_up}");
        }
        out.push_str(
            "# TYPE tidegate_worker_restarts counter\n\
             # HELP tidegate_worker_restarts Workers started again since one had ended unasked.\n",
        );
        let created = self.created;
        for (place, slot) in self.slots.iter().enumerate() {
            let restarts = slot.restarts;
            let _ = writeln!(
                out,
                "tidegate_worker_restarts_total{{worker=\"{place}\"}} {restarts}\n\
                 tidegate_worker_restarts_created{{worker=\"{place}\"}} {created}"
            );
        }
    }
}

/// Adds what a worker has told: of one that does not answer its counters, as they last were.
fn count(totals: &mut super::totals::Totals, worker: &Worker, name: &str) {
    match worker.has_told_metrics {
        true => totals.add(&worker.metrics, name),
        false => totals.retire(&worker.metrics),
    }
}
