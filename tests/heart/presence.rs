//! Services are told who is connected.

use crate::harness::{Heart, Request};
use tidegate::gateway::{Method, Options};

fn heart() -> Heart {
    Heart::with(Options {
        heartbeat: 5_000,
        ..Options::default()
    })
}

/// What services were told since they last looked, each with its payload; the gateway's own ID
/// is `$GATEWAY` in it.
fn told(h: &mut Heart) -> Vec<(String, String)> {
    let mut told = Vec::new();
    while let Some(Request {
        subject,
        reply,
        payload,
        ..
    }) = h.next_request()
    {
        assert_eq!(reply, "", "{subject} asks for an answer");
        let gateway = payload
            .split_once(r#""gateway":""#)
            .and_then(|(_, rest)| rest.split('"').next())
            .expect("a gateway is named")
            .to_owned();
        assert_eq!(gateway.len(), 20, "{gateway}");
        told.push((
            subject.replace(&gateway, "$GATEWAY"),
            payload.replace(&gateway, "$GATEWAY"),
        ));
    }
    told
}

/// The connection IDs that connect and disconnect events tell of, with `+` and `-`.
fn passages(h: &mut Heart) -> Vec<(char, String)> {
    let mut passages = Vec::new();
    for (subject, payload) in told(h) {
        let parts: Vec<&str> = subject.split('.').collect();
        let sign = match parts[..] {
            ["conn", _, "connect"] => '+',
            ["conn", _, "disconnect"] => '-',
            _ => continue,
        };
        let cid = parts[1];
        assert!(payload.contains(r#""gateway":"$GATEWAY""#), "{payload}");
        passages.push((sign, cid.to_owned()));
    }
    passages
}

#[test]
fn each_that_comes_and_goes_is_told() {
    let mut h = heart();
    told(&mut h);
    h.connect(1, None);
    h.connect(2, None);
    let came = passages(&mut h);
    assert_eq!(
        came.iter().map(|(sign, _)| *sign).collect::<Vec<_>>(),
        ['+', '+']
    );
    assert_ne!(came[0].1, came[1].1);
    h.close(2);
    h.close(1);
    let gone = passages(&mut h);
    assert_eq!(gone, [('-', came[1].1.clone()), ('-', came[0].1.clone())]);
}

#[test]
fn nothing_is_told_where_nobody_asked_for_it() {
    let mut h = Heart::new();
    h.connect(1, None);
    h.ask("system.connections", "presence.inbox");
    h.heartbeat();
    h.close(1);
    h.expect_no_request();
}

#[test]
fn one_that_is_authenticated_first_is_told_when_it_is_let_in() {
    let method = Method {
        resource: "auth.users".into(),
        method: "login".into(),
    };
    let mut h = Heart::with(Options {
        heartbeat: 5_000,
        ws_header_auth: Some(method),
        ..Options::default()
    });
    told(&mut h);
    h.ask_upgrade(1);
    let auth = h.expect_request("auth.auth.users.login");
    h.expect_no_request();
    h.respond(&auth, r#"{"result":null}"#);
    h.upgraded(1);
    assert_eq!(passages(&mut h).len(), 1);
    h.close(1);
    assert_eq!(passages(&mut h).len(), 1);
}

#[test]
fn a_heartbeat_tells_how_many_there_were() {
    let mut h = heart();
    let heartbeat = |connections: u32, events: u32| {
        (
            "gateway.$GATEWAY.heartbeat".to_owned(),
            format!(
                r#"{{"gateway":"$GATEWAY","connections":{connections},"events":{events},"interval":5000}}"#
            ),
        )
    };
    // There is one when the broker is there.
    assert_eq!(told(&mut h), [heartbeat(0, 0)]);
    for client in 1..=3 {
        h.connect(client, None);
    }
    h.close(2);
    told(&mut h);
    h.heartbeat();
    assert_eq!(told(&mut h), [heartbeat(2, 4)]);
    // What happens while the broker is away is counted, and not told.
    h.lose_broker();
    h.close(1);
    h.heartbeat();
    h.expect_no_request();
    h.return_broker();
    assert_eq!(told(&mut h), [heartbeat(1, 5)]);
    h.close(3);
    told(&mut h);
}

#[test]
fn who_asks_is_told_of_all() {
    let mut h = heart();
    for client in 1..=5 {
        h.connect(client, None);
    }
    h.close(2);
    told(&mut h);
    h.ask("system.connections", "presence.inbox");
    let parts = told(&mut h);
    assert!(parts.len() > 1, "{parts:?}");
    let mut cids = 0;
    for (place, (subject, payload)) in parts.iter().enumerate() {
        assert_eq!(subject, "presence.inbox");
        let is_last = place + 1 == parts.len();
        let is_first = place == 0;
        let end = format!(
            r#""first":{is_first},"more":{},"events":6,"interval":5000}}"#,
            !is_last
        );
        assert!(payload.ends_with(&end), "{payload}");
        let part: serde_json::Value = serde_json::from_str(payload).expect("JSON");
        let told = part["cids"].as_array().map_or(0, Vec::len);
        // Debug builds tell of two at a time.
        assert!(told <= 2, "{payload}");
        cids += told;
    }
    assert_eq!(cids, 4);
    // What is no request is ignored.
    for reply in ["", "a b", "a.>"] {
        h.ask("system.connections", reply);
    }
    h.event("system.connections", "null");
    h.expect_no_request();
    for client in [1, 3, 4, 5] {
        h.close(client);
    }
    told(&mut h);
}
