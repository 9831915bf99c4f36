//! A counter, in Rust. `cargo run --example counter`, beside `tidegate --demo` or a NATS
//! server with a gateway.

// The blocking client keeps a service short to read; its successor is asynchronous.
#![allow(deprecated)]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nats::{Connection, Message};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".into());
    let nats = nats::connect(&url)?;
    let count = Arc::new(Mutex::new(0_i64));
    // Each request is handled under the lock: so events and answers have one order.
    let serve = |subject: &str, answer: fn(&Connection, &mut i64, &Message) -> Value| {
        let (nats, count) = (nats.clone(), Arc::clone(&count));
        nats.clone().subscribe(subject).map(|subscription| {
            subscription.with_handler(move |request| {
                let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
                request.respond(answer(&nats, &mut count, &request).to_string())
            })
        })
    };
    let _access = serve(
        "access.example.counter",
        |_, _, _| json!({ "result": { "get": true, "call": "add" } }),
    )?;
    let _get = serve(
        "get.example.counter",
        |_, count, _| json!({ "result": { "model": { "count": *count } } }),
    )?;
    let _add = serve("call.example.counter.add", add)?;
    // Gateways that know the counter of an earlier run ask again.
    nats.publish("system.reset", r#"{"resources":["example.counter"]}"#)?;
    nats.flush()?;
    println!("serving example.counter");
    loop {
        std::thread::park();
    }
}

fn add(nats: &Connection, count: &mut i64, request: &Message) -> Value {
    let call: Value = serde_json::from_slice(&request.data).unwrap_or_default();
    let by = match &call["params"]["by"] {
        Value::Null => Some(1),
        by => by.as_i64(),
    };
    let Some(by) = by else {
        let message = "by must be a whole number";
        return json!({ "error": { "code": "system.invalidParams", "message": message } });
    };
    *count = count.saturating_add(by);
    let event = json!({ "values": { "count": *count } });
    match nats.publish("event.example.counter.change", event.to_string()) {
        Ok(()) => json!({ "result": *count }),
        Err(error) => {
            json!({ "error": { "code": "system.internalError", "message": error.to_string() } })
        }
    }
}
