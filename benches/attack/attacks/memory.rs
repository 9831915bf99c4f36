//! Clients that make the gateway keep much, and leave.

use std::time::Duration;

use super::Attack;
use crate::fault::Outcome;
use crate::load::Speaks;
use crate::stage::Stage;

pub const LEAVE_AND_LINGER: Attack = Attack {
    id: "unsub-storm",
    title: "a client with 100,000 subscriptions leaves; the five seconds after, and more",
    flags: &[],
    run: leave_and_linger,
};

fn leave_and_linger(stage: &mut Stage) -> Outcome {
    let count = stage.scale.count(100_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, count, |name| format!("attack.item.{name}"))?;
    stage.begin()?;
    stage.net.end(client)?;
    // Names that nobody uses are kept for five seconds.
    stage.pass(Duration::from_secs(9))?;
    stage.end()
}
