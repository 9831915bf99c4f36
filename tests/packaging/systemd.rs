//! The units: what systemd itself says of them, and whether the gateway can live with them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::tools::{binary, read, run};

const UNITS: &str = "docs/packaging/systemd";
const SERVICES: [&str; 2] = ["tidegate.service", "tidegate@.service"];

/// A new directory for one test.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("packaging-{test}"));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// 1.5 on systemd's scale of 10 is the most that is allowed.
#[test]
fn systemd_finds_the_services_hardly_exposed() {
    for unit in SERVICES {
        let path = format!("{UNITS}/{unit}");
        let arguments = ["security", "--offline=true", "--threshold=15", &path];
        let Some(found) = run("systemd-analyze", &arguments) else {
            return;
        };
        assert!(found.is_success, "{}", found.said);
        assert!(
            found.said.contains("Overall exposure level"),
            "{}",
            found.said
        );
    }
}

/// With the drop-ins, and with the binary of this build in the place of the installed one.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let directory = directory("units");
    let put = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().expect("the directory")).expect("a directory");
        std::fs::write(&path, text).expect("a file");
    };
    for unit in SERVICES {
        let text = read(&format!("{UNITS}/{unit}"));
        let text = text.replace("/usr/bin/tidegate", &binary());
        put(unit, &text.replace("Documentation=man:tidegate(1)\n", ""));
    }
    for name in ["tls.conf", "creds.conf"] {
        let text = read(&format!("{UNITS}/{name}"));
        put(&format!("tidegate.service.d/{name}"), &text);
    }
    put(
        "tidegate.socket",
        &read(&format!("{UNITS}/tidegate.socket")),
    );
    // It looks for the other units of the host, too.
    let paths = format!("{}:", directory.display());
    for unit in ["tidegate.service", "tidegate@0.service", "tidegate.socket"] {
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no", unit])
            .env("SYSTEMD_UNIT_PATH", &paths)
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else {
            eprintln!("skipped: systemd-analyze is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<_> = said
            .lines()
            .filter(|line| line.contains("tidegate"))
            .collect();
        assert!(ours.is_empty(), "{unit}: {ours:?}");
    }
}

#[test]
fn both_services_may_use_the_same() {
    let rights = SERVICES.map(|unit| {
        let text = read(&format!("{UNITS}/{unit}"));
        let (_, rights) = text.split_once("# What it may use").expect("the part");
        rights.to_owned()
    });
    assert_eq!(rights[0], rights[1]);
}

/// The system calls that the unit's filters leave, as systemd expands them.
fn allowed() -> Option<HashSet<String>> {
    let unit = read(&format!("{UNITS}/tidegate.service"));
    let mut allowed = HashSet::new();
    for line in unit.lines() {
        let Some(filter) = line.strip_prefix("SystemCallFilter=") else {
            continue;
        };
        let (is_denied, names) = match filter.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, filter),
        };
        for name in names.split_whitespace() {
            for call in expand(name)? {
                match is_denied {
                    true => allowed.remove(&call),
                    false => allowed.insert(call),
                };
            }
        }
    }
    Some(allowed)
}

fn expand(name: &str) -> Option<Vec<String>> {
    if !name.starts_with('@') {
        return Some(vec![name.to_owned()]);
    }
    let found = run("systemd-analyze", &["syscall-filter", name])?;
    assert!(found.is_success, "{}", found.said);
    let mut calls = Vec::new();
    for line in found.said.lines().skip(1).map(str::trim) {
        if !line.is_empty() && !line.starts_with('#') {
            calls.extend(expand(line)?);
        }
    }
    Some(calls)
}

/// A gateway with broker, services, TLS on neither side, pinned and probed, makes no system
/// call that its unit would refuse.
#[test]
fn the_gateway_calls_the_system_only_as_its_unit_allows() {
    let Some(allowed) = allowed() else { return };
    if run("strace", &["-V"]).is_none() {
        return;
    }
    assert!(allowed.contains("epoll_wait") && !allowed.contains("setpriority"));
    let trace = directory("calls").join("trace");
    let port = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("bound").port().to_string()
    };
    let (clients, metrics) = (port(), port());
    // Soft and hard limit of descriptors are the same, as in the unit.
    let mut gateway = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 256; exec \"$@\"",
            "sh",
            "strace",
            "-f",
            "-qq",
            "-o",
        ])
        .arg(&trace)
        .arg(binary())
        .args(["--demo", "--broker", "0", "--cpu", "0", "--draintime", "0"])
        .args(["--port", &clients, "--metricsport", &metrics])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh starts");
    let start = Instant::now();
    while !probe(&metrics) {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it does not start"
        );
        let ended = gateway.try_wait().expect("our child");
        assert!(ended.is_none(), "it has ended: {ended:?}");
    }
    let text = std::fs::read_to_string(&trace).expect("a trace");
    // The first is the gateway; strace passes no signal on.
    let gateway_id = text.split_whitespace().next().expect("a number").to_owned();
    run("kill", &["-TERM", &gateway_id]).expect("kill is there");
    gateway.wait().expect("our child");
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let calls: HashSet<&str> = text.lines().filter_map(call).collect();
    assert!(calls.contains("sched_setaffinity"), "{calls:?}");
    // The unit's own program is what execve starts.
    let others: Vec<_> = calls
        .iter()
        .filter(|call| !allowed.contains(**call))
        .collect();
    assert!(others.is_empty(), "refused: {others:?}");
}

fn probe(port: &str) -> bool {
    let arguments = ["--probe", "ready", "--metricsport", port];
    run(&binary(), &arguments).is_some_and(|found| found.is_success)
}

/// The name of the call in a line of a trace.
fn call(line: &str) -> Option<&str> {
    let (_, line) = line.split_once(' ')?;
    let (name, _) = line.trim_start().split_once('(')?;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(is_name).then_some(name)
}
