//! The console: who may see its pages and resources, and who not.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;

use serde_json::{Value, json};

use crate::common::*;

const TOKEN: &str = "a-token-of-22-letters.";
const NOW: &str = "/api/$tidegate/now";

/// Sends a GET request with these fields and no other.
fn get(http: &mut Http, path: &str, fields: &str) -> Response {
    http.send(format!("GET {path} HTTP/1.1\r\n{fields}\r\n"));
    http.response()
}

/// The status of a request from this host, with these fields.
#[track_caller]
fn status(gateway: &Gateway, path: &str, fields: &str) -> u16 {
    get(&mut Http::connect(gateway), path, fields).status
}

/// Whether a client with these fields in its head may subscribe to what the console shows.
#[track_caller]
fn may_subscribe(http: &mut Http, fields: &str) -> bool {
    const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    http.send(format!("GET / HTTP/1.1\r\n{UPGRADE}{fields}\r\n"));
    assert_eq!(http.response_head().status, 101, "{fields}");
    let request = br#"{"id":1,"method":"subscribe.$tidegate.gateway"}"#;
    http.send(RawWs::masked(0x81, request));
    let head = http.take(2);
    let length = match head[1] {
        126 => u16::from_be_bytes(http.take(2).try_into().expect("two")).into(),
        length => usize::from(length),
    };
    let answer: Value = serde_json::from_slice(&http.take(length)).expect("JSON");
    assert!(answer["error"]["code"] == "system.accessDenied" || answer.get("result").is_some());
    answer.get("result").is_some()
}

/// An address of this host that others reach it by, if it has one.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: a route is looked up.
    socket.connect("192.0.2.254:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

#[test]
fn it_is_for_this_host_and_its_own_pages() {
    if is_peer() {
        return;
    }
    let gateway = Gateway::start_inside(&["--console"]);
    let own = format!("Host: {}\r\n", gateway.addr);
    let page = get(&mut Http::connect(&gateway), "/console", &own);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<title>Tidegate console"));
    assert_eq!(page.header("access-control-allow-origin"), None);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    for path in ["/console/", "/console/console.js", "/console/tidegate.js"] {
        assert_eq!(status(&gateway, path, &own), 200, "{path}");
    }
    assert_eq!(status(&gateway, "/console/nothing", &own), 404);
    assert_eq!(status(&gateway, "/consoles", &own), 404);
    let answer = get(&mut Http::connect(&gateway), NOW, &own);
    let figures: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(
        (answer.status, &figures["natsConnected"]),
        (200, &json!(true))
    );

    let port = gateway.addr.rsplit(':').next().expect("a port").to_owned();
    for fields in [
        // A foreign name that leads here, and a page from elsewhere.
        "Host: evil.example\r\n".to_owned(),
        format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"),
        format!("{own}Origin: http://evil.example\r\n"),
        format!("{own}Origin: null\r\n"),
        format!("{own}Sec-Fetch-Site: cross-site\r\n"),
        // Somebody who passes it on.
        format!("{own}X-Forwarded-For: 127.0.0.1\r\n"),
        // A token where there is none.
        "Host: evil.example\r\nAuthorization: Bearer \r\n".to_owned(),
    ] {
        assert_eq!(status(&gateway, "/console", &fields), 403, "{fields}");
        assert_eq!(
            status(&gateway, "/console/look.js", &fields),
            403,
            "{fields}"
        );
        assert_eq!(status(&gateway, NOW, &fields), 401, "{fields}");
        assert!(
            !may_subscribe(&mut Http::connect(&gateway), &fields),
            "{fields}"
        );
    }
    let same = format!("{own}Origin: http://{}\r\n", gateway.addr);
    assert!(may_subscribe(&mut Http::connect(&gateway), &same));
    assert!(may_subscribe(&mut Http::connect(&gateway), &own));
}

#[test]
fn others_need_the_token() {
    if is_peer() {
        return;
    }
    let gateway = Gateway::start_inside(&["--console", "/inside", "--consoletoken", TOKEN]);
    // The page is for everybody then: what it shows is not.
    assert_eq!(status(&gateway, "/inside", "Host: evil.example\r\n"), 200);
    assert_eq!(status(&gateway, "/console", "Host: evil.example\r\n"), 404);
    let fields = "Host: evil.example\r\nOrigin: http://evil.example\r\n";
    assert_eq!(status(&gateway, NOW, fields), 401);
    let bearer = format!("{fields}Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(status(&gateway, NOW, &bearer), 200);
    assert!(may_subscribe(&mut Http::connect(&gateway), &bearer));

    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    let id = client.ask_with("auth.$tidegate.console.login", r#"{"token":"wrong"}"#);
    client.expect_error(id, "system.accessDenied", "Wrong token");
    gateway.wait_for_log("a wrong token was given for the console", 1);
    let params = format!(r#"{{"token":"{TOKEN}"}}"#);
    let id = client.ask_with("auth.$tidegate.console.login", &params);
    client.expect_result(id, r#"{"payload":null}"#);
    client.ask("subscribe.$tidegate.gateway");
    assert!(client.next().contains("apiPath"));
}

#[test]
fn the_token_is_never_logged() {
    if is_peer() {
        return;
    }
    let gateway =
        Gateway::start_inside(&["--console", "--consoletoken", TOKEN, "--debug", "--trace"]);
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    let params = format!(r#"{{"token":"{TOKEN}"}}"#);
    let id = client.ask_with("auth.$tidegate.console.login", &params);
    client.expect_result(id, r#"{"payload":null}"#);
    gateway.wait_for_log("$tidegate.console.login", 1);
    let id = client.ask_with(
        "auth.$tidegate.console.login",
        r#"{"token":"not-this-one"}"#,
    );
    client.expect_error(id, "system.accessDenied", "Wrong token");
    gateway.wait_for_log("a wrong token was given", 1);
    let log = gateway.log();
    assert!(
        !log.contains(TOKEN) && !log.contains("not-this-one"),
        "{log}"
    );
}

#[test]
fn nobody_else_reaches_it_by_the_network() {
    let Some(address) = own_address().filter(|_| !is_peer()) else {
        return;
    };
    // A socket of the test's own: its port is free at every address.
    let listen = |address: &str| TcpListener::bind((address, 0)).expect("a free port");
    let (clients, metrics) = (listen("0.0.0.0"), listen("127.0.0.1"));
    let broker = Broker::start();
    let _gateway = Gateway::start_on(&clients, &metrics, &broker.url(), &["--console"]);
    let port = clients.local_addr().expect("it is bound").port();
    let (own, other) = (format!("127.0.0.1:{port}"), format!("{address}:{port}"));
    for host in [&*other, "localhost", "127.0.0.1"] {
        let fields = format!("Host: {host}\r\n");
        let connect = || Http::connect_to(&other);
        assert_eq!(get(&mut connect(), "/console", &fields).status, 403);
        assert_eq!(get(&mut connect(), NOW, &fields).status, 401);
        assert!(!may_subscribe(&mut connect(), &fields));
    }
    let here = get(&mut Http::connect_to(&own), NOW, "Host: localhost\r\n");
    assert_eq!(here.status, 200);
}

#[test]
fn nobody_reaches_it_by_a_proxy() {
    if is_peer() {
        return;
    }
    let proxied = ["--console", "--trustedproxies", "127.0.0.2"];
    let gateway = Gateway::start_inside(&proxied);
    let own = "Host: localhost\r\n";
    for fields in [
        "Host: localhost\r\nX-Forwarded-For: 192.0.2.9\r\n",
        "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n",
    ] {
        let mut http = Http::connect_from(&gateway, "127.0.0.2");
        assert_eq!(get(&mut http, NOW, fields).status, 401, "{fields}");
    }
    assert_eq!(status(&gateway, NOW, own), 200);

    let gateway = Gateway::start_inside(&[&proxied[..], &["--proxyprotocol"]].concat());
    let mut http = Http::connect_from(&gateway, "127.0.0.2");
    http.send("PROXY TCP4 192.0.2.9 127.0.0.1 4711 80\r\n");
    assert_eq!(get(&mut http, NOW, own).status, 401);
    assert_eq!(status(&gateway, NOW, own), 200);
}

#[test]
fn without_it_the_names_are_those_of_services() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let with = Gateway::start(&broker.url(), &["--console"]);
    let without = Gateway::start(&broker.url(), &[]);
    assert_eq!(status(&without, "/console", "Host: localhost\r\n"), 404);
    let svc = Service::of(&broker, "$tidegate");
    let mut client = Client::connect(&without);
    client.handshake("1.2.3");
    let id = client.ask("subscribe.$tidegate.now");
    svc.serve("$tidegate.now", r#"{"model":{"mine":true}}"#);
    client.expect_result(id, r#"{"models":{"$tidegate.now":{"mine":true}}}"#);
    // With it no service is asked, or heard.
    let mut client = Client::connect(&with);
    client.handshake("1.2.3");
    client.ask("subscribe.$tidegate.gateway");
    assert!(client.next().contains(r#""wsPath":"/""#));
    svc.event(
        "$tidegate.gateway.change",
        r#"{"values":{"version":"forged"}}"#,
    );
    svc.flush();
    let id = client.ask("get.$tidegate.gateway");
    let answer = client.next();
    assert!(
        answer.contains(&format!("\"id\":{id}")) && !answer.contains("forged"),
        "{answer}"
    );
    assert!(svc.try_next(std::time::Duration::ZERO).is_none());
}

/// What is referenced is sent without a question of access: so nothing may refer to it.
#[test]
fn no_reference_leads_to_it() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&["--console"]);
    let svc = stack.service("console_reference");
    let mut operator = stack.fresh_client();
    operator.ask("subscribe.$tidegate.gateway");
    operator.next();
    let mut client = stack.fresh_client();
    let id = client.ask("subscribe.console_reference.model");
    svc.serve(
        "console_reference.model",
        r#"{"model":{"a":{"rid":"$tidegate.gateway"}}}"#,
    );
    let answer: Value = serde_json::from_str(&client.next()).expect("JSON");
    assert_eq!(
        (&answer["id"], answer["error"].is_object()),
        (&json!(id), true),
        "{answer}"
    );
    let id = client.ask("subscribe.console_reference.soft");
    svc.serve(
        "console_reference.soft",
        r#"{"model":{"a":{"rid":"$tidegate.gateway","soft":true}}}"#,
    );
    let answer: Value = serde_json::from_str(&client.next()).expect("JSON");
    assert_eq!(answer["id"], id);
    let models = answer["result"]["models"].as_object().expect("models");
    assert_eq!(models.len(), 1, "{answer}");
}

#[test]
fn a_client_is_looked_at_and_its_frames_are_shown() {
    if is_peer() {
        return;
    }
    let gateway = Gateway::start_demo(&["--port", &free_port().to_string()]);
    let mut looked_at = Client::connect(&gateway);
    looked_at.handshake("1.2.3");
    looked_at.ask("subscribe.demo.tide.gate");
    looked_at.next();
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    client.ask("subscribe.$tidegate.resource.holders?rid=demo.tide.gate&from=0");
    let answer: Value = serde_json::from_str(&client.next()).expect("JSON");
    let models = answer["result"]["models"].as_object().expect("models");
    let (_, holders) = models.iter().next().expect("a model");
    let cid = holders["rows"]["data"][0]["cid"].as_str().expect("an ID");
    let rid = format!("$tidegate.client.{cid}");
    client.ask(&format!("subscribe.{rid}"));
    assert!(client.next().contains(r#""transport":"websocket""#));
    let id = client.ask(&format!("call.{rid}.trace"));
    client.expect_result(id, r#"{"payload":{"seconds":60}}"#);

    looked_at.ask_with("auth.demo.chat.login", r#"{"name":"Ann","key":"secret"}"#);
    looked_at.next();
    looked_at.ask_with("call.demo.tide.gate.set", r#"{"open":false}"#);
    let mut shown = Vec::new();
    while !shown
        .iter()
        .any(|text: &String| text.contains("demo.tide.gate.change"))
    {
        let message: Value = serde_json::from_str(&client.next()).expect("JSON");
        if message["event"] == format!("{rid}.frame") {
            let text = message["data"]["text"].as_str().expect("a text");
            shown.push(text.to_owned());
        }
    }
    let all = shown.join("\n");
    assert!(
        all.contains(r#""method":"auth.demo.chat.login","params":"***""#),
        "{all}"
    );
    assert!(
        all.contains("call.demo.tide.gate.set") && !all.contains("secret"),
        "{all}"
    );
}

/// The command line shows the same names for the same things.
#[test]
fn the_commands_show_the_same_names() {
    if is_peer() {
        return;
    }
    let gateway = Gateway::start_inside(&["--console"]);
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    client.ask("subscribe.$tidegate.now");
    let answer: Value = serde_json::from_str(&client.next()).expect("JSON");
    let model = answer["result"]["models"]["$tidegate.now"].as_object();
    let mut names: Vec<_> = model.expect("a model").keys().cloned().collect();
    names.sort();
    let address: SocketAddr = gateway.addr.parse().expect("an address");
    let output = Command::new(gateway_binary())
        .args(["get", &format!("http://{address}{NOW}")])
        .output()
        .expect("it runs");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut same: Vec<_> = shown
        .as_object()
        .expect("a model")
        .keys()
        .cloned()
        .collect();
    same.sort();
    assert_eq!(names, same);
    assert!(names.iter().any(|name| name == "turnMaxMs"));
}

/// Whoever looks sees that NATS is away, and that it is back.
#[test]
fn it_goes_on_while_nats_is_away() {
    if is_peer() {
        return;
    }
    let mut broker = Broker::start();
    let gateway = Gateway::start(&broker.url(), &["--console"]);
    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    client.ask("subscribe.$tidegate.now");
    let answer: Value = serde_json::from_str(&client.next()).expect("JSON");
    let mut last = answer["result"]["models"]["$tidegate.now"]["natsConnected"].clone();
    // The first second may be one in which the gateway was not there yet.
    let mut expect = |is_there: bool| {
        while last != is_there {
            let message: Value = serde_json::from_str(&client.next()).expect("JSON");
            assert_eq!(message["event"], "$tidegate.now.change");
            if let Some(value) = message["data"]["values"].get("natsConnected") {
                last = value.clone();
            }
        }
    };
    expect(true);
    broker.kill();
    expect(false);
    broker.restart();
    expect(true);
    client.ask("subscribe.$tidegate.services");
    while !client.next().contains(r#""$tidegate.services":{"#) {}
}
