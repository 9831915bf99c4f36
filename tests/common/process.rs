//! The processes under test: a broker and the gateway, ended whatever way a test ends.

#![allow(
    deprecated,
    reason = "the nats crate is deprecated as a whole; blocking suits test services"
)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::{Client, Http, PATIENCE, RawWs, Service, inside, service};

/// A child process whose stderr is collected, and which does not outlive this one.
struct Process {
    child: Child,
    /// A shell that waits for its stdin to end, which happens when this process is
    /// gone, however it went, and then kills the child. Needed because statics are
    /// never dropped.
    guard: Child,
    /// One item for each line on stderr; disconnected when the child has ended.
    lines: Mutex<Receiver<String>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn spawn(command: &mut Command) -> Process {
        Process::spawn_with(command, Stdio::null(), Stdio::null())
    }

    fn spawn_with(command: &mut Command, stdin: Stdio, stdout: Stdio) -> Process {
        let mut child = command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let guard = Command::new("sh")
            .args(["-c", "cat >/dev/null; kill -9 $1", "guard"])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (tx, lines) = channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                sink.lock().expect("no holder panics").push(text.clone());
                // Nobody may listen any more: the log keeps the line.
                let _ = tx.send(text);
            }
        });
        Process {
            child,
            guard,
            lines: Mutex::new(lines),
            log,
        }
    }

    fn next_line(&self, patience: Duration) -> Result<String, RecvTimeoutError> {
        self.lines
            .lock()
            .expect("no holder panics")
            .recv_timeout(patience)
    }

    fn log(&self) -> String {
        self.log.lock().expect("no holder panics").join("\n")
    }

    /// Waits until the process has ended and returns its exit code (`None`: a signal).
    #[track_caller]
    fn wait(&mut self, patience: Duration) -> Option<i32> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next_line(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the process still runs after {patience:?}:\n{}", self.log())
                }
            }
        }
        self.child.wait().expect("our child").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A nats-server of its own on a free port of the loopback interface, or the address of
/// the broker inside a gateway.
pub struct Broker {
    process: Option<Process>,
    binary: PathBuf,
    args: Vec<String>,
    /// `127.0.0.1:port`.
    pub addr: String,
}

impl Broker {
    /// Starts `NATS_SERVER_BIN`, or `nats-server` from the path or /usr/sbin. With
    /// `TEST_BROKER=inside` nothing starts: it is inside the gateway that is started next with
    /// its address, unless the test needs a server ([`inside`]).
    pub fn start() -> Broker {
        if inside::is_for_this_test() {
            return Broker::inside_of_next();
        }
        Broker::start_with(&[])
    }

    /// An address that the gateway which is started with it has its own broker at.
    fn inside_of_next() -> Broker {
        Broker {
            process: None,
            binary: PathBuf::new(),
            args: Vec::new(),
            addr: inside::reserve(),
        }
    }

    /// As [`Broker::start`], with further command line arguments.
    #[track_caller]
    pub fn start_with(args: &[&str]) -> Broker {
        Broker::start_by(broker_binary(), args)
    }

    /// As [`Broker::start_with`], of this program.
    #[track_caller]
    pub fn start_by(binary: PathBuf, args: &[&str]) -> Broker {
        assert!(!inside::is_for_this_test(), "{}", inside::NEEDS_A_SERVER);
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (process, addr) = Broker::spawn(&binary, "-1", &args);
        Broker {
            process: Some(process),
            binary,
            args,
            addr,
        }
    }

    /// The one inside a gateway that was started with `--broker`.
    pub fn inside(gateway: &Gateway) -> Broker {
        const WORDS: &str = "Broker for services on nats://";
        gateway.wait_for_log(WORDS, 1);
        let log = gateway.log();
        let (_, behind) = log.split_once(WORDS).expect("it was waited for");
        let addr = behind.lines().next().expect("an address");
        Broker {
            process: None,
            binary: PathBuf::new(),
            args: Vec::new(),
            addr: addr.to_owned(),
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect(inside::NEEDS_A_SERVER)
    }

    fn spawn(binary: &PathBuf, port: &str, args: &[String]) -> (Process, String) {
        let process = Process::spawn(
            Command::new(binary)
                .args(["-a", "127.0.0.1", "-p", port])
                .args(args),
        );
        let mut addr = None;
        loop {
            let line = process.next_line(PATIENCE).unwrap_or_else(|_| {
                panic!("nats-server does not become ready:\n{}", process.log())
            });
            if let Some(at) = line.find("client connections on ") {
                addr = Some(line[at + "client connections on ".len()..].to_owned());
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        let addr = addr.expect("nats-server names its address before it is ready");
        (process, addr)
    }

    /// The address as the gateway and services take it.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// Ends the broker abruptly.
    pub fn kill(&mut self) {
        let process = self.process.as_mut().expect(inside::NEEDS_A_SERVER);
        process.child.kill().expect("our child");
        process.child.wait().expect("our child");
    }

    /// Ends the broker in good order.
    pub fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        let process = self.process.as_mut().expect(inside::NEEDS_A_SERVER);
        process.wait(PATIENCE);
    }

    /// Starts it again at the same address, after [`Broker::kill`] or [`Broker::stop`].
    pub fn restart(&mut self) {
        let port = self.addr.rsplit(':').next().expect("a port");
        let (process, addr) = Broker::spawn(&self.binary, port, &self.args);
        (self.process, self.addr) = (Some(process), addr);
    }

    /// Sends a signal to the broker.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process().child);
        rustix::process::kill_process(pid, signal).expect("our child");
    }

    /// Waits until it has written this text, and returns the line.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) -> String {
        loop {
            let log = self.process().log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            if let Err(error) = self.process().next_line(PATIENCE) {
                panic!(
                    "{text:?} is not logged ({error}):\n{}",
                    self.process().log()
                );
            }
        }
    }
}

/// The nats-servers to test against: the usual one, and an older one if
/// `NATS_SERVER_BIN_OLD` names it.
pub fn broker_binaries() -> Vec<PathBuf> {
    let old = std::env::var_os("NATS_SERVER_BIN_OLD").map(PathBuf::from);
    if old.is_none() {
        eprintln!("skipped the second server: NATS_SERVER_BIN_OLD is not set");
    }
    [Some(broker_binary()), old].into_iter().flatten().collect()
}

/// Major and minor version of the nats-server that tests use.
pub fn broker_version() -> (u32, u32) {
    let output = Command::new(broker_binary()).arg("--version").output();
    let output = output.expect("nats-server tells its version");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.trim().rsplit('v').next().unwrap_or("").split('.');
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (number(), number())
}

pub fn broker_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER_BIN") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/bin")])
        .map(|dir| dir.join("nats-server"))
        .find(|file| file.is_file())
        .expect("nats-server is not on the PATH; install it or set NATS_SERVER_BIN")
}

/// The gateway under test.
pub struct Gateway {
    process: Process,
    /// `127.0.0.1:port`.
    pub addr: String,
}

impl Gateway {
    /// Starts the gateway and waits until it takes connections.
    pub fn start(broker_url: &str, args: &[&str]) -> Gateway {
        Gateway::start_in(&[], broker_url, args)
    }

    /// As [`Gateway::start`], with these variables in its environment.
    pub fn start_in(environment: &[(&str, &str)], broker_url: &str, args: &[&str]) -> Gateway {
        let [flag, place] = inside::broker_of(broker_url);
        let args = [&[&*flag, &*place], args].concat();
        Gateway::start_with(environment, &args)
    }

    /// Starts the gateway with its own broker, on a free port of the loopback interface.
    pub fn start_inside(args: &[&str]) -> Gateway {
        let args = [&["--broker", "127.0.0.1:0"], args].concat();
        Gateway::start_with(&[], &args)
    }

    /// Starts the gateway with its own broker, services and pages, at the first free ports.
    pub fn start_demo(args: &[&str]) -> Gateway {
        let mut command = Command::new(gateway_binary());
        let process = Process::spawn(command.args(["--demo", "--broker", "0"]).args(args));
        let mut gateway = Gateway {
            process,
            addr: String::new(),
        };
        gateway.wait_for_log("Demo: open http://", 1);
        let log = gateway.log();
        let (_, behind) = log
            .split_once("Demo: open http://")
            .expect("it was waited for");
        gateway.addr = behind.split('/').next().expect("an address").to_owned();
        gateway
    }

    fn start_with(environment: &[(&str, &str)], args: &[&str]) -> Gateway {
        // Port 0 means the default port to the gateway, so a free one is looked up
        // first; another process may snatch it, hence several attempts.
        let mut log = String::new();
        for _ in 0..5 {
            let port = free_port();
            let process = Process::spawn(
                Command::new(gateway_binary())
                    .envs(environment.iter().copied())
                    .args(["--addr", "127.0.0.1", "--port"])
                    .arg(port.to_string())
                    .args(args),
            );
            let addr = format!("127.0.0.1:{port}");
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                if TcpStream::connect(&addr).is_ok() {
                    return Gateway { process, addr };
                }
                // Either the gateway says something, or it ended, or 10 ms are over.
                if process.next_line(Duration::from_millis(10))
                    == Err(RecvTimeoutError::Disconnected)
                {
                    break;
                }
            }
            log = process.log();
        }
        panic!("the gateway does not start:\n{log}");
    }

    /// Runs the gateway to its end without waiting for its port, and returns its exit
    /// code and what it wrote on stderr.
    pub fn run_to_end(broker_url: &str, args: &[&str]) -> (Option<i32>, String) {
        let mut process = Process::spawn(
            Command::new(gateway_binary())
                .args(inside::broker_of(broker_url))
                .args(["--addr", "127.0.0.1", "--port"])
                .arg(free_port().to_string())
                .args(args),
        );
        let code = process.wait(PATIENCE);
        (code, process.log())
    }

    /// Starts the gateway by a command that runs the program in its arguments in its own
    /// place. Its port is not waited for.
    pub fn start_by(mut command: Command, broker_url: &str) -> Gateway {
        let addr = format!("127.0.0.1:{}", free_port());
        let process = Process::spawn(
            command
                .arg(gateway_binary())
                .args(inside::broker_of(broker_url))
                .args(["--addr", "127.0.0.1", "--port"])
                .arg(addr.rsplit(':').next().expect("a port")),
        );
        Gateway { process, addr }
    }

    /// Starts another gateway on the port of one, and waits until it listens.
    pub fn start_beside(other: &Gateway, broker_url: &str, args: &[&str]) -> Gateway {
        let addr = other.addr.clone();
        let process = Process::spawn(
            Command::new(gateway_binary())
                .args(inside::broker_of(broker_url))
                .args(["--addr", "127.0.0.1", "--port"])
                .arg(addr.rsplit(':').next().expect("a port"))
                .args(args),
        );
        let gateway = Gateway { process, addr };
        gateway.wait_for_log("Listening on", 1);
        gateway
    }

    /// Starts the gateway on a listening socket of the test's, as a supervisor does, and on
    /// another for its metrics. It waits in them who comes before it is ready.
    pub fn start_on(
        clients: &TcpListener,
        metrics: &TcpListener,
        broker_url: &str,
        args: &[&str],
    ) -> Gateway {
        // Descriptors are handed over in places that safe code can fill, and moved on by the
        // shell, whose process number stays when it becomes the gateway.
        const HAND_OVER: &str = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:metrics exec \"$@\" \
            3<&0 4<&1 </dev/null >/dev/null";
        let handle = |socket: &TcpListener| {
            let copy = socket.try_clone().expect("a handle");
            Stdio::from(std::os::fd::OwnedFd::from(copy))
        };
        let process = Process::spawn_with(
            Command::new("sh")
                .args(["-c", HAND_OVER, "sh"])
                .arg(gateway_binary())
                .args(inside::broker_of(broker_url))
                .args(args),
            handle(clients),
            handle(metrics),
        );
        let addr = clients.local_addr().expect("it is bound").to_string();
        Gateway { process, addr }
    }

    /// A TCP connection to the gateway.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        match TcpStream::connect(&self.addr) {
            Ok(stream) => stream,
            Err(e) => panic!(
                "the gateway takes no connections ({e}); it said:\n{}",
                self.log()
            ),
        }
    }

    /// Sends a signal to the gateway.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.process.child),
            signal,
        )
        .expect("our child");
    }

    /// Stops the gateway, and returns when it stands: the signal is on its way when the call
    /// that sends it returns.
    pub fn freeze(&self) {
        let start = Instant::now();
        self.signal(rustix::process::Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        while !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")) {
            assert!(start.elapsed() < PATIENCE, "it does not stop");
            std::thread::yield_now();
        }
    }

    /// Waits for the gateway's end; its exit code, `None` if a signal ended it.
    #[track_caller]
    pub fn wait(&mut self, patience: Duration) -> Option<i32> {
        self.process.wait(patience)
    }

    /// What it wrote on stderr so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it has written this text so many times.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str, times: usize) {
        while self.log().matches(text).count() < times {
            if let Err(error) = self.process.next_line(PATIENCE) {
                panic!("{text:?} is not logged ({error}):\n{}", self.log());
            }
        }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }
}

/// A proxy in front of a gateway, such as haproxy.
pub struct Proxy {
    process: Process,
    directory: PathBuf,
    /// `127.0.0.1:port`.
    pub addr: String,
}

impl Proxy {
    /// Starts a program with the file that is made of its port and a directory of its own;
    /// `None` if it is not installed. `arguments` are made of the same and the file's path.
    pub fn start(
        program: &str,
        file: impl Fn(u16, &str) -> String,
        arguments: impl Fn(&str, &str) -> Vec<String>,
    ) -> Option<Proxy> {
        let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
        let mut places = places
            .map(|place| PathBuf::from(place).join(program))
            .into_iter();
        let Some(binary) = places.find(|path| path.exists()) else {
            eprintln!("skipped: {program} is not installed");
            return None;
        };
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("tidegate-{program}-{port}"));
        std::fs::create_dir_all(&directory).expect("a directory");
        let place = directory.to_string_lossy().into_owned();
        let path = directory.join("proxy.conf");
        std::fs::write(&path, file(port, &place)).expect("a file");
        let process =
            Process::spawn(Command::new(binary).args(arguments(&place, &path.to_string_lossy())));
        let addr = format!("127.0.0.1:{port}");
        let start = Instant::now();
        while TcpStream::connect(&addr).is_err() {
            let line = process.next_line(Duration::from_millis(10));
            assert!(
                line != Err(RecvTimeoutError::Disconnected) && start.elapsed() < PATIENCE,
                "{program} does not start:\n{}",
                process.log()
            );
        }
        Some(Proxy {
            process,
            directory,
            addr,
        })
    }

    /// What it wrote on stderr so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub fn gateway_binary() -> PathBuf {
    std::env::var_os("TIDEGATE_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_tidegate").into(), PathBuf::from)
}

/// What Ctrl-C sends, for a process that is to end by it. A shell has those that it starts
/// with `&` ignore that, and what a process ignores from its start the gateway ignores too: then
/// it is what ends a process otherwise.
pub fn interrupt() -> rustix::process::Signal {
    use rustix::process::Signal;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    match ignored.unwrap_or(0) >> (Signal::INT.as_raw() - 1) & 1 {
        0 => Signal::INT,
        _ => {
            eprintln!("SIGINT is ignored here: SIGTERM in its place");
            Signal::TERM
        }
    }
}

/// A port of the loopback interface that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("the loopback interface has a free port")
        .port()
}

/// A broker with a gateway on it.
pub struct Stack {
    /// The gateway; dropped before the broker.
    pub gateway: Gateway,
    /// The broker.
    pub broker: Broker,
    services: OnceLock<nats::Connection>,
    prefixes: Mutex<HashSet<String>>,
}

impl Stack {
    /// A broker and a gateway with these arguments, for one test.
    pub fn start(args: &[&str]) -> Stack {
        Stack::start_at(inside::is_for_this_test(), args)
    }

    fn start_at(is_inside: bool, args: &[&str]) -> Stack {
        if is_inside {
            return Stack::start_inside(args);
        }
        let broker = Broker::start();
        let gateway = Gateway::start(&broker.url(), args);
        Stack {
            gateway,
            broker,
            services: OnceLock::new(),
            prefixes: Mutex::default(),
        }
    }

    /// The same with the broker inside the gateway.
    pub fn start_inside(args: &[&str]) -> Stack {
        let gateway = Gateway::start_inside(args);
        let broker = Broker::inside(&gateway);
        Stack {
            gateway,
            broker,
            services: OnceLock::new(),
            prefixes: Mutex::default(),
        }
    }

    /// The stack that all tests of a binary share. Its request time-out is far longer
    /// than a test may take, so that a busy machine causes none.
    pub fn shared() -> &'static Stack {
        static SHARED: OnceLock<Stack> = OnceLock::new();
        SHARED.get_or_init(|| Stack::start_at(inside::is_wanted(), &["--reqtimeout", "60000"]))
    }

    /// A shared stack whose request time-out is 300 ms, for tests of time-outs.
    pub fn impatient() -> &'static Stack {
        static SHARED: OnceLock<Stack> = OnceLock::new();
        SHARED.get_or_init(|| Stack::start_at(inside::is_wanted(), &["--reqtimeout", "300"]))
    }

    /// A service that owns all resource names `prefix.>`.
    #[track_caller]
    pub fn service(&self, prefix: &str) -> Service {
        let fresh = self
            .prefixes
            .lock()
            .expect("no holder panics")
            .insert(prefix.to_owned());
        assert!(fresh, "another test already uses the prefix {prefix:?}");
        let nc = self
            .services
            .get_or_init(|| service::connect(&self.broker.url()));
        Service::new(nc.clone(), prefix)
    }

    /// A client that has made the version handshake for 1.2.3.
    #[track_caller]
    pub fn client(&self) -> Client {
        let mut client = self.fresh_client();
        client.handshake("1.2.3");
        client
    }

    /// A client without version handshake.
    #[track_caller]
    pub fn fresh_client(&self) -> Client {
        Client::connect(&self.gateway)
    }

    /// An HTTP connection.
    pub fn http(&self) -> Http {
        Http::connect(&self.gateway)
    }

    /// A WebSocket connection whose frames the test writes.
    pub fn raw(&self) -> RawWs {
        RawWs::open(&self.gateway)
    }
}
