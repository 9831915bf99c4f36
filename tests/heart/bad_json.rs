//! Every text of the corpus, JSON or not, at every place where the gateway reads JSON:
//! what is JSON does what it says, anything else gets the reaction of its place, and
//! neither is noticed by anybody else.

use crate::harness::{Heart, REQUEST_TIMEOUT, changed, error};
use crate::json_corpus::{Case, corpus};

/// Runs each case beside a client of something else. The last name printed is that of
/// the case that fails; the harness sees that nothing is left behind.
fn each(check: impl Fn(&mut Heart, &Case)) {
    let cases = corpus();
    assert!(cases.len() > 300);
    for case in cases {
        println!("{}", case.name);
        let mut h = Heart::new();
        h.subscribed(9, "by.stander", r#"{"model":{"n":0}}"#);
        check(&mut h, &case);
        h.change("by.stander", r#"{"n":1}"#);
        h.client(9)
            .receives(&changed("by.stander", r#"{"n":1}"#))
            .receives_nothing();
    }
}

/// A value is kept as it is; a plain one needs no wrapping, and loses it.
fn kept(case: &Case) -> String {
    let text = case.sent();
    match text.starts_with(['{', '[']) {
        true => format!(r#"{{"data":{text}}}"#),
        false => text,
    }
}

#[track_caller]
fn is_refused(h: &mut Heart, id: u64) {
    let got = h.client(1).message();
    let front = r#"{"error":{"code":"system.internalError","message":"Internal error: "#;
    let back = format!(r#""}},"id":{id}}}"#);
    assert!(got.starts_with(front) && got.ends_with(&back), "{got}");
}

#[test]
fn client_messages() {
    each(|h, case| {
        // Alone it is no request, JSON or not.
        h.client(1).send_bytes(&case.text, None).receives_nothing();
        h.expect_no_request();

        let request = case.within(r#"{"id":1,"params":"#, r#","method":"call.test.set"}"#);
        let asked = case.accepted.then_some(1);
        h.client(1).send_bytes(&request, asked).receives_nothing();
        if !case.accepted {
            return h.expect_no_request();
        }
        h.grant("test");
        let call = h.expect_request("call.test.set");
        let params = format!(r#""params":{},"#, case.compact());
        assert!(call.payload.contains(&params), "{}", call.payload);
        h.respond(&call, r#"{"result":null}"#);
        h.client(1)
            .receives(r#"{"result":{"payload":null},"id":1}"#);
    });
}

#[test]
fn access_answers() {
    each(|h, case| {
        h.client(1).call(1, "test.set");
        let access = h.expect_request("access.test");
        h.respond(
            &access,
            &case.within(r#"{"result":{"x":"#, r#","call":"*"}}"#),
        );
        if !case.accepted {
            return is_refused(h, 1);
        }
        let call = h.expect_request("call.test.set");
        h.respond(&call, r#"{"result":1}"#);
        h.client(1).receives(r#"{"result":{"payload":1},"id":1}"#);
    });
}

#[test]
fn get_answers() {
    for (front, back, kind) in [
        (r#"{"result":{"model":{"a":{"data":"#, "}}}}", "model"),
        (r#"{"result":{"collection":[{"data":"#, "}]}}", "collection"),
    ] {
        each(|h, case| {
            h.client(1).subscribe(1, "test");
            h.grant("test");
            let get = h.expect_request("get.test");
            h.respond(&get, &case.within(front, back));
            if !case.accepted {
                return is_refused(h, 1);
            }
            let value = kept(case);
            let content = match kind {
                "model" => format!(r#"{{"a":{value}}}"#),
                _ => format!("[{value}]"),
            };
            h.client(1).receives(&format!(
                r#"{{"result":{{"{kind}s":{{"test":{content}}}}},"id":1}}"#
            ));
        });
    }
}

/// No text of the corpus is an answer on its own, so nothing is granted, nothing loaded
/// and nothing returned. One that begins with a letter announces an answer.
#[test]
fn whole_answers() {
    each(|h, case| {
        h.client(1)
            .get(1, "one")
            .get(2, "two")
            .request(3, "auth.three.set");
        for (name, id) in [("access.one", 1), ("get.two", 2), ("auth.three.set", 3)] {
            let request = h.expect_request(name);
            if name == "get.two" {
                h.grant("two");
            }
            h.respond(&request, &case.text);
            if case.is_pre_response() {
                h.client(1).receives_nothing();
            } else {
                is_refused(h, id);
            }
        }
        h.expect_request("get.one");
        h.advance(REQUEST_TIMEOUT);
        if case.is_pre_response() {
            let mut answers = h.client(1).messages();
            answers.sort_unstable_by_key(|answer| answer.chars().rev().collect::<String>());
            let expected = [1, 2, 3].map(|id| error(id, "system.timeout", "Request timeout"));
            assert_eq!(answers, expected);
        }
    });
}

#[test]
fn call_and_auth_answers() {
    for kind in ["call", "auth"] {
        each(|h, case| {
            h.client(1).request(1, &format!("{kind}.test.set"));
            if kind == "call" {
                h.grant("test");
            }
            let call = h.expect_request(&format!("{kind}.test.set"));
            h.respond(&call, &case.within(r#"{"result":"#, "}"));
            if !case.accepted {
                return is_refused(h, 1);
            }
            let result = case.sent();
            h.client(1)
                .receives(&format!(r#"{{"result":{{"payload":{result}}},"id":1}}"#));
        });
    }
}

#[test]
fn events_of_models() {
    each(|h, case| {
        h.subscribed(1, "test", r#"{"model":{"a":"old"}}"#);
        h.event(
            "event.test.change",
            &case.within(r#"{"values":{"a":{"data":"#, "}}}"),
        );
        if case.accepted {
            let values = format!(r#"{{"a":{}}}"#, kept(case));
            h.client(1).receives(&changed("test", &values));
        }
        h.client(1).receives_nothing();
        // The cache agrees with what was sent.
        h.change("test", r#"{"a":"old"}"#);
        if case.accepted {
            h.client(1).receives(&changed("test", r#"{"a":"old"}"#));
        }
        h.client(1).receives_nothing();

        h.event("event.test.custom", &case.text);
        if case.accepted || case.text.is_empty() {
            let data = match case.text.is_empty() {
                true => "null".to_owned(),
                false => case.sent(),
            };
            h.client(1)
                .receives(&format!(r#"{{"event":"test.custom","data":{data}}}"#));
        }
        h.client(1).receives_nothing();
    });
}

#[test]
fn events_of_collections() {
    each(|h, case| {
        h.subscribed(1, "test", r#"{"collection":["old"]}"#);
        h.event(
            "event.test.add",
            &case.within(r#"{"value":{"data":"#, r#"},"idx":1}"#),
        );
        if case.accepted {
            let data = format!(r#"{{"idx":1,"value":{}}}"#, kept(case));
            h.client(1)
                .receives(&format!(r#"{{"event":"test.add","data":{data}}}"#));
        }
        h.client(1).receives_nothing();
        // Whether there is a second value shows in whether it can be removed.
        h.event(
            "event.test.remove",
            &case.within(r#"{"x":"#, r#","idx":1}"#),
        );
        if case.accepted {
            let data = format!(r#"{{"x":{},"idx":1}}"#, case.sent());
            h.client(1)
                .receives(&format!(r#"{{"event":"test.remove","data":{data}}}"#));
        }
        h.event("event.test.remove", r#"{"idx":1}"#);
        h.client(1).receives_nothing();
    });
}

#[test]
fn http_bodies() {
    each(|h, case| {
        h.web(1, "POST", "/test/set", &case.text);
        if !case.accepted && !case.is_blank() {
            let (status, body) = h.web_answer(1);
            let front = r#"{"code":"system.badRequest","message":"Error decoding request body: "#;
            assert!(status == 400 && body.starts_with(front), "{status} {body}");
            return h.expect_no_request();
        }
        h.grant("test");
        let call = h.expect_request("call.test.set");
        let params = match case.is_blank() {
            true => "null".to_owned(),
            false => case.compact(),
        };
        let params = format!(r#""params":{params},"#);
        assert!(call.payload.contains(&params), "{}", call.payload);
        h.respond(&call, &case.within(r#"{"result":"#, "}"));
        match (case.accepted, h.web_answer(1)) {
            (true, (204, body)) => assert_eq!((case.compact().as_str(), &*body), ("null", "")),
            // Nothing in it needs escapes: it is no text in a page.
            (true, answer) => assert_eq!(answer.0, 200, "{answer:?}"),
            (false, answer) => assert_eq!(answer.0, 500, "{answer:?}"),
        }
    });
}

#[test]
fn tokens() {
    each(|h, case| {
        h.client(1).request(1, "auth.test.a");
        let auth = h.expect_request("auth.test.a");
        h.token(1, r#"{"token":"old"}"#);
        let subject = format!("conn.{}.token", h.cid(1));
        h.event(&subject, &case.text);
        let is_object = case.accepted && case.compact().starts_with('{');
        h.event(&subject, &case.within(r#"{"token":"#, "}"));
        h.respond(&auth, r#"{"result":1}"#);
        h.client(1)
            .receives(r#"{"result":{"payload":1},"id":1}"#)
            .request(2, "auth.test.b");
        let auth = h.expect_request("auth.test.b");
        let token = match (case.accepted, is_object) {
            (true, _) => case.compact(),
            (false, _) => r#""old""#.to_owned(),
        };
        let token = format!(r#""token":{token},"#);
        assert!(auth.payload.contains(&token), "{}", auth.payload);
        h.respond(&auth, r#"{"result":1}"#);
        h.client(1).receives(r#"{"result":{"payload":1},"id":2}"#);
    });
}

#[test]
fn system_events() {
    each(|h, case| {
        h.subscribed(1, "test", r#"{"model":{"a":1}}"#);
        h.token(1, r#"{"token":1,"tid":"t"}"#);
        for subject in ["system.reset", "system.tokenReset", "system.other"] {
            h.event(subject, &case.text);
            h.expect_no_request();
        }
        h.event(
            "system.reset",
            &case.within(r#"{"x":"#, r#","resources":["test"]}"#),
        );
        h.event(
            "system.tokenReset",
            &case.within(r#"{"x":"#, r#","tids":["t"],"subject":"auth.test.renew"}"#),
        );
        if case.accepted {
            h.serve("test", r#"{"model":{"a":1}}"#);
            let auth = h.expect_request("auth.test.renew");
            h.respond(&auth, &case.text);
        }
        h.expect_no_request();
    });
}

#[test]
fn query_events_and_their_answers() {
    each(|h, case| {
        h.subscribed(1, "test?q=1", r#"{"collection":["old"],"query":"q=1"}"#);
        h.event("event.test.query", &case.text);
        h.event(
            "event.test.query",
            &case.within(r#"{"x":"#, r#","subject":"ask"}"#),
        );
        if case.accepted {
            let query = h.expect_request("ask");
            h.respond(&query, r#"{"result":{"events":[]}}"#);
        }
        h.expect_no_request();

        h.event("event.test.query", r#"{"subject":"ask"}"#);
        let query = h.expect_request("ask");
        let back = r#"},"idx":1}}]}}"#;
        let front = r#"{"result":{"events":[{"event":"add","data":{"value":{"data":"#;
        h.respond(&query, &case.within(front, back));
        if case.accepted {
            let data = format!(r#"{{"idx":1,"value":{}}}"#, kept(case));
            h.client(1)
                .receives(&format!(r#"{{"event":"test?q=1.add","data":{data}}}"#));
        } else {
            // What the answer would have said must be found out in another way.
            h.serve("test", r#"{"collection":["old"],"query":"q=1"}"#);
        }
        h.client(1).receives_nothing();
    });
}

/// What is left open by the grammar and depends on whether a text must be read.
#[test]
fn names_are_read_and_values_are_not() {
    for (content, sent) in [
        (r#"{"model":{"a":1,"a":2}}"#, Some(r#"{"a":2}"#)),
        (
            r#"{"model":{"a":{"data":[{"b":1,"b":2}]}}}"#,
            Some(r#"{"a":{"data":[{"b":1,"b":2}]}}"#),
        ),
        (r#"{"model":{"\u0061":1,"a":2}}"#, Some(r#"{"a":2}"#)),
        (r#"{"model":{"a":"\ud800"}}"#, Some(r#"{"a":"\ud800"}"#)),
        (r#"{"model":{"\u0000":0}}"#, Some(r#"{"\u0000":0}"#)),
        (r#"{"model":{"\ud800":1}}"#, None),
        (r#"{"model":{},"\udfaa":1}"#, None),
        (r#"{"model":{"a":{"rid":"\ud800"}}}"#, None),
        (r#"{"model":{"a":{"data":1,"\ud800":1}}}"#, None),
    ] {
        println!("{content}");
        let mut h = Heart::new();
        h.client(1).subscribe(1, "test");
        h.grant("test");
        h.serve("test", content);
        match sent {
            Some(model) => {
                h.client(1).receives(&format!(
                    r#"{{"result":{{"models":{{"test":{model}}}}},"id":1}}"#
                ));
            }
            None => is_refused(&mut h, 1),
        }
    }
    for (message, asked) in [
        (r#"{"\u0069d":1,"method":"nonsense"}"#, Some(1)),
        (r#"{"id":7,"id":1,"method":"a","method":"b"}"#, Some(1)),
        (r#"{"id":1,"method":"nonsense","\ud800":0}"#, None),
        (r#"{"id":1,"method":"\ud800"}"#, None),
        (r#"{"id":1,"method":"nonsense","params":"\ud800"}"#, Some(1)),
    ] {
        println!("{message}");
        let mut h = Heart::new();
        h.client(1).send_bytes(message.as_bytes(), asked);
        if asked.is_some() {
            h.client(1)
                .receives(&error(1, "system.invalidRequest", "Invalid request"));
        }
        h.client(1).receives_nothing();
    }
}

#[test]
fn nesting_ends_at_128_levels() {
    for (levels, asked) in [(127, Some(1)), (128, None)] {
        let mut h = Heart::new();
        let params = "[".repeat(levels) + &"]".repeat(levels);
        let message = format!(r#"{{"id":1,"method":"nonsense","params":{params}}}"#);
        h.client(1).send_bytes(message.as_bytes(), asked);
        if asked.is_some() {
            h.client(1)
                .receives(&error(1, "system.invalidRequest", "Invalid request"));
        }
        h.client(1).receives_nothing();
    }
}
