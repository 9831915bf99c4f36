//! Steps of HTTP connections.

use super::{PATIENCE, Run};
use crate::json::{Json, fill, text_matches};
use crate::scenario::{Detail, localise};
use crate::socket::{Lack, Response, Socket, upgrade};
use crate::text::{split, unescape};

/// Writes a request: method, target, and a body if there is more.
fn write_request(socket: &mut Socket, text: &str, headers: &str) {
    let (method, rest) = split(text);
    let (target, body) = split(rest);
    socket.head_only = method == "HEAD";
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{headers}{length}\r\n{body}");
    socket.write(request.as_bytes());
}

impl Run<'_> {
    pub fn header_lines(&self, details: &[Detail]) -> Result<String, String> {
        let mut lines = String::new();
        for detail in details.iter().filter(|d| d.mark == '+') {
            lines.push_str(&self.fill(&detail.text)?);
            lines.push_str("\r\n");
        }
        Ok(lines)
    }

    pub fn web_step(&mut self, name: &str, rest: &str, details: &[Detail]) -> Result<(), String> {
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
                write_request(socket, &text, &headers);
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
}
