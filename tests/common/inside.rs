//! The broker inside the gateway in place of a nats-server, with `TEST_BROKER=inside`: in all
//! tests but those that `tests/data/needs_nats_server.txt` names, with the reason.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// What a test is told that does with the broker inside what only a server can.
pub const NEEDS_A_SERVER: &str = "this test needs a nats-server: name it, with the reason, in \
    tests/data/needs_nats_server.txt (tests have no names with --test-threads=1)";

/// Addresses that were given to tests for the broker inside the gateway that they start.
static RESERVED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Tests that need a nats-server, each a name or the beginning of names, and why.
pub fn exceptions() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = include_str!("../data/needs_nats_server.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (name, why) = line.split_once(' ').unwrap_or((line, ""));
        (name, why.trim())
    })
}

/// Whether the broker is inside where nothing speaks against it.
pub fn is_wanted() -> bool {
    std::env::var("TEST_BROKER").is_ok_and(|broker| broker == "inside")
}

/// Whether this test has the broker inside.
pub fn is_for_this_test() -> bool {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("");
    is_wanted() && !exceptions().any(|(start, _)| name.starts_with(start))
}

/// An address that [`broker_of`] knows afterwards.
pub fn reserve() -> String {
    let addr = format!("127.0.0.1:{}", super::free_port());
    let mut reserved = RESERVED.lock().expect("no holder panics");
    reserved.get_or_insert_default().insert(addr.clone());
    addr
}

/// By which flag a gateway finds its broker: who is started first with a reserved address has
/// it inside, and others are its clients.
pub fn broker_of(url: &str) -> [String; 2] {
    let addr = url.strip_prefix("nats://").unwrap_or(url);
    let mut reserved = RESERVED.lock().expect("no holder panics");
    let is_reserved = reserved.get_or_insert_default().contains(addr);
    if is_reserved && TcpListener::bind(addr).is_ok() {
        return ["--broker".to_owned(), addr.to_owned()];
    }
    ["--nats".to_owned(), url.to_owned()]
}
