//! Runs that may panic, and failing scripts made small.

use super::world::actions;
use super::world::script::{Profile, Script};
use super::world::simulator::World;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    /// Whether a panic of this thread is kept instead of printed.
    static LISTENS: Cell<bool> = const { Cell::new(false) };
    /// What the last one said.
    static HEARD: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Resources that were compared with what services have, in all runs, and those that differed.
/// One that differs where no event was lost fails its run.
pub static CHECKED: AtomicU64 = AtomicU64::new(0);
pub static DRIFTED: AtomicU64 = AtomicU64::new(0);

/// How often the difference took the place of events that waited, in all runs.
pub static SHORTENED: AtomicU64 = AtomicU64::new(0);

/// Resources that clients were not sent since they had them, in all runs.
pub static SPARED: AtomicU64 = AtomicU64::new(0);

/// How often a stream's client was told the tag of what it had by then, and how often it came
/// back with that and was sent nothing again.
pub static RESTED: AtomicU64 = AtomicU64::new(0);
pub static RESUMED: AtomicU64 = AtomicU64::new(0);

/// Attempts at making a script smaller.
const ATTEMPTS: usize = 3000;

/// Runs a script. Returns what failed, if anything did, and the trace if wanted.
pub fn attempt(script: &Script, trace: bool) -> (Option<String>, Vec<String>) {
    attempt_to(|| actions::run(script, trace))
}

/// The same for any run.
pub fn attempt_to(run: impl FnOnce() -> World) -> (Option<String>, Vec<String>) {
    match guard(run) {
        Ok(world) => {
            let counters = world.driver.gateway.counters();
            CHECKED.fetch_add(counters.drift_checks, Ordering::Relaxed);
            DRIFTED.fetch_add(counters.drifts, Ordering::Relaxed);
            SHORTENED.fetch_add(counters.queues_shortened, Ordering::Relaxed);
            SPARED.fetch_add(world.spared, Ordering::Relaxed);
            RESTED.fetch_add(world.rested, Ordering::Relaxed);
            RESUMED.fetch_add(world.resumed, Ordering::Relaxed);
            let failure = world.failure.clone();
            (failure.map(|failure| failure.0), world.into_trace())
        }
        Err(panic) => (Some(panic), Vec::new()),
    }
}

/// Runs what may panic. Returns what the panic said, if there was one.
pub fn guard<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Of one run it is wanted where it was.
            let is_wanted = std::env::var_os("SIM_SEED").is_some();
            if is_wanted || !LISTENS.get() {
                default(info);
            }
            HEARD.set(info.to_string());
        }));
    });
    LISTENS.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    LISTENS.set(false);
    outcome.map_err(|_| HEARD.take())
}

/// Drops steps of a failing script as long as it fails in the same way.
pub fn shrink(script: &Script, failure: &str) -> Script {
    let wanted = kind(failure);
    minimise(script, |candidate| {
        attempt(candidate, false)
            .0
            .is_some_and(|failure| kind(&failure) == wanted)
    })
}

/// The smallest script found that still fails.
fn minimise(script: &Script, mut fails: impl FnMut(&Script) -> bool) -> Script {
    let mut best = script.clone();
    let simpler: [fn(&mut Profile); 3] = [
        |profile| profile.units = 0,
        |profile| profile.follows_runs = false,
        |profile| profile.lies = false,
    ];
    for simplify in simpler {
        let mut candidate = best.clone();
        simplify(&mut candidate.profile);
        if fails(&candidate) {
            best = candidate;
        }
    }
    let mut chunk = best.steps.len().div_ceil(2);
    let mut left = ATTEMPTS;
    while chunk > 0 {
        let (mut start, before) = (0, best.steps.len());
        while start < best.steps.len() && left > 0 {
            let mut candidate = best.clone();
            let end = (start + chunk).min(best.steps.len());
            candidate.steps.drain(start..end);
            left -= 1;
            if fails(&candidate) {
                best = candidate;
            } else {
                start = end;
            }
        }
        if chunk > 1 {
            chunk = chunk.div_ceil(2);
        } else if best.steps.len() == before || left == 0 {
            chunk = 0;
        }
    }
    best
}

/// The words of a failure that do not change from run to run: no numbers, and nothing
/// from the first quoted text on.
fn kind(failure: &str) -> String {
    let words = failure
        .split(['{', '"', '[', '('])
        .next()
        .unwrap_or_default();
    let words = words
        .split_whitespace()
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn only_what_is_needed_stays() {
    let script = Script::from_seed(1);
    let texts: Vec<_> = script
        .steps
        .iter()
        .map(|step| format!("{:?}", step.1))
        .collect();
    let is_one = |text: &&String| texts.iter().filter(|other| other == text).count() == 1;
    let once: Vec<_> = texts.iter().filter(is_one).collect();
    let needed = [once[0], once[once.len() / 2], once[once.len() - 1]];
    let small = minimise(&script, |candidate| {
        let steps: Vec<_> = candidate
            .steps
            .iter()
            .map(|step| format!("{:?}", step.1))
            .collect();
        needed.iter().all(|step| steps.contains(*step))
    });
    let steps: Vec<_> = small
        .steps
        .iter()
        .map(|step| format!("{:?}", step.1))
        .collect();
    assert_eq!(steps.iter().collect::<Vec<_>>(), needed);
}

#[test]
fn failures_are_told_apart_by_their_words() {
    assert_eq!(
        kind("client 3: m.0 is sent in models: {}"),
        kind("client 4: m.1 is sent in models: {1}")
    );
    assert_ne!(kind("client 3: a is sent"), kind("client 3: a is held"));
}
