//! The smallest useful RES service: one model that every client sees, and a method
//! that changes it.
//!
//! - `example.model` is `{"message": "Hello, World!"}`.
//! - `call.example.model.set` takes `{"message": string}`.
//!
//! It needs a NATS server and the gateway: `cargo run --example hello-world -- --help`.

// The blocking client keeps a service short to read; its successor is asynchronous.
#![allow(deprecated)]

#[path = "../support/mod.rs"]
mod support;

use std::io;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

use nats::Connection;
use serde_json::{Value, json};
use support::options::Options;
use support::web::Site;

fn main() -> ExitCode {
    support::start("hello-world", 8082, run)
}

fn run(options: &Options) -> Result<(), String> {
    let site = Site::new(&options.gateway)?
        .file("/", "examples/hello-world/index.html")
        .file("/style.css", "examples/hello-world/style.css")
        .file("/app.js", "examples/hello-world/app.js");
    let nats = support::connect("hello-world", options)?;
    serve_model(&nats).map_err(|error| format!("NATS: {error}"))?;
    // Last, so that whoever finds the page finds the service too.
    let page = support::serve_page(site, options)?;
    println!("hello-world: open {page}");
    loop {
        thread::park();
    }
}

fn serve_model(nats: &Connection) -> io::Result<()> {
    // A get answer and a change event that are sent under one lock cannot contradict
    // each other, whichever thread they come from.
    let message: &'static Mutex<String> =
        Box::leak(Box::new(Mutex::new("Hello, World!".to_owned())));

    nats.subscribe("access.example.model")?
        .with_handler(|request| {
            request.respond(json!({ "result": { "get": true, "call": "set" } }).to_string())
        });

    nats.subscribe("get.example.model")?
        .with_handler(|request| {
            let message = message.lock().unwrap_or_else(PoisonError::into_inner);
            request.respond(json!({ "result": { "model": { "message": *message } } }).to_string())
        });

    let events = nats.clone();
    nats.subscribe("call.example.model.set")?
        .with_handler(move |request| {
            let call: Value = serde_json::from_slice(&request.data).unwrap_or_default();
            let Some(new) = call["params"]["message"].as_str() else {
                let error = json!({
                    "code": "system.invalidParams",
                    "message": "Message must be a string",
                });
                return request.respond(json!({ "error": error }).to_string());
            };
            let mut message = message.lock().unwrap_or_else(PoisonError::into_inner);
            if *message != new {
                new.clone_into(&mut message);
                let change = json!({ "values": { "message": new } });
                events.publish("event.example.model.change", change.to_string())?;
            }
            request.respond(json!({ "result": null }).to_string())
        });

    // Gateways that cached the model of an earlier run fetch it again.
    nats.publish(
        "system.reset",
        json!({ "resources": ["example.>"] }).to_string(),
    )?;
    nats.flush()
}
