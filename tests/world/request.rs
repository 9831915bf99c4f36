//! Requests of the gateway to the services, and how the services behave on them.

use super::choices::Choices;
#[cfg(test)]
use super::choices::Rng;
use super::service::Sent;
use super::service::{RIDS, Service};
use serde_json::{Value, json};

/// Time for an answer that the gateway is set to, in milliseconds.
pub const REQUEST_TIMEOUT: u64 = 3000;

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Get,
    Access,
    Call(String),
    Auth,
    /// Sent because of a query event.
    Query,
    /// Sent because of a token reset.
    Renew,
}

/// A request as it was published.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: Kind,
    /// The resource name; the whole subject for query and renew requests.
    pub name: String,
    pub subject: String,
    pub reply: String,
    pub body: Value,
}

impl Request {
    /// Reads a published request.
    ///
    /// # Errors
    /// Says what no service could understand.
    pub fn parse(subject: &str, reply: &str, payload: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(payload)
            .map_err(|error| format!("the payload of {subject} is no JSON: {error}"))?;
        let (head, rest) = subject.split_once('.').unwrap_or((subject, ""));
        let named = |kind, name: &str| (kind, name.to_owned());
        let (kind, name) = match (head, rest.rsplit_once('.')) {
            ("get", _) => named(Kind::Get, rest),
            ("access", _) => named(Kind::Access, rest),
            ("call", Some((name, method))) => named(Kind::Call(method.to_owned()), name),
            ("auth", Some((name, _))) => named(Kind::Auth, name),
            ("changes" | "ask", _) => named(Kind::Query, subject),
            ("renew", _) => named(Kind::Renew, subject),
            _ => return Err(format!("no service listens to {subject}")),
        };
        if !body.is_object() {
            return Err(format!("the payload of {subject} is no object: {body}"));
        }
        Ok(Self {
            kind,
            name,
            subject: subject.to_owned(),
            reply: reply.to_owned(),
            body,
        })
    }

    pub fn query(&self) -> Option<&str> {
        self.body.get("query")?.as_str()
    }

    pub fn cid(&self) -> Option<&str> {
        self.body.get("cid")?.as_str()
    }

    /// The kind of token that the request carries.
    pub fn token(&self) -> usize {
        token_kind(&self.body["token"])
    }
}

/// The token of a kind, as services give it out.
pub fn token(kind: usize) -> Value {
    if kind == 0 {
        Value::Null
    } else {
        json!({"user": kind})
    }
}

/// The kind of a token.
pub fn token_kind(token: &Value) -> usize {
    token["user"].as_u64().map_or(0, |kind| kind as usize)
}

/// How a service treats one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    Answer,
    /// Nobody listens: the broker says so at once.
    NoResponders,
    Never,
    Error,
    Garbage(usize),
    /// The answer, and once more.
    Twice,
    /// A longer time-out is asked for first; the answer comes within it.
    PreResponse,
    /// The answer, and later one more that contradicts it.
    Late,
    /// That answer.
    Echo,
    /// Anything, whatever the service has.
    Lie,
}

/// How a service treats a request, and after how many milliseconds it acts.
pub fn plan(rng: &mut impl Choices, faults: bool) -> (Style, u64) {
    let delay = match rng.weighted(&[30, 40, 20, 6]) {
        0 => 0,
        1 => rng.between(0, 30),
        2 => rng.between(10, 300),
        _ => rng.between(300, 2400),
    };
    if !faults || rng.chance(75) {
        return (Style::Answer, delay);
    }
    match rng.below(8) {
        0 => (Style::NoResponders, 0),
        1 => (Style::Never, 0),
        2 | 3 => (Style::Error, delay),
        4 => (Style::Garbage(rng.below(64)), delay),
        5 => (Style::Twice, delay),
        6 => (Style::PreResponse, delay),
        // Too late for the gateway.
        _ => (
            Style::Answer,
            rng.between(REQUEST_TIMEOUT + 200, 2 * REQUEST_TIMEOUT),
        ),
    }
}

/// How a service that keeps to no protocol treats a request, and after how long it acts.
pub fn plan_lie(rng: &mut impl Choices) -> (Style, u64) {
    let delay = rng.between(0, 300);
    match rng.below(10) {
        0..8 => (Style::Lie, delay),
        8 => (Style::Late, delay),
        _ => (Style::Never, 0),
    }
}

/// How many of the answers that are none, the first ones, have no result at all.
pub const NO_RESULT: usize = 5;

/// Answers that are none, for every kind of request.
const GARBAGE: [&[u8]; 12] = [
    b"{",
    b"[1]",
    b"\"x\"",
    b"{\"result\":null,\"meta\":7}",
    b"{}",
    b"{\"result\":{\"model\":{},\"collection\":[]}}",
    b"{\"result\":{\"model\":{\"a\":{\"b\":1}}}}",
    b"{\"result\":{\"model\":{\"a\":{\"rid\":\"\"}}}}",
    b"{\"result\":{\"collection\":[[1]]}}",
    b"{\"result\":{\"model\":{\"a\":\"\xff\"}}}",
    b"{\"result\":{\"get\":\"yes\",\"model\":[],\"collection\":{},\"events\":7}}",
    b"{\"error\":7}",
];

/// One of the answers that are none.
pub fn garbage(choice: usize) -> Vec<u8> {
    GARBAGE[choice % GARBAGE.len()].to_vec()
}

/// What a service sends on a request at the moment: events that come first, and the
/// answer last, with the reply as its subject.
pub fn answer(service: &mut Service, request: &Request, rng: &mut impl Choices) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut lane = request.name.clone();
    let answer = match &request.kind {
        Kind::Get => get(service, request),
        Kind::Access => access(service, request, rng),
        Kind::Call(method) => {
            let error = |code: &str| json!({"error": {"code": code, "message": "No"}});
            let rid = *rng.pick(&RIDS);
            match method.as_str() {
                "set" => {
                    sent = service.mutate(&request.name, rng, false);
                    json!({"result": null})
                }
                "ok" => json!({"result": request.body["params"]}),
                "new" if rng.chance(50) => json!({"result": {"rid": rid}}),
                "new" | "res" => json!({"resource": {"rid": rid}}),
                _ => error("test.refused"),
            }
        }
        Kind::Auth | Kind::Renew => {
            "auth".clone_into(&mut lane);
            let kind = request.body["params"]["user"].as_u64().unwrap_or(0) as usize;
            let cid = request.cid().unwrap_or_default();
            sent.push(token_event(cid, kind));
            json!({"result": null})
        }
        Kind::Query => {
            service
                .name_of_changes(&request.name)
                .unwrap_or_default()
                .clone_into(&mut lane);
            service.changes(&request.name, request.query().unwrap_or_default(), rng)
        }
    };
    let payload = answer.to_string().into_bytes();
    sent.push(Sent {
        lane,
        subject: request.reply.clone(),
        payload,
    });
    sent
}

/// A token event for a connection.
pub fn token_event(cid: &str, kind: usize) -> Sent {
    let mut payload = json!({"token": token(kind)});
    if kind > 0 {
        payload["tid"] = json!(format!("t{kind}"));
    }
    let subject = format!("conn.{cid}.token");
    Sent {
        lane: "auth".to_owned(),
        subject,
        payload: payload.to_string().into(),
    }
}

fn get(service: &mut Service, request: &Request) -> Value {
    let query = request.query();
    let normal = service.normal_query(&request.name, query);
    match service.truth(&request.name, query) {
        None => json!({"error": {"code": "system.notFound", "message": "Not found"}}),
        Some(content) => {
            let mut result = content.to_result();
            if let Some(normal) = normal {
                result.insert("query".to_owned(), json!(normal));
            }
            json!({"result": result})
        }
    }
}

fn access(service: &mut Service, request: &Request, rng: &mut impl Choices) -> Value {
    let grant = service.grant(&request.name, request.token());
    if !grant.get && grant.call.is_empty() && rng.chance(50) {
        return json!({"error": {"code": "system.accessDenied", "message": "Access denied"}});
    }
    let mut result = json!({});
    if grant.get || rng.chance(50) {
        result["get"] = json!(grant.get);
    }
    if !grant.call.is_empty() || rng.chance(50) {
        result["call"] = json!(grant.call);
    }
    json!({"result": result})
}

#[test]
fn requests_are_read_by_their_subject() {
    let kind =
        |subject| Request::parse(subject, "r", b"{}").map(|request| (request.kind, request.name));
    assert_eq!(kind("get.m.0"), Ok((Kind::Get, "m.0".into())));
    assert_eq!(kind("access.m.0"), Ok((Kind::Access, "m.0".into())));
    assert_eq!(
        kind("call.m.0.set"),
        Ok((Kind::Call("set".into()), "m.0".into()))
    );
    assert_eq!(kind("auth.m.0.login"), Ok((Kind::Auth, "m.0".into())));
    assert_eq!(
        kind("changes.q.0.5"),
        Ok((Kind::Query, "changes.q.0.5".into()))
    );
    assert!(kind("event.m.0.change").is_err());
    assert!(Request::parse("get.m.0", "r", b"[]").is_err());
    assert!(Request::parse("get.m.0", "r", b"").is_err());
}

#[test]
fn answers_follow_the_state_and_the_rules() {
    let mut service = Service::new(1, super::changes::EVERYWHERE);
    let mut rng = Rng::new(1);
    let mut ask = |subject: &str, body: &str| -> Vec<(String, Value)> {
        let request = Request::parse(subject, "r", body.as_bytes()).unwrap();
        let sent = answer(&mut service, &request, &mut rng);
        sent.into_iter()
            .map(|sent| (sent.subject, serde_json::from_slice(&sent.payload).unwrap()))
            .collect()
    };
    assert!(ask("get.m.0", "{}")[0].1["result"]["model"].is_object());
    assert_eq!(
        ask("get.q.0", r#"{"query":"s=1&l=2"}"#)[0].1["result"]["query"],
        "l=2&s=1"
    );
    assert_eq!(
        ask("get.z.9", "{}")[0].1["error"]["code"],
        "system.notFound"
    );
    assert_eq!(
        ask("get.u.x", "{}")[0].1["result"]["model"],
        json!({"a": 1})
    );
    assert_eq!(
        ask("access.z.9", "{}")[0].1["result"],
        json!({"get": true, "call": "*"})
    );
    let set = ask("call.m.0.set", "{}");
    assert_eq!(set[0].0, "event.m.0.change");
    assert_eq!(set[1], ("r".to_owned(), json!({"result": null})));
    let login = ask("auth.m.0.login", r#"{"cid":"x","params":{"user":2}}"#);
    assert_eq!(login[0].0, "conn.x.token");
    assert_eq!(login[0].1, json!({"token": {"user": 2}, "tid": "t2"}));
}

#[test]
fn without_faults_every_request_is_answered_in_time() {
    let mut rng = Rng::new(1);
    for _ in 0..500 {
        let (style, delay) = plan(&mut rng, false);
        assert_eq!(style, Style::Answer);
        assert!(delay < REQUEST_TIMEOUT);
    }
}
