//! Clients of which nothing is heard are asked by a ping, and closed if they do not answer.

use crate::common::*;

const PING: Frame = Frame {
    first: 0x89,
    payload: Vec::new(),
};

#[test]
fn a_client_that_does_not_answer_a_ping_is_closed_and_others_stay_unlike_resgate() {
    if is_peer() {
        return;
    }
    let metrics = free_port();
    let stack = Stack::start(&[
        "--pinginterval",
        "1000",
        "--metricsport",
        &metrics.to_string(),
    ]);
    let (mut silent, mut there) = (stack.raw(), stack.raw());
    // Three intervals long it says nothing but that it is there.
    for _ in 0..3 {
        assert_eq!(there.next(), PING);
        there.frame(0x8a, b"");
    }
    there.expect_alive();
    assert_eq!(silent.next(), PING);
    let close = silent.next();
    assert_eq!(close.close_code(), Some(1008));
    assert_eq!(&close.payload[2..], b"no answer to a ping");
    silent.frame(0x88, &1008u16.to_be_bytes());
    silent.expect_eof();

    let mut http = Http::connect_to(&format!("127.0.0.1:{metrics}"));
    http.get("/metrics");
    let body = http.response().body;
    let line = "tidegate_silent_clients_dropped_total 1\n";
    assert!(body.contains(line), "{body}");
}
