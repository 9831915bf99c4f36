use super::*;
use crate::gateway::{Gateway, Options};

/// A gateway in which nothing happens.
fn gateway() -> Gateway {
    Gateway::new(Options {
        seed: [1, 2, 3, 4],
        write_head: |_, _, _| {},
        ..Options::default()
    })
}

fn text(metrics: &Metrics, change: impl FnOnce(&mut Snapshot<'_>)) -> String {
    let gateway = gateway();
    let mut snapshot = Snapshot {
        metrics,
        counters: gateway.counters(),
        stats: gateway.stats(),
        connections: 0,
        refused_connections: [0; 2],
        client_bytes_out: 0,
        slow_clients: 0,
        buffers: 0,
        broker_traffic: Traffic::default(),
        broker_published: 0,
        broker_connected: true,
        broker_inside: None,
        broker_away: 0,
        memory: Some(5_000),
    };
    change(&mut snapshot);
    let mut out = String::new();
    write(&snapshot, &mut out);
    out
}

#[test]
fn begins_with_the_families_of_resgate() {
    let mut metrics = Metrics::new(1_700_000_000);
    for method in ["GET", "HEAD", "POST", "PATCH", "FOO", "get"] {
        metrics.http_requests.count(method);
    }
    let text = text(&metrics, |snapshot| {
        snapshot.stats.clients = 7;
        snapshot.stats.web_requests = 2;
        snapshot.stats.names = 3;
        snapshot.stats.subscriptions = 4;
    });
    // As Resgate 1.8.0 writes it, apart from values.
    let expected = r#"# TYPE go info
# HELP go Information about the Go environment.
go_info{version="none"} 1
# TYPE resgate info
# HELP resgate Information about resgate.
resgate_info{version="1.8.0",protocol="1.2.3"} 1
# TYPE go_memstats_sys_bytes gauge
# HELP go_memstats_sys_bytes Number of bytes obtained from system.
go_memstats_sys_bytes 5000
# TYPE resgate_ws_current_connections gauge
# HELP resgate_ws_current_connections Current established WebSocket connections.
resgate_ws_current_connections 5
# TYPE resgate_ws_connections counter
# HELP resgate_ws_connections Total established WebSocket connections.
resgate_ws_connections_total 0
resgate_ws_connections_created 1700000000
# TYPE resgate_ws_requests counter
# HELP resgate_ws_requests Total WebSocket client requests.
resgate_ws_requests_total{method="get"} 0
resgate_ws_requests_created{method="get"} 1700000000
resgate_ws_requests_total{method="unsubscribe"} 0
resgate_ws_requests_created{method="unsubscribe"} 1700000000
resgate_ws_requests_total{method="auth"} 0
resgate_ws_requests_created{method="auth"} 1700000000
resgate_ws_requests_total{method="subscribe"} 0
resgate_ws_requests_created{method="subscribe"} 1700000000
resgate_ws_requests_total{method="call"} 0
resgate_ws_requests_created{method="call"} 1700000000
# TYPE resgate_http_requests counter
# HELP resgate_http_requests Total HTTP client requests.
resgate_http_requests_total{method="GET"} 2
resgate_http_requests_created{method="GET"} 1700000000
resgate_http_requests_total{method="POST"} 1
resgate_http_requests_created{method="POST"} 1700000000
resgate_http_requests_total{method="PATCH"} 1
resgate_http_requests_created{method="PATCH"} 1700000000
# TYPE resgate_cache_resources gauge
# HELP resgate_cache_resources Current number of resources stored in the cache.
resgate_cache_resources 3
# TYPE resgate_cache_subscriptions gauge
# HELP resgate_cache_subscriptions Current number of subscriptions on cached resources.
resgate_cache_subscriptions 4
"#;
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn histograms_are_in_seconds() {
    let mut metrics = Metrics::new(9);
    for micros in [10, 50, 51, 300_000, 2_500_000] {
        metrics.turns.observe(micros);
        metrics.turns_cpu.observe(micros / 10);
    }
    let text = text(&metrics, |_| {});
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("tidegate_loop_turn_seconds_"))
        .collect();
    assert_eq!(lines.len(), TURN_TIMES.len() + 4);
    assert_eq!(lines[0], r#"bucket{le="5e-5"} 2"#);
    assert_eq!(lines[1], r#"bucket{le="0.0001"} 3"#);
    assert_eq!(lines[TURN_TIMES.len() - 1], r#"bucket{le="1.0"} 4"#);
    assert_eq!(
        lines[TURN_TIMES.len()..],
        [
            r#"bucket{le="+Inf"} 5"#,
            "count 5",
            "sum 2.800111",
            "created 9"
        ]
    );
    assert!(text.contains("tidegate_loop_turn_cpu_seconds_bucket{le=\"0.05\"} 4\n"));
    assert!(text.contains("tidegate_request_seconds_bucket{type=\"get\",le=\"0.001\"} 0\n"));
}

#[test]
fn what_the_system_does_not_tell_is_left_out() {
    let text = text(&Metrics::new(0), |snapshot| {
        snapshot.memory = None;
        snapshot.broker_connected = false;
    });
    assert!(!text.contains("\ngo_memstats_sys_bytes "));
    assert!(text.contains("\ntidegate_nats_connected 0\n"));
}
