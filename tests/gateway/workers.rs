//! `--workers`: a first process that starts gateways, keeps them running and replaces them.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::*;
use crate::hand_over::Stream;

const MODEL: &str = r#"{"model":{"a":1}}"#;

/// A gateway of several workers.
struct Team {
    gateway: Gateway,
    /// The operators' port.
    metrics: String,
}

impl Team {
    /// So many workers on a broker.
    fn start(broker: &Broker, workers: &str, args: &[&str]) -> Team {
        let port = free_port().to_string();
        let ours = ["--workers", workers, "--metricsport", &port];
        let gateway = Gateway::start(&broker.url(), &[&ours, args].concat());
        gateway.wait_for_log("Serving clients with", 1);
        let metrics = format!("127.0.0.1:{port}");
        Team { gateway, metrics }
    }

    /// The same with the broker inside one of them.
    fn start_inside(workers: &str, args: &[&str]) -> Team {
        let port = free_port().to_string();
        let ours = ["--workers", workers, "--metricsport", &port];
        let gateway = Gateway::start_inside(&[&ours, args].concat());
        gateway.wait_for_log("Serving clients with", 1);
        let metrics = format!("127.0.0.1:{port}");
        Team { gateway, metrics }
    }

    /// The process numbers of its workers.
    fn workers(&self) -> Vec<u32> {
        let pid = self.gateway.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.expect("the system tells");
        let numbers = children.split_whitespace().map(|number| number.parse());
        numbers.collect::<Result<_, _>>().expect("numbers")
    }

    /// Waits until so many workers run, none of which is one of these.
    fn wait_for_others(&self, old: &[u32], count: usize) -> Vec<u32> {
        let start = Instant::now();
        loop {
            let workers = self.workers();
            if workers.len() == count && old.iter().all(|pid| !workers.contains(pid)) {
                return workers;
            }
            assert!(start.elapsed() < PATIENCE, "{}", self.gateway.log());
            std::thread::yield_now();
        }
    }

    /// What a path of the operators' port answers.
    fn ask(&self, path: &str) -> Response {
        let mut http = Http::connect_to(&self.metrics);
        http.get(path);
        http.response()
    }

    fn counted(&self) -> Exposition {
        Exposition::parse(&self.ask("/metrics").body)
    }

    /// Waits until all workers are ready, by the operators' port.
    fn wait_ready(&self) {
        let start = Instant::now();
        while self.ask("/readyz").status != 200 {
            assert!(start.elapsed() < PATIENCE, "{}", self.gateway.log());
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a number")).expect("not 0");
    kill_process(pid, signal).expect("it runs");
}

/// WebSocket clients, some of them at each of two workers.
fn spread(team: &Team) -> Vec<Client> {
    let mut clients = Vec::new();
    let start = Instant::now();
    loop {
        clients.push(Client::connect(&team.gateway));
        let counted = team.counted();
        let at = |worker| {
            let name = format!("resgate_ws_current_connections{{worker=\"{worker}\"}}");
            counted.value(&name)
        };
        if at(0) >= 2.0 && at(1) >= 2.0 {
            assert_eq!(at(0) + at(1), clients.len() as f64);
            return clients;
        }
        assert!(start.elapsed() < PATIENCE, "all clients come to one worker");
    }
}

/// Subscribes all clients, which two workers serve, to a resource: each worker fetches for
/// itself what its clients share.
fn subscribe_all(clients: &mut [Client], svc: &Service, name: &str) {
    let ask = |client: &mut Client| client.ask(&format!("subscribe.{name}"));
    let ids: Vec<u64> = clients.iter_mut().map(ask).collect();
    answer(svc, clients.len() + 2);
    for (client, id) in clients.iter_mut().zip(ids) {
        client.expect_result(id, &format!(r#"{{"models":{{"{name}":{{"a":1}}}}}}"#));
    }
}

/// Answers so many requests for access and content.
fn answer(svc: &Service, count: usize) {
    for _ in 0..count {
        let request = svc.next();
        match request.subject().starts_with("access.") {
            true => request.grant(),
            false => request.result(MODEL),
        }
    }
}

#[test]
fn clients_are_spread_and_counted_together_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let team = Team::start(&broker, "2", &[]);
    let svc = Service::of(&broker, "workers_spread");
    let mut clients = spread(&team);
    let count = clients.len() as f64;
    subscribe_all(&mut clients, &svc, "workers_spread.model");
    svc.event("workers_spread.model.change", r#"{"values":{"a":2}}"#);
    for client in &mut clients {
        client.expect_event("workers_spread.model.change", r#"{"values":{"a":2}}"#);
    }
    let counted = team.counted();
    assert_eq!(counted.value("resgate_ws_connections_total"), count);
    assert_eq!(counted.value("tidegate_events_sent_total"), count);
    assert_eq!(counted.value("tidegate_events_received_total"), 2.0);
    assert_eq!(
        counted.value("tidegate_request_seconds_count{type=\"get\"}"),
        2.0
    );
    assert_eq!(counted.value("tidegate_workers"), 2.0);
    for worker in 0..2 {
        let value = |name: &str| counted.value(&format!("{name}{{worker=\"{worker}\"}}"));
        assert_eq!(value("tidegate_worker_up"), 1.0);
        assert_eq!(value("tidegate_worker_restarts_total"), 0.0);
        assert_eq!(value("tidegate_nats_connected"), 1.0);
        assert_eq!(value("resgate_cache_resources"), 1.0);
    }
    // Each has a CPU of its own, where there are as many.
    let cpus: BTreeSet<String> = team.workers().into_iter().map(allowed_cpus).collect();
    let has_own = std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() >= 2);
    assert!(!has_own || cpus.len() == 2, "{cpus:?}");
    // The first process has no part in what it looks after.
    assert!(
        memory(team.gateway.pid()) < 2_048,
        "it takes a worker's memory"
    );
}

#[test]
fn answer_times_by_pattern_are_those_of_all_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let patterns = ["--latencypatterns", "workers_times.*"];
    let team = Team::start(&broker, "2", &patterns);
    let svc = Service::of(&broker, "workers_times");
    let mut clients = spread(&team);
    for name in ["workers_times.model", "workers_times.other.model"] {
        subscribe_all(&mut clients, &svc, name);
    }
    let (counted, asked) = (team.counted(), clients.len() as f64);
    for pattern in ["pattern=\"workers_times.*\",", ""] {
        for (kind, count) in [("get", 2.0), ("access", asked)] {
            let count_of = format!("tidegate_request_seconds_count{{{pattern}type=\"{kind}\"}}");
            assert_eq!(counted.value(&count_of), count, "{count_of}");
            let all =
                format!("tidegate_request_seconds_bucket{{{pattern}type=\"{kind}\",le=\"+Inf\"}}");
            assert_eq!(counted.value(&all), count, "{all}");
        }
    }
}

/// The CPUs that a process may use, in the system's words.
fn allowed_cpus(pid: u32) -> String {
    status(pid, "Cpus_allowed_list:")
}

/// KiB of memory that are a process's own.
fn memory(pid: u32) -> u64 {
    let text = status(pid, "RssAnon:");
    text.trim_end_matches(" kB").parse().expect("a number")
}

fn status(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the system tells").trim().to_owned()
}

#[test]
fn a_worker_that_is_killed_comes_back_and_nobody_is_refused_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let team = Team::start(&broker, "2", &[]);
    let mut clients = spread(&team);
    let before = team.counted().value("resgate_ws_connections_total");
    let workers = team.workers();
    signal(workers[0], Signal::KILL);
    // Those of the other worker stay. Whoever comes meanwhile is served by one or the other.
    let mut kept = 0;
    for client in &mut clients {
        kept += usize::from(client.is_served());
    }
    assert!(
        kept >= 2 && kept + 2 <= clients.len(),
        "{kept} of {}",
        clients.len()
    );
    for _ in 0..20 {
        Client::connect(&team.gateway).handshake("1.2.3");
    }
    let start = Instant::now();
    while team.workers().len() < 2 || team.workers().contains(&workers[0]) {
        assert!(start.elapsed() < PATIENCE, "{}", team.gateway.log());
    }
    team.wait_ready();
    let log = team.gateway.log();
    assert!(log.contains("ended by signal 9"), "{log}");
    let counted = team.counted();
    let restarts = (0..2).map(|worker| {
        counted.value(&format!(
            "tidegate_worker_restarts_total{{worker=\"{worker}\"}}"
        ))
    });
    assert_eq!(restarts.sum::<f64>(), 1.0);
    // What it had counted, as it last told, stays in the sums.
    let after = counted.value("resgate_ws_connections_total");
    assert!(after >= before + 20.0, "{before} and then {after}");
}

#[test]
fn workers_are_replaced_and_nobody_is_refused_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let team = Team::start(&broker, "2", &["--draintime", "100"]);
    let stream = Stream::begin(&team.gateway.addr);
    stream.wait(200);
    let mut workers = team.workers();
    for round in 1..=4 {
        team.gateway.signal(Signal::USR2);
        workers = team.wait_for_others(&workers, 2);
        team.gateway.wait_for_log("All workers are replaced", round);
        if inside::is_for_this_test() {
            // The other worker connects to where the broker is now.
            team.wait_ready();
        }
        assert_eq!(team.ask("/readyz").status, 200);
        stream.wait(200);
    }
    // So is one that somebody else ends.
    signal(workers[0], Signal::TERM);
    team.wait_for_others(&workers[..1], 2);
    stream.wait(200);
    let served = stream.served();
    stream.end();
    let counted = team.counted();
    let requests = counted.value("tidegate_client_received_bytes_total");
    assert!(served >= 1_000 && requests > 0.0, "{served}");
}

#[test]
fn a_new_configuration_replaces_workers_and_a_wrong_one_does_not_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let directory = Directory::new();
    let path = directory.path("tidegate.json");
    let write = |text: &str| std::fs::write(&path, text).expect("a file");
    write(r#"{"apiPath":"/one","drainTime":100}"#);
    let team = Team::start(&broker, "2", &["--config", &path]);
    let status = |path: &str| {
        let mut http = Http::connect(&team.gateway);
        http.send(format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"
        ));
        http.response().status
    };
    assert_eq!((status("/one/x"), status("/two/x")), (200, 404));
    let workers = team.workers();

    // Nothing has changed: certificates would have been read again, and that is all.
    team.gateway.signal(Signal::HUP);
    team.gateway
        .wait_for_log("Configuration and binary are as they were", 1);
    // What cannot be is refused before a worker has to do with it.
    write(r#"{"apiPath":7}"#);
    team.gateway.signal(Signal::HUP);
    team.gateway.wait_for_log("everything stays as it is", 1);
    // What only a worker can find out ends its follower, and no other.
    write(
        r#"{"apiPath":"/two","drainTime":100,"tls":true,"tlsCert":"/no/cert","tlsKey":"/no/key"}"#,
    );
    team.gateway.signal(Signal::HUP);
    team.gateway
        .wait_for_log("was not replaced, and the rest stay as they are", 1);
    assert_eq!(team.workers(), workers);
    assert_eq!((status("/one/x"), status("/two/x")), (200, 404));

    write(r#"{"apiPath":"/two","drainTime":100}"#);
    team.gateway.signal(Signal::HUP);
    team.wait_for_others(&workers, 2);
    team.gateway.wait_for_log("All workers are replaced", 1);
    assert_eq!((status("/one/x"), status("/two/x")), (404, 200));
}

#[test]
fn a_worker_that_ends_at_once_each_time_is_given_up_unlike_resgate() {
    if is_peer() {
        return;
    }
    // Nobody is there who could be the broker.
    let nobody = format!("nats://127.0.0.1:{}", free_port());
    let (code, log) = Gateway::run_to_end(&nobody, &["--workers", "2"]);
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("times in a row soon after its start, at last by exit code 1"),
        "{log}"
    );
    assert!(log.contains("worker 0: cannot connect to NATS"), "{log}");
}

#[test]
fn a_worker_that_stands_still_is_found_and_holds_nobody_up_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let team = Team::start(&broker, "2", &[]);
    let workers = team.workers();
    signal(workers[1], Signal::STOP);
    // A scrape tells of the others, and readiness of that.
    let counted = team.counted();
    assert_eq!(counted.value("tidegate_worker_up{worker=\"0\"}"), 1.0);
    assert_eq!(counted.value("tidegate_worker_up{worker=\"1\"}"), 0.0);
    assert_eq!(team.ask("/healthz").status, 200);
    team.ask("/readyz").assert(503, "worker 1: no answer\n");
    team.gateway
        .wait_for_log("gives no sign of life for 10 s: killed", 1);
    team.wait_for_others(&workers[1..], 2);
    team.wait_ready();
    assert!(team.workers().contains(&workers[0]));
}

#[test]
fn clients_of_age_are_spread_over_a_worker_that_is_new_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let team = Team::start(&broker, "2", &["--maxage", "2000"]);
    let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(&team.gateway)).collect();
    assert!(clients.iter_mut().all(Client::is_served));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mut client in clients {
            let (team, is_over) = (&team, &is_over);
            scope.spawn(move || {
                // Whoever is closed for its age comes back, and whoever is cut off does not.
                while client.next_close() == Some(1001) && !is_over.load(Ordering::Relaxed) {
                    client = Client::connect(&team.gateway);
                }
            });
        }
        let workers = team.workers();
        signal(workers[0], Signal::KILL);
        team.wait_for_others(&workers[..1], 2);
        team.wait_ready();
        // All clients that are left are at the other worker, and are divided again.
        let start = Instant::now();
        loop {
            let counted = team.counted();
            let [new, old] = [0, 1].map(|worker| {
                let name = format!("resgate_ws_current_connections{{worker=\"{worker}\"}}");
                counted.value(&name)
            });
            if new >= 3.0 && old >= 3.0 {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{new} and {old}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn signals_reach_all_workers_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let mut team = Team::start(&broker, "2", &["--draintime", "600000"]);
    team.gateway.signal(Signal::USR1);
    for worker in 0..2 {
        team.gateway
            .wait_for_log(&format!("worker {worker}: State: ready"), 1);
    }
    let mut clients = spread(&team);
    let workers = team.workers();
    team.gateway.signal(Signal::TERM);
    let start = Instant::now();
    while TcpStream::connect(&team.gateway.addr).is_ok() {
        assert!(start.elapsed() < PATIENCE, "it listens on");
    }
    team.ask("/readyz").assert(503, "stopping\n");
    // The first of each worker had its turn at once, and others have theirs in minutes.
    assert_eq!(team.workers(), workers);
    team.gateway.signal(Signal::TERM);
    assert_eq!(
        team.gateway.wait(PATIENCE),
        Some(0),
        "{}",
        team.gateway.log()
    );
    clients.iter_mut().for_each(Client::expect_cut_off);

    // Without haste all clients are told.
    let mut team = Team::start(&broker, "2", &["--draintime", "300"]);
    let mut clients = spread(&team);
    team.gateway.signal(interrupt());
    for client in &mut clients {
        assert_eq!(client.next_close(), Some(1001));
    }
    assert_eq!(
        team.gateway.wait(PATIENCE),
        Some(0),
        "{}",
        team.gateway.log()
    );
}

#[test]
fn workers_end_with_the_first_process_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let team = Team::start(&broker, "2", &["--draintime", "0"]);
    let workers = team.workers();
    team.gateway.signal(Signal::KILL);
    let start = Instant::now();
    for pid in workers {
        let path = format!("/proc/{pid}/stat");
        // One that has ended may be there until somebody takes note of it.
        while std::fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(start.elapsed() < PATIENCE, "worker {pid} runs on");
        }
    }
}

#[test]
fn the_broker_inside_serves_all_workers_unlike_resgate() {
    if is_peer() {
        return;
    }
    // Services show who they are; workers need no user for that.
    let users = r#"[{"user":"books","password":"hush"}]"#;
    let directory = Directory::new();
    let path = directory.path("tidegate.json");
    let write = |users: &str| {
        let text = format!(r#"{{"brokerUsers":{users},"drainTime":100}}"#);
        std::fs::write(&path, text).expect("a file");
    };
    write(users);
    let team = Team::start_inside("2", &["--config", &path]);
    let url = format!("nats://books:hush@{}", Broker::inside(&team.gateway).addr);
    let svc = Service::of_url(&url, "workers_inside");
    let mut clients = spread(&team);
    subscribe_all(&mut clients, &svc, "workers_inside.model");
    svc.event("workers_inside.model.change", r#"{"values":{"a":2}}"#);
    for client in &mut clients {
        client.expect_event("workers_inside.model.change", r#"{"values":{"a":2}}"#);
    }
    drop(svc);

    // A configuration with which the broker could not be is not tried.
    let (workers, log) = (team.workers(), team.gateway.log());
    assert!(!log.contains("stays as it is"), "{log}");
    write(r#"[{"user":"books"}]"#);
    team.gateway.signal(Signal::HUP);
    team.gateway.wait_for_log("everything stays as it is", 1);
    assert_eq!(team.workers(), workers);
    write(users);

    // The worker with the broker is killed: clients of the other are kept, and served when
    // it is back.
    let workers = team.workers();
    signal(workers[0], Signal::KILL);
    team.wait_for_others(&workers[..1], 2);
    team.wait_ready();
    assert!(team.workers().contains(&workers[1]));
    let svc = Service::of_url(&url, "workers_inside2");
    let mut client = Client::connect(&team.gateway);
    let id = client.ask("subscribe.workers_inside2.model");
    answer(&svc, 2);
    client.expect_result(id, r#"{"models":{"workers_inside2.model":{"a":1}}}"#);

    // Nor does replacing it refuse anybody.
    let stream = Stream::begin(&team.gateway.addr);
    let workers = team.workers();
    team.gateway.signal(Signal::USR2);
    team.wait_for_others(&workers, 2);
    team.gateway.wait_for_log("All workers are replaced", 1);
    stream.wait(200);
    stream.end();
}

#[test]
fn certificates_are_read_again_by_all_workers_unlike_resgate() {
    if is_peer() {
        return;
    }
    let authority = Authority::new("root");
    let issued = authority.issue(&["localhost"]);
    let directory = Directory::new();
    let certificate = directory.write("cert.pem", &issued.chain);
    let key = directory.write("key.pem", &issued.key);
    let broker = Broker::start();
    let tls = ["--tls", "--tlscert", &certificate, "--tlskey", &key];
    let team = Team::start(&broker, "2", &tls);
    let workers = team.workers();
    team.gateway.signal(Signal::HUP);
    for worker in 0..2 {
        let words = format!("worker {worker}: Loaded the TLS certificate {certificate} again");
        team.gateway.wait_for_log(&words, 1);
    }
    assert_eq!(team.workers(), workers);
}

#[test]
fn workers_share_sockets_that_are_handed_over_unlike_resgate() {
    if is_peer() {
        return;
    }
    let broker = Broker::start();
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (clients, metrics) = (listen(), listen());
    let args = ["--workers", "2", "--draintime", "0"];
    let mut gateway = Gateway::start_on(&clients, &metrics, &broker.url(), &args);
    gateway.wait_for_log("Serving clients with 2 workers", 1);
    let stream = Stream::begin(&gateway.addr);
    stream.wait(100);
    gateway.signal(Signal::USR2);
    gateway.wait_for_log("All workers are replaced", 1);
    stream.wait(100);
    let mut http = Http::connect_to(&metrics.local_addr().expect("bound").to_string());
    http.get("/readyz");
    let mut ready = http.response();
    let start = Instant::now();
    // With the broker inside the other worker connects to where it is now.
    while inside::is_for_this_test() && ready.status != 200 && start.elapsed() < PATIENCE {
        http.get("/readyz");
        ready = http.response();
    }
    ready.assert(200, "ok\n");
    stream.end();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
    // The socket is not ours: who comes waits for the next.
    TcpStream::connect(&gateway.addr).expect("somebody keeps it");
}

#[test]
fn what_is_for_one_process_is_refused_unlike_resgate() {
    if is_peer() {
        return;
    }
    for (args, reason) in [
        (
            &["--workers", "2", "--cpu", "0"][..],
            "--workers: is not for one process",
        ),
        (
            &["--workers", "2", "--demo"],
            "--workers: is not for one process",
        ),
        (
            &["--workers", "0"],
            "neither auto nor a whole number from 1 to 256",
        ),
        (
            &["--workers", "many"],
            "neither auto nor a whole number from 1 to 256",
        ),
    ] {
        let (code, log) = Gateway::run_to_end("nats://127.0.0.1:1", args);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(reason), "{log}");
    }
    // A port that somebody has is not shared by mistake.
    let broker = Broker::start();
    let team = Team::start(&broker, "1", &[]);
    let port = team.gateway.addr.rsplit(':').next().expect("a port");
    let (code, log) = Gateway::run_to_end(&broker.url(), &["--workers", "1", "--port", port]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("cannot listen on 127.0.0.1:"), "{log}");
    let output = std::process::Command::new(gateway_binary())
        .arg("worker")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("start tidegate with --workers"), "{log}");
}
