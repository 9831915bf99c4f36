//! The page that a browser gets at `/`.

use crate::common::*;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";

#[test]
fn a_browser_is_told_where_it_is_unlike_resgate() {
    if is_peer() {
        return;
    }
    let stack = Stack::shared();
    let mut http = stack.http();
    http.request("GET", "/", BROWSER);
    let page = http.response();
    assert_eq!(page.status, 200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("vary", "Accept"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(name).as_deref(), Some(value));
    }
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(page.body.contains("curl -i http://"), "{}", page.body);
    // The connection goes on, and all else at that path is as it was.
    http.request("HEAD", "/", BROWSER);
    let head = http.response();
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (method, headers, status) in [
        ("GET", "", 400),
        ("GET", "Accept: */*\r\n", 400),
        ("POST", BROWSER, 400),
        ("GET", &format!("{BROWSER}Upgrade: x\r\n"), 400),
    ] {
        http.request(method, "/", headers);
        assert_eq!(http.response().status, status, "{method} {headers}");
    }
    http.request("GET", "/elsewhere", BROWSER);
    assert_eq!(http.response().status, 404);
}

#[test]
fn the_page_is_where_nothing_else_is_unlike_resgate() {
    if is_peer() {
        return;
    }
    for (args, status) in [
        (&["--homepage=false"][..], 400),
        (&["--homepage=false", "--wspath", "/ws"], 404),
        (&["--wspath", "/ws"], 200),
        // What is there belongs to the API.
        (&["--apipath", "/", "--wspath", "/ws"], 404),
        (&["--apipath", "/"], 400),
    ] {
        let broker = Broker::start();
        let gateway = Gateway::start(&broker.url(), args);
        let mut http = Http::connect(&gateway);
        http.request("GET", "/", BROWSER);
        assert_eq!(http.response().status, status, "{args:?}");
    }
}
