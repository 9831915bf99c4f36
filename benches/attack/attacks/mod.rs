//! The attacks: what each prepares, what it does while the canary is watched, and what must
//! have come when it is over.

mod floods;
mod graphs;
mod lists;
mod memory;
mod resets;
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
    floods::BOMB,
    resets::PATTERNS,
    memory::LEAVE_AND_LINGER,
];

fn undisturbed(stage: &mut Stage) -> Outcome {
    stage.begin()?;
    stage.pass(stage.scale.time)?;
    stage.end()
}
