//! Where proxies stand in front: whose connection it is, for services and for limits.

use crate::common::*;

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Makes a WebSocket of a connection, whose head has these lines too; the status.
fn upgrade(http: &mut Http, lines: &str) -> u16 {
    http.request("GET", "/", &format!("{UPGRADE}{lines}"));
    http.response_head().status
}

/// The address that services are told of a WebSocket client.
#[track_caller]
fn told(svc: &Service, subject: &str, http: &mut Http) -> String {
    let request = format!(r#"{{"id":1,"method":"{subject}"}}"#);
    http.send(RawWs::masked(0x81, request.as_bytes()));
    let request = svc.expect(subject);
    request.respond(r#"{"result":null}"#);
    request.member("remoteAddr")
}

/// A header of version 2 for a client of IPv4, with a field behind the addresses.
fn binary(source: [u8; 4], port: u16) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".to_vec();
    header.extend(source);
    header.extend([127, 0, 0, 1]);
    header.extend(port.to_be_bytes());
    header.extend([0, 80, 4, 0, 1, 0]);
    header
}

#[test]
fn the_field_of_a_trusted_proxy_says_who_a_client_is_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&[
        "--trustedproxies",
        "127.0.0.2",
        "--trustedproxies",
        "10.0.0.0/8",
        "--headauth",
        "proxies_field.head.login",
    ]);
    let svc = stack.service("proxies_field");
    let subject = "auth.proxies_field.model.who";
    let field = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-For: 10.1.1.1\r\n";
    let mut proxied = Http::connect_from(&stack.gateway, "127.0.0.2");
    assert_eq!(upgrade(&mut proxied, field), 101);
    assert_eq!(told(&svc, subject, &mut proxied), "192.0.2.7:0");
    // Others may say what they want.
    let (mut direct, port) = Http::connect_between("127.0.0.3", &stack.gateway.addr);
    assert_eq!(upgrade(&mut direct, field), 101);
    assert_eq!(
        told(&svc, subject, &mut direct),
        format!("127.0.0.3:{port}")
    );

    // Of a kept connection each request has its own.
    let (mut kept, port) = Http::connect_between("127.0.0.2", &stack.gateway.addr);
    for (line, expected) in [
        (
            "X-Forwarded-For: 192.0.2.8:4711\r\n",
            "192.0.2.8:4711".to_owned(),
        ),
        (
            "X-Forwarded-For: [2001:db8::1]\r\n",
            "[2001:db8::1]:0".to_owned(),
        ),
        ("", format!("127.0.0.2:{port}")),
    ] {
        kept.request("GET", "/api/proxies_field/model", line);
        let request = svc.expect("auth.proxies_field.head.login");
        assert_eq!(request.member("remoteAddr"), expected);
        request.respond(r#"{"result":null}"#);
        let [access, get] =
            svc.expect_all(["access.proxies_field.model", "get.proxies_field.model"]);
        access.grant();
        get.respond(r#"{"error":{"code":"system.notFound","message":"Not found"}}"#);
        assert_eq!(kept.response().status, 404);
    }
}

#[test]
fn a_trusted_proxy_begins_with_a_header_and_nobody_else_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&["--trustedproxies", "127.0.0.2", "--proxyprotocol"]);
    let svc = stack.service("proxies_header");
    let subject = "auth.proxies_header.model.who";
    let line = b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n".to_vec();
    for (header, expected) in [
        (line, "192.0.2.1:4711".to_owned()),
        (binary([192, 0, 2, 2], 4712), "192.0.2.2:4712".to_owned()),
    ] {
        // Cut anywhere, and with the request right behind it.
        let (first, second) = header.split_at(header.len() / 2);
        let mut http = Http::connect_from(&stack.gateway, "127.0.0.2");
        http.send(first);
        let mut other = Http::connect_from(&stack.gateway, "127.0.0.3");
        other.get("/nowhere");
        assert_eq!(other.response().status, 404);
        http.send(second);
        // What is not a trusted proxy's is not believed.
        assert_eq!(upgrade(&mut http, "X-Forwarded-For: 6.6.6.6\r\n"), 101);
        assert_eq!(told(&svc, subject, &mut http), expected);
    }
    // A proxy speaks for itself when it looks whether the gateway is there.
    let (mut local, port) = Http::connect_between("127.0.0.2", &stack.gateway.addr);
    local.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    assert_eq!(upgrade(&mut local, ""), 101);
    assert_eq!(told(&svc, subject, &mut local), format!("127.0.0.2:{port}"));

    // One without is closed, and so is one of somebody else.
    for bytes in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "PROXY TCP4 me you\r\n"] {
        let mut bare = Http::connect_from(&stack.gateway, "127.0.0.2");
        bare.send(bytes);
        bare.expect_closed();
    }
    for header in [
        &b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n"[..],
        &binary([192, 0, 2, 2], 1),
    ] {
        let mut stranger = Http::connect_from(&stack.gateway, "127.0.0.3");
        stranger.send(header);
        stranger.send("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
        stranger.expect_some_then_closed("400 Bad Request");
    }
}

#[test]
fn connections_count_by_the_address_behind_the_proxy_unlike_resgate() {
    if is_peer() {
        return;
    }
    let field = Stack::start(&[
        "--trustedproxies",
        "127.0.0.2",
        "--maxconnectionsperaddress",
        "1",
    ]);
    let connect = || Http::connect_from(&field.gateway, "127.0.0.2");
    let mut first = connect();
    assert_eq!(upgrade(&mut first, "X-Forwarded-For: 192.0.2.1\r\n"), 101);
    let mut second = connect();
    second.request(
        "GET",
        "/",
        &format!("{UPGRADE}X-Forwarded-For: 192.0.2.1\r\n"),
    );
    let answer = second.response();
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after").as_deref(), Some("2"));
    // The proxy may use the connection for somebody else.
    assert_eq!(upgrade(&mut second, "X-Forwarded-For: 192.0.2.2\r\n"), 101);
    first.send(RawWs::masked(0x88, &1000u16.to_be_bytes()));
    first.expect_some_then_closed("");
    assert_eq!(
        upgrade(&mut connect(), "X-Forwarded-For: 192.0.2.1\r\n"),
        101
    );

    let header = Stack::start(&[
        "--trustedproxies",
        "127.0.0.2",
        "--proxyprotocol",
        "--maxconnectionsperaddress",
        "1",
    ]);
    let connect = |last: u8| {
        let mut http = Http::connect_from(&header.gateway, "127.0.0.2");
        http.send(binary([192, 0, 2, last], 80));
        http.try_send("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
        http
    };
    let mut first = connect(1);
    assert_eq!(first.response().status, 404);
    let mut second = connect(1);
    assert_eq!(second.response().status, 429);
    second.expect_closed();
    assert_eq!(connect(2).response().status, 404);
    first.finish();
    first.expect_closed();
    assert_eq!(connect(1).response().status, 404);
}

#[test]
fn haproxy_says_who_a_client_is_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&["--trustedproxies", "127.0.0.1", "--proxyprotocol"]);
    let svc = stack.service("proxies_haproxy");
    for sends in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"] {
        let gateway = &stack.gateway.addr;
        let proxy = Proxy::start(
            "haproxy",
            |port, _| {
                format!(
                    "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n \
                     timeout server 60s\n\
                     frontend clients\n bind 127.0.0.1:{port}\n default_backend gateway\n\
                     backend gateway\n server gateway {gateway} {sends}\n"
                )
            },
            |_, path| ["-db", "-f", path].map(str::to_owned).into(),
        );
        let Some(proxy) = proxy else { return };
        let (mut http, port) = Http::connect_between("127.0.0.5", &proxy.addr);
        assert_eq!(upgrade(&mut http, ""), 101, "{}", proxy.log());
        let address = told(&svc, "auth.proxies_haproxy.model.who", &mut http);
        assert_eq!(address, format!("127.0.0.5:{port}"), "{sends}");
    }
}

#[test]
fn nginx_says_who_a_client_is_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::start(&["--trustedproxies", "127.0.0.1"]);
    let svc = stack.service("proxies_nginx");
    let gateway = &stack.gateway.addr;
    let proxy = Proxy::start(
        "nginx",
        |port, place| {
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {place}/{name};"))
                .concat();
            format!(
                "daemon off; master_process off; error_log stderr; pid {place}/pid;\n\
                 events {{}}\n\
                 http {{ access_log off; {temporary}\n\
                 server {{ listen 127.0.0.1:{port}; location / {{\n\
                 proxy_pass http://{gateway}; proxy_http_version 1.1;\n\
                 proxy_set_header Upgrade $http_upgrade;\n\
                 proxy_set_header Connection $http_connection;\n\
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n"
            )
        },
        |place, path| ["-p", place, "-c", path].map(str::to_owned).into(),
    );
    let Some(proxy) = proxy else { return };
    let mut http = Http::connect_between("127.0.0.5", &proxy.addr).0;
    assert_eq!(upgrade(&mut http, "X-Forwarded-For: 6.6.6.6\r\n"), 101);
    let address = told(&svc, "auth.proxies_nginx.model.who", &mut http);
    assert_eq!(address, "127.0.0.5:0", "{}", proxy.log());
}
