//! Reset events.

use super::Attack;
use crate::fault::Outcome;
use crate::load::Speaks;
use crate::stage::Stage;

pub const PATTERNS: Attack = Attack {
    id: "reset-patterns",
    title: "one reset event with 40,000 patterns, over 5,000 names",
    flags: &[],
    run: patterns,
};

fn patterns(stage: &mut Stage) -> Outcome {
    let names = match stage.scale.is_large {
        true => 100_000,
        false => stage.scale.count(5_000),
    };
    let patterns = stage.scale.count(40_000);
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    stage.subscribe(client, names, |name| format!("attack.item.{name}.part"))?;
    let patterns = (0..patterns).map(|it| format!(r#""attack.*.{it}.*.>""#));
    let patterns = patterns.collect::<Vec<_>>().join(",");
    stage.begin()?;
    let reset = format!(r#"{{"resources":[{patterns}]}}"#);
    stage.net.publish(b"system.reset", reset.as_bytes());
    // Behind it in the gateway's input.
    super::lists::mark(stage, client, "attack.item.0.part")?;
    stage.end()
}
