//! Answers that are encoded once for many clients: each is what its client lacks, at the
//! versions that it is then sent events for.

use crate::harness::{Heart, LINGER};

/// A text that makes whatever it stands in worth sharing.
fn long(first: char) -> String {
    format!("{first}{}", "x".repeat(1_000))
}

fn model(text: &str) -> String {
    format!(r#"{{"text":"{text}"}}"#)
}

/// A list and the models that it references, `t.0` and so on, all cached.
fn tree(heart: &mut Heart, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("t.{n}")).collect();
    let refs: Vec<String> = names
        .iter()
        .map(|n| format!(r#"{{"rid":"{n}"}}"#))
        .collect();
    let list = format!(r#"{{"collection":[{}]}}"#, refs.join(","));
    let content = format!(r#"{{"model":{}}}"#, model(&long('a')));
    let mut resources = vec![("t.list", &*list)];
    resources.extend(names.iter().map(|name| (&**name, &*content)));
    heart.subscribed_tree(1, &resources);
}

/// The answer that brings models with these texts, and the list of as many.
fn answer(id: u64, list: Option<usize>, models: &[(usize, String)]) -> String {
    let models: Vec<String> = models
        .iter()
        .map(|(n, text)| format!(r#""t.{n}":{}"#, model(text)))
        .collect();
    let list = list.map_or(String::new(), |count| {
        let refs: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"rid":"t.{n}"}}"#))
            .collect();
        format!(r#","collections":{{"t.list":[{}]}}"#, refs.join(","))
    });
    let models = models.join(",");
    format!(r#"{{"result":{{"models":{{{models}}}{list}}},"id":{id}}}"#)
}

#[test]
fn clients_of_one_tree_share_its_answer() {
    let mut h = Heart::new();
    tree(&mut h, 3);
    let all = [(0, long('a')), (1, long('a')), (2, long('a'))];
    for number in 2..50 {
        // IDs of all lengths.
        let id = 7_u64.pow(number % 20);
        h.client(number).subscribe(id, "t.list");
        h.grant("t.list");
        h.client(number).receives(&answer(id, Some(3), &all));
    }
    assert_eq!(h.shared_bodies(), 1);
    // Everybody is sent what happens then.
    h.change("t.1", r#"{"n":1}"#);
    for number in 1..50 {
        h.client(number)
            .receives(r#"{"event":"t.1.change","data":{"values":{"n":1}}}"#);
    }
}

#[test]
fn an_answer_has_the_present_versions() {
    let mut h = Heart::new();
    tree(&mut h, 2);
    for (number, text) in [(2, long('b')), (3, long('c')), (4, long('c'))] {
        h.change("t.1", &model(&text));
        let id = u64::from(number);
        h.client(number).subscribe(id, "t.list");
        h.grant("t.list");
        let all = [(0, long('a')), (1, text)];
        h.client(number).receives(&answer(id, Some(2), &all));
    }
    assert_eq!(h.shared_bodies(), 3);
    h.discard();
}

#[test]
fn an_answer_waits_with_the_version_that_was_handed_over() {
    let mut h = Heart::new();
    tree(&mut h, 2);
    h.client(2).subscribe(1, "t.list");
    let change = model(&long('b'));
    h.change("t.1", &change);
    h.client(3).subscribe(1, "t.list");
    let before = [(0, long('a')), (1, long('a'))];
    let after = [(0, long('a')), (1, long('b'))];
    h.grant("t.list");
    h.grant("t.list");
    // Who has asked before the change is sent it as an event.
    let event = format!(r#"{{"event":"t.1.change","data":{{"values":{change}}}}}"#);
    h.client(2)
        .receives(&answer(1, Some(2), &before))
        .receives(&event);
    h.client(3)
        .receives(&answer(1, Some(2), &after))
        .receives_nothing();
    h.client(1).receives(&event);
}

#[test]
fn what_a_client_holds_is_left_out() {
    let mut h = Heart::new();
    tree(&mut h, 3);
    for number in [2, 3, 4] {
        if number != 4 {
            h.client(number).subscribe(1, "t.1");
            h.grant("t.1");
            h.client(number)
                .receives(&answer(1, None, &[(1, long('a'))]));
        }
        h.client(number).subscribe(2, "t.list");
        h.grant("t.list");
    }
    let some = [(0, long('a')), (2, long('a'))];
    let all = [(0, long('a')), (1, long('a')), (2, long('a'))];
    h.client(2).receives(&answer(2, Some(3), &some));
    h.client(3).receives(&answer(2, Some(3), &some));
    h.client(4).receives(&answer(2, Some(3), &all));
    // The first tree, the model alone, and the tree without it.
    assert_eq!(h.shared_bodies(), 3);
    // Nothing is lacking any more.
    h.client(2)
        .subscribe(3, "t.list")
        .receives(r#"{"result":{},"id":3}"#);
}

#[test]
fn old_protocols_have_their_own_answers() {
    let mut h = Heart::new();
    let text = long('a');
    let content = format!(r#"{{"model":{{"d":{{"data":[1]}},"text":"{text}"}}}}"#);
    h.subscribed(1, "t.m", &content);
    for (number, version, data) in [
        (2, "1.2.3", r#"{"data":[1]}"#),
        (3, "1.2.0", r#""[Data]""#),
        (4, "1.2.0", r#""[Data]""#),
        (5, "1.2.3", r#"{"data":[1]}"#),
    ] {
        h.connect(number, Some(version));
        let expected = format!(
            r#"{{"result":{{"models":{{"t.m":{{"d":{data},"text":"{text}"}}}}}},"id":100}}"#
        );
        assert_eq!(h.subscribed_again(number, "t.m"), expected);
    }
    assert_eq!(h.shared_bodies(), 2);
}

#[test]
fn resource_responses_share_an_answer_of_their_own() {
    let mut h = Heart::new();
    let text = long('a');
    h.subscribed(1, "t.m", &format!(r#"{{"model":{}}}"#, model(&text)));
    for number in 2..6 {
        let id = u64::from(number);
        h.client(number).call(id, "t.maker.make");
        h.grant("t.maker");
        let call = h.expect_request("call.t.maker.make");
        h.respond(&call, r#"{"resource":{"rid":"t.m"}}"#);
        h.grant("t.m");
        let model = model(&text);
        h.client(number).receives(&format!(
            r#"{{"result":{{"rid":"t.m","models":{{"t.m":{model}}}}},"id":{id}}}"#
        ));
    }
    assert_eq!(h.shared_bodies(), 2);
}

#[test]
fn errors_are_told_to_each_client_anew() {
    let mut h = Heart::new();
    let text = long('a');
    let root = format!(r#"{{"model":{{"c":{{"rid":"t.child"}},"text":"{text}"}}}}"#);
    for (number, code) in [(1, "test.one"), (2, "test.two")] {
        h.client(number).subscribe(1, "t.root");
        h.grant("t.root");
        if number == 1 {
            h.serve("t.root", &root);
        }
        h.fail("t.child", code);
        h.client(number).receives(&format!(
            r#"{{"result":{{"models":{{"t.root":{{"c":{{"rid":"t.child"}},"text":"{text}"}}}},"errors":{{"t.child":{{"code":"{code}","message":"M"}}}}}},"id":1}}"#
        ));
    }
    assert_eq!(h.shared_bodies(), 0);
}

#[test]
fn resources_of_one_client_alone_are_shared_with_nobody() {
    let mut h = Heart::new();
    for (number, text) in [(1, long('a')), (2, long('b'))] {
        h.client(number).subscribe(1, "t.{cid}");
        let access = h.subjects()[0].to_owned();
        let name = access
            .strip_prefix("access.")
            .expect("access is asked first");
        let name = name.to_owned();
        h.grant(&name);
        h.serve(&name, &format!(r#"{{"model":{}}}"#, model(&text)));
        let model = model(&text);
        h.client(number).receives(&format!(
            r#"{{"result":{{"models":{{"t.{{cid}}":{model}}}}},"id":1}}"#
        ));
    }
}

#[test]
fn tagged_references_mean_what_they_mean_to_each_client() {
    let mut h = Heart::new();
    h.connect(1, Some("1.2.3"));
    h.connect(2, Some("1.2.3"));
    let text = long('a');
    let root = format!(r#"{{"model":{{"own":{{"rid":"t.own.{{cid}}"}},"text":"{text}"}}}}"#);
    for number in [1, 2, 1] {
        h.client(number).subscribe(1, "t.root");
        if h.subjects().contains(&"access.t.root") {
            h.grant("t.root");
        }
        if h.subjects().contains(&"get.t.root") {
            h.serve("t.root", &root);
        }
        if h.subjects().is_empty() {
            h.client(number).receives(r#"{"result":{},"id":1}"#);
            continue;
        }
        let name = format!("t.own.{}", h.cid(number));
        h.serve(&name, &format!(r#"{{"model":{{"n":{number}}}}}"#));
        let answer = h.client(number).message();
        assert!(
            answer.contains(&format!(r#""t.own.{{cid}}":{{"n":{number}}}"#)),
            "{answer}"
        );
    }
}

#[test]
fn an_answer_is_forgotten_when_it_is_not_asked_for() {
    let mut h = Heart::new();
    let content = format!(r#"{{"model":{}}}"#, model(&long('a')));
    h.subscribed(1, "t.m", &content);
    h.advance(LINGER - 1);
    h.subscribed_again(2, "t.m");
    assert_eq!(h.shared_bodies(), 1);
    h.advance(LINGER);
    h.subscribed_again(3, "t.m");
    assert_eq!(h.shared_bodies(), 2);
}

#[test]
fn an_event_brings_each_client_what_it_lacks() {
    let mut h = Heart::new();
    h.subscribed(1, "t.list", r#"{"collection":[]}"#);
    for number in 2..10 {
        h.subscribed_again(number, "t.list");
    }
    // Some hold already what the event brings.
    let child = model(&long('a'));
    h.client(5).subscribe(1, "t.0");
    h.grant("t.0");
    h.serve("t.0", &format!(r#"{{"model":{child}}}"#));
    h.client(6).subscribe(1, "t.0");
    h.grant("t.0");
    for number in [5, 6] {
        h.client(number).message();
    }
    h.event("event.t.list.add", r#"{"idx":0,"value":{"rid":"t.0"}}"#);
    for number in 1..10 {
        let brought = match number {
            5 | 6 => String::new(),
            _ => format!(r#","models":{{"t.0":{child}}}"#),
        };
        h.client(number).receives(&format!(
            r#"{{"event":"t.list.add","data":{{"idx":0,"value":{{"rid":"t.0"}}{brought}}}}}"#
        ));
    }
}
