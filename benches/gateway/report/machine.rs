//! What the results were measured on: the machine, the versions, the day.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use tidegate::http::date::imf_fixdate;

use crate::beside::Other;
use crate::options::Options;
use crate::subject::{Broker, Kind};

/// The lines that head the results: what, and its value.
pub fn describe(options: &Options) -> Vec<(&'static str, String)> {
    let places = &options.places;
    let mut lines = vec![
        ("Processor", processor()),
        ("Memory", memory()),
        (
            "Kernel",
            format!("Linux {}", line_of("/proc/sys/kernel/osrelease")),
        ),
        ("Tidegate", tidegate(options)),
    ];
    if let Some(peer) = &places.peer {
        lines.push(("Peer", version(peer)));
    }
    for other in &places.others {
        let name = match other.kind {
            Kind::NatsWs => "nats-server with WebSocket",
            Kind::Centrifugo => "Centrifugo",
            _ => "Bun",
        };
        lines.push((name, other_version(other)));
    }
    lines.extend([
        ("Broker", version(&Broker::program())),
        ("Compiler", version(Path::new("rustc"))),
        ("Day", today()),
        ("Options", options.describe()),
    ]);
    lines
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "unknown".to_owned());
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let guest = match field("flags") {
        Some(flags) if flags.split(' ').any(|flag| flag == "hypervisor") => ", virtual machine",
        _ => "",
    };
    format!("{model}, {count} CPUs{guest}")
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        let rest = line.strip_prefix("MemTotal:")?.trim();
        rest.strip_suffix(" kB")?.parse::<u64>().ok()
    });
    match kib {
        Some(kib) => format!("{:.1} GiB", kib as f64 / 1_048_576.0),
        None => "unknown".to_owned(),
    }
}

/// The version of this package, and the commit where that is what was measured.
fn tidegate(options: &Options) -> String {
    let version = version(&options.places.tidegate);
    match commit() {
        Some(commit) if !options.has_other_build => format!("{version}, commit {commit}"),
        Some(_) => format!("{version}, another build"),
        None => version,
    }
}

fn commit() -> Option<String> {
    let output = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR")])
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

/// The first line that a program says of its version.
fn version(program: &Path) -> String {
    said(program, "--version")
}

fn said(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let words: Vec<String> = text
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    match words.is_empty() {
        true => "unknown".to_owned(),
        false => words.join(" "),
    }
}

/// Centrifugo has a command for it.
fn other_version(other: &Other) -> String {
    let flag = match other.kind {
        Kind::Centrifugo => "version",
        _ => "--version",
    };
    said(&other.program, flag)
}

fn today() -> String {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let date = imf_fixdate(unix.map_or(0, |unix| unix.as_secs()));
    // Without the weekday and the time.
    String::from_utf8_lossy(&date[5..16]).into_owned()
}

fn line_of(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
