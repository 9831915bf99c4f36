//! Plays one scenario against one gateway, and writes down what happened.

mod clients;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::broker::Published;
use crate::gateway::{Gateway, Side};
use crate::json::{Captures, Json, fill, text_matches};
use crate::scenario::{Detail, Scenario, Step, localise};
use crate::socket::Socket;
use crate::text::{quote, split, unescape};
use clients::Client;

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a gateway may take to end; the peer gives its connections up to 11 s.
const PATIENCE_EXIT: Duration = Duration::from_secs(20);

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
            fenced = step.text.starts_with("none");
        }
        // A gateway that ends cannot be asked any more.
        let ends = |step: &Step| step.text.starts_with("gateway");
        if !fenced && !scenario.steps.iter().any(ends) {
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
            "broker" => self.broker_step(rest),
            "answer" | "serve" | "get" | "grant" | "deny" => self.answer_step(verb, rest),
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
            "sub" => self.expect_subscription(rest, true),
            "nosub" => self.expect_subscription(rest, false),
            "none" => self.nothing_more(rest),
            "gateway" => match split(rest) {
                ("gets", signal) => self.gateway.signal(signal),
                ("exits", code) => self.expect_exit(code),
                _ => Err("unknown step".to_owned()),
            },
            "run" => {
                let (code, flags) = split(rest);
                self.run_to_end(code, flags, &step.details)
            }
            "log" => {
                let text = self.fill(rest)?;
                if self.gateway.wait_log(&text, PATIENCE) {
                    Ok(())
                } else {
                    Err(format!("not in the log:\n{}", self.gateway.log()))
                }
            }
            "write" => {
                let path = &self.gateway.config_file;
                std::fs::write(path, rest).map_err(|e| format!("{}: {e}", path.display()))
            }
            "file" => self.check_file(rest),
            _ => Err("unknown step".to_owned()),
        }
    }

    /// What comes to the broker or from it.
    fn broker_step(&mut self, rest: &str) -> Result<(), String> {
        match split(rest) {
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
        }
    }

    /// Answers requests in whatever order they came.
    fn answer_step(&mut self, verb: &str, rest: &str) -> Result<(), String> {
        const MAY_ALL: &str = r#"{"result":{"get":true,"call":"*"}}"#;
        let (name, content) = split(rest);
        match verb {
            "answer" => {
                self.pick_request(name)?;
                self.answer_last(content)
            }
            "grant" => {
                self.pick_request(&format!("access.{rest}"))?;
                self.answer_last(MAY_ALL)
            }
            "deny" => {
                self.pick_request(&format!("access.{rest}"))?;
                self.answer_last(r#"{"result":{"get":false}}"#)
            }
            _ => {
                if verb == "serve" {
                    self.pick_request(&format!("access.{name}"))?;
                    self.answer_last(MAY_ALL)?;
                }
                self.pick_request(&format!("get.{name}"))?;
                self.answer_last(&format!(r#"{{"result":{content}}}"#))
            }
        }
    }

    fn expect_subscription(&mut self, subject: &str, there: bool) -> Result<(), String> {
        let subject = self.fill(subject)?;
        let broker = &self.gateway.broker;
        match broker.wait_subscription(PATIENCE, &subject, there) {
            true => Ok(()),
            false if there => Err(format!("{subject} is not subscribed")),
            false => Err(format!("{subject} is still subscribed")),
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

    // The end.

    fn expect_exit(&mut self, code: &str) -> Result<(), String> {
        let code: i32 = code.parse().map_err(|_| "no exit code".to_owned())?;
        match self.gateway.wait_exit(PATIENCE_EXIT) {
            Some(got) if got == code => Ok(()),
            Some(got) => Err(format!("exit code {got}")),
            None => Err("it still runs".to_owned()),
        }
    }

    fn run_to_end(&self, code: &str, flags: &str, details: &[Detail]) -> Result<(), String> {
        let (got, output) = self.gateway.run_to_end(flags)?;
        if got.map(|c| c.to_string()).as_deref() != Some(code) {
            return Err(format!("exit code {got:?}, output {output:?}"));
        }
        match details.iter().find(|d| !output.contains(&d.text)) {
            None => Ok(()),
            Some(Detail { text, .. }) => Err(format!("no {text:?} in {output:?}")),
        }
    }

    fn check_file(&mut self, wanted: &str) -> Result<(), String> {
        let path = &self.gateway.config_file;
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        if Json::parse(wanted)?.matches(&Json::parse(&text)?, &mut self.captures) {
            Ok(())
        } else {
            Err(format!("the file is {text}"))
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
        if names == "-" {
            on.clear();
        } else if on.is_empty() {
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
        let subject = format!("auth.{resource}.fence");
        let request = format!(r#"{{"id":{id},"method":{}}}"#, quote(&subject));
        client.socket.write_frame(0x81, request.as_bytes());
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
