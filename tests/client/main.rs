//! The command line that talks to a gateway: the real binary, as scripts and people run it,
//! beside a real gateway, with a nats-server and with the broker inside.

#[path = "../common/mod.rs"]
mod common;

mod checking;
mod document;
mod errors;
mod program;
mod requests;
mod secure;
mod watching;

use common::*;
use program::*;

/// A gateway of either kind, each in turn.
fn for_each_broker(args: &[&str], test: impl Fn(&Stack)) {
    const PATIENT: [&str; 2] = ["--reqtimeout", "60000"];
    let args = [&PATIENT[..], args].concat();
    test(&Stack::start(&args));
    test(&Stack::start_inside(&args));
}
