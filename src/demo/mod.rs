//! A demonstration: services inside the process, sans-I/O, and the pages that show them.
//!
//! Messages of the broker and time go in, messages for the broker come out. To the gateway
//! these are services like any other: it cannot tell that they have no socket. They share a
//! book collection, gauges that never stand still, a chat with login and presence, and a long
//! table that is searched by queries.

mod books;
mod chat;
mod elements;
pub mod pages;
mod post;
mod request;
#[cfg(test)]
mod tests;
mod tide;

use books::Books;
use chat::Chat;
use elements::Elements;
pub use post::Message;
use post::Post;
use request::{Kind, Request};
use tide::Tide;

/// What the services subscribe to at the broker.
pub const SUBJECTS: [&str; 5] = [
    "access.demo.>",
    "get.demo.>",
    "call.demo.>",
    "auth.demo.>",
    elements::QUERIES,
];

/// Larger requests are refused unread: nothing here needs them.
const REQUEST_MAX: usize = 16 << 10;

/// Why a request is refused: code and message of the error.
type Refusal = (&'static str, &'static str);

const NOT_FOUND: Refusal = ("system.notFound", "Not found");
const NO_METHOD: Refusal = ("system.methodNotFound", "Method not found");
const TOO_LARGE: Refusal = ("system.invalidParams", "The request is too large");
const NO_REQUEST: Refusal = ("system.internalError", "The request is no JSON");

/// The services of the demonstration.
#[derive(Debug)]
pub struct Demo {
    post: Post,
    books: Books,
    tide: Tide,
    chat: Chat,
    elements: Elements,
}

impl Demo {
    /// Services that begin at a time, in milliseconds of the caller's clock; `unix` is the
    /// same time in milliseconds since 1970.
    pub fn new(now: u64, unix: u64) -> Self {
        Self {
            post: Post::default(),
            books: Books::new(),
            tide: Tide::new(now),
            chat: Chat::new(now, unix),
            elements: Elements::new(),
        }
    }

    /// Takes a message that was published to one of [`SUBJECTS`].
    #[cold]
    pub fn take(&mut self, subject: &[u8], reply: &[u8], payload: &[u8], now: u64) {
        let Some((kind, name)) = request::route(subject) else {
            return;
        };
        let answer = if payload.len() > REQUEST_MAX {
            Err(TOO_LARGE)
        } else if let Some(request) = Request::read(payload) {
            self.answer(kind, name, &request, now)
        } else {
            Err(NO_REQUEST)
        };
        self.post.answer(reply, answer);
    }

    fn answer(
        &mut self,
        kind: Kind,
        name: &str,
        request: &Request,
        now: u64,
    ) -> Result<post::Answer, Refusal> {
        let post = &mut self.post;
        // A name is the resource's, behind "demo."; a method is its last part.
        let (resource, method) = match kind {
            Kind::Call | Kind::Auth => name.rsplit_once('.').ok_or(NO_METHOD)?,
            _ => (name, ""),
        };
        let service = resource.split('.').next().unwrap_or_default();
        match (kind, service) {
            (Kind::Query, _) => self.elements.ask(request),
            (Kind::Access, _) => Ok(self.chat.access(resource, request)),
            (Kind::Get, "books" | "book") => self.books.get(resource),
            (Kind::Get, "tide") => self.tide.get(resource),
            (Kind::Get, "chat") => self.chat.get(resource),
            (Kind::Get, "elements" | "element") => self.elements.get(resource, request),
            (Kind::Call, "books" | "book") => self.books.call(resource, method, request, post),
            (Kind::Call, "tide") => self.tide.call(resource, method, request, post),
            (Kind::Call, "chat") => self.chat.call(resource, method, request, post, now),
            (Kind::Call, "element") => self.elements.call(resource, method, post),
            (Kind::Auth, "chat") => self.chat.auth(method, request, post, now),
            (Kind::Get, _) => Err(NOT_FOUND),
            _ => Err(NO_METHOD),
        }
    }

    /// When [`Demo::timeout`] has something to do.
    pub fn next_timeout(&self) -> u64 {
        self.tide.due.min(self.chat.due)
    }

    /// Does what is due.
    #[cold]
    pub fn timeout(&mut self, now: u64) {
        self.tide.timeout(now, &mut self.post);
        self.chat.timeout(now, &mut self.post);
    }

    /// The next message that is to be published.
    pub fn next_message(&mut self) -> Option<Message> {
        self.post.next()
    }

    /// Whether there is one.
    pub fn has_messages(&self) -> bool {
        self.post.has_messages()
    }
}
