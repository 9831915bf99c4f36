//! The attacks: what each prepares, what it does while the canary is watched, and what must
//! have come when it is over.

mod ending;
mod floods;
mod graphs;
mod lists;
mod memory;
mod queries;
mod resets;
mod waiters;
mod web;

use crate::fault::Outcome;
use crate::stage::Stage;

/// One way to harm a gateway.
pub struct Attack {
    /// Short name, for the command line.
    pub id: &'static str,
    /// What it does.
    pub title: &'static str,
    /// Flags that the gateway gets.
    pub flags: &'static [&'static str],
    /// The attack itself: between [`Stage::begin`] and [`Stage::end`] it is measured.
    pub run: fn(&mut Stage) -> Outcome,
}

/// All attacks, in the order of the table.
pub const ATTACKS: &[Attack] = &[
    Attack {
        id: "undisturbed",
        title: "nothing",
        flags: &[],
        run: undisturbed,
    },
    web::DOUBLING,
    web::DOUBLING_FLAT,
    web::FRIENDS,
    web::LARGE,
    web::MANY,
    lists::ADD_FLOOD,
    graphs::TOGGLE,
    graphs::REWIRE,
    graphs::CUT,
    graphs::STAR,
    graphs::CHAIN,
    graphs::SET,
    graphs::CROWD_SETS,
    waiters::WAITERS,
    waiters::GETS,
    waiters::WHOLE,
    lists::SWAP,
    lists::DIFFERENCE,
    lists::WIDE,
    lists::REFERENCES,
    lists::DELETES,
    lists::EVENTS,
    lists::NAMES,
    lists::FAT,
    floods::BOMB,
    floods::FRAMES,
    floods::PINGS,
    floods::NOT_FOUND,
    floods::HEADS,
    floods::PARAMS,
    floods::SUBSCRIBES,
    floods::AUTHS,
    floods::CONNECTS,
    resets::PATTERNS,
    resets::TRIE,
    resets::ALL,
    resets::ACCESS_ALL,
    resets::ACCESS_STORM,
    resets::REACCESS,
    resets::TOKEN,
    resets::TOKEN_RESET,
    queries::STORM,
    queries::LONG,
    memory::SUBSCRIBE_AND_LEAVE,
    memory::LEAVE_AND_LINGER,
    memory::CROWD_LEAVES,
    memory::ENDLESS,
    memory::UNREAD,
    ending::SIGTERM,
];

fn undisturbed(stage: &mut Stage) -> Outcome {
    stage.begin()?;
    stage.pass(stage.scale.time)?;
    stage.end()
}
