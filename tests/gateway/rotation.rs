//! WebSocket clients that have been connected for long are closed, one after the other.

use crate::common::*;

const MODEL: &str = r#"{"model":{"a":1}}"#;

#[test]
fn old_clients_are_closed_when_they_wait_for_nothing_unlike_resgate() {
    if is_peer() {
        return;
    }
    let metrics = free_port().to_string();
    let args = ["--maxage", "2000", "--reqtimeout", "60000"];
    let stack = Stack::start(&[&args[..], &["--metricsport", &metrics]].concat());
    let svc = stack.service("rotation");
    let mut asking = stack.client();
    asking.send(r#"{"id":7,"method":"call.rotation.slow.set"}"#);
    svc.grant("rotation.slow");
    let call = svc.expect("call.rotation.slow.set");
    let mut idle: Vec<Client> = (0..10).map(|_| stack.client()).collect();
    let mut kept = stack.http();
    for client in &mut idle {
        assert_eq!(client.next_close(), Some(1001));
    }
    // Those who come back are served.
    stack.client().subscribe(&svc, "rotation.model", MODEL);
    // Whoever waits for an answer gets it; or the service took too long for that.
    call.result("null");
    let mut http = Http::connect_to(&format!("127.0.0.1:{metrics}"));
    match asking.next_message() {
        tungstenite::Message::Text(text) => {
            assert_json(&text, r#"{"id":7,"result":{"payload":null}}"#);
            assert_eq!(asking.next_close(), Some(1001));
        }
        tungstenite::Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    kept.get("/nowhere");
    assert_eq!(kept.response().status, 404);
    http.get("/metrics");
    let exposition = Exposition::parse(&http.response().body);
    let closed = exposition.value("tidegate_old_clients_closed_total");
    assert!(closed >= 11.0, "{closed}");
}
