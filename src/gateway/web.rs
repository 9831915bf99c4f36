//! Web resources: paths and IDs, errors and statuses, resources as nested JSON.

use super::calls::{CallKind, Reply};
use super::outbox::{ClientKey, Delivery, WebResponse};
use super::ready::Want;
use super::subscription::{State, SubKey};
use super::{Gateway, Outbox, Time, WebAction, WebRequest};
use crate::res::rid::{Rid, is_token};
use crate::res::service::Data;
use crate::res::value::Value;
use crate::res::{Error, json};
use hashbrown::HashSet;

/// Largest body of an answer, in bytes: a graph of references can double at each level.
const MAX_BODY: usize = 64 << 20;

impl Gateway {
    /// An HTTP request came for the API. The answer is delivered to its connection, which
    /// has no other request open.
    pub fn web_request(
        &mut self,
        now: Time,
        key: ClientKey,
        request: WebRequest<'_>,
        out: &mut Outbox,
    ) {
        self.input(now, out, |gateway| {
            gateway.open_client(key, request.head.into(), request.remote, true);
            match request.action {
                WebAction::Get => gateway.web_get(key, &request),
                WebAction::Post => gateway.web_post(key, &request),
            }
        });
    }

    fn web_get(&mut self, key: ClientKey, request: &WebRequest<'_>) {
        let rid = path_to_id(request.path).map(|name| with_query(name, request.query));
        match rid.filter(|rid| Rid::parse(rid).is_some()) {
            Some(rid) => self.want(key, &rid, Want::Web),
            None => self.reply_web_error(key, &Error::NOT_FOUND),
        }
    }

    fn web_post(&mut self, key: ClientKey, request: &WebRequest<'_>) {
        let target = request.path.rsplit_once('/').and_then(|(path, method)| {
            let rid = with_query(path_to_id(path)?, request.query);
            // A dot would have been refused before decoding, so it is one that was encoded.
            let method = percent_decode(method).filter(|_| !method.contains('.'))?;
            (Rid::parse(&rid).is_some() && is_token(&method)).then_some((rid, method))
        });
        let Some((rid, method)) = target else {
            return self.reply_web_error(key, &Error::NOT_FOUND);
        };
        let params = match request.body.trim_ascii() {
            [] => None,
            body => match json::value(body) {
                Ok(params) => Some(params),
                Err(error) => return self.reply_web_error(key, &Error::bad_body(error)),
            },
        };
        self.call_request(key, Reply::Web, CallKind::Call, &rid, &method, params);
    }

    fn reply_web(&mut self, key: ClientKey, response: WebResponse) {
        self.close_client(key);
        self.out.deliver(key, Delivery::Web(Box::new(response)));
    }

    pub(super) fn reply_web_error(&mut self, key: ClientKey, error: &Error) {
        let mut body = Vec::new();
        error.write(&mut body);
        let status = status_of(error);
        self.reply_web(
            key,
            WebResponse {
                status,
                body: Some(body),
                location: None,
            },
        );
    }

    /// Answers a call with its result; `null` is no content.
    pub(super) fn reply_web_payload(&mut self, key: ClientKey, payload: &str) {
        let response = match json::present(payload) {
            Some(payload) => WebResponse {
                status: 200,
                body: Some(payload.into()),
                location: None,
            },
            None => WebResponse {
                status: 204,
                body: None,
                location: None,
            },
        };
        self.reply_web(key, response);
    }

    /// Answers a call that brought a resource, which is not loaded.
    pub(super) fn reply_web_location(&mut self, key: ClientKey, rid: &str) {
        let location = Some(id_to_path(&self.api_path, rid));
        self.reply_web(
            key,
            WebResponse {
                status: 200,
                body: None,
                location,
            },
        );
    }

    /// Answers a request for a resource whose tree is loaded.
    pub(super) fn reply_web_resource(&mut self, key: ClientKey, root: SubKey) {
        match self.encode_tree(root) {
            Ok(body) => {
                self.reply_web(
                    key,
                    WebResponse {
                        status: 200,
                        body: Some(body),
                        location: None,
                    },
                );
            }
            Err(error) => self.reply_web_error(key, &error),
        }
    }

    /// Encodes a resource with what it references nested in it. A resource that is being
    /// encoded further out is only named.
    fn encode_tree(&self, root: SubKey) -> Result<Vec<u8>, Error> {
        /// A resource that is being encoded, and the place of its next value.
        struct Level {
            sub: SubKey,
            next: usize,
        }
        let mut out = Vec::new();
        let mut open: HashSet<SubKey, foldhash::fast::RandomState> = HashSet::default();
        let mut levels = vec![Level { sub: root, next: 0 }];
        open.insert(root);
        let client = self.subs.arena[root].client;
        while let Some(level) = levels.last_mut() {
            if out.len() > MAX_BODY {
                return Err(Error::internal(
                    "the resource with its references is too large",
                ));
            }
            let Some(content) = self.content(level.sub) else {
                break;
            };
            let at = level.next;
            level.next += 1;
            let value = match content.data() {
                Data::Model(model) => {
                    if at == 0 {
                        out.push(b'{');
                    }
                    model.get(at).map(|(name, value)| {
                        if at > 0 {
                            out.push(b',');
                        }
                        json::write_string(name, &mut out);
                        out.push(b':');
                        value
                    })
                }
                Data::Collection(values) => {
                    if at == 0 {
                        out.push(b'[');
                    }
                    values.get(at).inspect(|_| {
                        if at > 0 {
                            out.push(b',');
                        }
                    })
                }
            };
            let Some(value) = value else {
                out.push(if content.is_model() { b'}' } else { b']' });
                open.remove(&level.sub);
                levels.pop();
                if !levels.is_empty() {
                    out.push(b'}');
                }
                continue;
            };
            let Value::Reference(reference) = value else {
                self.write_web_value(value, &mut out);
                continue;
            };
            self.write_href(&reference.rid, &mut out);
            let child = self.find_sub(client, &reference.rid);
            let Some(child) = child.filter(|child| !open.contains(child)) else {
                out.push(b'}');
                continue;
            };
            let sub = &self.subs.arena[child];
            match (self.content(child), sub.error()) {
                (Some(content), _) => {
                    out.extend_from_slice(if content.is_model() {
                        b",\"model\":"
                    } else {
                        b",\"collection\":"
                    });
                    open.insert(child);
                    levels.push(Level {
                        sub: child,
                        next: 0,
                    });
                }
                (None, Some(error)) if sub.state == State::Failed => {
                    out.extend_from_slice(b",\"error\":");
                    error.write(&mut out);
                    out.push(b'}');
                }
                _ => out.push(b'}'),
            }
        }
        Ok(out)
    }

    /// Appends a value that is not followed.
    fn write_web_value(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::SoftReference(reference) => {
                self.write_href(&reference.rid, out);
                out.push(b'}');
            }
            _ => {
                let text = value.data_content().unwrap_or(value.text().as_str());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Appends the beginning of an object that names a resource.
    fn write_href(&self, rid: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"href\":");
        json::write_string(&id_to_path(&self.api_path, rid), out);
    }
}

/// HTTP status of an error.
fn status_of(error: &Error) -> u16 {
    match &*error.code {
        "system.notFound" | "system.methodNotFound" | "system.timeout" => 404,
        "system.accessDenied" => 401,
        "system.methodNotAllowed" => 405,
        "system.internalError" => 500,
        "system.serviceUnavailable" => 503,
        "system.forbidden" => 403,
        "system.subjectTooLong" => 414,
        _ => 400,
    }
}

/// The resource name that a path below the API means, its parts decoded. A part may
/// bring an encoded dot or question mark with it.
fn path_to_id(path: &str) -> Option<String> {
    if path.contains('.') || path.ends_with('/') {
        return None;
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut id = String::with_capacity(path.len());
    for (i, part) in path.split('/').enumerate() {
        if i > 0 {
            id.push('.');
        }
        id.push_str(&percent_decode(part)?);
    }
    Some(id)
}

fn with_query(mut id: String, query: Option<&str>) -> String {
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        id.push('?');
        id.push_str(query);
    }
    id
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(decoded).ok()
}

/// The path of a resource: its name's parts divided by slashes, all else encoded so that
/// [`path_to_id`] finds it again.
fn id_to_path(api_path: &str, id: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut path = String::with_capacity(api_path.len() + id.len());
    path.push_str(api_path);
    let mut in_query = false;
    for byte in id.bytes() {
        match byte {
            b'.' if !in_query => path.push('/'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => path.push(char::from(byte)),
            b'-' | b'_' | b'~' | b'$' | b'&' | b'+' | b'=' | b':' | b'@' => {
                path.push(char::from(byte));
            }
            _ => {
                in_query |= byte == b'?';
                path.push('%');
                path.push(char::from(DIGITS[usize::from(byte >> 4)]));
                path.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_resources() {
        for (path, id) in [
            ("a", Some("a")),
            ("a/b", Some("a.b")),
            ("/a/b", Some("a.b")),
            ("a%2Fb/c", Some("a/b.c")),
            ("a%2Eb", Some("a.b")),
            ("a%3Fq=1", Some("a?q=1")),
            ("%2541", Some("%41")),
            ("a/b/", None),
            ("a.b", None),
            ("a%zz", None),
            ("a%4", None),
            ("%ff", None),
        ] {
            assert_eq!(path_to_id(path).as_deref(), id, "{path}");
        }
        assert_eq!(with_query("a".into(), Some("")), "a");
        assert_eq!(with_query("a".into(), Some("x=1?y")), "a?x=1?y");
    }

    #[test]
    fn resources_have_paths_that_lead_back() {
        for (id, path) in [
            ("a.b", "/api/a/b"),
            ("a.b?q=x.y", "/api/a/b%3Fq=x%2Ey"),
            ("a/b.c%", "/api/a%2Fb/c%25"),
            ("a.$&+=:@-_~", "/api/a/$&+=:@-_~"),
            ("a.,;!", "/api/a/%2C%3B%21"),
        ] {
            assert_eq!(id_to_path("/api/", id), path);
            assert_eq!(path_to_id(&path["/api/".len()..]).as_deref(), Some(id));
        }
    }
}
