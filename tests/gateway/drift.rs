//! Events that NATS loses are found out, and their clients put right.

use crate::away::Stage;
use crate::common::*;

#[test]
fn a_lost_event_is_found_and_put_right_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let wire = Wire::to(&broker.addr);
    let stage = Stage::start(&wire.url(), &["--driftaudit", "20"]);
    let svc = Service::of(&broker, "drift");
    let mut c = stage.client();
    c.subscribe(&svc, "drift.a", r#"{"model":{"a":1}}"#);
    // A comparison that finds nothing.
    svc.expect("get.drift.a").result(r#"{"model":{"a":1}}"#);
    wire.lose(r#"{"a":2}"#);
    svc.event("drift.a.change", r#"{"values":{"a":2}}"#);
    svc.event("drift.a.change", r#"{"values":{"b":1}}"#);
    c.expect_event("drift.a.change", r#"{"values":{"b":1}}"#);
    svc.expect("get.drift.a")
        .result(r#"{"model":{"a":2,"b":1}}"#);
    c.expect_event("drift.a.change", r#"{"values":{"a":2}}"#);
    stage
        .gateway
        .wait_for_log("drift.a: it was not what its service has", 1);
    let metrics = stage.metrics();
    assert_eq!(metrics.value("tidegate_drift_found_total"), 1.0);
    assert!(metrics.value("tidegate_drift_checks_total") >= 2.0);
}
