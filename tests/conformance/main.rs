//! Conformance by comparison: black-box scenarios of the RES protocol that run against
//! any gateway binary, between clients' sockets and a scripted broker.
//!
//! `CONFORMANCE_PEER` names a second binary to run them against, `CONFORMANCE_ONLY` a
//! part of the title or place of the scenarios to run.

mod broker;
mod gateway;
mod json;
mod run;
mod scenario;
mod socket;
mod statements;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway::{Gateway, Side};
use run::Run;
use scenario::Scenario;

/// Gateways that run at the same time.
const WORKERS: usize = 4;

/// Scenarios that one gateway process plays.
const CHUNK: usize = 40;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance")
        .join(name)
}

fn scenarios() -> Vec<Scenario> {
    let all = scenario::read_all(&folder("scenarios")).unwrap_or_else(|e| panic!("{e}"));
    match std::env::var("CONFORMANCE_ONLY") {
        Ok(only) => all
            .into_iter()
            .filter(|s| s.title.contains(&only) || s.place.contains(&only))
            .collect(),
        Err(_) => all,
    }
}

/// Scenarios that one process plays one after the other, with their place among all.
type Chunk<'a> = Vec<(usize, &'a Scenario)>;

/// Divides scenarios into chunks of equal flags, the longest last.
fn chunks(scenarios: &[Scenario]) -> Vec<Chunk<'_>> {
    let mut groups: BTreeMap<(usize, &[String]), Chunk<'_>> = BTreeMap::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let alone = if scenario.alone || scenario.config.is_some() {
            index + 1
        } else {
            0
        };
        let group = groups.entry((alone, &scenario.flags)).or_default();
        group.push((index, scenario));
    }
    let mut chunks: Vec<Vec<_>> = groups
        .into_values()
        .flat_map(|group| group.chunks(CHUNK).map(<[_]>::to_vec).collect::<Vec<_>>())
        .collect();
    chunks.sort_by_key(|chunk| chunk.len());
    chunks
}

/// Plays all of them; the transcripts of those that failed, in their order.
fn play_all(binary: &Path, side: Side, scenarios: &[Scenario]) -> Vec<String> {
    let queue = Mutex::new(chunks(scenarios));
    let failures = Mutex::new(BTreeMap::new());
    let played = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let chunk = queue.lock().expect("no holder panics").pop();
                    let Some(chunk) = chunk else { return };
                    for (index, transcript) in play(binary, side, &chunk) {
                        let mut failures = failures.lock().expect("no holder panics");
                        failures.insert(index, transcript);
                    }
                    played.fetch_add(chunk.len(), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(played.into_inner(), scenarios.len(), "all have been played");
    failures
        .into_inner()
        .expect("no holder panics")
        .into_values()
        .collect()
}

fn play(binary: &Path, side: Side, chunk: &[(usize, &Scenario)]) -> Vec<(usize, String)> {
    let mut failures = Vec::new();
    let mut running: Option<Gateway> = None;
    for (index, scenario) in chunk {
        let mut gateway = match running.take() {
            Some(gateway) if !gateway.broker.is_closed() => gateway,
            _ => match Gateway::start(binary, &scenario.flags, scenario.config.as_deref()) {
                Ok(gateway) => gateway,
                Err(e) => {
                    failures.push((*index, format!("{} {e}", scenario.place)));
                    continue;
                }
            },
        };
        let prefix = prefix(*index);
        if let Err(mut transcript) = Run::play(&mut gateway, side, scenario, prefix) {
            if gateway.broker.is_closed() {
                transcript.push_str(&format!("   the gateway ended:\n{}", gateway.log()));
            }
            failures.push((*index, transcript));
        }
        running = Some(gateway);
    }
    failures
}

/// First part of the resource names of a scenario: four characters, as `test` has.
fn prefix(index: usize) -> String {
    let digit = |n: usize| char::from_digit((n % 36) as u32, 36).unwrap_or('0');
    String::from_iter(['t', digit(index / 1296), digit(index / 36), digit(index)])
}

#[test]
fn tidegate_plays_all_scenarios() {
    let scenarios = scenarios();
    let ours = Path::new(env!("CARGO_BIN_EXE_tidegate"));
    let failures = play_all(ours, Side::Ours, &scenarios);
    println!("\n{} scenarios against Tidegate", scenarios.len());
    let mut differences = failures.len();
    for failure in &failures {
        println!("\n{failure}");
    }
    println!("{} of them differ from what is written\n", failures.len());
    let peer = std::env::var_os("CONFORMANCE_PEER").filter(|peer| !peer.is_empty());
    if let Some(peer) = peer {
        let failures = play_all(Path::new(&peer), Side::Peer, &scenarios);
        println!("{} scenarios against {}", scenarios.len(), peer.display());
        differences += failures.len();
        for failure in &failures {
            println!("\n{failure}");
        }
        println!("{} of them differ from what is written\n", failures.len());
    }
    if std::env::var_os("CONFORMANCE_ONLY").is_none() {
        let statements = statements::read(&folder("statements")).unwrap_or_else(|e| panic!("{e}"));
        println!("{}", statements::report(&statements, &scenarios));
    }
    assert_eq!(differences, 0, "scenarios that differ; see above");
}

#[test]
fn scenarios_name_known_statements() {
    let scenarios = scenarios();
    let statements = statements::read(&folder("statements")).unwrap_or_else(|e| panic!("{e}"));
    let unknown = statements::unknown(&statements, &scenarios);
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    let bare = scenarios.iter().find(|s| s.covers.is_empty());
    assert!(bare.is_none(), "covers nothing: {bare:?}");
}

#[test]
fn differences_are_explained_by_rows_of_the_compatibility_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/COMPATIBILITY.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    for scenario in scenarios() {
        let is_split = scenario.steps.iter().any(|step| step.only.is_some());
        let place = &scenario.place;
        assert_eq!(
            is_split,
            !scenario.differs.is_empty(),
            "{place}: steps of one gateway and a reason go together"
        );
        for row in &scenario.differs {
            assert!(
                page.contains(&format!("| {row} |")),
                "{place}: docs/COMPATIBILITY.md has no row {row:?}"
            );
        }
    }
}
