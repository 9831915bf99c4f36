//! What the gateway counts of what it does, for metrics.

use crate::gateway::model::time::Time;
use crate::gateway::parts::requests::{CallKind, Then};
use crate::res::Pattern;

/// Upper bounds of the groups that answer times are counted in, in milliseconds.
const ANSWER_TIMES: &[u64] = &[
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
];

/// Most bounds that a histogram can have.
const BOUNDS_MAX: usize = 15;

/// How often values were within which bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds: &'static [u64],
    /// Values up to each bound and above the one before; then those above all.
    counts: [u64; BOUNDS_MAX + 1],
    sum: u64,
}

impl Histogram {
    /// Without values. `bounds` rise; those behind the 15th are not used.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds: &bounds[..bounds.len().min(BOUNDS_MAX)],
            counts: [0; BOUNDS_MAX + 1],
            sum: 0,
        }
    }

    /// Counts a value.
    pub fn observe(&mut self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Each bound with the number of values that are not above it.
    pub fn groups(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().scan(0, |below, count| {
            *below += count;
            Some(*below)
        });
        self.bounds.iter().copied().zip(counts)
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All values together.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

/// What a request to a service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Access request.
    Access,
    /// Get request for a resource that is not cached.
    Load,
    /// Get request for a cached resource that a reset has put in doubt, or that is checked
    /// for drift.
    Refresh,
    /// Call request.
    Call,
    /// Auth request, also one by header, or that a token reset asked for.
    Auth,
    /// Query request.
    Query,
}

impl RequestKind {
    /// All of them; each is at its own number.
    pub const ALL: [Self; 6] = [
        Self::Access,
        Self::Load,
        Self::Refresh,
        Self::Call,
        Self::Auth,
        Self::Query,
    ];

    pub(in crate::gateway) fn of(then: &Then) -> Self {
        match then {
            Then::Access(_) => Self::Access,
            Then::Load(_) => Self::Load,
            Then::Refresh(_) | Then::Check(_) => Self::Refresh,
            Then::Call(call) if call.kind == CallKind::Auth => Self::Auth,
            Then::Call(_) => Self::Call,
            Then::Query(_) => Self::Query,
            // The latter is the auth request of a token reset.
            Then::HeaderAuth(_) | Then::TokenReset(_) => Self::Auth,
        }
    }
}

/// Requests to services of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Those without answer, and those whose answer waits for a query event.
    pub open: usize,
    /// Milliseconds from sending to the answer, or to the time-out.
    pub times: Histogram,
}

/// Answer times of requests to the names that match a pattern, and none before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternTimes {
    pattern: Pattern,
    times: [Histogram; RequestKind::ALL.len()],
}

impl PatternTimes {
    /// The pattern.
    pub fn pattern(&self) -> &str {
        self.pattern.text()
    }

    /// As [`Requests::times`].
    pub fn times(&self, kind: RequestKind) -> &Histogram {
        &self.times[kind as usize]
    }
}

/// What a gateway has done since it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// WebSocket clients that connected.
    pub clients: u64,
    /// Streams of events that began.
    pub streams: u64,
    /// Those of them whose clients had what they would have begun with.
    pub streams_resumed: u64,
    /// Resources that were left out of answers, since the clients had them.
    pub spared: u64,
    /// WebSocket clients that had to go since their token may not have held any more.
    pub dismissed: u64,
    /// Get requests that compare a cached resource with what its service has.
    pub drift_checks: u64,
    /// Resources that differed.
    pub drifts: u64,
    /// How often more updates waited at a subscription than may, and the difference took their
    /// place.
    pub queues_shortened: u64,
    /// Valid `get` requests of WebSocket clients.
    pub gets: u64,
    /// Valid `subscribe` requests of WebSocket clients.
    pub subscribes: u64,
    /// Valid `unsubscribe` requests of WebSocket clients.
    pub unsubscribes: u64,
    /// Valid `call` and `new` requests of WebSocket clients.
    pub calls: u64,
    /// Valid `auth` requests of WebSocket clients.
    pub auths: u64,
    /// Resources that could not be cached, as all that was cached was in use.
    pub refused_resources: u64,
    /// Names that were forgotten before their time, to make room.
    pub evicted: u64,
    /// Direct subscriptions that clients were refused, since they had as many as they may.
    pub refused_subscriptions: u64,
    /// Requests of WebSocket clients that came too soon behind others.
    pub hasty: u64,
    /// Events of resources that came from services.
    pub events_in: u64,
    /// Events that were sent to clients, one for each receiver.
    pub events_out: u64,
    /// Requests to services that were not answered in time.
    pub timeouts: u64,
    requests: [Requests; RequestKind::ALL.len()],
    patterns: Box<[PatternTimes]>,
}

impl Counters {
    pub(in crate::gateway) fn new(patterns: &[Pattern]) -> Self {
        let patterns = patterns.iter().map(|pattern| PatternTimes {
            pattern: pattern.clone(),
            times: std::array::from_fn(|_| Histogram::new(ANSWER_TIMES)),
        });
        Self {
            clients: 0,
            streams: 0,
            streams_resumed: 0,
            spared: 0,
            dismissed: 0,
            drift_checks: 0,
            drifts: 0,
            queues_shortened: 0,
            gets: 0,
            subscribes: 0,
            unsubscribes: 0,
            calls: 0,
            auths: 0,
            refused_resources: 0,
            evicted: 0,
            refused_subscriptions: 0,
            hasty: 0,
            events_in: 0,
            events_out: 0,
            timeouts: 0,
            requests: std::array::from_fn(|_| Requests {
                open: 0,
                times: Histogram::new(ANSWER_TIMES),
            }),
            patterns: patterns.collect(),
        }
    }

    /// Answer times by pattern. They are not among those of [`Counters::requests`].
    pub fn patterns(&self) -> &[PatternTimes] {
        &self.patterns
    }

    pub(in crate::gateway) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Requests to services of one kind.
    pub fn requests(&self, kind: RequestKind) -> &Requests {
        &self.requests[kind as usize]
    }

    pub(in crate::gateway) fn opened(&mut self, kind: RequestKind) {
        self.requests[kind as usize].open += 1;
    }

    /// The name matters where there are patterns.
    pub(in crate::gateway) fn answered(
        &mut self,
        kind: RequestKind,
        name: Option<&str>,
        sent: Time,
        now: Time,
    ) {
        let mut patterns = self.patterns.iter_mut();
        let times = match name.and_then(|name| patterns.find(|it| it.pattern.matches(name))) {
            Some(it) => &mut it.times[kind as usize],
            None => &mut self.requests[kind as usize].times,
        };
        times.observe(now.0.saturating_sub(sent.0));
    }

    pub(in crate::gateway) fn closed(&mut self, kind: RequestKind) {
        self.requests[kind as usize].open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_their_bound() {
        let mut histogram = Histogram::new(&[1, 5, 10]);
        for value in [0, 1, 2, 5, 6, 11, 1_000] {
            histogram.observe(value);
        }
        let groups: Vec<_> = histogram.groups().collect();
        assert_eq!(groups, [(1, 2), (5, 4), (10, 5)]);
        assert_eq!((histogram.count(), histogram.sum()), (7, 1_025));
        histogram.observe(u64::MAX);
        assert_eq!((histogram.count(), histogram.sum()), (8, u64::MAX));
    }

    #[test]
    fn histograms_have_room_for_their_bounds() {
        assert!(ANSWER_TIMES.len() <= BOUNDS_MAX && ANSWER_TIMES.is_sorted());
        let mut many = Histogram::new(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        many.observe(99);
        assert_eq!((many.groups().count(), many.count()), (15, 1));
    }

    #[test]
    fn a_request_counts_for_the_first_pattern_or_for_none() {
        let patterns = ["a.b.>", "a.>"].map(|text| Pattern::parse(text).unwrap());
        let mut counters = Counters::new(&patterns);
        for (name, took) in [
            (Some("a.b.c"), 1),
            (Some("a.c"), 10),
            (Some("b"), 100),
            (None, 1_000),
        ] {
            counters.answered(RequestKind::Call, name, Time(5), Time(5 + took));
        }
        let sums = counters.patterns().iter();
        let sums = sums.map(|it| (it.pattern(), it.times(RequestKind::Call).sum()));
        assert_eq!(sums.collect::<Vec<_>>(), [("a.b.>", 1), ("a.>", 10)]);
        assert_eq!(counters.requests(RequestKind::Call).times.sum(), 1_100);
    }

    #[test]
    fn each_kind_of_request_has_its_own_numbers() {
        let mut counters = Counters::new(&[]);
        for (index, kind) in RequestKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            counters.opened(kind);
            counters.answered(kind, None, Time(5), Time(5 + index as u64));
            assert_eq!(counters.requests(kind).open, 1);
            assert_eq!(counters.requests(kind).times.sum(), index as u64);
            counters.closed(kind);
            assert_eq!(counters.requests(kind).open, 0);
        }
    }
}
