//! Resource IDs and patterns: what is accepted can stand in a subject, and patterns match
//! what a plain matcher finds.
//!
//! The input is a pattern, a line feed, and a text that may be a resource ID.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/world/driver.rs"]
mod driver;

use driver::{Driver, INBOX, Input, Operation, UNLIMITED};
use libfuzzer_sys::fuzz_target;
use std::net::{Ipv4Addr, SocketAddr};
use tidegate::gateway::{
    BrokerMessage, ClientKey, Delivery, Have, Options, WebAction, WebRequest, WebResponse,
};
use tidegate::res::Pattern;
use tidegate::res::rid::{self, Rid};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, text) = text.split_once('\n').unwrap_or(("", text));
    check_names(text);
    check_pattern(pattern, text);
    check_paths(text);
});

fn check_names(text: &str) {
    assert_eq!(rid::is_name(text), is_name(text));
    assert_eq!(rid::is_token(text), is_name(text) && !text.contains('.'));
    // A subject may hold what a name may not, but nothing that ends its line or its part.
    if rid::is_subject(text) {
        assert!(text.chars().all(|c| c.is_ascii_graphic()));
        assert!(text.split('.').all(|part| !["", "*", ">"].contains(&part)));
    }
    assert!(!rid::is_name(text) || rid::is_subject(text));

    match Rid::parse(text) {
        Some(Rid { name, query }) => {
            assert!(is_name(name));
            assert_eq!(format!("{name}{}", rest(query)), text);
        }
        None => assert!(!is_name(text.split('?').next().unwrap_or_default())),
    }

    let expanded = rid::expand_cid(text, "cid0");
    assert_eq!(rid::has_cid_tag(text), expanded != text);
    assert_eq!(
        expanded,
        text.split("{cid}").collect::<Vec<_>>().join("cid0")
    );
}

fn rest(query: Option<&str>) -> String {
    query.map_or(String::new(), |query| format!("?{query}"))
}

fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_graphic() && !"?*>".contains(c))
    };
    text.split('.').all(is_part)
}

fn check_pattern(text: &str, name: &str) {
    let mut parts: Vec<&str> = text.split('.').collect();
    let Some(pattern) = Pattern::parse(text) else {
        // With its wildcards replaced it would be no name.
        if parts.last() == Some(&">") {
            parts.pop();
            parts.push("x");
        }
        let replaced = parts
            .iter()
            .map(|part| if *part == "*" { "x" } else { part });
        assert!(!is_name(&replaced.collect::<Vec<_>>().join(".")));
        return;
    };
    let is_wild = parts.iter().any(|part| ["*", ">"].contains(part));
    assert_eq!(pattern.exact(), (!is_wild).then_some(text));
    if is_name(name) {
        let name: Vec<&str> = name.split('.').collect();
        assert_eq!(pattern.matches(&name.join(".")), matches(&parts, &name));
    }
    if !is_wild {
        assert!(pattern.matches(text));
    }
}

fn matches(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        (["*", pattern @ ..], [_, name @ ..]) => matches(pattern, name),
        ([a, pattern @ ..], [b, name @ ..]) => a == b && matches(pattern, name),
        _ => false,
    }
}

/// Asks by HTTP for what the text says as a path, and follows the location that an answer
/// with the text as a resource ID gives.
fn check_paths(text: &str) {
    let mut web = Web::new();
    web.ask(WebAction::Get, text);
    let mut web = Web::new();
    web.ask(WebAction::Post, text);

    let Some(wanted) = Rid::parse(text).filter(|wanted| wanted.name.len() < 4000) else {
        return;
    };
    if rid::has_cid_tag(text) || text.len() > 100_000 {
        return;
    }
    let mut web = Web::new();
    let asked = web.ask(WebAction::Post, "a/b");
    let [(_, access, _)] = &asked[..] else {
        panic!("a call begins with access: {asked:?}");
    };
    let (asked, _) = web.answer(access, r#"{"result":{"call":"*"}}"#);
    let [(_, call, _)] = &asked[..] else {
        panic!("then it is sent: {asked:?}");
    };
    let (_, response) = web.answer(
        call,
        &serde_json::json!({"resource":{"rid":text}}).to_string(),
    );
    let fields = response.expect("the call is answered").fields;
    let location = fields.iter().find(|(name, _)| *name == "Location");
    let (_, location) = location.expect("the answer leads to the resource");
    assert!(
        location
            .chars()
            .all(|c| c.is_ascii_graphic() && !"?#\"<>\\".contains(c))
    );
    let path = location.strip_prefix("/api/").expect("below the API");

    let asked = web.ask(WebAction::Get, path);
    let get = format!("get.{}", wanted.name);
    let Some((_, _, payload)) = asked.iter().find(|(subject, _, _)| *subject == get) else {
        panic!("{location} leads to {asked:?} instead of {get}");
    };
    let payload: serde_json::Value = serde_json::from_str(payload).expect("requests are JSON");
    assert_eq!(
        payload.get("query").and_then(serde_json::Value::as_str),
        wanted.query.filter(|query| !query.is_empty())
    );
}

type Asked = Vec<(String, String, String)>;

/// A gateway with one HTTP connection.
struct Web(Driver);

impl Web {
    fn new() -> Self {
        let mut driver = Driver::new(Options::default(), 0);
        let max_payload = 1 << 20;
        driver.input(UNLIMITED, Input::Broker { max_payload });
        Self(driver)
    }

    fn ask(&mut self, action: WebAction, target: &str) -> Asked {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let request = WebRequest {
            action,
            path,
            query,
            have: &Have::Nothing,
            waits: false,
            body: b"",
            head: b"",
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        };
        self.input(Input::Web(ClientKey(0), request)).0
    }

    fn answer(&mut self, reply: &str, payload: &str) -> (Asked, Option<WebResponse>) {
        self.input(Input::Message(BrokerMessage {
            sid: INBOX,
            subject: reply.as_bytes(),
            payload: payload.as_bytes(),
            status: None,
            reply: None,
        }))
    }

    fn input(&mut self, input: Input<'_>) -> (Asked, Option<WebResponse>) {
        let output = self.0.input(UNLIMITED, input);
        assert_eq!(output.fault, None);
        let mut asked = Vec::new();
        for op in output.broker {
            match op {
                Operation::Publish {
                    subject,
                    reply,
                    payload,
                    ..
                } => {
                    assert!(is_name(&subject), "{subject:?}");
                    asked.push((subject, reply, payload));
                }
                Operation::Subscribe { subject, .. } => {
                    assert!(is_name(subject.strip_suffix(".*").unwrap_or(&subject)));
                }
                Operation::Unsubscribe { .. } => {}
            }
        }
        let mut answer = None;
        for (_, delivery) in output.clients {
            match delivery {
                Delivery::Web(response) => {
                    assert!(answer.is_none(), "one request, one answer");
                    answer = Some(*response);
                }
                other => panic!("not for HTTP: {other:?}"),
            }
        }
        (asked, answer)
    }
}
