//! What many clients are sent alike: exact for each, and in memory once.

use crate::common::*;

/// A model of almost 1 MiB, as much as fits one message of the broker, whose parts all
/// differ.
fn large_model() -> String {
    let properties: Vec<String> = (0..9_000)
        .map(|n| format!(r#""p{n:05}":"{}""#, format!("{n:x}.").repeat(20)))
        .collect();
    let model = format!("{{{}}}", properties.join(","));
    assert!(
        (900_000..1_040_000).contains(&model.len()),
        "{}",
        model.len()
    );
    model
}

/// Memory of a process that is its own, in KiB.
fn memory(pid: u32) -> usize {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"));
    let line = line.expect("Linux says so since 4.14");
    let number = line.trim().trim_end_matches(" kB");
    number.parse().expect("a number of KiB")
}

#[cfg(target_os = "linux")]
#[test]
fn what_waits_for_30_clients_is_in_memory_once_unlike_resgate() {
    if is_peer() {
        return;
    }
    const CLIENTS: usize = 30;
    // More of 1 MiB than the sockets of one client hold.
    const RESOURCES: usize = 6;
    let stack = Stack::start(&["--reqtimeout", "60000"]);
    let svc = stack.service("share");
    let model = large_model();
    let answer =
        |n: usize, id| format!(r#"{{"result":{{"models":{{"share.{n}":{model}}}}},"id":{id}}}"#);
    let mut first = stack.client();
    for n in 0..RESOURCES {
        first.subscribe(
            &svc,
            &format!("share.{n}"),
            &format!(r#"{{"model":{model}}}"#),
        );
    }
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| stack.client()).collect();
    let before = memory(stack.gateway.pid());
    for n in 0..RESOURCES {
        for client in &mut clients {
            client.ask(&format!("subscribe.share.{n}"));
            svc.grant(&format!("share.{n}"));
        }
    }
    // Now all are answered: what they have not got waits for them to read.
    first.fence(&svc, "share.0");
    let grown = memory(stack.gateway.pid()).saturating_sub(before);
    assert!(grown <= 4 << 10, "{grown} KiB more than before");
    for client in &mut clients {
        for n in 0..RESOURCES {
            // The version request had the first ID.
            assert!(client.next() == answer(n, n + 2), "not the answer with {n}");
        }
    }
    svc.event("share.0.change", r#"{"values":{"p00000":1}}"#);
    for client in &mut clients {
        client.expect_event("share.0.change", r#"{"values":{"p00000":1}}"#);
    }
}

#[test]
fn a_large_tree_reaches_every_client_whole() {
    const CLIENTS: usize = 20;
    const COUNT: usize = 500;
    let stack = Stack::shared();
    let svc = stack.service("sharetree");
    let refs: Vec<String> = (0..COUNT)
        .map(|n| format!(r#"{{"rid":"sharetree.m{n}"}}"#))
        .collect();
    let refs = refs.join(",");
    let mut models: Vec<String> = (0..COUNT)
        .map(|n| format!(r#""sharetree.m{n}":{{"n":{n}}}"#))
        .collect();
    models.sort();
    let models = models.join(",");
    let result =
        format!(r#"{{"models":{{{models}}},"collections":{{"sharetree.list":[{refs}]}}}}"#);
    for number in 0..CLIENTS {
        let mut client = stack.client();
        let id = client.ask("subscribe.sharetree.list");
        if number == 0 {
            svc.serve("sharetree.list", &format!(r#"{{"collection":[{refs}]}}"#));
            for _ in 0..COUNT {
                let get = svc.next();
                let n = get
                    .subject()
                    .trim_start_matches("get.sharetree.m")
                    .to_owned();
                get.result(&format!(r#"{{"model":{{"n":{n}}}}}"#));
            }
        } else {
            svc.grant("sharetree.list");
        }
        client.expect_result(id, &result);
        client.unsubscribe("sharetree.list");
    }
}
