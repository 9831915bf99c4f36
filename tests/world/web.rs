//! What the web API must answer when everything is at rest.

use super::choices::Choices;
use super::client::target;
use super::content::{Content, canonical};
use super::driver::Input;
use super::script::CLIENTS;
use super::service::Service;
use super::simulator::{API, World};
use serde_json::{Value, json};
use tidegate::gateway::{ClientKey, Have, Tag, WebAction, WebRequest, WebResponse};

/// A connection for web requests.
#[derive(Clone, Debug, Default)]
pub struct WebClient {
    pub pending: bool,
    /// The resource that was asked for, unless a method was called.
    asked: Option<String>,
    /// Status and body of the last answer.
    pub answer: Option<(u16, Option<Vec<u8>>)>,
    /// The last resource that it was sent, its tag and its body.
    known: Option<(String, Tag, Value)>,
    /// It has said that it has that.
    has_known: bool,
    /// It waits while that is what there is.
    pub waits: bool,
}

impl World {
    /// Sends a GET on a free web connection.
    pub fn web_get(&mut self, web: usize, rid: &str) {
        self.web_get_with(web, rid, false, false);
    }

    /// The same of one who may have been sent the resource before, and may wait then.
    pub fn web_get_again(&mut self, web: usize, rid: &str) {
        let known = self.web[web]
            .known
            .as_ref()
            .map(|(known, ..)| known.clone());
        let mut luck = self.roll("web");
        match known.filter(|known| known == rid || luck.chance(60)) {
            Some(known) => {
                let (has_known, waits) = (luck.chance(80), luck.chance(80));
                self.web_get_with(web, &known, has_known, waits);
            }
            None => self.web_get_with(web, rid, false, false),
        }
    }

    fn web_get_with(&mut self, web: usize, rid: &str, has_known: bool, waits: bool) {
        self.log(|| format!("web {web} gets {rid}, has it: {has_known}, waits: {waits}"));
        self.web[web].has_known = has_known;
        self.web[web].waits = has_known && waits;
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
        (self.web[web].has_known, self.web[web].waits) = (false, false);
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
        let known = self.web[web]
            .known
            .as_ref()
            .filter(|_| self.web[web].has_known);
        let have = known.map_or(Have::Nothing, |(_, tag, _)| Have::Tagged(Box::new([*tag])));
        let request = WebRequest {
            action,
            path,
            query,
            have: &have,
            waits: self.web[web].waits,
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
        self.check_tag(web, &response);
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

    /// What is answered has a tag if it is a resource, which is the same as long as that is; and
    /// only what the client has is left out.
    fn check_tag(&mut self, web: usize, response: &WebResponse) {
        let is_resource = self.web[web].asked.is_some() && [200, 304].contains(&response.status);
        if response.tag.is_some() != is_resource {
            self.fail(format!(
                "web {web} is answered with the tag {:?}",
                response.tag
            ));
        }
        let Some(tag) = response.tag else { return };
        let known = self.web[web].known.clone();
        if response.status == 304 {
            match known.filter(|_| self.web[web].has_known) {
                Some((_, old, body)) if old == tag => self.check_root(web, &body),
                other => self.fail(format!("web {web} is said to have {tag:?}, has {other:?}")),
            }
            return;
        }
        let text = response.body.as_deref().unwrap_or_default();
        if tag != Tag::of(text) || self.web[web].has_known && known.is_some_and(|it| it.1 == tag) {
            self.fail(format!(
                "web {web} is sent {tag:?}, which it has or is another"
            ));
        }
        if let (Ok(body), Some(rid)) = (serde_json::from_slice(text), self.web[web].asked.clone()) {
            self.web[web].known = Some((rid, tag, body));
        }
    }

    /// At rest: whoever waits has what there is, and is told so when it waits no longer.
    pub fn end_patience(&mut self) {
        let is_known =
            !self.service.has_lies() && !self.profile.small_payloads && !self.profile.may_refuse();
        for web in 0..self.web.len() {
            if self.failure.is_some() || !self.web[web].pending || !self.web[web].waits {
                continue;
            }
            // What could not be had is asked for with the next request.
            let has_error = |body: &Value| body.to_string().contains(r#""error":{"code":"#);
            if let Some((rid, _, body)) = self.web[web].known.clone()
                && is_known
                && !has_error(&body)
                && !rid.starts_with("u.")
            {
                let truth = encode(&mut self.service, &rid, "web");
                if truth.as_ref() != Some(&body) {
                    self.fail(format!(
                        "web {web} waits with {body} of {rid}, it is {truth:?}"
                    ));
                }
            }
            self.log(|| format!("web {web} waits no longer"));
            self.input(Input::EndPoll(ClientKey((CLIENTS + web) as u32)));
            self.rest();
        }
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
