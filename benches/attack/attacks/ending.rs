//! The end of a gateway that has much to do.

use std::time::{Duration, Instant};

use super::Attack;
use super::web::doubled;
use crate::fault::{Fault, Outcome};
use crate::load::Speaks;
use crate::stage::Stage;

pub const SIGTERM: Attack = Attack {
    id: "sigterm-under-load",
    title: "SIGTERM while 30 GETs of the doubling are in work",
    flags: &["--apiencoding", "jsonflat"],
    run: sigterm,
};

/// How long it may take to end.
const MOST: f64 = 3.0;

fn sigterm(stage: &mut Stage) -> Outcome {
    stage.serve(|name, _| doubled(name));
    let clients = stage.connect(30, Speaks::Http)?;
    stage.dismiss_canary()?;
    for client in clients {
        let get = b"GET /api/attack/dag/0 HTTP/1.1\r\nHost: x\r\n\r\n";
        stage.net.send_raw(client, get)?;
    }
    stage.pass(Duration::from_millis(100))?;
    let start = Instant::now();
    stage.subject.process().terminate()?;
    let code = loop {
        if let Some(code) = stage.subject.process().exit_code()? {
            break code;
        }
        if start.elapsed() > Duration::from_secs(90) {
            return Err(Fault::Late("the gateway to end".to_owned()));
        }
        stage.pass(Duration::from_millis(5))?;
    };
    let seconds = start.elapsed().as_secs_f64();
    stage.tell(format!(
        "ended after {seconds:.2} s with {code:?}",
        code = code.unwrap_or(-1)
    ));
    match code {
        Some(0) if seconds <= MOST => Ok(()),
        other => Err(Fault::Surprise(format!(
            "it ended with {other:?} after {seconds:.2} s"
        ))),
    }
}
