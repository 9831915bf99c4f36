//! A list of books that many people edit at once: a collection of references, a
//! model per book, and methods that add, change and delete.
//!
//! - `library.books`: references to all books; methods `new` (`title`, `author`) and
//!   `delete` (`id`).
//! - `library.book.<id>`: `id`, `title`, `author`; method `set` (`title`, `author`,
//!   either may be left out).
//!
//! It needs a NATS server and the gateway: `tidegate --broker` is both. See
//! `cargo run --example book-collection -- --help`.

// The blocking client keeps a service short to read; its successor is asynchronous.
#![allow(deprecated)]

mod library;
#[path = "../support/mod.rs"]
mod support;

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use library::Library;
use nats::{Connection, Message};
use serde_json::{Value, json};
use support::options::Options;
use support::web::Site;

fn main() -> ExitCode {
    support::start("book-collection", 8083, run)
}

fn run(options: &Options) -> Result<(), String> {
    let site = Site::new(&options.gateway)?
        .file("/", "examples/book-collection/index.html")
        .file("/style.css", "examples/book-collection/style.css")
        .file("/app.js", "examples/book-collection/app.js")
        .file("/book.js", "examples/book-collection/book.js");
    let nats = support::connect("book-collection", options)?;
    serve_library(&nats).map_err(|error| format!("NATS: {error}"))?;
    // Last, so that whoever finds the page finds the service too.
    let page = support::serve_page(site, options)?;
    println!("book-collection: open {page}");
    loop {
        thread::park();
    }
}

fn serve_library(nats: &Connection) -> io::Result<()> {
    let library = Arc::new(Mutex::new(Library::new()));

    // Everybody may do everything.
    nats.subscribe("access.library.>")?.with_handler(|request| {
        request.respond(json!({ "result": { "get": true, "call": "*" } }).to_string())
    });

    let shared = Arc::clone(&library);
    nats.subscribe("get.library.>")?
        .with_handler(move |request| {
            let resource = request.subject.strip_prefix("get.").unwrap_or_default();
            // The answer leaves under the lock: an event that is sent after it is about
            // a change that the answer does not contain, and the other way round.
            let library = shared.lock().unwrap_or_else(PoisonError::into_inner);
            respond(
                &request,
                library.get(resource).map_err(|failure| failure.to_json()),
            )
        });

    let events = nats.clone();
    nats.subscribe("call.library.>")?
        .with_handler(move |request| {
            let mut library = library.lock().unwrap_or_else(PoisonError::into_inner);
            let result = call(&mut library, &events, &request)?;
            respond(&request, result)
        });

    // Gateways that cached the library of an earlier run fetch it again.
    nats.publish(
        "system.reset",
        json!({ "resources": ["library.>"] }).to_string(),
    )?;
    nats.flush()
}

/// Carries out a call request and publishes its event. The inner result is the
/// answer: a result or an error object.
fn call(
    library: &mut Library,
    events: &Connection,
    request: &Message,
) -> io::Result<Result<Value, Value>> {
    let subject = request.subject.strip_prefix("call.").unwrap_or_default();
    let (resource, method) = subject.rsplit_once('.').unwrap_or((subject, ""));
    let params = match serde_json::from_slice::<Value>(&request.data) {
        Ok(mut body) => body.get_mut("params").map(Value::take).unwrap_or_default(),
        Err(error) => {
            let message = format!("Error decoding request: {error}");
            return Ok(Err(
                json!({ "code": "system.internalError", "message": message }),
            ));
        }
    };
    Ok(match library.call(resource, method, &params) {
        Ok(event) => {
            if let Some(event) = event {
                let subject = format!("event.{}.{}", event.resource, event.kind);
                events.publish(&subject, event.payload.to_string())?;
            }
            Ok(Value::Null)
        }
        Err(failure) => Err(failure.to_json()),
    })
}

fn respond(request: &Message, answer: Result<Value, Value>) -> io::Result<()> {
    let answer = match answer {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "error": error }),
    };
    request.respond(answer.to_string())
}
