//! Alerts and dashboard: promtool reads the rules, and every family that either names is one
//! that the gateway has.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::tools::{binary, read, run};

const RULES: &str = "docs/packaging/prometheus/tidegate.rules.yml";
const DASHBOARD: &str = "docs/packaging/grafana/tidegate.json";

#[test]
fn promtool_takes_the_rules_and_they_say_what_they_should() {
    let tests = "docs/packaging/prometheus/tidegate.rules.test.yml";
    for arguments in [["check", "rules", RULES], ["test", "rules", tests]] {
        if let Some(found) = run("promtool", &arguments) {
            assert!(found.is_success, "{}", found.said);
        }
    }
}

/// A gateway that ends with the test.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listened on a moment ago.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port().to_string()
}

/// The names of all samples of a worker with the broker inside, and of the first process.
fn samples() -> BTreeSet<String> {
    let (port, clients) = (free_port(), free_port());
    let mut child = Command::new(binary())
        .args(["--workers", "1", "--broker", "127.0.0.1:0"])
        .args(["--addr", "127.0.0.1", "--port", &clients])
        .args(["--metricsport", &port])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let log = child.stderr.take().expect("it is piped");
    let gateway = Gateway(child);
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let ready = lines.find(|line| line.contains("Serving clients with"));
    ready.expect("it serves");
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).expect("a connection");
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    socket.write_all(request).expect("it is taken");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("an answer");
    drop(gateway);
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let name = |line: &str| line.split(['{', ' ']).next().unwrap_or_default().to_owned();
    lines.map(name).collect()
}

/// The words of a text that begin as families of ours do.
fn families(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_ours = |word: &&str| {
        let beginnings = ["tidegate_", "resgate_", "go_"];
        beginnings
            .iter()
            .any(|beginning| word.starts_with(beginning))
    };
    words.filter(is_ours).collect()
}

#[test]
fn alerts_and_dashboard_name_what_the_gateway_has() {
    let samples = samples();
    for file in [RULES, DASHBOARD] {
        let text = read(file);
        let named = families(&text);
        assert!(named.len() >= 8, "{file} names {named:?}");
        let others: Vec<_> = named
            .iter()
            .filter(|name| !samples.contains(**name))
            .collect();
        assert!(
            others.is_empty(),
            "{file} names what there is not: {others:?}"
        );
    }
}

/// What Grafana needs to show it: panels with expressions, on a grid without overlaps.
#[test]
fn the_dashboard_is_one() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut places = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}");
        let grid = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(grid("x") + grid("w") <= 24, "{title}");
        for x in grid("x")..grid("x") + grid("w") {
            for y in grid("y")..grid("y") + grid("h") {
                assert!(places.insert((x, y)), "{title} lies on another");
            }
        }
        let targets = panel["targets"].as_array().expect("targets");
        for target in targets {
            let expression = target["expr"].as_str().expect("an expression");
            let count = |c: char| expression.matches(c).count();
            assert_eq!(count('('), count(')'), "{expression}");
            assert!(
                expression.contains(r#"{instance=~"$instance"}"#),
                "{expression}"
            );
        }
    }
    for name in ["datasource", "instance"] {
        let variables = dashboard["templating"]["list"].as_array().expect("a list");
        assert!(variables.iter().any(|it| it["name"] == name), "{name}");
    }
}
