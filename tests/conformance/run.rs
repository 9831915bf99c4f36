//! Plays one scenario against one gateway, and writes down what happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::broker::Published;
use crate::gateway::{Gateway, Side};
use crate::json::{Captures, Json, fill, text_matches};
use crate::scenario::{Detail, Scenario, Step, localise};
use crate::socket::{Frame, Lack, Response, Socket, upgrade};

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(8);

/// A WebSocket client.
struct Client {
    socket: Socket,
    last_id: u64,
    /// IDs of requests without answer, oldest first.
    open: VecDeque<u64>,
    /// Messages read while another one was looked for.
    ahead: VecDeque<String>,
}

/// A scenario that runs.
pub struct Run<'a> {
    gateway: &'a mut Gateway,
    side: Side,
    scenario: &'a Scenario,
    prefix: String,
    captures: Captures,
    clients: BTreeMap<String, Client>,
    webs: BTreeMap<String, Socket>,
    /// Requests that steps have seen, newest last, and whether they are answered.
    asked: Vec<(Published, bool)>,
    /// Resource names that the service spoke about: fences are set on them.
    names: BTreeSet<String>,
    fences: u64,
    transcript: String,
}

impl<'a> Run<'a> {
    /// Plays it. The error is a transcript that ends with what went wrong.
    pub fn play(
        gateway: &'a mut Gateway,
        side: Side,
        scenario: &'a Scenario,
        prefix: String,
    ) -> Result<(), String> {
        gateway.broker.take_rest();
        let mut run = Run {
            gateway,
            side,
            scenario,
            prefix,
            captures: Captures::new(),
            clients: BTreeMap::new(),
            webs: BTreeMap::new(),
            asked: Vec::new(),
            names: BTreeSet::new(),
            fences: 0,
            transcript: String::new(),
        };
        run.all_steps().map_err(|problem| {
            for left in run.gateway.broker.rest() {
                run.note(&format!(
                    "       (also published) {} {}",
                    left.subject, left.payload
                ));
            }
            let title = format!("{} \"{}\"", scenario.place, scenario.title);
            format!("{title}\n{}   !! {problem}\n", run.transcript)
        })
    }

    fn all_steps(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        let mut fenced = false;
        for step in &scenario.steps {
            if step.only.is_some_and(|only| only != self.side) {
                continue;
            }
            for _ in 0..step.times {
                self.note(&format!("{:5}  {}", step.line, step.text));
                self.step(step)?;
            }
            fenced = step.text.starts_with("none") || step.text.starts_with("gateway");
        }
        if !fenced {
            self.note("       none");
            self.nothing_more("")?;
        }
        Ok(())
    }

    fn note(&mut self, line: &str) {
        let cut = line.char_indices().nth(2000).map_or(line.len(), |(i, _)| i);
        self.transcript.push_str(&line[..cut]);
        self.transcript.push('\n');
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        fill(&localise(text, &self.prefix), &self.captures)
    }

    fn pattern(&self, text: &str) -> Result<Json, String> {
        Json::parse(&localise(text, &self.prefix))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let (verb, rest) = split(&step.text);
        if verb.starts_with("client") {
            return self.client_step(verb, rest, &step.details);
        }
        if verb.starts_with("http") || verb == "metrics" {
            return self.web_step(verb, rest, &step.details);
        }
        match verb {
            "broker" => match split(rest) {
                ("?", rest) => self.expect_request(rest),
                ("!", payload) => self.answer_last(payload),
                ("~", text) => {
                    self.answer_last(text)?;
                    // A pre-response is no answer.
                    if let Some((_, answered)) = self.asked.last_mut() {
                        *answered = false;
                    }
                    Ok(())
                }
                ("hangs", "up") => {
                    self.gateway.broker.hang_up();
                    Ok(())
                }
                _ => Err("unknown step".to_owned()),
            },
            "answer" => {
                let (subject, payload) = split(rest);
                self.pick_request(subject)?;
                self.answer_last(payload)
            }
            "serve" => {
                let (name, content) = split(rest);
                self.pick_request(&format!("access.{name}"))?;
                self.answer_last(r#"{"result":{"get":true,"call":"*"}}"#)?;
                self.pick_request(&format!("get.{name}"))?;
                self.answer_last(&format!(r#"{{"result":{content}}}"#))
            }
            "get" => {
                let (name, content) = split(rest);
                self.pick_request(&format!("get.{name}"))?;
                self.answer_last(&format!(r#"{{"result":{content}}}"#))
            }
            "grant" => {
                self.pick_request(&format!("access.{rest}"))?;
                self.answer_last(r#"{"result":{"get":true,"call":"*"}}"#)
            }
            "deny" => {
                self.pick_request(&format!("access.{rest}"))?;
                self.answer_last(r#"{"result":{"get":false}}"#)
            }
            "event" => {
                let (event, payload) = split(rest);
                if let Some((name, _)) = self.fill(event)?.rsplit_once('.') {
                    self.names.insert(name.to_owned());
                }
                self.publish(&format!("event.{event}"), payload)
            }
            "publish" => {
                let (subject, payload) = split(rest);
                self.publish(subject, payload)
            }
            "sub" | "nosub" => {
                let subject = self.fill(rest)?;
                let there = verb == "sub";
                if self
                    .gateway
                    .broker
                    .wait_subscription(PATIENCE, &subject, there)
                {
                    Ok(())
                } else if there {
                    Err(format!("{subject} is not subscribed"))
                } else {
                    Err(format!("{subject} is still subscribed"))
                }
            }
            "none" => self.nothing_more(rest),
            "gateway" => self.expect_exit(rest),
            _ => Err("unknown step".to_owned()),
        }
    }

    fn publish(&mut self, subject: &str, payload: &str) -> Result<(), String> {
        let subject = self.fill(subject)?;
        let payload = unescape(&self.fill(payload)?)?;
        self.gateway.broker.publish(&subject, &payload);
        Ok(())
    }

    // Requests of the gateway.

    fn expect_request(&mut self, text: &str) -> Result<(), String> {
        let (subject, payload) = split(text);
        let subject = localise(subject, &self.prefix);
        let mut captures = self.captures.clone();
        let came = self.gateway.broker.take(PATIENCE, |p| {
            p.reply.is_some() && text_matches(&subject, &p.subject, &mut captures)
        });
        let Some(came) = came else {
            return Err(format!("no request {subject} came"));
        };
        self.captures = captures;
        self.check_payload(payload, &came.payload)?;
        if came.subject.starts_with("get.") && !came.heard {
            return Err("the resource's events are not subscribed before the get".to_owned());
        }
        self.asked.push((came, false));
        Ok(())
    }

    /// The request to answer next: one of this subject that was seen and not answered,
    /// else the next that comes.
    fn pick_request(&mut self, subject: &str) -> Result<(), String> {
        let wanted = self.fill(subject)?;
        let seen = self
            .asked
            .iter()
            .position(|(request, answered)| request.subject == wanted && !answered);
        match seen {
            Some(at) => {
                let request = self.asked.remove(at);
                self.asked.push(request);
                Ok(())
            }
            None => self.expect_request(subject),
        }
    }

    fn check_payload(&mut self, wanted: &str, came: &str) -> Result<(), String> {
        if wanted.is_empty() {
            return Ok(());
        }
        if let Some(exact) = wanted.strip_prefix('=') {
            let exact = localise(exact, &self.prefix);
            return if text_matches(&exact, came, &mut self.captures) {
                Ok(())
            } else {
                Err(format!("came with payload {came}"))
            };
        }
        let wanted = self.pattern(wanted)?;
        let got = Json::parse(came)?;
        if wanted.matches(&got, &mut self.captures) {
            Ok(())
        } else {
            Err(format!("came with payload {came}"))
        }
    }

    /// Answers the newest request that was asked for. It stays known, so that it can be
    /// answered twice.
    fn answer_last(&mut self, payload: &str) -> Result<(), String> {
        let Some((request, answered)) = self.asked.last_mut() else {
            return Err("no request to answer".to_owned());
        };
        *answered = true;
        let reply = request.reply.clone().unwrap_or_default();
        let subject = request.subject.clone();
        if let Some((kind, name)) = subject.split_once('.') {
            let name = match kind {
                "access" | "get" => Some(name),
                "call" | "auth" => name.rsplit_once('.').map(|(name, _)| name),
                _ => None,
            };
            self.names.extend(name.map(str::to_owned));
        }
        if payload == "noresponders" {
            self.gateway.broker.no_responders(&reply);
        } else {
            let payload = unescape(&self.fill(payload)?)?;
            self.gateway.broker.publish(&reply, &payload);
        }
        Ok(())
    }

    // WebSocket clients.

    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        if !self.clients.contains_key(name) {
            self.connect(name, &self.socket_path(), "")?;
        }
        self.clients
            .get_mut(name)
            .ok_or_else(|| format!("{name} is not connected"))
    }

    /// The path that the flags give to WebSockets.
    fn socket_path(&self) -> String {
        let mut flags = self.scenario.flags.iter();
        let given = flags.find(|f| *f == "--wspath").and(flags.next());
        given.map_or("/", String::as_str).to_owned()
    }

    fn connect(&mut self, name: &str, path: &str, headers: &str) -> Result<(), String> {
        let socket = Socket::open(&self.gateway.addr, path, headers)?;
        self.adopt(name, socket)
    }

    /// Makes a client of a connection that has been upgraded.
    fn adopt(&mut self, name: &str, socket: Socket) -> Result<(), String> {
        let mut client = Client {
            socket,
            last_id: 0,
            open: VecDeque::new(),
            ahead: VecDeque::new(),
        };
        if let Some(protocol) = &self.scenario.protocol {
            let hello =
                format!(r#"{{"id":0,"method":"version","params":{{"protocol":"{protocol}"}}}}"#);
            client.socket.write_frame(0x81, hello.as_bytes());
            let answer = client.next()?;
            if !answer.contains(r#""protocol":"1.2.3""#) {
                return Err(format!("the version handshake was answered {answer}"));
            }
        }
        self.clients.insert(name.to_owned(), client);
        Ok(())
    }

    fn client_step(&mut self, name: &str, rest: &str, details: &[Detail]) -> Result<(), String> {
        let (verb, rest) = split(rest);
        match verb {
            "connect" => {
                let path = if rest.is_empty() { "/" } else { rest };
                let path = self.fill(path)?;
                let headers = self.header_lines(details)?;
                self.connect(name, &path, &headers)
            }
            "upgraded" => {
                // The HTTP connection of this name got status 101.
                let Some(socket) = self.webs.remove(rest) else {
                    return Err(format!("no connection {rest}"));
                };
                self.adopt(name, socket)
            }
            ">" => {
                let text = self.fill(rest)?;
                self.client(name)?.send(&text);
                Ok(())
            }
            "<" | "<~" => {
                if rest == "closed" {
                    return self.expect_client_closed(name);
                }
                self.expect_message(name, rest, verb == "<~")
            }
            ">>" => {
                let (first, rest) = split(rest);
                let text = self.fill(rest)?;
                let (bare, byte, text) = match first {
                    "bytes" => {
                        let bytes = unescape(&text)?;
                        self.client(name)?.socket.write(&bytes);
                        return Ok(());
                    }
                    "bare" => {
                        let (byte, text) = split(&text);
                        (true, byte.to_owned(), text.to_owned())
                    }
                    byte => (false, byte.to_owned(), text),
                };
                let byte = u8::from_str_radix(&byte, 16).map_err(|e| e.to_string())?;
                let payload = unescape(&text)?;
                let socket = &mut self.client(name)?.socket;
                if bare {
                    socket.write_bare_frame(byte, &payload);
                } else {
                    socket.write_frame(byte, &payload);
                }
                Ok(())
            }
            "<<" => {
                if rest == "closed" {
                    return self.expect_client_closed(name);
                }
                let (first, text) = split(rest);
                let first = u8::from_str_radix(first, 16).map_err(|e| e.to_string())?;
                let payload = unescape(&self.fill(text)?)?;
                let wanted = Frame { first, payload };
                match self.client(name)?.socket.frame(PATIENCE) {
                    // A reason text beside a close code is free.
                    Ok(got) if first == 0x88 && got.first == 0x88 => {
                        let code = got.payload.get(..2).unwrap_or_default();
                        if code == wanted.payload {
                            Ok(())
                        } else {
                            Err(format!("got {got:?}"))
                        }
                    }
                    Ok(got) if got == wanted => Ok(()),
                    other => Err(format!("got {other:?}")),
                }
            }
            "finish" => {
                self.client(name)?.socket.finish();
                Ok(())
            }
            "closes" => {
                self.clients.remove(name);
                Ok(())
            }
            _ => Err("unknown step".to_owned()),
        }
    }

    fn expect_client_closed(&mut self, name: &str) -> Result<(), String> {
        let client = self.client(name)?;
        let got = client.socket.frame(PATIENCE);
        self.clients.remove(name);
        match got {
            Err(Lack::Closed) => Ok(()),
            other => Err(format!("the connection is not closed, got {other:?}")),
        }
    }

    fn expect_message(&mut self, name: &str, text: &str, any_order: bool) -> Result<(), String> {
        let (word, rest) = split(text);
        let (word, id) = match word.split_once('#') {
            Some((word, id)) => (word, id.parse::<u64>().ok()),
            None => (word, None),
        };
        let id = id.or_else(|| self.clients.get(name)?.open.front().copied());
        let id_text = id.map_or("null".to_owned(), |id| id.to_string());
        let wanted = match word {
            "exact" => {
                let wanted = self.fill(rest)?;
                let got = self.client(name)?.next()?;
                self.settle(name, &got);
                return if got == wanted {
                    Ok(())
                } else {
                    Err(format!("got {got}"))
                };
            }
            "result" => format!(r#"{{"result":{rest},"id":{id_text}}}"#),
            "ok" => format!(r#"{{"id":{id_text}}}"#),
            "error" if rest.starts_with('{') => {
                format!(r#"{{"error":{rest},"id":{id_text}}}"#)
            }
            "error" => {
                let (code, message) = split(rest);
                let message = quote(if message.is_empty() { "$*" } else { message });
                let code = quote(code);
                format!(r#"{{"error":{{"code":{code},"message":{message}}},"id":{id_text}}}"#)
            }
            "event" => {
                let (event, data) = split(rest);
                format!(r#"{{"event":{},"data":{data}}}"#, quote(event))
            }
            "unsubscribed" => {
                let (rid, rest) = split(rest);
                let (code, message) = split(rest);
                format!(
                    r#"{{"event":{},"data":{{"reason":{{"code":{},"message":{}}}}}}}"#,
                    quote(&format!("{rid}.unsubscribe")),
                    quote(code),
                    quote(message)
                )
            }
            _ => text.to_owned(),
        };
        let wanted = self.pattern(&wanted)?;
        let mut captures = self.captures.clone();
        let client = self.client(name)?;
        let mut seen = VecDeque::new();
        let found = loop {
            let Ok(got) = client.next() else {
                client.ahead = seen;
                let seen: Vec<_> = client.ahead.iter().cloned().collect();
                return Err(format!("no such message came; got {seen:?}"));
            };
            let parsed = Json::parse(&got)?;
            if wanted.matches(&parsed, &mut captures) {
                break got;
            }
            if !any_order {
                return Err(format!("got {got}"));
            }
            seen.push_back(got);
        };
        seen.append(&mut client.ahead);
        client.ahead = seen;
        self.captures = captures;
        self.settle(name, &found);
        Ok(())
    }

    /// A request has its answer.
    fn settle(&mut self, name: &str, message: &str) {
        let id = Json::parse(message)
            .ok()
            .and_then(|m| match m.member("id") {
                Some(Json::Literal(id)) => id.parse::<u64>().ok(),
                _ => None,
            });
        if let (Some(id), Some(client)) = (id, self.clients.get_mut(name))
            && let Some(at) = client.open.iter().position(|open| *open == id)
        {
            client.open.remove(at);
        }
    }

    // HTTP.

    fn header_lines(&self, details: &[Detail]) -> Result<String, String> {
        let mut lines = String::new();
        for detail in details.iter().filter(|d| d.mark == '+') {
            lines.push_str(&self.fill(&detail.text)?);
            lines.push_str("\r\n");
        }
        Ok(lines)
    }

    fn web_step(&mut self, name: &str, rest: &str, details: &[Detail]) -> Result<(), String> {
        let (verb, rest) = split(rest);
        if !self.webs.contains_key(name) {
            let addr = if name == "metrics" {
                &self.gateway.metrics_addr
            } else {
                &self.gateway.addr
            };
            let socket = Socket::connect(addr)?;
            self.webs.insert(name.to_owned(), socket);
        }
        let is_expected = verb == "<";
        let text = if is_expected {
            String::new()
        } else {
            self.fill(rest)?
        };
        let headers = if is_expected {
            String::new()
        } else {
            self.header_lines(details)?
        };
        let Some(socket) = self.webs.get_mut(name) else {
            return Err(format!("no connection {name}"));
        };
        match verb {
            ">" => {
                let (method, rest) = split(&text);
                let (target, body) = split(rest);
                socket.head_only = method == "HEAD";
                let length = if body.is_empty() {
                    String::new()
                } else {
                    format!("Content-Length: {}\r\n", body.len())
                };
                let request = format!(
                    "{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{headers}{length}\r\n{body}"
                );
                socket.write(request.as_bytes());
                Ok(())
            }
            "upgrade" => {
                let path = if text.is_empty() { "/" } else { &text };
                socket.write(upgrade(path, &headers).as_bytes());
                Ok(())
            }
            ">>" => {
                socket.write(&unescape(&text)?);
                Ok(())
            }
            "finish" => {
                socket.finish();
                Ok(())
            }
            "closes" => {
                self.webs.remove(name);
                Ok(())
            }
            "<" if rest == "closed" => match socket.response(PATIENCE) {
                Err(Lack::Closed) => {
                    self.webs.remove(name);
                    Ok(())
                }
                other => Err(format!("the connection is not closed, got {other:?}")),
            },
            "<" => {
                let response = socket
                    .response(PATIENCE)
                    .map_err(|lack| format!("no response: {lack:?}"))?;
                self.check_response(rest, details, &response)
                    .map_err(|problem| format!("{problem}\n       got {response:?}"))
            }
            _ => Err("unknown step".to_owned()),
        }
    }

    fn check_response(
        &mut self,
        wanted: &str,
        details: &[Detail],
        got: &Response,
    ) -> Result<(), String> {
        let (status, body) = split(wanted);
        if status.parse() != Ok(got.status) {
            return Err("another status".to_owned());
        }
        match split(body) {
            ("", _) => {}
            ("empty", _) if got.body.is_empty() => {}
            ("text", text) if self.fill(text)? == got.body.trim_end() => {}
            ("empty" | "text", _) => return Err("another body".to_owned()),
            _ => {
                let wanted = self.pattern(body)?;
                if !wanted.matches(&Json::parse(&got.body)?, &mut self.captures) {
                    return Err("another body".to_owned());
                }
            }
        }
        for Detail { mark, text } in details {
            let text = localise(text, &self.prefix);
            let fits = match mark {
                '-' => got.header(&text).is_none(),
                '~' => got.body.contains(&fill(&text, &self.captures)?),
                _ => {
                    let (name, value) = text.split_once(':').unwrap_or((&text, ""));
                    got.header(name)
                        .is_some_and(|v| text_matches(value.trim(), &v, &mut self.captures))
                }
            };
            if !fits {
                return Err(format!("not so: {mark} {text}"));
            }
        }
        Ok(())
    }

    // The end.

    fn expect_exit(&mut self, rest: &str) -> Result<(), String> {
        let Some(code) = rest
            .strip_prefix("exits ")
            .and_then(|c| c.parse::<i32>().ok())
        else {
            return Err("unknown step".to_owned());
        };
        match self.gateway.wait_exit(PATIENCE) {
            Some(got) if got == code => Ok(()),
            Some(got) => Err(format!("exit code {got}")),
            None => Err("it still runs".to_owned()),
        }
    }

    /// Shows that nothing more is on its way to clients or to the broker.
    ///
    /// Each client makes an auth request on each resource name that was spoken of. It
    /// needs no access and no subscription; its request comes to the broker after all
    /// that the client's earlier messages cause, and its answer to the client after all
    /// that earlier messages on that name cause.
    fn nothing_more(&mut self, names: &str) -> Result<(), String> {
        let mut on: Vec<String> = if names.is_empty() {
            self.names.iter().cloned().collect()
        } else {
            let names = self.fill(names)?;
            names.split(' ').map(str::to_owned).collect()
        };
        if on.is_empty() {
            on.push(format!("{}.fence", self.prefix));
        }
        let asks_first = self.scenario.flags.iter().any(|f| f == "--wsheadauth");
        if self.clients.is_empty() && !asks_first {
            self.connect("fence", &self.socket_path(), "")?;
        }
        let clients: Vec<String> = self.clients.keys().cloned().collect();
        for name in &clients {
            for resource in &on {
                self.fence(name, resource)?;
            }
        }
        self.clients.remove("fence");
        let is_foreign = |subject: &str| {
            let mut parts = subject.split('.');
            parts.any(|p| p.len() == 4 && p.starts_with('t') && p != self.prefix && p != "test")
        };
        let rest = self.gateway.broker.rest();
        match rest.iter().find(|p| !is_foreign(&p.subject)) {
            None => Ok(()),
            Some(more) => Err(format!("the gateway published {}", more.subject)),
        }
    }

    fn fence(&mut self, name: &str, resource: &str) -> Result<(), String> {
        self.fences += 1;
        let id = 900_000 + self.fences;
        let client = self.client(name)?;
        let request = format!(r#"{{"id":{id},"method":"auth.{resource}.fence"}}"#);
        client.socket.write_frame(0x81, request.as_bytes());
        let subject = format!("auth.{resource}.fence");
        let came = self.gateway.broker.take(PATIENCE, |p| p.subject == subject);
        let Some(came) = came else {
            return Err(format!("{name}: the request {subject} does not come"));
        };
        let reply = came.reply.unwrap_or_default();
        self.gateway
            .broker
            .publish(&reply, br#"{"result":"fence"}"#);
        let got = self.client(name)?.next()?;
        if got.contains(&format!(r#""id":{id}"#)) && got.contains("fence") {
            Ok(())
        } else {
            Err(format!("{name} was sent {got}"))
        }
    }
}

impl Client {
    /// Sends a message: JSON as it is, `raw text`, or `method params` with a new ID.
    fn send(&mut self, text: &str) {
        let message = if let Some(raw) = text.strip_prefix("raw ") {
            raw.to_owned()
        } else if text.starts_with('{') {
            if let Some(Json::Literal(id)) =
                Json::parse(text).ok().as_ref().and_then(|m| m.member("id"))
            {
                self.open.extend(id.parse::<u64>());
            }
            text.to_owned()
        } else {
            self.last_id += 1;
            self.open.push_back(self.last_id);
            let (method, params) = split(text);
            let method = quote(method);
            let id = self.last_id;
            if params.is_empty() {
                format!(r#"{{"id":{id},"method":{method}}}"#)
            } else {
                format!(r#"{{"id":{id},"method":{method},"params":{params}}}"#)
            }
        };
        self.socket.write_frame(0x81, message.as_bytes());
    }

    fn next(&mut self) -> Result<String, String> {
        if let Some(ahead) = self.ahead.pop_front() {
            return Ok(ahead);
        }
        match self.socket.frame(PATIENCE) {
            Ok(Frame {
                first: 0x81,
                payload,
            }) => String::from_utf8(payload).map_err(|_| "text that is not UTF-8".to_owned()),
            Ok(frame) => Err(format!("got {frame:?}")),
            Err(Lack::Silence) => Err("nothing came".to_owned()),
            Err(Lack::Closed) => Err("the gateway closed the connection".to_owned()),
            Err(Lack::Bad(what)) => Err(what),
        }
    }
}

/// The first word and the rest.
fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn quote(text: &str) -> String {
    Json::Text(text.to_owned()).to_string()
}

/// Bytes of a text in which `\r`, `\n`, `\t`, `\s` (space), `\xNN` and `\*N*text*`
/// (the text N times) stand for bytes. Any other backslash is itself, so that JSON needs
/// no more of them; JSON's own `\n` and the like are written `\u000a`.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(rest[..at].as_bytes());
        let after = &rest[at + 1..];
        let used = match after.chars().next() {
            Some('r') => {
                out.push(b'\r');
                1
            }
            Some('n') => {
                out.push(b'\n');
                1
            }
            Some('t') => {
                out.push(b'\t');
                1
            }
            Some('s') => {
                out.push(b' ');
                1
            }
            Some('x') => {
                let digits = after.get(1..3).unwrap_or_default();
                let byte = u8::from_str_radix(digits, 16)
                    .map_err(|_| format!("bad escape \\x{digits}"))?;
                out.push(byte);
                3
            }
            Some('*') => {
                let mut parts = after[1..].splitn(3, '*');
                let (count, what) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                let times: usize = count.parse().map_err(|_| "bad repetition".to_owned())?;
                out.extend_from_slice(what.repeat(times).as_bytes());
                count.len() + what.len() + 3
            }
            _ => {
                out.push(b'\\');
                0
            }
        };
        rest = &after[used.min(after.len())..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

#[test]
fn escapes_are_bytes() {
    let cases: [(&str, &[u8]); 4] = [
        (r"a\r\nb", b"a\r\nb"),
        (r"\x00\xff", &[0, 255]),
        (r"<\*3*ab*>", b"<ababab>"),
        (r#""\u0061""#, br#""\u0061""#),
    ];
    for (text, bytes) in cases {
        assert_eq!(unescape(text).as_deref(), Ok(bytes), "{text}");
    }
}
