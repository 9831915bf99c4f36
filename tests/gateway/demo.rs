//! `tidegate --demo`: broker, gateway, services and pages in one process.

#![allow(
    deprecated,
    reason = "the nats crate is deprecated as a whole; blocking suits test services"
)]

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::common::*;

fn demo() -> Option<Gateway> {
    (!is_peer()).then(|| Gateway::start_demo(&["--port", &free_port().to_string()]))
}

#[track_caller]
fn get(gateway: &Gateway, path: &str) -> Response {
    let mut http = Http::connect(gateway);
    http.get(path);
    http.response()
}

#[track_caller]
fn json_of(response: &Response) -> Value {
    serde_json::from_str(&response.body).expect("JSON")
}

/// The next message, parsed.
#[track_caller]
fn next(client: &mut Client) -> Value {
    serde_json::from_str(&client.next()).expect("JSON")
}

#[test]
fn pages_are_served_beside_websocket_and_api() {
    let Some(gateway) = demo() else { return };
    for (path, content_type, part) in [
        ("/", "text/html; charset=utf-8", "<title>Tidegate"),
        (
            "/tidegate.js",
            "text/javascript; charset=utf-8",
            "export function connect",
        ),
        ("/demo.js", "text/javascript; charset=utf-8", "/tidegate.js"),
        ("/demo.css", "text/css; charset=utf-8", ":root"),
        ("/favicon.svg", "image/svg+xml", "<svg"),
    ] {
        let page = get(&gateway, path);
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains(part), "{path}");
        let field = |name| page.header(name).unwrap_or_default();
        assert_eq!(field("content-type"), content_type);
        let policy = field("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
        assert_eq!(field("x-content-type-options"), "nosniff");
        let mut http = Http::connect(&gateway);
        http.request("HEAD", path, "");
        let head = http.response();
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(
            head.header("content-length"),
            Some(page.body.len().to_string())
        );
    }
    let facts = json_of(&get(&gateway, "/demo.json"));
    assert_eq!(facts["broker"], Broker::inside(&gateway).addr);
    assert_eq!(
        facts["program"], "tidegate",
        "its place is nobody's business"
    );
    // What is no page is answered as ever.
    assert_eq!(get(&gateway, "/nowhere").status, 404);
    let mut http = Http::connect(&gateway);
    http.post("/", "");
    assert_eq!(http.response().status, 400);
    Client::connect(&gateway).handshake("1.2.3");
}

#[test]
fn without_it_there_is_no_page() {
    if is_peer() {
        return;
    }
    let gateway = Gateway::start_inside(&[]);
    assert_eq!(get(&gateway, "/demo.json").status, 404);
    assert_eq!(get(&gateway, "/api/demo/books").status, 404);
}

#[test]
fn services_answer_clients_the_web_and_the_broker() {
    let Some(gateway) = demo() else { return };
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    client.ask("subscribe.demo.books");
    let result = next(&mut client)["result"].clone();
    assert_eq!(
        result["collections"]["demo.books"].as_array().map(Vec::len),
        Some(4)
    );
    assert_eq!(result["models"]["demo.book.1"]["title"], "Moby-Dick");

    // By HTTP, and everybody who looks hears of it.
    let mut http = Http::connect(&gateway);
    http.post("/api/demo/books/add", r#"{"title":"A","author":"B"}"#);
    assert_eq!(http.response().status, 200);
    let event = next(&mut client);
    assert_eq!(event["event"], "demo.books.add");
    assert_eq!(event["data"]["models"]["demo.book.5"]["author"], "B");

    // A client of the broker asks and hears as at any service.
    let broker = Broker::inside(&gateway);
    let nats = nats::connect(broker.url()).expect("the broker is there");
    let events = nats
        .subscribe("event.demo.book.>")
        .expect("the broker is there");
    nats.flush().expect("the broker is there");
    let answer = nats.request("call.demo.book.5.set", r#"{"params":{"title":"C"}}"#);
    let answer = answer.expect("the demonstration answers");
    assert_eq!(answer.data, br#"{"result":null}"#);
    let event = events.next_timeout(PATIENCE).expect("an event");
    assert_eq!(event.subject, "event.demo.book.5.change");
    client.expect_event("demo.book.5.change", r#"{"values":{"title":"C"}}"#);
}

#[test]
fn a_token_lets_a_client_speak() {
    let Some(gateway) = demo() else { return };
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    let text = r#"{"text":"Hello"}"#;
    let id = client.ask_with("call.demo.chat.messages.send", text);
    client.expect_error(id, "system.accessDenied", "Access denied");
    let id = client.ask_with("auth.demo.chat.login", r#"{"name":"Ann","key":"k"}"#);
    client.expect_result(id, r#"{"payload":{"name":"Ann"}}"#);
    let id = client.ask_with("call.demo.chat.messages.send", text);
    client.expect_result(id, r#"{"payload":null}"#);
    let messages = json_of(&get(&gateway, "/api/demo/chat/messages"));
    assert_eq!(messages[1]["from"], "Ann");
    let people = json_of(&get(&gateway, "/api/demo/chat/people"));
    assert_eq!(people, json!(["Ann"]));
}

#[test]
fn a_query_follows_the_stars() {
    let Some(gateway) = demo() else { return };
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    let rid = "demo.elements?q=ir&sort=stars";
    client.ask(&format!("subscribe.{rid}"));
    // Zirconium is not the first by number.
    let result = next(&mut client)["result"].clone();
    let list = result["collections"][rid]
        .as_array()
        .expect("a list")
        .clone();
    assert!(list.len() > 1, "{list:?}");
    let last = list[list.len() - 1]["rid"].as_str().expect("a reference");
    let id = client.ask(&format!("call.{last}.star"));
    let mut seen = Vec::new();
    loop {
        let message = next(&mut client);
        if message["id"] == id {
            break;
        }
        seen.push(message["event"].as_str().expect("an event").to_owned());
    }
    // The answers of query events come behind the call's.
    while seen.len() < 3 {
        seen.push(
            next(&mut client)["event"]
                .as_str()
                .expect("an event")
                .to_owned(),
        );
    }
    let expected = ["change", "remove", "add"].map(|event| match event {
        "change" => format!("{last}.change"),
        event => format!("{rid}.{event}"),
    });
    assert_eq!(seen, expected);
}

#[test]
fn the_ticker_ticks() {
    let Some(gateway) = demo() else { return };
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    client.ask("subscribe.demo.tide");
    let gauges = next(&mut client)["result"]["collections"]["demo.tide"].clone();
    assert_eq!(gauges.as_array().map(Vec::len), Some(5));
    for _ in 0..3 {
        let event = next(&mut client);
        let name = event["event"].as_str().expect("an event");
        assert!(name.starts_with("demo.tide.") && name.ends_with(".change"));
        assert!(event["data"]["values"]["level"].is_i64(), "{event}");
    }
}

#[test]
fn taken_ports_are_stepped_over_and_others_see_nothing() {
    if is_peer() {
        return;
    }
    let hold = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (web, broker) = (hold(), hold());
    let port = |socket: &TcpListener| socket.local_addr().expect("it is bound").port().to_string();
    let (web_port, broker_port) = (port(&web), port(&broker));
    let gateway = Gateway::start_demo(&["--port", &web_port, "--broker", &broker_port]);
    let log = gateway.log();
    for port in [web_port, broker_port] {
        assert!(
            log.contains(&format!("port {port} is taken: trying ")),
            "{log}"
        );
        assert!(!log.contains(&format!("//127.0.0.1:{port}")), "{log}");
    }
    assert!(log.contains("Listening on http://127.0.0.1:"), "{log}");
    assert!(
        log.contains("Broker for services on nats://127.0.0.1:"),
        "{log}"
    );
    assert_eq!(get(&gateway, "/").status, 200);
}

#[test]
fn a_signal_ends_all_of_it() {
    let Some(mut gateway) = demo() else { return };
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    gateway.signal(interrupt());
    assert_eq!(client.next_close(), Some(1001));
    assert_eq!(gateway.wait(PATIENCE), Some(0));
}
