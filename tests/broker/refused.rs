//! What the broker inside does not do is said before anything is opened.

use crate::common::*;

#[test]
fn addresses_that_others_reach_need_users() {
    for (args, words) in [
        (&["--broker=0.0.0.0:0"][..], "everybody could be a service"),
        (&["--broker", "nowhere"], "is no address to listen on"),
        (
            &["--broker", "--brokerusers", "{}"],
            "must be a list of users",
        ),
        (&["--broker", "--brokerusers", "[{]"], "is no valid JSON"),
        (
            &["--broker", "--brokerusers", "[{\"user\":\"a\"}]"],
            "user 1: needs \"user\" and \"password\"",
        ),
        (
            &[
                "--broker",
                "--brokerusers",
                "[{\"token\":\"t\",\"nkey\":\"x\"}]",
            ],
            "use a nats-server for it",
        ),
        (&["--broker", "--brokertlscert", "x"], "set --brokertlskey"),
    ] {
        let (code, log) = Gateway::run_to_end("nats://127.0.0.1:1", args);
        assert_eq!(code, Some(1), "{args:?}: {log}");
        assert!(log.contains(words), "{args:?}: {log}");
        assert!(!log.contains("Broker for services"), "{args:?}: {log}");
    }
}

#[test]
fn what_only_a_nats_server_has_is_refused() {
    let directory = Directory::new();
    for member in ["cluster", "jetstream", "accounts", "websocket", "LeafNodes"] {
        let file = directory.write("a.json", &format!("{{\"{member}\": {{}}}}"));
        let args = ["--broker", "127.0.0.1:0", "-c", &file];
        let (code, log) = Gateway::run_to_end("nats://127.0.0.1:1", &args);
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.contains("use a nats-server for it, with --nats"),
            "{log}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = other.local_addr().expect("an address").to_string();
    let (code, log) = Gateway::run_to_end("nats://127.0.0.1:1", &["--broker", &addr]);
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains(&addr) && log.contains("choose another with --broker"),
        "{log}"
    );
}
