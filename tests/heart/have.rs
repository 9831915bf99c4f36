//! Clients that say what they have of an earlier connection, and are not sent it again.

use crate::harness::{Heart, changed, error, nothing_new};
use tidegate::gateway::Tag;

const PARENT: &str = r#"{"c":{"rid":"test.child"},"n":1}"#;
const CHILD: &str = r#"{"n":1}"#;

/// The tag of a resource with this JSON text.
fn tag(text: &str) -> String {
    String::from_utf8(Tag::of(text.as_bytes()).text().into()).unwrap()
}

fn model(text: &str) -> String {
    format!(r#"{{"model":{text}}}"#)
}

/// Connects a client that has resources with these texts.
fn connect(h: &mut Heart, number: u32, have: &[(&str, &str)]) {
    let have = have
        .iter()
        .map(|(rid, text)| format!(r#""{rid}":"{}""#, tag(text)));
    say(h, number, &Vec::from_iter(have).join(","));
}

/// The same, with the members of `have`.
fn say(h: &mut Heart, number: u32, have: &str) {
    h.connect(number, None);
    h.client(number)
        .send(&format!(
            r#"{{"id":0,"method":"version","params":{{"protocol":"1.2.3","have":{{{have}}}}}}}"#
        ))
        .receives(r#"{"result":{"protocol":"1.2.3","etags":true},"id":0}"#);
}

/// A heart that has the parent and its child in its cache.
fn cached() -> Heart {
    let mut h = Heart::new();
    h.subscribed_tree(
        9,
        &[
            ("test.parent", &model(PARENT)),
            ("test.child", &model(CHILD)),
        ],
    );
    h
}

#[test]
fn who_asks_for_tags_is_told_them() {
    let mut h = cached();
    h.connect(1, None);
    h.client(1)
        .send(r#"{"id":0,"method":"version","params":{"protocol":"1.2.3","etags":true}}"#)
        .receives(r#"{"result":{"protocol":"1.2.3","etags":true},"id":0}"#);
    let (child, parent) = (tag(CHILD), tag(PARENT));
    assert_eq!(
        h.subscribed_again(1, "test.parent"),
        format!(
            r#"{{"result":{{"models":{{"test.child":{CHILD},"test.parent":{PARENT}}},"etags":{{"test.child":"{child}","test.parent":"{parent}"}}}},"id":100}}"#
        )
    );
    // Nobody else is, whoever asked before.
    assert_eq!(
        h.subscribed_again(2, "test.parent"),
        format!(
            r#"{{"result":{{"models":{{"test.child":{CHILD},"test.parent":{PARENT}}}}},"id":100}}"#
        )
    );
    // And who says so no more does not either.
    h.client(1)
        .send(r#"{"id":0,"method":"version","params":{"protocol":"1.2.3"}}"#)
        .receives(r#"{"result":{"protocol":"1.2.3"},"id":0}"#);
    h.unsubscribed(1, "test.parent");
    assert!(!h.subscribed_again(1, "test.parent").contains("etags"));
}

/// The tag of a resource that references nothing is the ETag of its GET.
#[test]
fn the_tag_is_that_of_a_get() {
    let mut h = cached();
    h.web(5, "GET", "test/child", "");
    h.grant("test.child");
    let text = h.web_tag(5).unwrap().text();
    h.web_answer(5);
    assert_eq!(tag(CHILD).as_bytes(), text);
}

#[test]
fn what_a_client_has_is_left_out() {
    let all = [("test.parent", PARENT), ("test.child", CHILD)];
    let (child, parent) = (tag(CHILD), tag(PARENT));
    let sent_child =
        format!(r#""models":{{"test.child":{CHILD}}},"etags":{{"test.child":"{child}"}}"#);
    let sent_parent =
        format!(r#""models":{{"test.parent":{PARENT}}},"etags":{{"test.parent":"{parent}"}}"#);
    for (have, result) in [
        (&all[..], r#""same":2"#.to_owned()),
        (&all[..1], format!(r#"{sent_child},"same":1"#)),
        (&all[1..], format!(r#"{sent_parent},"same":1"#)),
        // Another's tag is none.
        (
            &[("test.parent", CHILD), ("test.child", CHILD)],
            format!(r#"{sent_parent},"same":1"#),
        ),
    ] {
        let mut h = cached();
        connect(&mut h, 1, have);
        assert_eq!(
            h.subscribed_again(1, "test.parent"),
            format!(r#"{{"result":{{{result}}},"id":100}}"#)
        );
        // It holds it all the same.
        h.change("test.child", r#"{"n":2}"#);
        for number in [1, 9] {
            let event = changed("test.child", r#"{"n":2}"#);
            h.client(number).receives(&event);
        }
        h.client(1)
            .subscribe(2, "test.parent")
            .receives(&nothing_new(2));
    }
}

#[test]
fn what_it_has_counts_once() {
    let mut h = cached();
    connect(&mut h, 1, &[("test.child", CHILD)]);
    let (same, full) = (
        r#"{"result":{"same":1},"id":100}"#,
        format!(
            r#"{{"result":{{"models":{{"test.child":{CHILD}}},"etags":{{"test.child":"{}"}}}},"id":100}}"#,
            tag(CHILD)
        ),
    );
    assert_eq!(h.subscribed_again(1, "test.child"), same);
    h.unsubscribed(1, "test.child");
    assert_eq!(h.subscribed_again(1, "test.child"), full);
    // To get it is to be given it, too.
    connect(&mut h, 2, &[("test.child", CHILD)]);
    h.client(2).get(7, "test.child");
    h.grant("test.child");
    h.client(2).receives(r#"{"result":{"same":1},"id":7}"#);
    assert_eq!(h.subscribed_again(2, "test.child"), full);
    // And so is what is another, and what comes with an event.
    connect(&mut h, 3, &[("test.child", PARENT)]);
    assert_eq!(h.subscribed_again(3, "test.child"), full);
    h.unsubscribed(3, "test.child");
    assert_eq!(h.subscribed_again(3, "test.child"), full);
}

#[test]
fn an_event_brings_what_a_client_has_in_full() {
    let mut h = Heart::new();
    h.subscribed(9, "test.child", &model(CHILD));
    connect(&mut h, 1, &[("test.child", CHILD)]);
    h.client(1).subscribe(1, "test.list");
    h.grant("test.list");
    h.serve("test.list", r#"{"collection":[1]}"#);
    h.client(1).receives(&format!(
        r#"{{"result":{{"collections":{{"test.list":[1]}},"etags":{{"test.list":"{}"}}}},"id":1}}"#,
        tag("[1]")
    ));
    assert_eq!(
        h.subscribed_again(2, "test.list"),
        r#"{"result":{"collections":{"test.list":[1]}},"id":100}"#
    );
    let child = r#"{"idx":1,"value":{"rid":"test.child"}}"#;
    h.event("event.test.list.add", child);
    let (event, child) = (
        r#"{"event":"test.list.add","data":{"idx":1,"value":{"rid":"test.child"}"#,
        format!(r#","models":{{"test.child":{CHILD}}}"#),
    );
    h.client(1).receives(&format!(
        r#"{event}{child},"etags":{{"test.child":"{}"}}}}}}"#,
        tag(CHILD)
    ));
    h.client(2).receives(&format!("{event}{child}}}}}"));
    h.event("event.test.list.remove", r#"{"idx":1}"#);
    for number in [1, 2] {
        h.client(number)
            .receives(r#"{"event":"test.list.remove","data":{"idx":1}}"#);
    }
    let answer = h.subscribed_again(1, "test.child");
    assert!(answer.contains(&child[1..]), "{answer}");
}

#[test]
fn a_client_without_access_learns_nothing() {
    let mut h = cached();
    connect(&mut h, 1, &[("test.parent", PARENT), ("test.child", CHILD)]);
    h.client(1).subscribe(1, "test.parent");
    h.client(1).receives_nothing();
    h.deny("test.parent");
    h.client(1)
        .receives(&error(1, "system.accessDenied", "Access denied"));
    // What it was not given does not count as given.
    assert_eq!(
        h.subscribed_again(1, "test.parent"),
        r#"{"result":{"same":2},"id":100}"#
    );
}

#[test]
fn an_error_is_told() {
    let mut h = Heart::new();
    connect(&mut h, 1, &[("test.parent", PARENT), ("test.child", CHILD)]);
    h.client(1).subscribe(1, "test.parent");
    h.grant("test.parent");
    h.serve("test.parent", &model(PARENT));
    h.fail("test.child", "test.broken");
    h.client(1).receives(
        r#"{"result":{"errors":{"test.child":{"code":"test.broken","message":"M"}},"same":1},"id":1}"#,
    );
}

#[test]
fn the_answer_of_a_call_names_what_is_left_out() {
    let mut h = cached();
    connect(&mut h, 1, &[("test.parent", PARENT), ("test.child", CHILD)]);
    h.client(1).call(1, "test.maker.make");
    h.grant("test.maker");
    let call = h.expect_request("call.test.maker.make");
    h.respond(&call, r#"{"resource":{"rid":"test.parent"}}"#);
    h.grant("test.parent");
    h.client(1)
        .receives(r#"{"result":{"rid":"test.parent","same":2},"id":1}"#);
}

/// What is compared is what would be sent, with the events that came since it was asked for.
#[test]
fn what_changes_meanwhile_is_not_what_a_client_has() {
    let mut h = cached();
    let newer = r#"{"n":2}"#;
    connect(&mut h, 1, &[("test.child", CHILD)]);
    connect(&mut h, 2, &[("test.child", newer)]);
    for number in [1, 2] {
        h.client(number).subscribe(1, "test.child");
    }
    h.change("test.child", newer);
    h.client(9).receives(&changed("test.child", newer));
    for _ in [1, 2] {
        h.grant("test.child");
    }
    let first = h.client(1).messages().join(" ");
    let second = h.client(2).messages().join(" ");
    let event = changed("test.child", newer);
    // Which of both versions it was given with the answer is the gateway's matter.
    let sent = |text: &str| {
        let tag = tag(text);
        format!(
            r#"{{"result":{{"models":{{"test.child":{text}}},"etags":{{"test.child":"{tag}"}}}},"id":1}}"#
        )
    };
    let same = r#"{"result":{"same":1},"id":1}"#;
    assert!(
        first == format!("{same} {event}") || first == sent(newer),
        "{first}"
    );
    assert!(
        second == same || second == format!("{} {event}", sent(CHILD)),
        "{second}"
    );
}

#[test]
fn a_query_is_named_as_the_client_writes_it() {
    let mut h = Heart::new();
    let list = r#"{"collection":[1],"query":"q=1"}"#;
    h.subscribed(9, "test.list?q=1+x", list);
    connect(
        &mut h,
        1,
        &[("test.list?q=1+x", "[1]"), ("test.list?q=1", "[2]")],
    );
    assert_eq!(
        h.subscribed_again(1, "test.list?q=1+x"),
        r#"{"result":{"same":1},"id":100}"#
    );
    // The resource is the same, and what it is called is another.
    h.client(1).subscribe(2, "test.list?x+q=1");
    h.grant("test.list");
    h.serve("test.list", list);
    let answer = h.client(1).message();
    assert!(answer.contains(r#""test.list?x+q=1":[1]"#), "{answer}");
}

/// Clients of older versions are sent other texts, of the same content.
#[test]
fn an_older_dialect_has_the_same_tags() {
    let mut h = Heart::new();
    let text = r#"{"d":{"data":{"x":1}},"s":{"rid":"test.x","soft":true}}"#;
    h.subscribed(9, "test.model", &model(text));
    let tag = tag(text);
    h.connect(1, None);
    h.client(1)
        .send(r#"{"id":0,"method":"version","params":{"protocol":"1.2.0","etags":true}}"#)
        .receives(r#"{"result":{"protocol":"1.2.3","etags":true},"id":0}"#);
    assert_eq!(
        h.subscribed_again(1, "test.model"),
        format!(
            r#"{{"result":{{"models":{{"test.model":{{"d":"[Data]","s":"test.x"}}}},"etags":{{"test.model":"{tag}"}}}},"id":100}}"#
        )
    );
    connect(&mut h, 2, &[("test.model", text)]);
    assert_eq!(
        h.subscribed_again(2, "test.model"),
        r#"{"result":{"same":1},"id":100}"#
    );
}

/// Large trees are compared, written and noted over many turns.
#[test]
fn a_large_tree_is_left_out_over_turns() {
    let mut h = Heart::new();
    let children: Vec<_> = (0..200).map(|n| format!("test.m{n:03}")).collect();
    let list = children.iter().map(|rid| format!(r#"{{"rid":"{rid}"}}"#));
    let list = format!("[{}]", Vec::from_iter(list).join(","));
    let texts: Vec<_> = (0..200).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let results: Vec<_> = texts.iter().map(|text| model(text)).collect();
    let collection = format!(r#"{{"collection":{list}}}"#);
    let mut tree = vec![("test.list", &*collection)];
    tree.extend(
        children
            .iter()
            .zip(&results)
            .map(|(rid, text)| (&**rid, &**text)),
    );
    h.subscribed_tree(9, &tree);
    let mut have = vec![("test.list", &*list)];
    have.extend(
        children
            .iter()
            .zip(&texts)
            .map(|(rid, text)| (&**rid, &**text)),
    );
    connect(&mut h, 1, &have);
    assert_eq!(
        h.subscribed_again(1, "test.list"),
        r#"{"result":{"same":201},"id":100}"#
    );
    // All but some of it; two who have the same get the same.
    have.retain(|(rid, _)| !rid.ends_with('7'));
    for number in [2, 3] {
        connect(&mut h, number, &have);
    }
    let answer = h.subscribed_again(2, "test.list");
    assert!(answer.ends_with(r#"},"same":181},"id":100}"#), "{answer}");
    assert_eq!(answer.matches(r#":{"n":"#).count(), 20, "{answer}");
    assert_eq!(h.subscribed_again(3, "test.list"), answer);
    for number in [1, 2, 3] {
        h.unsubscribed(number, "test.list");
    }
}

#[test]
fn wishes_that_cannot_be_read_are_refused() {
    let mut h = Heart::new();
    for params in [r#"{"have":[]}"#, r#"{"have":1}"#, r#"{"etags":"yes"}"#] {
        h.client(1)
            .send(&format!(
                r#"{{"id":1,"method":"version","params":{params}}}"#
            ))
            .receives(&error(1, "system.invalidParams", "Invalid parameters"));
    }
    // Tags that are none of ours are of content that nobody has.
    say(
        &mut h,
        2,
        r#""test.model":"W/\"1\"","test.other":null,"no rid..":7"#,
    );
    h.subscribed(2, "test.model", &model(CHILD));
}
