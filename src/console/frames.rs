//! The frames of clients that are looked at for a while: masked, and not more than can be read.

use serde_json::{Value, json};

use crate::gateway::ClientKey;
use crate::res::client::{self, Action};
use crate::res::rid::RESERVED;
use crate::res::trace::Masked;

/// Milliseconds for which the frames of a client are shown at most.
pub(crate) const TRACE_MAX: u64 = 60_000;

/// Clients whose frames are shown at a time.
pub(crate) const TRACED_MAX: usize = 8;

/// Frames of one client that are shown in a second; others are counted.
pub(crate) const FRAMES_MAX: u32 = 100;

/// Bytes of a frame that are shown.
pub(crate) const FRAME_MAX: usize = 2 << 10;

/// Milliseconds for which [`FRAMES_MAX`] holds.
const SECOND: u64 = 1_000;

/// A client whose frames are shown.
#[derive(Debug)]
struct Traced {
    client: ClientKey,
    cid: Box<str>,
    until: u64,
    /// Since when frames are counted, and how many there were.
    since: u64,
    frames: u32,
    /// Those that were not shown.
    left_out: u64,
    /// Whether the streak at hand goes to it.
    in_streak: bool,
}

/// What is to be said of a client.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) cid: Box<str>,
    pub(super) event: &'static str,
    pub(super) data: Value,
}

/// The clients whose frames are shown.
#[derive(Debug, Default)]
pub(super) struct Frames {
    traced: Vec<Traced>,
}

impl Frames {
    /// Whether there are any.
    pub(super) fn are_shown(&self) -> bool {
        !self.traced.is_empty()
    }

    /// Whether those of what has this key may be.
    pub(super) fn are_of(&self, client: ClientKey) -> bool {
        self.traced.iter().any(|traced| traced.client == client)
    }

    /// Whether those of a client are.
    pub(super) fn has(&self, cid: &str) -> bool {
        self.traced.iter().any(|traced| *traced.cid == *cid)
    }

    /// Shows those of a client until a time. `false` if there are too many.
    pub(super) fn begin(&mut self, client: ClientKey, cid: &str, now: u64, until: u64) -> bool {
        if let Some(traced) = self.traced.iter_mut().find(|traced| *traced.cid == *cid) {
            traced.until = until;
            return true;
        }
        if self.traced.len() >= TRACED_MAX {
            return false;
        }
        self.traced.push(Traced {
            client,
            cid: cid.into(),
            until,
            since: now,
            frames: 0,
            left_out: 0,
            in_streak: false,
        });
        true
    }

    /// When the first of them ends.
    pub(super) fn next_timeout(&self) -> Option<u64> {
        self.traced.iter().map(|traced| traced.until).min()
    }

    /// Those whose time is over, or that `is_gone`, are not shown any more.
    pub(super) fn end(&mut self, now: u64, is_gone: impl Fn(&str) -> bool) -> Vec<Told> {
        let mut ended = Vec::new();
        self.traced.retain(|traced| {
            let is_over = traced.until <= now || is_gone(&traced.cid);
            ended.extend(is_over.then(|| Told {
                cid: traced.cid.clone(),
                event: "traceEnd",
                data: json!({ "leftOut": traced.left_out }),
            }));
            !is_over
        });
        ended
    }

    /// A streak begins: nobody is known to be in it.
    pub(super) fn begin_streak(&mut self) {
        for traced in &mut self.traced {
            traced.in_streak = false;
        }
    }

    /// A client gets what a streak begins with.
    pub(super) fn lead(&mut self, client: ClientKey) {
        let traced = self
            .traced
            .iter_mut()
            .find(|traced| traced.client == client);
        if let Some(traced) = traced {
            traced.in_streak = true;
        }
    }

    /// The clients that get what follows in the streak.
    pub(super) fn followers(&self) -> Vec<ClientKey> {
        let followers = self.traced.iter().filter(|traced| traced.in_streak);
        followers.map(|traced| traced.client).collect()
    }

    /// What is to be said of a frame, if it is one of theirs. `cid` is whose it is.
    pub(super) fn take(&mut self, frame: &Frame<'_>, cid: &str, now: u64) -> Option<Told> {
        let mut all = self.traced.iter_mut();
        let traced = all.find(|traced| traced.client == frame.client && *traced.cid == *cid)?;
        if now >= traced.until || is_of_trace(frame.text) {
            return None;
        }
        if now >= traced.since + SECOND {
            (traced.since, traced.frames) = (now, 0);
        }
        traced.frames += 1;
        if traced.frames > FRAMES_MAX {
            traced.left_out += 1;
            return None;
        }
        let text = shown(frame);
        let data = json!({
            "time": frame.unix,
            "isRequest": frame.is_request,
            "bytes": frame.text.len(),
            "text": text,
            "leftOut": traced.left_out,
        });
        Some(Told {
            cid: traced.cid.clone(),
            event: "frame",
            data,
        })
    }
}

/// A message of a client, or for one.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Whose it is.
    pub client: ClientKey,
    /// Whether the client has sent it.
    pub is_request: bool,
    /// Its text.
    pub text: &'a [u8],
    /// Milliseconds since 1970.
    pub unix: u64,
}

/// Whether a frame shows a frame: two consoles that look at each other would never end.
fn is_of_trace(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"{\"event\":\"");
    let rest = rest.and_then(|rest| rest.strip_prefix(RESERVED.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"client."))
}

/// What is shown of a frame: no tokens, and of what somebody logs in with nothing.
fn shown(frame: &Frame<'_>) -> String {
    if frame.is_request
        && let Some(request) = client::parse(frame.text)
        && let Some(Action::Auth(rid, method)) = &request.action
    {
        let method = format!("auth.{rid}.{method}");
        return cut(json!({ "id": request.id, "method": method, "params": "***" }).to_string());
    }
    let text = &frame.text[..frame.text.len().min(FRAME_MAX)];
    let mut shown = Masked(text).to_string();
    if frame.text.len() > text.len() {
        shown.push('…');
    }
    cut(shown)
}

/// A text of a bearable length.
fn cut(mut text: String) -> String {
    let mut end = text.len().min(FRAME_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end < text.len() {
        text.truncate(end);
        text.push('…');
    }
    text
}
