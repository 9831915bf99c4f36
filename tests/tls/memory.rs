//! What an idle client costs.

use crate::Site;
use crate::client::*;

/// Resident memory of a process that is its own, in bytes.
fn memory(pid: u32) -> usize {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines()
        .filter_map(|line| line.strip_prefix("Anonymous:"))
        .filter_map(|rest| {
            rest.trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<usize>()
                .ok()
        })
        .sum::<usize>()
        * 1024
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_client_holds_at_most_12_kib() {
    const CLIENTS: usize = 1_000;
    for versions in VERSIONS {
        let site = Site::start();
        let pid = site.stack.gateway.pid();
        let config = std::sync::Arc::new(site.authority.client(versions));
        // What the first ones need once and for all is not counted.
        let mut clients: Vec<Wss> = (0..50).map(|_| site.websocket_with(&config)).collect();
        let before = memory(pid);
        clients.extend((0..CLIENTS).map(|_| site.websocket_with(&config)));
        let each = memory(pid).saturating_sub(before) / CLIENTS;
        println!("{each} bytes for each idle client");
        assert!(each > 500, "{each} bytes cannot be all");
        assert!(each <= 12 << 10, "{each} bytes");
        for client in &mut clients[..3] {
            client.expect_alive();
        }
    }
}
