//! What is counted, and its text in the OpenMetrics format 1.0.0.
//!
//! The families that Resgate 1.8.0 has come first, with its names, labels, types and
//! help texts, so that its dashboards keep working; then those of our own, which begin
//! with `tidegate_`. docs/METRICS.md says what each means.

mod summary;

use std::fmt::{Display, Write};

use crate::gateway::{Counters, Histogram, RequestKind, Stats};

pub use summary::summary;

/// Content type of [`write()`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The version of Resgate that `resgate_info` names.
const RESGATE: &str = "1.8.0";

/// Upper bounds of the groups that turns of the loop are counted in, in microseconds.
const TURN_TIMES: &[u64] = &[
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000,
];

/// The methods of HTTP requests that are counted, in the order of [`HttpRequests`].
const HTTP_METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

/// API requests that were given to the gateway, by method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpRequests([u64; HTTP_METHODS.len()]);

impl HttpRequests {
    /// Counts a request. `HEAD` counts as `GET`; unknown methods are not counted.
    pub fn count(&mut self, method: &str) {
        let method = if method == "HEAD" { "GET" } else { method };
        if let Some(place) = HTTP_METHODS.iter().position(|known| *known == method) {
            self.0[place] += 1;
        }
    }
}

/// Bytes that went through sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read.
    pub received: u64,
    /// Bytes written.
    pub sent: u64,
}

/// What the broker inside has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerCounts {
    /// Services that are connected.
    pub connections: usize,
    /// Connections so far.
    pub accepted: u64,
    /// Messages that services have published.
    pub messages_in: u64,
    /// Messages delivered to services.
    pub messages_out: u64,
    /// Services closed since they did not read.
    pub slow: u64,
    /// Bytes of input and output that wait.
    pub waiting: usize,
}

/// What the poll loop counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// When counting began, in seconds since 1970.
    pub created: u64,
    /// API requests.
    pub http_requests: HttpRequests,
    /// Messages queued for WebSocket clients.
    pub deliveries: u64,
    /// Messages that NATS delivered.
    pub broker_messages: u64,
    /// Connections to NATS that were lost.
    pub broker_losses: u64,
    /// What NATS has refused: subscriptions, messages, and what it did not name.
    pub broker_refusals: [u64; 3],
    /// Bytes read from clients.
    pub client_bytes_in: u64,
    /// HTTP requests that came too soon behind others of their address.
    pub hasty_requests: u64,
    /// Clients closed since they did not answer a ping.
    pub silent_clients: u64,
    /// WebSocket clients closed since they sent no message for long.
    pub idle_clients: u64,
    /// Clients closed since they were connected for long.
    pub old_clients: u64,
    /// Clients closed since the memory of all buffers was more than it may be.
    pub cut_clients: u64,
    /// Turns of the loop that left something over for the next one.
    pub cut_turns: u64,
    /// Time of a turn of the loop without its sleep, in microseconds.
    pub turns: Histogram,
    /// Time for which a processor was at work for a turn, in microseconds.
    pub turns_cpu: Histogram,
}

impl Metrics {
    /// Nothing counted yet. `created` is the time, in seconds since 1970.
    pub fn new(created: u64) -> Self {
        Self {
            created,
            http_requests: HttpRequests::default(),
            deliveries: 0,
            broker_messages: 0,
            broker_losses: 0,
            broker_refusals: [0; 3],
            client_bytes_in: 0,
            hasty_requests: 0,
            silent_clients: 0,
            idle_clients: 0,
            old_clients: 0,
            cut_clients: 0,
            cut_turns: 0,
            turns: Histogram::new(TURN_TIMES),
            turns_cpu: Histogram::new(TURN_TIMES),
        }
    }
}

/// Everything that is told at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// What the loop counted.
    pub metrics: &'a Metrics,
    /// What the gateway counted.
    pub counters: &'a Counters,
    /// What the gateway holds.
    pub stats: Stats,
    /// Connections of clients.
    pub connections: usize,
    /// Connections that were refused: too many in all, too many of an address.
    pub refused_connections: [u64; 2],
    /// Bytes written to clients.
    pub client_bytes_out: u64,
    /// Clients closed since they read too slowly.
    pub slow_clients: u64,
    /// Memory of waiting input and output of clients.
    pub buffers: usize,
    /// Bytes to and from NATS.
    pub broker_traffic: Traffic,
    /// Messages published.
    pub broker_published: u64,
    /// Whether NATS is connected.
    pub broker_connected: bool,
    /// What the broker inside has counted, if there is one.
    pub broker_inside: Option<BrokerCounts>,
    /// Milliseconds for which NATS is away; 0 if it is not.
    pub broker_away: u64,
    /// Memory of the process, in bytes, if the system tells.
    pub memory: Option<u64>,
}

/// Appends the text. It has no other end than this, so `out` should be empty.
pub fn write(snapshot: &Snapshot<'_>, out: &mut String) {
    let mut text = Text {
        out,
        created: snapshot.metrics.created,
    };
    write_resgate(snapshot, &mut text);
    write_resources(snapshot, &mut text);
    write_requests(snapshot, &mut text);
    write_loop(snapshot, &mut text);
    if let Some(counts) = &snapshot.broker_inside {
        write_broker(counts, &mut text);
    }
    text.out.push_str("# EOF\n");
}

/// The families of Resgate, in its order.
fn write_resgate(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    let (stats, counters) = (&snapshot.stats, snapshot.counters);
    text.family("go", "info", "Information about the Go environment.");
    text.sample("go_info", &[("version", "none")], 1);
    text.family("resgate", "info", "Information about resgate.");
    let versions = [("version", RESGATE), ("protocol", "1.2.3")];
    text.sample("resgate_info", &versions, 1);
    text.family(
        "go_memstats_sys_bytes",
        "gauge",
        "Number of bytes obtained from system.",
    );
    if let Some(memory) = snapshot.memory {
        text.sample("go_memstats_sys_bytes", &[], memory);
    }
    text.gauge(
        "resgate_ws_current_connections",
        "Current established WebSocket connections.",
        stats.clients - stats.web_requests - stats.streams,
    );
    text.counter(
        "resgate_ws_connections",
        "Total established WebSocket connections.",
        counters.clients,
    );
    text.family(
        "resgate_ws_requests",
        "counter",
        "Total WebSocket client requests.",
    );
    for (method, count) in [
        ("get", counters.gets),
        ("unsubscribe", counters.unsubscribes),
        ("auth", counters.auths),
        ("subscribe", counters.subscribes),
        ("call", counters.calls),
    ] {
        text.count("resgate_ws_requests", &[("method", method)], count);
    }
    text.family(
        "resgate_http_requests",
        "counter",
        "Total HTTP client requests.",
    );
    for (method, count) in HTTP_METHODS.iter().zip(snapshot.metrics.http_requests.0) {
        // As in Resgate, which has these two from the start and others from their first
        // use on.
        if count > 0 || matches!(*method, "GET" | "POST") {
            text.count("resgate_http_requests", &[("method", method)], count);
        }
    }
    text.gauge(
        "resgate_cache_resources",
        "Current number of resources stored in the cache.",
        stats.names,
    );
    text.gauge(
        "resgate_cache_subscriptions",
        "Current number of subscriptions on cached resources.",
        stats.subscriptions,
    );
}

/// Streams over HTTP, and what was not sent again.
fn write_streams(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    let (stats, counters) = (&snapshot.stats, snapshot.counters);
    text.gauge(
        "tidegate_streams",
        "Streams of events over HTTP that are open.",
        stats.streams,
    );
    text.counter(
        "tidegate_streams_begun",
        "Streams of events over HTTP that began.",
        counters.streams,
    );
    text.counter(
        "tidegate_streams_resumed",
        "Streams that began without content, since their clients had it.",
        counters.streams_resumed,
    );
    text.counter(
        "tidegate_resources_spared",
        "Resources that were left out of answers, since the clients had them.",
        counters.spared,
    );
}

/// Our own families about events and resources.
fn write_resources(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    let (stats, counters) = (&snapshot.stats, snapshot.counters);
    text.family("tidegate", "info", "The gateway's version.");
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.sample("tidegate_info", &version, 1);
    text.counter(
        "tidegate_events_received",
        "Events of resources that services sent.",
        counters.events_in,
    );
    text.counter(
        "tidegate_events_sent",
        "Events sent to clients, one for each receiver.",
        counters.events_out,
    );
    text.counter(
        "tidegate_deliveries",
        "Messages queued for WebSocket clients and streams: answers and events.",
        snapshot.metrics.deliveries,
    );
    write_streams(snapshot, text);

    text.family(
        "tidegate_cached_resources",
        "gauge",
        "Resources by state: being fetched, cached, cached and being fetched again.",
    );
    let loading = counters.requests(RequestKind::Load).open;
    let refreshing = counters.requests(RequestKind::Refresh).open;
    for (state, count) in [
        ("loading", loading),
        ("loaded", stats.resources.saturating_sub(refreshing)),
        ("refreshing", refreshing),
    ] {
        let labels = [("state", state)];
        text.sample("tidegate_cached_resources", &labels, count);
    }
    text.family(
        "tidegate_cached_bytes",
        "gauge",
        "JSON of cached resources, with 512 bytes more for each.",
    );
    text.unit("tidegate_cached_bytes", "bytes");
    text.sample("tidegate_cached_bytes", &[], stats.cached_bytes);
    text.counter(
        "tidegate_evicted_names",
        "Resource names forgotten before their time, to make room in the cache.",
        counters.evicted,
    );
    text.counter(
        "tidegate_refused_resources",
        "Resources not cached since all that was cached was in use.",
        counters.refused_resources,
    );
    text.gauge(
        "tidegate_lingering_names",
        "Resource names cached without being used.",
        stats.lingering,
    );
}

/// Our own families about requests to services, and what waits for them.
fn write_requests(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    let (stats, counters) = (&snapshot.stats, snapshot.counters);
    let kinds: [(&str, &[RequestKind]); 5] = [
        ("access", &[RequestKind::Access]),
        ("get", &[RequestKind::Load, RequestKind::Refresh]),
        ("call", &[RequestKind::Call]),
        ("auth", &[RequestKind::Auth]),
        ("query", &[RequestKind::Query]),
    ];
    text.family(
        "tidegate_pending_requests",
        "gauge",
        "Requests to services without answer.",
    );
    for (label, kinds) in kinds {
        let open: usize = kinds.iter().map(|kind| counters.requests(*kind).open).sum();
        text.sample("tidegate_pending_requests", &[("type", label)], open);
    }
    text.gauge(
        "tidegate_queued_requests",
        "Requests caused by resets that wait until fewer are open.",
        stats.queued,
    );
    text.gauge(
        "tidegate_parked_requests",
        "Requests that wait until their service has room.",
        stats.parked,
    );
    text.gauge(
        "tidegate_waiting",
        "Requests and events of clients that wait for resources.",
        stats.waiting,
    );
    text.family(
        "tidegate_request_seconds",
        "histogram",
        "Time from a request to a service to its answer or time-out.",
    );
    text.unit("tidegate_request_seconds", "seconds");
    for (label, kinds) in kinds {
        let times = kinds.iter().map(|kind| &counters.requests(*kind).times);
        text.histogram(
            "tidegate_request_seconds",
            &[("type", label)],
            times,
            1_000.0,
        );
    }
    // The same family: whoever adds up all its samples has each request once.
    for apart in counters.patterns() {
        for (label, kinds) in kinds {
            let labels = [("pattern", apart.pattern()), ("type", label)];
            let times = kinds.iter().map(|kind| apart.times(*kind));
            text.histogram("tidegate_request_seconds", &labels, times, 1_000.0);
        }
    }
}

/// Our own families about the loop and its sockets.
fn write_loop(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    let metrics = snapshot.metrics;
    text.gauge(
        "tidegate_connections",
        "Open connections of clients, HTTP and WebSocket.",
        snapshot.connections,
    );
    write_refusals(snapshot, text);
    write_refused_requests(snapshot, text);
    write_buffers(snapshot, text);
    write_differences(snapshot, text);
    write_traffic(snapshot, text);
    text.counter(
        "tidegate_loop_cut_turns",
        "Turns of the poll loop that left something over for the next one.",
        metrics.cut_turns,
    );
    for (family, help, turns) in [
        (
            "tidegate_loop_turn_seconds",
            "Time of a turn of the poll loop without its sleep.",
            &metrics.turns,
        ),
        (
            "tidegate_loop_turn_cpu_seconds",
            "CPU time of a turn of the poll loop.",
            &metrics.turns_cpu,
        ),
    ] {
        text.family(family, "histogram", help);
        text.unit(family, "seconds");
        text.histogram(family, &[], std::iter::once(turns), 1e6);
    }
}

/// Those about what limits have refused.
fn write_refusals(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    text.family(
        "tidegate_refused_connections",
        "counter",
        "Connections of clients that were refused, by the limit.",
    );
    let [all, address] = snapshot.refused_connections;
    for (limit, count) in [
        ("maxConnections", all),
        ("maxConnectionsPerAddress", address),
    ] {
        text.count("tidegate_refused_connections", &[("limit", limit)], count);
    }
}

/// Those about requests that limits have refused.
fn write_refused_requests(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    text.family(
        "tidegate_refused_requests",
        "counter",
        "Requests of clients that came too soon behind others (maxRequestsPerSecond).",
    );
    for (transport, count) in [
        ("ws", snapshot.counters.hasty),
        ("http", snapshot.metrics.hasty_requests),
    ] {
        let labels = [("transport", transport)];
        text.count("tidegate_refused_requests", &labels, count);
    }
    text.counter(
        "tidegate_refused_subscriptions",
        "Direct subscriptions refused to clients that had as many as they may (maxSubscriptions).",
        snapshot.counters.refused_subscriptions,
    );
}

/// Those about clients and caches that are brought up to date by a difference.
fn write_differences(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    text.counter(
        "tidegate_drift_checks",
        "Cached resources compared with what their services have.",
        snapshot.counters.drift_checks,
    );
    text.counter(
        "tidegate_drift_found",
        "Cached resources that differed from what their services had.",
        snapshot.counters.drifts,
    );
    text.counter(
        "tidegate_queues_shortened",
        "Subscriptions at which more events waited than may, and the difference took their place.",
        snapshot.counters.queues_shortened,
    );
}

/// Those about clients that are closed for what waits for them.
fn write_buffers(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    text.counter(
        "tidegate_slow_clients_dropped",
        "Clients closed since they read too slowly.",
        snapshot.slow_clients,
    );
    text.counter(
        "tidegate_buffer_clients_dropped",
        "Clients closed since the buffers of all clients took too much memory.",
        snapshot.metrics.cut_clients,
    );
    text.counter(
        "tidegate_token_clients_dropped",
        "Clients closed since their token may have changed while NATS was away.",
        snapshot.counters.dismissed,
    );
    text.counter(
        "tidegate_silent_clients_dropped",
        "WebSocket clients closed since they did not answer a ping.",
        snapshot.metrics.silent_clients,
    );
    text.counter(
        "tidegate_idle_clients_dropped",
        "WebSocket clients closed since they sent no message for long (wsIdleTimeout).",
        snapshot.metrics.idle_clients,
    );
    text.counter(
        "tidegate_old_clients_closed",
        "WebSocket clients closed since they were connected for long.",
        snapshot.metrics.old_clients,
    );
    text.family(
        "tidegate_buffer_bytes",
        "gauge",
        "Memory of waiting input and output of clients.",
    );
    text.unit("tidegate_buffer_bytes", "bytes");
    text.sample("tidegate_buffer_bytes", &[], snapshot.buffers);
}

/// Those about bytes and messages that went through sockets.
fn write_traffic(snapshot: &Snapshot<'_>, text: &mut Text<'_>) {
    let metrics = snapshot.metrics;
    let traffic = snapshot.broker_traffic;
    for (name, help, bytes) in [
        (
            "tidegate_client_received_bytes",
            "Bytes read from clients.",
            metrics.client_bytes_in,
        ),
        (
            "tidegate_client_sent_bytes",
            "Bytes written to clients.",
            snapshot.client_bytes_out,
        ),
        (
            "tidegate_nats_received_bytes",
            "Bytes read from NATS.",
            traffic.received,
        ),
        (
            "tidegate_nats_sent_bytes",
            "Bytes written to NATS.",
            traffic.sent,
        ),
    ] {
        text.family(name, "counter", help);
        text.unit(name, "bytes");
        text.count(name, &[], bytes);
    }
    text.counter(
        "tidegate_nats_messages_received",
        "Messages that NATS delivered.",
        metrics.broker_messages,
    );
    text.counter(
        "tidegate_nats_messages_sent",
        "Messages published on NATS.",
        snapshot.broker_published,
    );
    text.gauge(
        "tidegate_nats_connected",
        "Whether NATS is connected, 1 or 0.",
        u8::from(snapshot.broker_connected),
    );
    text.family(
        "tidegate_nats_away_seconds",
        "gauge",
        "Time since the connection to NATS was lost, 0 while there is one.",
    );
    text.unit("tidegate_nats_away_seconds", "seconds");
    let away = snapshot.broker_away as f64 / 1_000.0;
    text.sample("tidegate_nats_away_seconds", &[], away);
    text.counter(
        "tidegate_nats_lost_connections",
        "Connections to NATS that were lost.",
        metrics.broker_losses,
    );
    text.family(
        "tidegate_nats_refusals",
        "counter",
        "Operations that NATS refused, or would not have taken.",
    );
    let kinds = ["subscription", "request", "unknown"];
    for (kind, count) in kinds.iter().zip(metrics.broker_refusals) {
        text.count("tidegate_nats_refusals", &[("type", kind)], count);
    }
}

/// Those of the broker inside.
fn write_broker(counts: &BrokerCounts, text: &mut Text<'_>) {
    text.gauge(
        "tidegate_broker_connections",
        "Services connected to the broker inside.",
        counts.connections,
    );
    for (name, help, value) in [
        (
            "tidegate_broker_accepted_connections",
            "Connections of services to the broker inside.",
            counts.accepted,
        ),
        (
            "tidegate_broker_messages_received",
            "Messages that services have published at the broker inside.",
            counts.messages_in,
        ),
        (
            "tidegate_broker_messages_sent",
            "Messages that the broker inside has delivered to services.",
            counts.messages_out,
        ),
        (
            "tidegate_broker_slow_services_dropped",
            "Services closed since they did not read.",
            counts.slow,
        ),
    ] {
        text.counter(name, help, value);
    }
    text.family(
        "tidegate_broker_buffer_bytes",
        "gauge",
        "Waiting input and output of services at the broker inside.",
    );
    text.unit("tidegate_broker_buffer_bytes", "bytes");
    text.sample("tidegate_broker_buffer_bytes", &[], counts.waiting);
}

/// Labels with their values, which hold nothing that must be escaped.
type Labels<'a> = [(&'a str, &'a str)];

/// Writes families and samples.
struct Text<'o> {
    out: &'o mut String,
    created: u64,
}

impl Text<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# TYPE {name} {kind}"));
        self.line(format_args!("# HELP {name} {help}"));
    }

    fn unit(&mut self, name: &str, unit: &str) {
        self.line(format_args!("# UNIT {name} {unit}"));
    }

    /// A family of one gauge.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A family of one counter.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.count(name, &[], value);
    }

    /// The samples of a counter.
    fn count(&mut self, name: &str, labels: &Labels<'_>, value: u64) {
        self.sample(&format!("{name}_total"), labels, value);
        self.created(name, labels);
    }

    /// The samples of a histogram, which is the sum of several. Values are divided by
    /// `scale`.
    fn histogram<'a>(
        &mut self,
        name: &str,
        labels: &Labels<'_>,
        parts: impl Iterator<Item = &'a Histogram>,
        scale: f64,
    ) {
        let mut groups: Vec<(u64, u64)> = Vec::new();
        let (mut count, mut sum) = (0, 0);
        for part in parts {
            count += part.count();
            sum += part.sum();
            for (index, (bound, below)) in part.groups().enumerate() {
                match groups.get_mut(index) {
                    Some(group) => group.1 += below,
                    None => groups.push((bound, below)),
                }
            }
        }
        let bucket = format!("{name}_bucket");
        let bounds = groups
            .into_iter()
            .map(|(bound, below)| (format!("{:?}", bound as f64 / scale), below))
            .chain([("+Inf".to_owned(), count)]);
        for (bound, below) in bounds {
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.sample(&bucket, &labels, below);
        }
        self.sample(&format!("{name}_count"), labels, count);
        self.sample(&format!("{name}_sum"), labels, sum as f64 / scale);
        self.created(name, labels);
    }

    fn created(&mut self, name: &str, labels: &Labels<'_>) {
        self.sample(&format!("{name}_created"), labels, self.created);
    }

    fn sample(&mut self, name: &str, labels: &Labels<'_>, value: impl Display) {
        self.out.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            // Writing into a string cannot fail.
            let _ = write!(self.out, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.out, "{line}");
    }
}

#[cfg(test)]
mod tests;
