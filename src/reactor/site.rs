//! What HTTP clients are answered: the site's paths, its rules for pages, its errors.

use crate::config::{AllowOrigin, Config};
use crate::console::pages as console;
use crate::demo::pages::{PAGE_FIELDS, Pages};
use crate::gateway::{StreamStart, Tag, Time, WebAction, WebBody, WebResponse};
use crate::http::cors::{MappedMethods, Verdict};
use crate::http::date::{Date, imf_fixdate};
use crate::http::home::{self, Home};
use crate::http::response::{self, CONTINUE, JSON, TEXT, reason, write_error};
use crate::http::wishes::EVENT_STREAM;
use crate::http::{Cors, Head, Limits, Persistence, ResponseWriter};
use crate::pages::Page;
use crate::res::Error;
use crate::res::meta::Fields;
use crate::ws::Decoder;
use crate::ws::extension::Agreement;
use crate::ws::handshake::{self, Refusal};

use super::admission::Crowded;
use super::clients::Clients;
use super::clock::unix_seconds;
use super::connection::{ConnectionKey, Phase, Work};
use super::deadlines::Kind;
use super::framing::{Chunking, Envelope, begin_events};
use super::output::Piece;

/// Seconds after which to ask again while NATS is away, or there are too many connections.
const RETRY_AFTER: &str = "2";

/// Bodies from this size on are queued as they are, not copied behind their head.
const BODY_COPIED: usize = 16 << 10;

/// Milliseconds for which one reading of the date is good.
const DATE_STEP: u64 = 500;

/// Fields of services' meta objects that would contradict what the transport says of the
/// message or the connection.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "sec-websocket-accept",
    "sec-websocket-version",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The body of a 404 for a path that leads nowhere.
pub(super) const NOT_FOUND: &[u8] = br#"{"code":"system.notFound","message":"Not found"}"#;
const METHOD_NOT_ALLOWED: &[u8] =
    br#"{"code":"system.methodNotAllowed","message":"Method not allowed"}"#;
const FORBIDDEN_ORIGIN: &[u8] = br#"{"code":"system.forbidden","message":"Forbidden origin"}"#;
const UNAVAILABLE: &[u8] =
    br#"{"code":"system.serviceUnavailable","message":"Service unavailable"}"#;

const FORBIDDEN_CONSOLE: &[u8] = br#"{"code":"system.forbidden","message":"The console is for browsers on the gateway's own host that open it by a name like localhost; consoleToken opens it to others"}"#;

const CROWDED: &[u8] =
    br#"{"code":"common.tooActive","message":"Too many connections","data":{"seconds":2}}"#;

/// What answers depend on beside their request.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) ws_path: String,
    pub(super) api_path: String,
    /// What browsers are shown that open `/`, if anything.
    home: Option<Home>,
    pub(super) limits: Limits,
    pub(super) cors: Cors,
    /// The methods that the API answers, for the `Allow` of a 405 (RFC 9110, 15.5.6).
    allow: String,
    /// The RES methods that HTTP methods stand for.
    put: Option<String>,
    patch: Option<String>,
    delete: Option<String>,
    /// The pages of the demonstration.
    pub(super) pages: Option<Box<Pages>>,
    /// The pages of the console.
    pub(super) console: Option<Box<console::Pages>>,
    /// Whether a service decides who becomes a WebSocket client.
    pub(super) has_ws_auth: bool,
    /// Whether the verdict on a request depends on its `Origin`.
    has_origins: bool,
    date: Date,
    date_due: Time,
    /// The process is about to end: answers end their connections, and no WebSocket begins.
    pub(super) is_closing: bool,
    /// NATS is away: nobody new is served.
    pub(super) is_away: bool,
    /// Nothing is asked of services any more.
    pub(super) is_over: bool,
}

impl Site {
    /// The site that a configuration describes.
    pub(super) fn new(config: &Config) -> Self {
        let (has_origins, allow_origin) = match &config.allow_origin {
            AllowOrigin::Any => (false, "*".to_owned()),
            AllowOrigin::List(list) => (true, list.join(";")),
        };
        let mapped = MappedMethods {
            put: config.put_method.is_some(),
            delete: config.delete_method.is_some(),
            patch: config.patch_method.is_some(),
        };
        let mut allow = "GET, HEAD, OPTIONS, POST".to_owned();
        for (is_mapped, method) in [
            (mapped.put, "PUT"),
            (mapped.delete, "DELETE"),
            (mapped.patch, "PATCH"),
        ] {
            if is_mapped {
                allow.push_str(", ");
                allow.push_str(method);
            }
        }
        Self {
            allow,
            put: config.put_method.clone(),
            patch: config.patch_method.clone(),
            delete: config.delete_method.clone(),
            pages: None,
            console: config.console.as_ref().map(|path| {
                let ws_path = &config.ws_path;
                Box::new(console::Pages::new(path, ws_path))
            }),
            has_ws_auth: config.ws_header_auth.is_some(),
            ws_path: config.ws_path.clone(),
            api_path: config.api_path.clone(),
            home: (config.home_page && config.api_path != "/").then(|| Home {
                is_secure: config.tls,
                ws_path: config.ws_path.clone(),
                api_path: config.api_path.clone(),
                console: config.console.clone(),
            }),
            limits: Limits::default(),
            cors: Cors::new(&allow_origin, mapped, config.header_auth.is_some()),
            has_origins,
            date: imf_fixdate(unix_seconds()),
            date_due: Time(DATE_STEP),
            is_closing: false,
            is_away: false,
            is_over: false,
        }
    }

    /// Keeps the date of answers right; called once a turn.
    pub(super) fn tick(&mut self, now: Time) {
        if now >= self.date_due {
            self.date = imf_fixdate(unix_seconds());
            self.date_due = Time(now.0 + DATE_STEP);
        }
    }

    /// What must be kept of an API request until its answer comes.
    pub(super) fn work(&self, head: &Head<'_>, persistence: Persistence) -> Work {
        Work {
            is_head: head.method() == "HEAD",
            persistence,
            origin: match self.has_origins {
                true => head.field("origin").map(Into::into),
                false => None,
            },
            is_of_page: false,
            events: None,
            wait: None,
            upgrade: None,
        }
    }

    /// What the API does for an HTTP method; `None` for one that it does not answer.
    pub(super) fn action(&self, method: &str) -> Option<WebAction<'_>> {
        let mapped = match method {
            "GET" | "HEAD" => return Some(WebAction::Get),
            "POST" => return Some(WebAction::Post),
            "PUT" => &self.put,
            "PATCH" => &self.patch,
            "DELETE" => &self.delete,
            _ => return None,
        };
        mapped.as_deref().map(WebAction::Call)
    }

    /// Answers an API request with what the gateway says.
    pub(super) fn answer(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        work: &Work,
        response: WebResponse,
        now: Time,
    ) {
        let persistence = self.persistence(work.persistence);
        let mut body = response.body;
        // A large body leaves from where it is, behind the head.
        let large = body.take_if(|body| body.len() >= BODY_COPIED && !work.is_head);
        clients.push_written(key, now, |out| {
            let mut writer = ResponseWriter::new(out, response.status, &self.date, persistence);
            if work.upgrade.is_none() {
                self.write_verdict(&mut writer, self.cors.judge(work.origin.as_deref()));
            }
            write_fields(&response.fields, response.tag.is_some(), &mut writer);
            if let Some(tag) = response.tag {
                writer = write_tag(tag, work, writer);
            }
            if work.is_head && response.status == 200 && work.events.is_some() {
                return writer.stream(EVENT_STREAM, false);
            }
            match (&large, &body) {
                (Some(large), _) => writer.body(JSON, large, true),
                (None, Some(body)) => writer.body(JSON, body, work.is_head),
                (None, None) => writer.empty(),
            }
        });
        if let Some(large) = large {
            let piece = match large {
                WebBody::Own(text) => Piece::Bytes(text.into()),
                WebBody::Shared(text) => Piece::Shared(text),
            };
            clients.push(key, piece, now);
        }
        finish(clients, key, persistence, now);
    }

    /// Answers an API request that the gateway need not see: `OPTIONS`, a forbidden
    /// page, a method that is not served. `false` if it is for the gateway.
    pub(super) fn answer_alone(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        head: &Head<'_>,
        persistence: Persistence,
        now: Time,
    ) -> bool {
        let verdict = self.cors.judge(head.field("origin"));
        let persistence = self.persistence(persistence);
        let mut out = Vec::new();
        let method = head.method();
        let (status, body) = match method {
            "OPTIONS" => (200, None),
            _ if verdict.is_forbidden => (403, Some(FORBIDDEN_ORIGIN)),
            _ if self.is_over || self.is_away => (503, Some(UNAVAILABLE)),
            _ if self.action(method).is_some() => return false,
            _ if head.path().ends_with('/') && head.path() != self.api_path => {
                (404, Some(NOT_FOUND))
            }
            _ => (405, Some(METHOD_NOT_ALLOWED)),
        };
        if body.is_some() {
            note_refused(clients, key, head, status, "");
        }
        let mut writer = ResponseWriter::new(&mut out, status, &self.date, persistence);
        self.write_verdict(&mut writer, verdict);
        if status == 503 && self.is_away {
            writer = writer.constant("Retry-After", RETRY_AFTER);
        }
        if status == 405 && writer.field("Allow", self.allow.as_bytes()).is_err() {
            log::error!("left out an Allow that cannot be sent: {}", self.allow);
        }
        match body {
            None => {
                if self.cors.write_options(head, &mut writer).is_err() {
                    log::debug!("left out fields that cannot be sent");
                }
                writer.empty();
            }
            Some(body) => writer.body(JSON, body, method == "HEAD"),
        }
        clients.push(key, Piece::Bytes(out.into()), now);
        finish(clients, key, persistence, now);
        true
    }

    /// Answers with the page of the demonstration that a path leads to. `false` if there is none.
    pub(super) fn answer_page(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        head: &Head<'_>,
        persistence: Persistence,
        now: Time,
    ) -> bool {
        let pages = self.pages.as_ref();
        let Some(page) = pages.and_then(|pages| pages.find(head.path())) else {
            return false;
        };
        let what = (head, persistence, &PAGE_FIELDS[..]);
        self.send_page(clients, key, what, &page, now);
        true
    }

    /// Answers a request for a page of the console, if whoever asks `may_see` it.
    pub(super) fn answer_console(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        head: &Head<'_>,
        persistence: Persistence,
        may_see: bool,
        now: Time,
    ) {
        let pages = self.console.as_ref();
        let page = pages.and_then(|pages| pages.find(head.path()));
        let what = (head, persistence, &console::PAGE_FIELDS[..]);
        if let Some(page) = page.filter(|_| may_see) {
            return self.send_page(clients, key, what, &page, now);
        }
        let persistence = self.persistence(persistence);
        let (status, body) = match may_see {
            true => (404, NOT_FOUND),
            false => (403, FORBIDDEN_CONSOLE),
        };
        note_refused(clients, key, head, status, " for the console");
        clients.push_written(key, now, |out| {
            let writer = ResponseWriter::new(out, status, &self.date, persistence);
            let writer = writer.constant("Cache-Control", "no-store");
            writer.body(JSON, body, head.method() == "HEAD");
        });
        finish(clients, key, persistence, now);
    }

    fn send_page(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        (head, persistence, fields): (&Head<'_>, Persistence, &[(&'static str, &'static str)]),
        page: &Page<'_>,
        now: Time,
    ) {
        let persistence = self.persistence(persistence);
        let mut out = Vec::new();
        let mut writer = ResponseWriter::new(&mut out, 200, &self.date, persistence);
        for (name, value) in fields {
            writer = writer.constant(name, value);
        }
        writer.body(page.content_type, page.body, head.method() == "HEAD");
        clients.push(key, Piece::Bytes(out.into()), now);
        finish(clients, key, persistence, now);
    }

    /// Answers a request outside the API: with a JSON error, or with nothing.
    pub(super) fn answer_outside(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        head: &Head<'_>,
        persistence: Persistence,
        now: Time,
    ) {
        let persistence = self.persistence(persistence);
        let mut out = Vec::new();
        if head.path() == "*" {
            ResponseWriter::new(&mut out, 200, &self.date, persistence).empty();
        } else {
            note_refused(clients, key, head, 404, ", neither apiPath nor wsPath");
            ResponseWriter::new(&mut out, 404, &self.date, persistence).body(
                JSON,
                NOT_FOUND,
                head.method() == "HEAD",
            );
        }
        clients.push(key, Piece::Bytes(out.into()), now);
        finish(clients, key, persistence, now);
    }

    /// Answers a person's browser; `false` if the request is something else.
    pub(super) fn answer_visit(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        head: &Head<'_>,
        persistence: Persistence,
        now: Time,
    ) -> bool {
        let Some(home) = self.home.as_ref().filter(|_| home::is_visit(head)) else {
            return false;
        };
        let persistence = self.persistence(persistence);
        let mut out = Vec::new();
        let writer = ResponseWriter::new(&mut out, 200, &self.date, persistence);
        home.write(head, writer);
        clients.push(key, Piece::Bytes(out.into()), now);
        finish(clients, key, persistence, now);
        true
    }

    /// Answers a request on the WebSocket path that does not become a WebSocket.
    pub(super) fn refuse_upgrade(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        refusal: Refusal,
        work: &Work,
        now: Time,
    ) {
        let persistence = self.persistence(work.persistence);
        let status = refusal.status();
        if let Some(connection) = clients.get_mut(key) {
            let remote = connection.remote;
            log::debug!("client {remote} is refused a WebSocket with {status}: {refusal}");
        }
        let mut out = Vec::new();
        let writer = ResponseWriter::new(&mut out, status, &self.date, persistence);
        writer.constant("Sec-WebSocket-Version", "13").body(
            TEXT,
            reason(status).as_bytes(),
            work.is_head,
        );
        clients.push(key, Piece::Bytes(out.into()), now);
        finish(clients, key, persistence, now);
    }

    /// Makes a WebSocket of a connection.
    pub(super) fn upgrade(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        proof: &[u8],
        agreement: Option<Agreement>,
        fields: &Fields,
        now: Time,
    ) {
        let mut lines = Vec::new();
        for (name, value) in sendable(fields) {
            if response::write_field(&mut lines, name, value.as_bytes()).is_err() {
                log::error!("left out a field that cannot be sent: {name}");
            }
        }
        let mut out = Vec::new();
        handshake::write_accept(proof, agreement, &lines, &mut out);
        let age = clients.begin_age();
        if let Some(connection) = clients.get_mut(key) {
            connection.age = age;
            connection.phase = Phase::WebSocket(Decoder::new(agreement));
        }
        clients.hear(key, now);
        clients.push(key, Piece::Bytes(out.into()), now);
    }

    /// Begins to answer a request with a stream of events: from now on the connection is sent
    /// messages.
    pub(super) fn begin_events(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        work: &Work,
        start: StreamStart,
        chunking: Chunking,
        now: Time,
    ) {
        clients.push_written(key, now, |out| {
            let mut writer = ResponseWriter::new(out, 200, &self.date, Persistence::Close);
            self.write_verdict(&mut writer, self.cors.judge(work.origin.as_deref()));
            write_fields(&start.fields, true, &mut writer);
            writer
                .constant("Cache-Control", "no-store")
                .constant("Vary", "Accept")
                .constant("X-Accel-Buffering", "no")
                .stream(EVENT_STREAM, chunking == Chunking::Chunked);
            begin_events(chunking, start.tag, start.set.is_some(), out);
        });
        let age = clients.begin_age();
        if let Some(connection) = clients.get_mut(key) {
            connection.age = age;
            connection.phase = Phase::Events(chunking);
            connection.drop_input();
        }
        if let Some(set) = start.set {
            let piece = Piece::Answer(set, Envelope::FirstEvent(chunking));
            clients.push(key, piece, now);
        }
        clients.disarm(key);
        clients.wake(key);
    }

    /// Answers what is no request, or none in time, and closes the connection.
    pub(super) fn fail(&self, clients: &mut Clients, key: ConnectionKey, status: u16, now: Time) {
        let mut out = Vec::new();
        write_error(&mut out, status, &self.date);
        clients.push(key, Piece::Bytes(out.into()), now);
        clients.close(key, Kind::Idle, now);
    }

    /// Whether no WebSocket begins.
    pub(super) fn is_unavailable(&self) -> bool {
        self.is_closing || self.is_away
    }

    /// Answers that the process ends or that NATS is away, in place of the gateway.
    pub(super) fn unavailable(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        work: &Work,
        now: Time,
    ) {
        let mut fields = Fields::default();
        if self.is_away {
            fields.push("Retry-After", RETRY_AFTER);
        }
        let response = WebResponse {
            status: 503,
            body: Some(WebBody::Own(UNAVAILABLE.into())),
            tag: None,
            fields,
        };
        self.answer(clients, key, work, response, now);
    }

    /// What a connection is told that is refused before it has asked for anything.
    pub(super) fn crowded(&self, crowded: Crowded) -> Vec<u8> {
        let (status, body) = crowded_words(crowded);
        let mut out = Vec::new();
        ResponseWriter::new(&mut out, status, &self.date, Persistence::Close)
            .constant("Retry-After", RETRY_AFTER)
            .body(JSON, body, false);
        out
    }

    /// Answers that requests come too fast, in place of the gateway.
    pub(super) fn too_active(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        work: &Work,
        seconds: u64,
        now: Time,
    ) {
        let mut fields = Fields::default();
        fields.push("Retry-After", &seconds.to_string());
        let mut body = Vec::new();
        Error::too_active(seconds).write(&mut body);
        let response = WebResponse {
            status: 429,
            body: Some(WebBody::Own(body)),
            tag: None,
            fields,
        };
        self.answer(clients, key, work, response, now);
    }

    /// Answers an upgrade request of an address that has too many connections.
    pub(super) fn refuse_crowded(
        &self,
        clients: &mut Clients,
        key: ConnectionKey,
        work: &Work,
        crowded: Crowded,
        now: Time,
    ) {
        if let Some(connection) = clients.get_mut(key) {
            log::debug!(
                "client {} is refused a WebSocket: {crowded}",
                connection.remote
            );
        }
        let (status, body) = crowded_words(crowded);
        let mut fields = Fields::default();
        fields.push("Retry-After", RETRY_AFTER);
        let response = WebResponse {
            status,
            body: Some(WebBody::Own(body.into())),
            tag: None,
            fields,
        };
        self.answer(clients, key, work, response, now);
    }

    /// Tells a client to go on with its body.
    pub(super) fn say_continue(&self, clients: &mut Clients, key: ConnectionKey, now: Time) {
        clients.push(key, Piece::Bytes(CONTINUE.into()), now);
    }

    fn write_verdict(&self, writer: &mut ResponseWriter<'_>, verdict: Verdict<'_>) {
        if verdict.write(writer).is_err() {
            log::debug!("left out an origin that cannot be sent");
        }
    }

    fn persistence(&self, asked: Persistence) -> Persistence {
        match self.is_closing {
            true => Persistence::Close,
            false => asked,
        }
    }
}

fn crowded_words(crowded: Crowded) -> (u16, &'static [u8]) {
    match crowded {
        Crowded::Gateway => (503, UNAVAILABLE),
        Crowded::Address => (429, CROWDED),
    }
}

/// Says why a request is refused that the gateway does not see.
fn note_refused(
    clients: &mut Clients,
    key: ConnectionKey,
    head: &Head<'_>,
    status: u16,
    hint: &str,
) {
    if let Some(connection) = clients.get_mut(key) {
        log::debug!(
            "client {} is refused {} {} with {status} ({}){hint}",
            connection.remote,
            head.method(),
            head.path(),
            reason(status)
        );
    }
}

/// What follows an answer: the next request, or the end.
fn finish(clients: &mut Clients, key: ConnectionKey, persistence: Persistence, now: Time) {
    if persistence.is_kept() {
        clients.arm(key, Kind::Kept, now);
        clients.wake(key);
    } else {
        clients.close(key, Kind::Idle, now);
    }
}

/// The fields of services that may be sent.
fn sendable(fields: &Fields) -> impl Iterator<Item = (&str, &str)> {
    let is_reserved = |name: &str| {
        RESERVED
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
    };
    fields.iter().filter(move |(name, _)| !is_reserved(name))
}

/// Writes the tag of the resource that is answered, and what has to do with it.
fn write_tag<'o>(tag: Tag, work: &Work, mut writer: ResponseWriter<'o>) -> ResponseWriter<'o> {
    writer = writer.constant("Vary", "Accept");
    if work.events.is_some() {
        return writer.constant("Cache-Control", "no-store");
    }
    writer.etag(&tag.text());
    if work.is_of_page {
        let exposed = "ETag, Preference-Applied";
        writer = writer.constant("Access-Control-Expose-Headers", exposed);
    }
    if let Some((seconds, _)) = work.wait {
        // A number cannot break out of a field.
        let _ = writer.field("Preference-Applied", format!("wait={seconds}").as_bytes());
    }
    writer
}

/// Writes fields of services. Where the gateway says itself which content it is, and how it is
/// to be kept, they do not.
fn write_fields(fields: &Fields, has_tag: bool, writer: &mut ResponseWriter<'_>) {
    for (name, value) in sendable(fields) {
        if has_tag && name.eq_ignore_ascii_case("etag") {
            continue;
        }
        if writer.field(name, value.as_bytes()).is_err() {
            log::error!("left out a field that cannot be sent: {name}");
        }
    }
}
