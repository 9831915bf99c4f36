//! A gateway process with the scripted broker that it is connected to.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::broker::Broker;

/// Which gateway runs; some steps are for one of them only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Ours,
    Peer,
}

/// A running gateway. Ended when dropped.
pub struct Gateway {
    pub broker: Broker,
    /// `127.0.0.1:port` for clients.
    pub addr: String,
    /// `127.0.0.1:port` for metrics, if flags ask for them with `$metricsport`.
    pub metrics_addr: String,
    /// What flags call `$configfile`.
    pub config_file: PathBuf,
    binary: PathBuf,
    child: Child,
    log: Arc<(Mutex<Log>, Condvar)>,
}

/// What the process wrote on stderr.
#[derive(Default)]
struct Log {
    text: String,
    /// Nothing more will come: the process has ended.
    is_whole: bool,
}

impl Gateway {
    /// Starts the binary and waits until it takes connections. `config` is the content
    /// of the configuration file; without it there is none at first.
    pub fn start(binary: &Path, flags: &[String], config: Option<&str>) -> Result<Gateway, String> {
        let mut log = String::new();
        // A free port may be snatched before the gateway binds it.
        for _ in 0..5 {
            let broker = Broker::start();
            let (port, metrics) = free_ports();
            let config_file = new_file(config)?;
            let flags = flags.iter().map(|f| {
                f.replace("$metricsport", &metrics.to_string())
                    .replace("$configfile", &config_file.to_string_lossy())
            });
            let mut child = command(binary)
                .args(["--nats", &format!("nats://{}", broker.addr)])
                .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
                // A busy machine must cause no time-outs; a later flag wins.
                .args(["--reqtimeout", "30000"])
                .args(flags)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|e| format!("cannot start {}: {e}", binary.display()))?;
            let kept: Arc<(Mutex<Log>, Condvar)> = Arc::default();
            let sink = Arc::clone(&kept);
            let stderr = child.stderr.take().expect("stderr is piped");
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut log = sink.0.lock().expect("no holder panics");
                    log.text.push_str(&line);
                    log.text.push('\n');
                    sink.1.notify_all();
                }
                sink.0.lock().expect("no holder panics").is_whole = true;
                sink.1.notify_all();
            });
            let mut gateway = Gateway {
                broker,
                addr: format!("127.0.0.1:{port}"),
                metrics_addr: format!("127.0.0.1:{metrics}"),
                config_file,
                binary: binary.to_owned(),
                child,
                log: kept,
            };
            if gateway.wait_ready() {
                return Ok(gateway);
            }
            gateway.end();
            gateway.wait_end(Duration::from_secs(5));
            log = gateway.log();
        }
        Err(format!("{} does not start:\n{log}", binary.display()))
    }

    fn wait_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self
                .broker
                .wait_subscription(Duration::from_millis(20), "system.*", true)
                || self
                    .broker
                    .wait_subscription(Duration::ZERO, "system.>", true)
            {
                // Between two attempts, 5 ms go by or the process ends.
                loop {
                    if TcpStream::connect(&self.addr).is_ok() {
                        return true;
                    }
                    if self.wait_end(Duration::from_millis(5)) || Instant::now() > deadline {
                        break;
                    }
                }
                return false;
            }
            if self.wait_end(Duration::ZERO) {
                return false;
            }
        }
        false
    }

    /// Waits for the end of the process; whether it came in time.
    fn wait_end(&self, patience: Duration) -> bool {
        let log = self.log.0.lock().expect("no holder panics");
        let waited = self
            .log
            .1
            .wait_timeout_while(log, patience, |log| !log.is_whole);
        waited.expect("no holder panics").0.is_whole
    }

    /// Waits until it has written this text on stderr.
    pub fn wait_log(&self, text: &str, patience: Duration) -> bool {
        let log = self.log.0.lock().expect("no holder panics");
        let waited = self.log.1.wait_timeout_while(log, patience, |log| {
            !log.is_whole && !log.text.contains(text)
        });
        waited.expect("no holder panics").0.text.contains(text)
    }

    /// What it said on stderr.
    pub fn log(&self) -> String {
        self.log.0.lock().expect("no holder panics").text.clone()
    }

    /// Runs the binary a second time until it ends by itself: exit code and output.
    pub fn run_to_end(&self, flags: &str) -> Result<(Option<i32>, String), String> {
        let file = self.config_file.to_string_lossy();
        let flags = flags.split_ascii_whitespace();
        let output = command(&self.binary)
            .args(flags.map(|f| f.replace("$configfile", &file)))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("cannot start {}: {e}", self.binary.display()))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.code(), text))
    }

    /// Sends a signal (`TERM`, `INT`, ..).
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .map_err(|e| e.to_string())?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("cannot send {name}"))
        }
    }

    /// The exit code, once the process ends by itself.
    pub fn wait_exit(&mut self, patience: Duration) -> Option<i32> {
        if !self.wait_end(patience) {
            return None;
        }
        self.child.wait().ok()?.code()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
        // There is one only if the scenario wanted it.
        let _ = std::fs::remove_file(&self.config_file);
    }
}

/// A command without the options in the environment of whoever runs the tests.
fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"TIDEGATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// A path that no other gateway has, with this file there or none.
fn new_file(content: Option<&str>) -> Result<PathBuf, String> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "conformance-{}-{}.json",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if let Some(content) = content {
        std::fs::write(&path, content).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(path)
}

fn free_ports() -> (u16, u16) {
    let a = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let b = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = |l: &TcpListener| l.local_addr().expect("a bound socket").port();
    (port(&a), port(&b))
}
