//! What the web API must answer when everything is at rest.

use super::client::target;
use super::content::{Content, canonical};
use super::driver::Input;
use super::script::CLIENTS;
use super::service::Service;
use super::simulator::{API, World};
use serde_json::{Value, json};
use tidegate::gateway::{ClientKey, Have, WebAction, WebRequest, WebResponse};

/// A connection for web requests.
#[derive(Clone, Debug, Default)]
pub struct WebClient {
    pub pending: bool,
    /// The resource that was asked for, unless a method was called.
    asked: Option<String>,
    /// Status and body of the last answer.
    pub answer: Option<(u16, Option<Vec<u8>>)>,
}

impl World {
    /// Sends a GET on a free web connection.
    pub fn web_get(&mut self, web: usize, rid: &str) {
        self.log(|| format!("web {web} gets {rid}"));
        let (name, query) = match rid.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (rid, None),
        };
        self.web[web].asked = Some(rid.to_owned());
        self.web_request(web, WebAction::Get, &name.replace('.', "/"), query);
    }

    /// Sends a POST on a free web connection.
    pub fn web_call(&mut self, web: usize, rid: &str, method: &str) {
        self.log(|| format!("web {web} calls {rid} {method}"));
        let (name, query) = match rid.split_once('?') {
            Some((name, query)) => (name, Some(query)),
            None => (rid, None),
        };
        self.web[web].asked = None;
        let path = format!("{}/{method}", name.replace('.', "/"));
        self.web_request(web, WebAction::Post, &path, query);
    }

    fn web_request(&mut self, web: usize, action: WebAction, path: &str, query: Option<&str>) {
        self.web[web].pending = true;
        self.web[web].answer = None;
        let is_post = action == WebAction::Post;
        let request = WebRequest {
            action,
            path,
            query,
            have: &Have::Nothing,
            waits: false,
            body: if is_post { br#"{"n":1}"# } else { b"" },
            head: b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            remote: std::net::SocketAddr::from(([127, 0, 0, 1], 4000)),
        };
        self.input(Input::Web(ClientKey((CLIENTS + web) as u32), request));
    }

    /// A web request is answered.
    pub fn web_answer(&mut self, web: usize, response: WebResponse) {
        let text = response
            .body
            .as_deref()
            .map(String::from_utf8_lossy)
            .map(|text| text.into_owned());
        self.log(|| {
            format!(
                "web {web} gets {} {}",
                response.status,
                text.unwrap_or_default()
            )
        });
        if !std::mem::take(&mut self.web[web].pending) {
            self.fail(format!("web {web} gets an answer to no request"));
        }
        if let Some(body) = &response.body {
            match serde_json::from_slice::<Value>(body) {
                Ok(body) if response.status == 200 => self.check_root(web, &body),
                Ok(_) => {}
                Err(error) => self.fail(format!("web {web} gets no JSON: {error}")),
            }
        }
        let body = response.body.map(|body| body.to_vec());
        self.web[web].answer = Some((response.status, body));
    }

    /// The resource that was asked for must have had the state that is answered; what it
    /// refers to may have been left out or expanded.
    fn check_root(&mut self, web: usize, body: &Value) {
        let Some(rid) = self.web[web].asked.take() else {
            return;
        };
        let (name, query) = target(&rid, "");
        let Some(entry) = self.service.entry(&name).filter(|entry| !entry.disturbed) else {
            return;
        };
        let past = entry.past(query.as_deref());
        if !name.starts_with("u.") && !past.iter().any(|old| shallow(old) == bare(body)) {
            self.fail(format!(
                "web {web} gets a state that {rid} never had: {body}"
            ));
        }
    }
}

/// A content as the web API encodes it, of references only where they lead.
fn shallow(content: &Content) -> Value {
    let node = |value: &Value| {
        let value = canonical(value);
        match (value.get("data"), value["rid"].as_str()) {
            (Some(data), _) => data.clone(),
            (None, Some(rid)) => json!({"href": href(rid)}),
            (None, None) => value,
        }
    };
    match content {
        Content::Model(values) => values
            .iter()
            .map(|(key, value)| (key.clone(), node(value)))
            .collect(),
        Content::Collection(values) => values.iter().map(node).collect(),
    }
}

/// An encoded content with its references cut down in the same way.
fn bare(body: &Value) -> Value {
    let node = |value: &Value| match value.get("href") {
        Some(href) => json!({"href": href}),
        None => value.clone(),
    };
    match body {
        Value::Object(values) => values
            .iter()
            .map(|(key, value)| (key.clone(), node(value)))
            .collect(),
        Value::Array(values) => values.iter().map(node).collect(),
        other => other.clone(),
    }
}

/// The encoding of a resource with everything that it refers to, as a web client of
/// this connection ID sees it.
pub fn encode(service: &mut Service, rid: &str, cid: &str) -> Option<Value> {
    let (name, query) = target(rid, cid);
    let content = service.truth(&name, query.as_deref())?;
    // In a request target an empty query is none.
    let root = rid.trim_end_matches('?').to_owned();
    Some(content_of(service, &content, cid, &mut vec![root]))
}

fn content_of(
    service: &mut Service,
    content: &Content,
    cid: &str,
    above: &mut Vec<String>,
) -> Value {
    match content {
        Content::Model(values) => {
            let mut object = serde_json::Map::new();
            for (key, value) in values {
                object.insert(key.clone(), value_of(service, value, cid, above));
            }
            Value::Object(object)
        }
        Content::Collection(values) => values
            .iter()
            .map(|value| value_of(service, value, cid, above))
            .collect(),
    }
}

fn value_of(service: &mut Service, value: &Value, cid: &str, above: &mut Vec<String>) -> Value {
    let value = canonical(value);
    if let Some(data) = value.get("data") {
        return data.clone();
    }
    let Some(rid) = value["rid"].as_str() else {
        return value;
    };
    let mut node = json!({"href": href(rid)});
    if value.get("soft").is_some() || above.iter().any(|open| open == rid) {
        return node;
    }
    let (name, query) = target(rid, cid);
    match service.truth(&name, query.as_deref()) {
        None => node["error"] = json!({"code": "system.notFound", "message": "Not found"}),
        Some(content) => {
            above.push(rid.to_owned());
            let member = match content {
                Content::Model(_) => "model",
                Content::Collection(_) => "collection",
            };
            node[member] = content_of(service, &content, cid, above);
            above.pop();
        }
    }
    node
}

/// How many resources an encoding has in it, each as often as it is nested.
pub fn resources(body: &Value) -> u64 {
    let (mut count, mut open) = (0, vec![body]);
    while let Some(body) = open.pop() {
        count += 1;
        let values: Vec<&Value> = match body {
            Value::Object(values) => values.values().collect(),
            Value::Array(values) => values.iter().collect(),
            _ => Vec::new(),
        };
        for value in values
            .into_iter()
            .filter(|value| value.get("href").is_some())
        {
            let nested = ["model", "collection"].iter();
            open.extend(nested.filter_map(|member| value.get(member)));
            count += u64::from(value.get("error").is_some());
        }
    }
    count
}

/// The path of a resource in the web API.
fn href(rid: &str) -> String {
    let mut href = API.to_owned();
    for c in rid.chars() {
        match c {
            '.' => href.push('/'),
            '?' => href.push_str("%3F"),
            '{' => href.push_str("%7B"),
            '}' => href.push_str("%7D"),
            c => href.push(c),
        }
    }
    href
}

#[test]
fn references_expand_until_they_meet_themselves() {
    assert_eq!(href("q.0?l=2&s=0"), "/api/q/0%3Fl=2&s=0");
    let mut service = Service::new(1, super::changes::EVERYWHERE);
    let values = [
        ("a", json!({"rid": "m.0"})),
        ("b", json!({"rid": "u.{cid}"})),
        ("c", json!({"rid": "z.9", "soft": true})),
        ("d", json!({"rid": "z.9"})),
        ("e", json!({"data": {"rid": 1}})),
    ];
    let model = values.map(|(key, value)| (key.to_owned(), value));
    service.entry("m.0").unwrap().content = Some(Content::Model(model.into()));
    let expected = json!({
        "a": {"href": "/api/m/0"},
        "b": {"href": "/api/u/%7Bcid%7D", "model": {"a": 1}},
        "c": {"href": "/api/z/9"},
        "d": {"href": "/api/z/9", "error": {"code": "system.notFound", "message": "Not found"}},
        "e": {"rid": 1},
    });
    assert_eq!(resources(&expected), 3);
    assert_eq!(encode(&mut service, "m.0", "cid"), Some(expected));
    assert_eq!(encode(&mut service, "z.9", "cid"), None);
}
