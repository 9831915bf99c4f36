use super::*;

fn text(value: &Value) -> String {
    let mut text = Vec::new();
    value.write_text(&mut text);
    String::from_utf8(text).unwrap()
}

/// Why an answer is not used, which is not for its size.
fn failure<T: std::fmt::Debug>(answer: Result<T, Unread>) -> Error {
    match answer {
        Err(Unread::Failed(error)) => error,
        other => panic!("{other:?} is no failure"),
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let limits = Limits {
        entries: 3,
        bytes: 40,
    };
    let too_large = |payload: &str| {
        let answer = resource(payload.as_bytes(), limits);
        let is_too_large = answer == Err(Unread::TooLarge);
        // The answer to a query request has the same members.
        let queried = query(payload.as_bytes(), limits);
        assert_eq!(queried == Err(Unread::TooLarge), is_too_large, "{payload}");
        assert_eq!(queried.is_ok(), answer.is_ok(), "{payload}");
        is_too_large
    };
    for (data, expected) in [
        (r#""collection":[1,2,3]"#, false),
        (r#""collection":[1,2,3,4]"#, true),
        // It is not looked for what else is wrong.
        (r#""collection":[1,2,3,[]]"#, true),
        (r#""collection":[1,{},3]"#, false),
        (r#""model":{"a":1,"b":2,"c":3}"#, false),
        (r#""model":{"a":1,"b":2,"c":3,"d":4}"#, true),
        (r#""model":{"a":1,"b":2,"c":3,"a":4}"#, true),
        (
            r#""collection":["0123456789012345678901234567890123456"]"#,
            true,
        ),
        (
            r#""collection":["01234567890123456789012345678901234"]"#,
            false,
        ),
        (
            r#""model":{"a":"01234567890123456789012345678901234"}"#,
            true,
        ),
    ] {
        let payload = format!(r#"{{"result":{{{data}}}}}"#);
        assert_eq!(too_large(&payload), expected, "{data}");
    }
}

#[test]
fn tells_pre_responses_from_answers() {
    for (payload, expected) in [
        ("timeout:\"15000\"", Some(PreResponse::Timeout(15000))),
        ("foo:\"bar\" timeout:\"1\"", Some(PreResponse::Timeout(1))),
        ("timeout:\"1\" foo:\"bar\"", Some(PreResponse::Timeout(1))),
        ("timeout:\"x\"", Some(PreResponse::Unknown)),
        ("timeout:15", Some(PreResponse::Unknown)),
        ("timeout", Some(PreResponse::Unknown)),
        ("timeout:\"-5\"", Some(PreResponse::Unknown)),
        ("hello world", Some(PreResponse::Unknown)),
        ("null", None),
        ("true", None),
        (" timeout:\"1\"", None),
        ("{}", None),
        ("", None),
    ] {
        assert_eq!(pre_response(payload.as_bytes()), expected, "{payload}");
    }
    assert_eq!(pre_response(b"timeout\xff"), Some(PreResponse::Unknown));
}

#[test]
fn reads_access() {
    let access = access(br#"{"result":{"get":true,"call":"set,foo,, bar"}}"#).unwrap();
    assert!(access.get);
    for (method, allowed) in [
        ("set", true),
        ("foo", true),
        (" bar", true),
        ("bar", false),
        ("", true),
        ("*", false),
    ] {
        assert_eq!(access.allows(method), allowed, "{method}");
    }
    let all = super::access(br#"{"Result":{"CALL":"*"}}"#).unwrap();
    assert!(!all.get && all.allows("x"));
    assert!(
        !super::access(br#"{"result":{"call":"a,*"}}"#)
            .unwrap()
            .allows("x")
    );
}

#[test]
fn reads_errors_before_results() {
    let error = access(br#"{"result":{"get":true},"error":{"code":"a.b","data":{ "x": 1}}}"#);
    let error = error.unwrap_err();
    assert_eq!((&*error.code, &*error.message), ("a.b", ""));
    assert_eq!(error.data.as_deref(), Some(r#"{"x":1}"#));
    assert!(
        access(br#"{"result":{"get":true},"error":null}"#)
            .unwrap()
            .get
    );
}

#[test]
fn explains_invalid_get_answers() {
    let wrapped = |what: &str| format!("Internal error: Internal error: invalid value: {what}");
    for (payload, expected) in [
        ("{}", "Internal error: response missing result".to_owned()),
        ("null", "Internal error: response missing result".into()),
        (
            r#"{"result":null}"#,
            "Internal error: response missing result".into(),
        ),
        (
            r#"{"result":{}}"#,
            "Internal error: invalid service response".into(),
        ),
        (
            r#"{"result":{"model":{},"collection":[]}}"#,
            "Internal error: invalid service response".into(),
        ),
        (
            r#"{"result":{"model":{"a":{"action":"delete"}}}}"#,
            "Internal error: invalid service response".into(),
        ),
        (
            r#"{"result":{"model":{"a":{}}}}"#,
            wrapped("nested json object must be wrapped as a data value"),
        ),
        (
            r#"{"result":{"collection":[[]]}}"#,
            wrapped("nested json array must be wrapped as a data value"),
        ),
        (
            r#"{"result":{"collection":[{"rid":""}]}}"#,
            wrapped("resource references requires a non-empty \"rid\" value"),
        ),
        (
            r#"{"result":{"collection":[{"rid":"a."}]}}"#,
            wrapped("resource reference rid \"a.\" is invalid"),
        ),
        (
            r#"{"result":{"collection":[{"action":"x"}]}}"#,
            wrapped("unknown action \"x\""),
        ),
    ] {
        let error = failure(resource(payload.as_bytes(), Limits::NONE));
        assert_eq!(error.code, "system.internalError");
        assert_eq!(error.message, expected, "{payload}");
    }
    for payload in [
        "",
        "[]",
        r#"{"result":[]}"#,
        r#"{"result":{"model":[]}}"#,
        "{\"a\":\"\u{1}\"}",
    ] {
        assert!(
            resource(payload.as_bytes(), Limits::NONE).is_err(),
            "{payload}"
        );
    }
    assert!(resource(b"{\"result\":{\"model\":{\"a\":\"\xff\"}}}", Limits::NONE).is_err());
}

#[test]
fn sorts_models_and_keeps_the_last_duplicate() {
    let payload = br#"{"result":{"model":{"b":1,"a":2,"b":3,"A":4},"query":"q=1"}}"#;
    let resource = resource(payload, Limits::NONE).unwrap();
    assert_eq!(&*resource.query, "q=1");
    let Data::Model(model) = resource.data else {
        panic!("a model was sent")
    };
    let model: Vec<_> = model
        .iter()
        .map(|(name, value)| (&**name, text(value)))
        .collect();
    let expected = [("A", "4"), ("a", "2"), ("b", "3")];
    assert_eq!(model, expected.map(|(name, text)| (name, text.to_owned())));
}

#[test]
fn reads_call_answers() {
    use CallResult::*;
    for (payload, method, expected) in [
        (r#"{"result":null}"#, "set", Ok(Payload("null"))),
        (
            r#"{"result":{"rid":"a"}}"#,
            "set",
            Ok(Payload(r#"{"rid":"a"}"#)),
        ),
        (
            r#"{"result":{"rid":"a"}}"#,
            "new",
            Ok(OldResource("a".into())),
        ),
        (
            r#"{"result":{"rid":"a","x":1}}"#,
            "new",
            Ok(Payload(r#"{"rid":"a","x":1}"#)),
        ),
        (
            r#"{"result":1,"resource":{"rid":"a.b?c"}}"#,
            "x",
            Ok(Resource("a.b?c".into())),
        ),
        (
            r#"{"result":{"rid":"a..b"}}"#,
            "new",
            Err("Internal error: invalid service response"),
        ),
        (
            r#"{"resource":{"rid":"a..b"}}"#,
            "x",
            Err("Internal error: invalid service response"),
        ),
        (
            r#"{"resource":{}}"#,
            "x",
            Err("Internal error: invalid service response"),
        ),
        ("{}", "x", Err("Internal error: response missing result")),
    ] {
        let answer = call(payload.as_bytes(), method == "new");
        assert_eq!(
            answer.map_err(|e| e.message.into_owned()),
            expected.map_err(String::from)
        );
    }
}

#[test]
fn reads_both_forms_of_change() {
    for (payload, names, is_old) in [
        (
            r#"{"values":{"b":1,"a":{"action":"delete"}}}"#,
            &["a", "b"][..],
            false,
        ),
        (r#"{"values":{}}"#, &[], false),
        ("{}", &[], false),
        (r#"{"a":1,"b":2}"#, &["a", "b"], true),
        (r#"{"values":1}"#, &["values"], true),
        (r#"{"values":{"a":1},"extra":true}"#, &["a"], false),
        (
            r#"{"values":{"rid":"a.b"},"other":1}"#,
            &["other", "values"],
            true,
        ),
    ] {
        let event = change(payload).unwrap();
        let got: Vec<&str> = event.changes.iter().map(|(name, _)| &**name).collect();
        assert_eq!((&*got, event.is_old), (names, is_old), "{payload}");
    }
    assert!(change(r#"{"values":{"a":1,"b":[]}}"#).is_err());
    assert!(change("[]").is_err());
}

#[test]
fn reads_places() {
    let add = |payload| super::add(payload).map(|add| add.map(|add| add.idx));
    assert_eq!(add(r#"{"idx":2,"value":"a"}"#), Ok(Some(2)));
    assert_eq!(add(r#"{"value":null}"#), Ok(Some(0)));
    assert_eq!(add(r#"{"idx":null,"value":1}"#), Ok(Some(0)));
    assert_eq!(add(r#"{"idx":1}"#), Ok(None));
    assert_eq!(add(r#"{"idx":1,"value":{"action":"delete"}}"#), Ok(None));
    for payload in [
        r#"{"idx":-1,"value":1}"#,
        r#"{"idx":1.5,"value":1}"#,
        r#"{"idx":"1","value":1}"#,
    ] {
        assert!(add(payload).is_err(), "{payload}");
    }
    assert_eq!(remove("{}"), Ok(0));
    assert_eq!(remove(r#"{"idx":3,"x":1}"#), Ok(3));
    assert!(remove("[]").is_err());
}

#[test]
fn reads_system_and_connection_events() {
    let payload = br#"{"access":["c"],"resources":["b..c","a.>","","\u0062"],"access":null}"#;
    let there = reset(payload).unwrap();
    let patterns = |text| {
        let mut walk = json::Walk::default();
        std::iter::from_fn(|| next_pattern(text, &mut walk)).collect::<Vec<_>>()
    };
    let expected = ["a.>", "b"].map(|text| Pattern::parse(text).unwrap());
    assert_eq!(patterns(there.resources), expected);
    assert_eq!(patterns(there.access), []);
    for wrong in [
        &br#"{"resources":["a",1]}"#[..],
        br#"{"access":"a"}"#,
        b"[]",
    ] {
        assert!(reset(wrong).is_err());
    }
    assert_eq!(
        token(b"{}").unwrap(),
        Token {
            token: None,
            tid: None
        }
    );
    let event = token(br#"{"token":{ "a": 1.0 },"tid":"7"}"#).unwrap();
    assert_eq!(event.token.as_deref(), Some(r#"{"a":1.0}"#));
    assert_eq!(event.tid.as_deref(), Some("7"));
    assert!(token(br#"{"token":1,"tid":7}"#).is_err());
    assert!(token(b"[]").is_err());
    let event = token_reset(br#"{"tids":["a"],"subject":"x.y"}"#).unwrap();
    assert_eq!((event.tids, &*event.subject), (Some(r#"["a"]"#), "x.y"));
    assert!(token_reset(br#"{"tids":["a",1],"subject":"x"}"#).is_err());
    let long = "x".repeat(TIDS_READ);
    assert!(token_reset(format!(r#"{{"tids":"{long}","subject":"x"}}"#).as_bytes()).is_err());
    assert!(token_reset(format!(r#"{{"tids":["{long}"],"subject":"x"}}"#).as_bytes()).is_ok());
    assert!(token_reset(br#"{"tids":"a","subject":"x"}"#).is_err());
    assert_eq!(query_event(br#"{"subject":"s"}"#).unwrap(), "s");
    assert!(query_event(b"{}").is_err());
    assert!(query_event(br#"{"subject":1}"#).is_err());
}

#[test]
fn reads_query_answers() {
    let payload =
        br#"{"result":{"events":[{"event":"remove","data":{"idx":1}},{"data":1},{"event":"x"}]}}"#;
    assert_eq!(
        query(payload, Limits::NONE),
        Ok(QueryResult::Events(vec![
            ("remove".into(), Some(r#"{"idx":1}"#)),
            ("x".into(), None)
        ]))
    );
    assert_eq!(
        query(br#"{"result":{}}"#, Limits::NONE),
        Ok(QueryResult::Events(Vec::new()))
    );
    assert!(matches!(
        query(br#"{"result":{"model":{}}}"#, Limits::NONE),
        Ok(QueryResult::Data(_))
    ));
    assert!(query(br#"{"result":{"model":{},"events":[]}}"#, Limits::NONE).is_err());
    assert!(
        query(
            br#"{"result":{"collection":[{"action":"delete"}]}}"#,
            Limits::NONE
        )
        .is_err()
    );
}

#[test]
fn many_properties_are_sorted_by_name_and_of_duplicates_the_last_stays() {
    let name = |n: usize| match n % 4 {
        0 => format!("member{n}"),
        1 => format!("member{}", "0".repeat(n % 23)),
        2 => format!("member, longer than others by some {}", n % 50),
        _ => format!("membe{}", char::from(b'a' + (n % 26) as u8)),
    };
    for prefix in ["", "a", "\0"] {
        let names: Vec<String> = (0..700)
            .map(|n| format!("{prefix}{}", name(n * 7)))
            .collect();
        let members = names.iter().enumerate();
        let members = members.map(|(n, name)| format!("{}:{n}", serde_json::json!(name)));
        let payload = format!(
            r#"{{"values":{{{}}}}}"#,
            members.collect::<Vec<_>>().join(",")
        );
        let expected: std::collections::BTreeMap<&str, String> = (names.iter().enumerate())
            .map(|(n, name)| (&**name, n.to_string()))
            .collect();
        let changes = change(&payload).unwrap().changes;
        let read = changes.iter().map(|(name, change)| match change {
            Change::Set(Value::Primitive(text)) => (&**name, text.to_string()),
            other => panic!("{other:?}"),
        });
        assert!(read.eq(expected));
    }
}
