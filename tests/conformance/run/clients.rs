//! Steps of WebSocket clients.

use std::collections::VecDeque;

use super::{PATIENCE, Run};
use crate::json::Json;
use crate::scenario::Detail;
use crate::socket::{Frame, Lack, Socket, deflate};
use crate::text::{quote, split, unescape};

/// A WebSocket client.
pub struct Client {
    pub socket: Socket,
    last_id: u64,
    /// IDs of requests without answer, oldest first.
    open: VecDeque<u64>,
    /// Messages read while another one was looked for.
    ahead: VecDeque<String>,
}

impl Run<'_> {
    pub fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        if !self.clients.contains_key(name) {
            self.connect(name, &self.socket_path(), "")?;
        }
        self.clients
            .get_mut(name)
            .ok_or_else(|| format!("{name} is not connected"))
    }

    /// The path that the flags give to WebSockets.
    pub fn socket_path(&self) -> String {
        let mut flags = self.scenario.flags.iter();
        while let Some(flag) = flags.next() {
            match flag.trim_start_matches('-').split_once('=') {
                Some(("wspath", path)) => return path.to_owned(),
                None if flag == "--wspath" => return flags.next().cloned().unwrap_or_default(),
                _ => {}
            }
        }
        "/".to_owned()
    }

    pub fn connect(&mut self, name: &str, path: &str, headers: &str) -> Result<(), String> {
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

    pub fn client_step(
        &mut self,
        name: &str,
        rest: &str,
        details: &[Detail],
    ) -> Result<(), String> {
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
            ">>" => self.write_raw(name, rest),
            "<<" if rest == "closed" => self.expect_client_closed(name),
            "<<" => self.expect_frame(name, rest),
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

    /// Writes what no honest client would: bytes as they are, or a frame with this first
    /// byte.
    fn write_raw(&mut self, name: &str, rest: &str) -> Result<(), String> {
        let (first, rest) = split(rest);
        let text = self.fill(rest)?;
        let (bare, byte, text) = match first {
            "bytes" => {
                let bytes = unescape(&text)?;
                self.client(name)?.socket.write(&bytes);
                return Ok(());
            }
            "deflated" => {
                let bytes = deflate(&unescape(&text)?)?;
                self.client(name)?.socket.write_frame(0xc1, &bytes);
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

    fn expect_frame(&mut self, name: &str, rest: &str) -> Result<(), String> {
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

    pub fn next(&mut self) -> Result<String, String> {
        if let Some(ahead) = self.ahead.pop_front() {
            return Ok(ahead);
        }
        match self.socket.frame(PATIENCE).and_then(Frame::text) {
            Ok(text) => Ok(text),
            Err(Lack::Silence) => Err("nothing came".to_owned()),
            Err(Lack::Closed) => Err("the gateway closed the connection".to_owned()),
            Err(Lack::Bad(what)) => Err(what),
        }
    }
}
