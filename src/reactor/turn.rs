//! How much a turn of the loop does: a share of work and of time for each kind of input, so
//! that none of them keeps the others waiting.
//!
//! Work is counted in the gateway's units, which are the same on every machine. What they do
//! not count (system calls, what the parsers refuse) is bounded by time: the clock is read
//! once for many small steps, and after each large one.

/// What one kind of input may take of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Work units of the gateway.
    pub(crate) units: u32,
    /// Microseconds.
    pub(crate) micros: u64,
}

const fn share(units: u32, micros: u64) -> Share {
    Share { units, micros }
}

/// Messages from NATS.
pub(crate) const NATS: Share = share(30_000, 700);

/// What comes by the connection to NATS that was left.
pub(crate) const LATE: Share = share(4_000, 100);

/// Input of clients that left some of their last share.
pub(crate) const CLIENTS: Share = share(25_000, 500);

/// Input of clients that did not.
pub(crate) const BUSY: Share = share(20_000, 400);

/// TLS handshakes, of which one takes up to a millisecond or two: a thousand clients may
/// come back at once.
pub(crate) const HANDSHAKES: Share = share(5_000, 1_500);

/// What is due.
pub(crate) const TIMERS: Share = share(10_000, 300);

/// What earlier inputs have left over, in so many steps.
pub(crate) const LEFT: Share = share(4_000, 500);
/// See [`LEFT`].
pub(crate) const LEFT_STEPS: u32 = 5;

/// What the console has to say, and is asked.
pub(crate) const CONSOLE: Share = share(5_000, 300);

/// Microseconds of a turn in which NATS may have its share again, if nobody else has work.
pub(crate) const FILLED: u64 = 1_300;

/// Microseconds after which the rest of a turn takes one step of each kind and no more.
const TURN_MAX: u64 = 4_000;

/// Steps between two looks at the clock.
const LOOK: usize = 32;

/// Bytes that count as one step.
const STEP_SIZE: usize = 2 << 10;

/// Messages, requests and control frames that are taken from one client before others have
/// their turn. So many bytes read count as one: see [`READ_STEP`].
pub(crate) const VISIT_STEPS: u32 = 64;

/// Bytes read from a client that count as one of its [`VISIT_STEPS`].
pub(crate) const READ_STEP: usize = 1 << 10;

/// Work units that one client may cause before others have their turn.
pub(crate) const VISIT_UNITS: u32 = 4_000;

/// Microseconds of a turn after which the next one serves no busy clients: what came meanwhile
/// is answered at once.
const LONG_TURN: u64 = 2_000;

/// The turn at hand, and the share of it that is being used.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// When the turn is late, in microseconds.
    late: u64,
    /// Whether the turn before took long.
    was_long: bool,
    /// When the share is over.
    until: u64,
    /// Steps to the next look at the clock.
    unlooked: usize,
    is_over: bool,
    /// Steps of the client whose turn it is, and the units that it may leave.
    visit: u32,
    floor: u32,
}

impl Turn {
    /// Begins a turn.
    pub(super) fn begin(&mut self, micros: u64) {
        self.late = micros + TURN_MAX;
    }

    /// Ends the turn.
    pub(super) fn end(&mut self, micros: u64) {
        self.was_long = micros + TURN_MAX > self.late + LONG_TURN;
    }

    /// Whether busy clients have a share of this turn.
    pub(super) fn serves_busy(&self) -> bool {
        !self.was_long
    }

    /// Begins a share. It has one step at least, however late it is.
    pub(super) fn share(&mut self, micros: u64, share: Share) {
        self.until = self.late.min(micros + share.micros);
        self.unlooked = match micros < self.late {
            true => LOOK,
            false => 1,
        };
        self.is_over = false;
    }

    /// Notes a step with so many bytes. `micros` reads the clock.
    pub(super) fn step(&mut self, bytes: usize, micros: impl FnOnce() -> u64) {
        let weight = 1 + bytes / STEP_SIZE;
        if self.unlooked > weight {
            self.unlooked -= weight;
            return;
        }
        self.unlooked = LOOK;
        self.is_over |= micros() >= self.until;
    }

    /// Notes a step that is worth a look at the clock by itself.
    pub(super) fn long_step(&mut self, micros: u64) {
        self.unlooked = LOOK;
        self.is_over |= micros >= self.until;
    }

    /// Whether the time of the share is over.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// A client's turn begins; the gateway has so many units left.
    pub(super) fn begin_visit(&mut self, units: u32) {
        self.visit = 0;
        self.floor = units.saturating_sub(VISIT_UNITS);
    }

    /// Notes steps of the client whose turn it is.
    pub(super) fn count_visit(&mut self, steps: usize) {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.visit = self.visit.saturating_add(steps);
    }

    /// Whether the client has used its share up; the gateway has so many units left.
    pub(super) fn has_visited(&self, units: u32) -> bool {
        self.visit >= VISIT_STEPS || units <= self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_seldom_for_small_steps_and_at_once_for_large_ones() {
        let mut turn = Turn::default();
        turn.begin(1_000);
        turn.share(1_000, NATS);
        let mut looks = 0;
        for _ in 0..LOOK * 10 {
            turn.step(100, || {
                looks += 1;
                1_001
            });
        }
        assert_eq!((looks, turn.is_over()), (10, false));
        turn.step(STEP_SIZE * LOOK, || 1_000 + NATS.micros - 1);
        assert!(!turn.is_over());
        turn.step(STEP_SIZE * LOOK, || 1_000 + NATS.micros);
        assert!(turn.is_over());
        turn.share(3_000, CLIENTS);
        assert!(!turn.is_over());
    }

    #[test]
    fn a_late_turn_takes_one_step_of_each_kind() {
        let mut turn = Turn::default();
        turn.begin(0);
        for share in [NATS, LATE, CLIENTS, BUSY, TIMERS, LEFT] {
            turn.share(TURN_MAX + 5, share);
            assert!(!turn.is_over());
            turn.step(0, || TURN_MAX + 6);
            assert!(turn.is_over());
        }
        // What is left of the time is all that a share gets.
        turn.share(TURN_MAX - 10, NATS);
        turn.long_step(TURN_MAX - 1);
        assert!(!turn.is_over());
        turn.long_step(TURN_MAX);
        assert!(turn.is_over());
    }

    #[test]
    fn busy_clients_wait_for_a_turn_after_a_long_one() {
        let mut turn = Turn::default();
        for (length, serves_busy) in [(LONG_TURN, true), (LONG_TURN + 1, false), (9, true)] {
            turn.begin(500);
            turn.end(500 + length);
            assert_eq!(turn.serves_busy(), serves_busy, "{length}");
        }
    }

    #[test]
    fn a_client_has_its_share_of_messages_and_of_units() {
        let mut turn = Turn::default();
        turn.begin_visit(10_000);
        for _ in 0..VISIT_STEPS {
            assert!(!turn.has_visited(10_000));
            turn.count_visit(1);
        }
        assert!(turn.has_visited(10_000));
        turn.begin_visit(10_000);
        assert!(!turn.has_visited(10_001 - VISIT_UNITS));
        assert!(turn.has_visited(10_000 - VISIT_UNITS));
        turn.count_visit(usize::MAX);
        assert!(turn.has_visited(10_000));
    }

    #[test]
    fn the_shares_of_a_turn_are_some_milliseconds() {
        let all = [NATS, LATE, CLIENTS, BUSY, HANDSHAKES, TIMERS, LEFT];
        let micros: u64 = all.iter().map(|share| share.micros).sum();
        assert!(micros <= TURN_MAX, "{micros}");
        assert!(u64::from(LEFT.units * LEFT_STEPS) <= 25_000);
    }
}
