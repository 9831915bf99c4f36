//! What is told of the gateway each second: counts as they are, and what has been added to
//! totals since the second before.

use serde_json::{Map, Value, json};

use crate::gateway::{Histogram, RequestKind};
use crate::metrics::Snapshot;

/// Names and values, in the order in which they are told.
pub(super) type Figures = Vec<(&'static str, Value)>;

/// Those of them that are kept for some minutes.
const PLOTTED: [&str; 24] = [
    "time",
    "connections",
    "webSockets",
    "streams",
    "subscriptions",
    "cachedResources",
    "eventsPerSecond",
    "deliveriesPerSecond",
    "requestsPerSecond",
    "accessMs",
    "getMs",
    "callMs",
    "authMs",
    "queryMs",
    "openRequests",
    "parkedRequests",
    "turnMs",
    "turnMaxMs",
    "clientBytesInPerSecond",
    "clientBytesOutPerSecond",
    "natsMessagesInPerSecond",
    "natsMessagesOutPerSecond",
    "natsConnected",
    "memoryBytes",
];

/// The kinds of requests to services, as they are told.
const KINDS: [(&str, &str, &[RequestKind]); 5] = [
    ("accessPerSecond", "accessMs", &[RequestKind::Access]),
    (
        "getPerSecond",
        "getMs",
        &[RequestKind::Load, RequestKind::Refresh],
    ),
    ("callPerSecond", "callMs", &[RequestKind::Call]),
    ("authPerSecond", "authMs", &[RequestKind::Auth]),
    ("queryPerSecond", "queryMs", &[RequestKind::Query]),
];

/// Totals at one moment.
#[derive(Debug)]
struct Totals {
    events: u64,
    deliveries: u64,
    bytes: [u64; 4],
    published: u64,
    received: u64,
    /// Answers of each kind, and the milliseconds that they took.
    answers: [(u64, u64); KINDS.len()],
    turns: Histogram,
}

impl Totals {
    fn of(snapshot: &Snapshot<'_>) -> Self {
        let (metrics, traffic) = (snapshot.metrics, snapshot.broker_traffic);
        let answers = KINDS.map(|(.., kinds)| {
            let times = kinds
                .iter()
                .map(|kind| &snapshot.counters.requests(*kind).times);
            times.fold((0, 0), |(count, sum), times| {
                (count + times.count(), sum + times.sum())
            })
        });
        Self {
            events: snapshot.counters.events_in,
            deliveries: metrics.deliveries,
            bytes: [
                metrics.client_bytes_in,
                snapshot.client_bytes_out,
                traffic.received,
                traffic.sent,
            ],
            published: snapshot.broker_published,
            received: metrics.broker_messages,
            answers,
            turns: metrics.turns.clone(),
        }
    }
}

/// The second before.
#[derive(Debug, Default)]
pub(super) struct Before {
    at: u64,
    totals: Option<Totals>,
}

impl Before {
    /// What is told at a time: milliseconds of the loop's clock, and since 1970.
    pub(super) fn read(&mut self, snapshot: &Snapshot<'_>, now: u64, unix: u64) -> Figures {
        let totals = Totals::of(snapshot);
        let before = self.totals.take();
        let before = before.as_ref().unwrap_or(&totals);
        let elapsed = now.saturating_sub(self.at).max(1);
        let mut figures = vec![("time", json!(unix / 1_000))];
        count(snapshot, &mut figures);
        let rate = |now: u64, then: u64| json!(now.saturating_sub(then) * 1_000 / elapsed);
        figures.extend([
            ("eventsPerSecond", rate(totals.events, before.events)),
            (
                "deliveriesPerSecond",
                rate(totals.deliveries, before.deliveries),
            ),
        ]);
        let requests = |totals: &Totals| totals.answers.iter().map(|(count, _)| count).sum();
        figures.push((
            "requestsPerSecond",
            rate(requests(&totals), requests(before)),
        ));
        let kinds = KINDS.iter().zip(totals.answers).zip(before.answers);
        for (((per_second, ms, _), (count, sum)), (count_before, sum_before)) in kinds {
            let (count, sum) = (count - count_before, sum - sum_before);
            figures.push((per_second, json!(count * 1_000 / elapsed)));
            figures.push((ms, mean(count, sum, 1.0)));
        }
        turn(&totals.turns, &before.turns, elapsed, &mut figures);
        let names = [
            "clientBytesInPerSecond",
            "clientBytesOutPerSecond",
            "natsBytesInPerSecond",
            "natsBytesOutPerSecond",
        ];
        for ((name, now), then) in names.iter().zip(totals.bytes).zip(before.bytes) {
            figures.push((name, rate(now, then)));
        }
        figures.extend([
            (
                "natsMessagesInPerSecond",
                rate(totals.received, before.received),
            ),
            (
                "natsMessagesOutPerSecond",
                rate(totals.published, before.published),
            ),
        ]);
        (self.at, self.totals) = (now, Some(totals));
        figures
    }
}

/// What is counted as it is.
fn count(snapshot: &Snapshot<'_>, figures: &mut Figures) {
    let (stats, counters, metrics) = (&snapshot.stats, snapshot.counters, snapshot.metrics);
    let [too_many, too_many_of_address] = snapshot.refused_connections;
    let http = stats.web_requests + stats.streams;
    figures.extend([
        ("connections", json!(snapshot.connections)),
        ("webSockets", json!(stats.clients.saturating_sub(http))),
        ("streams", json!(stats.streams)),
        ("webRequests", json!(stats.web_requests)),
        ("subscriptions", json!(stats.subscriptions)),
        ("cachedResources", json!(stats.resources)),
        ("cachedBytes", json!(stats.cached_bytes)),
        ("lingeringNames", json!(stats.lingering)),
        ("openRequests", json!(stats.pending)),
        ("parkedRequests", json!(stats.parked)),
        ("queuedRequests", json!(stats.queued)),
        ("waiting", json!(stats.waiting)),
        ("timeouts", json!(counters.timeouts)),
        ("bufferBytes", json!(snapshot.buffers)),
        ("memoryBytes", json!(snapshot.memory)),
        ("natsConnected", json!(snapshot.broker_connected)),
        ("natsAwayMs", json!(snapshot.broker_away)),
        ("natsLosses", json!(metrics.broker_losses)),
        (
            "natsRefusals",
            json!(metrics.broker_refusals.iter().sum::<u64>()),
        ),
        ("closedSlow", json!(snapshot.slow_clients)),
        ("closedSilent", json!(metrics.silent_clients)),
        ("closedIdle", json!(metrics.idle_clients)),
        ("closedOld", json!(metrics.old_clients)),
        ("closedForMemory", json!(metrics.cut_clients)),
        ("closedForToken", json!(counters.dismissed)),
        ("refusedConnections", json!(too_many)),
        ("refusedConnectionsOfAddress", json!(too_many_of_address)),
        (
            "refusedRequests",
            json!(counters.hasty + metrics.hasty_requests),
        ),
        (
            "refusedSubscriptions",
            json!(counters.refused_subscriptions),
        ),
        ("queuesShortened", json!(counters.queues_shortened)),
    ]);
}

/// The time of a turn: on average, and a bound that the longest did not exceed.
fn turn(now: &Histogram, before: &Histogram, elapsed: u64, figures: &mut Figures) {
    let count = now.count() - before.count();
    let sum = now.sum() - before.sum();
    let (mut longest, mut below) = (None, (0, 0));
    for ((bound, here), (_, then)) in now.groups().zip(before.groups()) {
        if here - then > below.0 - below.1 {
            longest = Some(bound);
        }
        below = (here, then);
    }
    // Beyond the last bound no other is known.
    if count > below.0 - below.1 {
        longest = now.groups().last().map(|(bound, _)| 2 * bound);
    }
    figures.extend([
        ("turnsPerSecond", json!(count * 1_000 / elapsed)),
        ("turnMs", mean(count, sum, 1_000.0)),
        (
            "turnMaxMs",
            longest.map_or(Value::Null, |micros| json!(micros as f64 / 1_000.0)),
        ),
    ]);
}

/// An average, to three digits behind the point; nothing of nothing.
fn mean(count: u64, sum: u64, unit: f64) -> Value {
    match count {
        0 => Value::Null,
        _ => json!((sum as f64 / count as f64 / unit * 1_000.0).round() / 1_000.0),
    }
}

/// A row of what is kept.
pub(super) fn row(figures: &Figures) -> Value {
    let plotted = figures.iter().filter(|(name, _)| PLOTTED.contains(name));
    let row: Map<_, _> = plotted
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    json!({ "data": row })
}

/// All of them, as a model.
pub(super) fn model(figures: &Figures) -> Value {
    let all = figures.iter();
    Value::Object(
        all.map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    )
}
