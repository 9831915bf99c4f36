//! What a gateway holds, in a few lines for people: what SIGUSR1 writes to the log.

use super::Snapshot;

/// The lines. `state` says whether clients are served.
pub fn summary(snapshot: &Snapshot<'_>, state: &str) -> Vec<String> {
    let Snapshot { stats, metrics, .. } = snapshot;
    let memory = match snapshot.memory {
        Some(bytes) => format!("{} KiB of memory", bytes >> 10),
        None => "memory unknown".to_owned(),
    };
    let mut lines = vec![
        format!("State: {state}, {memory}"),
        format!(
            "Clients: {} connections, {} WebSocket clients and {} web requests that are served, {} \
             subscriptions, {} bytes in buffers",
            snapshot.connections,
            stats.clients.saturating_sub(stats.web_requests),
            stats.web_requests,
            stats.subscriptions,
            snapshot.buffers
        ),
        format!(
            "Cache: {} resources, {} bytes, {} names of which {} linger, {} resource IDs",
            stats.resources, stats.cached_bytes, stats.names, stats.lingering, stats.aliases
        ),
        format!(
            "Requests to services: {} without answer, {} wait for their service, {} are \
             throttled; {} requests and events of clients wait for resources",
            stats.pending, stats.parked, stats.queued, stats.waiting
        ),
        format!(
            "NATS: {}, {} bytes in and {} out, {} messages in and {} out, lost {} times",
            if snapshot.broker_connected {
                "connected"
            } else {
                "lost"
            },
            snapshot.broker_traffic.received,
            snapshot.broker_traffic.sent,
            metrics.broker_messages,
            snapshot.broker_published,
            metrics.broker_losses,
        ),
    ];
    if let Some(counts) = &snapshot.broker_inside {
        lines.push(format!(
            "Broker inside: {} services, {} bytes in buffers",
            counts.connections, counts.waiting
        ));
    }
    lines
}
