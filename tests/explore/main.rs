//! Every sequence of inputs up to a length, from a small alphabet: what is enabled next is
//! tried next, with the audit and the clients' replicas after each input, and each state
//! that is gone on from is also brought to rest, where all must agree.
//!
//! A state that was met before is not gone on from again: what comes of it is known. How
//! many sequences that covers is counted by the ways through the states.
//!
//! Games with a theme have part of the alphabet only, and so go further in the same time.
//!
//! `EXPLORE_DEPTH=n` sets the length, `EXPLORE_THEMES=n` that of games with a theme, and
//! `EXPLORE_STATES=n` after how many states a length is the last one.

mod digest;
mod letters;
#[path = "../simulation/shrink.rs"]
#[allow(dead_code)]
mod shrink;
#[path = "../world/mod.rs"]
mod world;

use letters::{Letter, Start, Theme};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use world::simulator::World;

/// Length of the sequences when nothing else is asked for.
const DEPTH: usize = 2;

/// The same for games with a theme.
const THEMES: usize = 3;

/// Threads that look at states.
const THREADS: usize = 2;

/// From where, with how many units of work in each turn, and with which letters.
#[derive(Clone, Copy, Debug)]
struct Game {
    start: Start,
    units: u32,
    theme: Theme,
}

/// What is known of the states of a game. They are numbered as they are found.
#[derive(Default)]
struct Known {
    numbers: HashMap<u128, u32>,
    /// From which state each was first come to, and how.
    origins: Vec<(u32, Letter)>,
    /// Where one comes to from each that was gone on from.
    next: Vec<Box<[u32]>>,
}

/// What one comes to from a state: how, and what it is.
type Steps = Vec<(Letter, u128)>;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn from_nothing() {
    explore(Game {
        start: Start::Empty,
        units: 0,
        theme: Theme::All,
    });
}

#[test]
fn from_nothing_with_the_work_cut() {
    explore(Game {
        start: Start::Empty,
        units: 1,
        theme: Theme::All,
    });
}

#[test]
fn from_what_is_held() {
    explore(Game {
        start: Start::Held,
        units: 0,
        theme: Theme::All,
    });
}

#[test]
fn from_what_is_held_with_the_work_cut() {
    explore(Game {
        start: Start::Held,
        units: 1,
        theme: Theme::All,
    });
}

#[test]
fn themes_from_what_is_held() {
    for theme in [Theme::Access, Theme::Outage, Theme::Tree, Theme::Query] {
        for units in [0, 1] {
            explore(Game {
                start: Start::Held,
                units,
                theme,
            });
        }
    }
}

/// Tries every sequence of a game, and says how many there were.
fn explore(game: Game) {
    let depth = match game.theme {
        Theme::All => number("EXPLORE_DEPTH").unwrap_or(DEPTH),
        _ => number("EXPLORE_THEMES").unwrap_or(THEMES),
    };
    let most = number("EXPLORE_STATES").unwrap_or(usize::MAX);
    let (mut known, began) = (Known::default(), Instant::now());
    let root = letters::begin(game.start, game.units);
    assert_eq!(root.failure, None, "{game:?}");
    known.find(digest::of(&root), 0, Letter::GoOn);
    let (mut from, mut run) = (0, 0_u64);
    for length in 1..=depth {
        let layer = from..known.origins.len();
        if layer.is_empty() || layer.end > most {
            break;
        }
        from = layer.end;
        let found = go_on(game, &known, layer);
        for (state, steps) in found {
            run += steps.len() as u64;
            let next = steps
                .iter()
                .map(|(letter, digest)| known.find(*digest, state, *letter));
            let next = next.collect::<Vec<_>>();
            known.next.push(next.into());
        }
        println!(
            "{game:?}, length {length}: {run} sequences run, {} covered, {} states, {} s",
            known.sequences(length),
            known.origins.len(),
            began.elapsed().as_secs(),
        );
    }
}

/// What comes of each of these states, in their order.
fn go_on(game: Game, known: &Known, layer: std::ops::Range<usize>) -> Vec<(u32, Steps)> {
    let next = AtomicUsize::new(layer.start);
    let work = || {
        let mut found = Vec::new();
        let mut root = letters::begin(game.start, game.units);
        root.driver.audits = false;
        loop {
            let state = next.fetch_add(1, Ordering::Relaxed);
            if state >= layer.end {
                return found;
            }
            let way = known.way_to(state as u32);
            found.push((state as u32, steps_from(game, known, &root, &way)));
        }
    };
    let mut found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let results = threads
            .into_iter()
            .map(|thread| thread.join().expect("a failure was printed"));
        results.flatten().collect::<Vec<_>>()
    });
    found.sort_by_key(|(state, _)| *state);
    found
}

/// What one comes to from the end of a way, each step of which is known to be good.
fn steps_from(game: Game, known: &Known, root: &World, way: &[Letter]) -> Steps {
    let mut world = root.copy();
    world.driver.audits = false;
    for letter in way {
        letters::perform(&mut world, *letter);
    }
    let mut rest = world.copy();
    rest.driver.audits = true;
    if let Err(failure) = good(|| end(rest)) {
        fail(game, way, None, &failure);
    }
    let step = |letter| {
        let digest = good(|| follow(world.copy(), letter)).and_then(|world| {
            let digest = digest::of(&world);
            // The books of a state that is known were looked at.
            if !known.numbers.contains_key(&digest) {
                world.driver.gateway.audit()?;
            }
            Ok(digest)
        });
        match digest {
            Ok(digest) => (letter, digest),
            Err(failure) => fail(game, way, Some(letter), &failure),
        }
    };
    let enabled = letters::enabled(&world).into_iter();
    let enabled = enabled.filter(|letter| game.theme.has(*letter));
    enabled.map(step).collect()
}

fn follow(mut world: World, letter: Letter) -> World {
    letters::perform(&mut world, letter);
    world
}

/// Lets a world come to rest, where all must agree; then all leave, and nothing stays behind.
fn end(mut world: World) -> World {
    world.let_go();
    world.settle();
    world.leave();
    world
}

/// Runs what may fail, or panic.
fn good(run: impl FnOnce() -> World) -> Result<World, String> {
    let world = shrink::guard(run)?;
    match &world.failure {
        None => Ok(world),
        Some(failure) => Err(failure.0.clone()),
    }
}

/// Shows what happens in a sequence that fails.
fn fail(game: Game, way: &[Letter], last: Option<Letter>, failure: &str) -> ! {
    let mut world = letters::begin(game.start, game.units);
    world.begin_trace();
    for letter in way {
        letters::perform(&mut world, *letter);
    }
    let (_, trace) = shrink::attempt_to(|| match last {
        Some(letter) => follow(world, letter),
        None => end(world),
    });
    println!("{}", trace.join("\n"));
    panic!("{game:?} fails: {failure}\n{way:?}, then {last:?}");
}

impl Known {
    /// The number of a state, which may be a new one.
    fn find(&mut self, digest: u128, origin: u32, letter: Letter) -> u32 {
        match self.numbers.entry(digest) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let number = self.origins.len() as u32;
                self.origins.push((origin, letter));
                *vacant.insert(number)
            }
        }
    }

    /// A shortest way from the beginning to a state.
    fn way_to(&self, mut state: u32) -> Vec<Letter> {
        let mut way = Vec::new();
        while state > 0 {
            let (origin, letter) = self.origins[state as usize];
            way.push(letter);
            state = origin;
        }
        way.reverse();
        way
    }

    /// How many sequences of up to this length there are.
    fn sequences(&self, length: usize) -> u128 {
        let mut ways = vec![0_u128; self.origins.len()];
        ways[0] = 1;
        let mut all = 0;
        for _ in 0..length {
            let mut further = vec![0; ways.len()];
            for (next, ways) in self.next.iter().zip(&ways) {
                for state in next {
                    further[*state as usize] += ways;
                }
            }
            ways = further;
            all += ways.iter().sum::<u128>();
        }
        all
    }
}

/// Sequences that once failed, each from its start and with the work cut.
const FAILED: [(Start, &[Letter]); 3] = [
    // What a client holds that leaves outlives a resource.
    (Start::Held, &[Letter::Leave, Letter::Life]),
    // A call of a client that is about to be dismissed.
    (
        Start::Held,
        &[Letter::Token, Letter::Lose, Letter::Return, Letter::Call],
    ),
    // An answer comes while the gateway is still at what has timed out.
    (
        Start::Empty,
        &[
            Letter::Subscribe(0, 1),
            Letter::Call,
            Letter::Time,
            Letter::Answer(2, 0),
        ],
    ),
];

#[test]
fn what_failed_fails_no_more() {
    for (start, way) in FAILED {
        let game = Game {
            start,
            units: 1,
            theme: Theme::All,
        };
        let mut world = letters::begin(start, game.units);
        for letter in way {
            assert!(letters::enabled(&world).contains(letter), "{way:?}");
            world = match good(|| follow(world, *letter)) {
                Ok(world) => world,
                Err(failure) => panic!("{game:?} fails: {failure}\n{way:?} at {letter:?}"),
            };
        }
        if let Err(failure) = good(|| end(world)) {
            panic!("{game:?} fails at rest: {failure}\n{way:?}");
        }
    }
}

#[test]
fn ways_through_equal_states_are_counted() {
    // Two letters that lead from the first state to the second and back, or stay.
    let mut known = Known::default();
    for digest in [10, 20] {
        known.find(digest, 0, Letter::Call);
    }
    assert_eq!(known.find(20, 0, Letter::Leave), 1);
    known.next = vec![[1, 1].into(), [0, 1].into()];
    assert_eq!([1, 2, 3].map(|length| known.sequences(length)), [2, 6, 14]);
    assert_eq!(known.way_to(1), [Letter::Call]);
}
